/* What finds patterns in the graph, for the fuse_*.c files. */
#include "lib/nn/fuse.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

struct fm_node *fm_producer(struct fm_graph *graph, uint32_t v, const struct fm_op *op)
{
	if (v == FM_VALUE_NONE || graph->values[v].producer == FM_NODE_NONE)
		return NULL;
	struct fm_node *node = &graph->nodes[graph->values[v].producer];
	return node->op == op && !node->removed ? node : NULL;
}

struct fm_node *fm_only_reader(struct fm_graph *graph, uint32_t v, const struct fm_op *op)
{
	const struct fm_value *value = &graph->values[v];

	if (value->uses != 1 || value->consumer == FM_NODE_NONE)
		return NULL;
	struct fm_node *node = &graph->nodes[value->consumer];
	return node->op == op && !node->removed ? node : NULL;
}

uint32_t fm_other_input(const struct fm_node *node, uint32_t v)
{
	if (node->input_count != 2 || (node->inputs[0] != v && node->inputs[1] != v))
		return FM_VALUE_NONE;
	return node->inputs[node->inputs[0] == v ? 1 : 0];
}

bool fm_is_constant(const struct fm_graph *graph, uint32_t v, float wanted)
{
	if (v == FM_VALUE_NONE)
		return false;
	const struct fm_value *value = &graph->values[v];
	return value->constant && value->type == FM_ONNX_FLOAT32 && value->elements == 1 &&
	       fabsf(*(const float *)value->constant - wanted) <= 1e-6f * fabsf(wanted);
}

bool fm_transposes(const struct fm_graph *graph, const struct fm_node *node, size_t rank, const size_t *from)
{
	return node->op == &fm_op_transpose && graph->values[node->inputs[0]].rank == rank &&
	       memcmp(((const struct fm_permutation *)node->params)->from, from, rank * sizeof(*from)) == 0;
}

void *fm_node_become(struct fm_graph *graph, struct fm_node *node, const struct fm_op *op, size_t input_count,
        const uint32_t *inputs)
{
	uint32_t *copy = fm_arena_memdup(graph->arena, inputs, input_count, sizeof(*inputs));
	void *params = fm_arena_alloc(graph->arena, 1, op->params_bytes);

	if (!copy || !params)
		return NULL;
	node->op = op;
	node->inputs = copy;
	node->input_count = input_count;
	node->params = params;
	return params;
}
