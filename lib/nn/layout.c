/*
 * Who stores what how. Images are N, H, W, C in memory because a 1x1 convolution is then a matrix product
 * over pixels. Ops that walk by strides take any layout; where a row-major op meets an NHWC value, a
 * conversion is inserted once and shared (it costs nothing for one channel or one pixel). The network's
 * inputs and outputs are row-major.
 */
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

struct pass {
	struct fm_graph *graph;
	struct fm_node *nodes; /* the new list */
	size_t node_count, node_capacity;
	uint32_t *twin; /* [value]: the same value in the other layout, or FM_VALUE_NONE */
};

static struct fm_node *append(struct pass *pass, const struct fm_node *node)
{
	if (pass->node_count == pass->node_capacity)
		return NULL;
	struct fm_node *copy = &pass->nodes[pass->node_count++];
	*copy = *node;
	for (size_t i = 0; i < copy->output_count; i++)
		pass->graph->values[copy->outputs[i]].producer = (uint32_t)(copy - pass->nodes);
	return copy;
}

/* *operand becomes its twin in the layout wanted, converted here if it was not before. */
static enum fm_status convert(struct pass *pass, const struct fm_node *reader, uint32_t *operand,
        enum fm_layout wanted, struct fm_error *err)
{
	struct fm_graph *graph = pass->graph;
	const struct fm_value *value = &graph->values[*operand];

	if (value->rank != 4 || value->layout == wanted || value->constant)
		return FM_OK;
	if (pass->twin[*operand] == FM_VALUE_NONE) {
		uint32_t twin = fm_graph_add_value(graph, value->name);
		uint32_t *ends = fm_arena_alloc(graph->arena, 2, sizeof(*ends));

		if (twin == FM_VALUE_NONE || !ends)
			return fm_node_nomem(reader, err);
		ends[0] = *operand;
		ends[1] = twin;
		graph->values[twin] = *value;
		graph->values[twin].layout = wanted;
		struct fm_node change = {.name = reader->name,
		        .source = reader->source,
		        .op = &fm_op_layout_change,
		        .inputs = &ends[0],
		        .input_count = 1,
		        .outputs = &ends[1],
		        .output_count = 1,
		        .fused = {.residual = FM_VALUE_NONE}};
		if (!append(pass, &change))
			return fm_node_nomem(reader, err);
		pass->twin[*operand] = twin;
	}
	*operand = pass->twin[*operand];
	return FM_OK;
}

static bool permutes(const struct fm_node *node, size_t a, size_t b, size_t c, size_t d)
{
	const size_t *from = ((const struct fm_permutation *)node->params)->from;

	return from[0] == a && from[1] == b && from[2] == c && from[3] == d;
}

/* What the node writes, given what its inputs are by now. */
static enum fm_layout output_layout(const struct fm_graph *graph, const struct fm_node *node)
{
	const struct fm_value *first = node->input_count ? &graph->values[node->inputs[0]] : NULL;

	switch (node->op->layout) {
	case FM_OP_NHWC: return FM_LAYOUT_NHWC;
	case FM_OP_ROW_MAJOR: return FM_LAYOUT_ROW_MAJOR;
	case FM_OP_TRANSPOSE:
		return first->rank == 4 && first->layout == FM_LAYOUT_ROW_MAJOR && permutes(node, 0, 3, 1, 2)
		               ? FM_LAYOUT_NHWC
		               : FM_LAYOUT_ROW_MAJOR;
	case FM_OP_ANY: break;
	}
	for (size_t i = 0; i < node->input_count; i++) {
		if (node->inputs[i] == FM_VALUE_NONE)
			continue;
		const struct fm_value *in = &graph->values[node->inputs[i]];
		if (in->rank == 4 && in->layout == FM_LAYOUT_NHWC)
			return FM_LAYOUT_NHWC;
	}
	return FM_LAYOUT_ROW_MAJOR;
}

static enum fm_status place(struct pass *pass, struct fm_node *node, struct fm_error *err)
{
	const enum fm_op_layout kind = node->op->layout;
	enum fm_status status;

	for (size_t i = 0; i < node->input_count; i++) {
		if (node->inputs[i] == FM_VALUE_NONE ||
		        (kind != FM_OP_ROW_MAJOR && (kind != FM_OP_NHWC || i > 0)) ||
		        (node->op->reads_row_major && node->op->reads_row_major(pass->graph, node)))
			continue;
		status = convert(pass, node, &node->inputs[i],
		        kind == FM_OP_NHWC ? FM_LAYOUT_NHWC : FM_LAYOUT_ROW_MAJOR, err);
		if (status)
			return status;
	}
	const enum fm_layout layout = output_layout(pass->graph, node);
	if (node->fused.residual != FM_VALUE_NONE &&
	        (status = convert(pass, node, &node->fused.residual, layout, err)))
		return status;
	for (size_t i = 0; i < node->output_count; i++) {
		struct fm_value *out = &pass->graph->values[node->outputs[i]];

		out->layout = out->rank == 4 ? layout : FM_LAYOUT_ROW_MAJOR;
	}
	return append(pass, node) ? FM_OK : fm_node_nomem(node, err);
}

enum fm_status fm_graph_layout(struct fm_graph *graph, struct fm_error *err)
{
	const size_t values = graph->value_count;
	struct pass pass = {.graph = graph, .node_capacity = graph->node_count + values};
	enum fm_status status;

	pass.nodes = fm_arena_alloc(graph->arena, pass.node_capacity, sizeof(*pass.nodes));
	pass.twin = fm_arena_alloc(graph->arena, graph->value_capacity, sizeof(*pass.twin));
	if (!pass.nodes || !pass.twin)
		return fm_fail(err, FM_E_NOMEM, "the graph needs more memory than there is or is allowed");
	for (size_t v = 0; v < graph->value_capacity; v++)
		pass.twin[v] = FM_VALUE_NONE;

	for (size_t n = 0; n < graph->node_count; n++)
		if (!graph->nodes[n].removed && (status = place(&pass, &graph->nodes[n], err)))
			return status;
	for (size_t i = 0; i < graph->output_count; i++) {
		const struct fm_value *out = &graph->values[graph->outputs[i]];
		if (out->producer == FM_NODE_NONE || out->constant)
			continue;
		const struct fm_node reader = pass.nodes[out->producer];
		if ((status = convert(&pass, &reader, &graph->outputs[i], FM_LAYOUT_ROW_MAJOR, err)))
			return status;
	}
	graph->nodes = pass.nodes;
	graph->node_count = pass.node_count;
	fm_graph_count_uses(graph);
	return FM_OK;
}
