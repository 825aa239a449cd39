/* Layer normalization as exporters before opset 17 spell it out: nine nodes become one. */
#include "lib/nn/fuse.h"

#include "lib/base/banned.h"

/* Whether v is the mean of x over the last axis. */
static bool is_mean_of(struct fm_graph *graph, uint32_t v, uint32_t x)
{
	const struct fm_node *mean = fm_producer(graph, v, &fm_op_reduce_mean);

	return mean && mean->inputs[0] == x && fm_reduces_last(graph, mean);
}

/* v = sqrt(mean(centred^2) + epsilon) */
static bool is_deviation_of(struct fm_graph *graph, uint32_t v, uint32_t centred, float *ret_epsilon)
{
	const struct fm_node *root = fm_producer(graph, v, &fm_op_sqrt);
	const struct fm_node *add = root ? fm_producer(graph, root->inputs[0], &fm_op_add) : NULL;

	for (size_t i = 0; add && i < 2; i++) {
		const struct fm_value *epsilon = &graph->values[add->inputs[1 - i]];
		const struct fm_node *mean = fm_producer(graph, add->inputs[i], &fm_op_reduce_mean);

		if (!mean || !fm_reduces_last(graph, mean) || !epsilon->constant || epsilon->elements != 1)
			continue;
		const struct fm_node *pow = fm_producer(graph, mean->inputs[0], &fm_op_pow);
		const struct fm_node *mul = fm_producer(graph, mean->inputs[0], &fm_op_mul);
		*ret_epsilon = *(const float *)epsilon->constant;
		return (pow && fm_pow_is_square(pow) && pow->inputs[0] == centred) ||
		       (mul && mul->inputs[0] == centred && mul->inputs[1] == centred);
	}
	return false;
}

/* The reader of v that is `op` with a constant for each element of the last axis; that constant. */
static struct fm_node *reader_with_row(
        struct fm_graph *graph, uint32_t v, const struct fm_op *op, uint32_t *ret_row)
{
	struct fm_node *node = fm_only_reader(graph, v, op);
	const struct fm_value *x = &graph->values[v];
	const uint32_t other = node ? fm_other_input(node, v) : FM_VALUE_NONE;

	if (other == FM_VALUE_NONE)
		return NULL;
	const struct fm_value *row = &graph->values[other];
	if (!row->constant || row->type != FM_ONNX_FLOAT32 || !row->rank || row->rank > x->rank ||
	        row->elements != x->dims[x->rank - 1] || row->dims[row->rank - 1] != row->elements)
		return NULL;
	*ret_row = other;
	return node;
}

enum fm_status fm_fuse_layer_norm(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	struct fm_node *centre, *scaled, *shifted;
	uint32_t inputs[3];
	float epsilon;

	if (node->op != &fm_op_div)
		return FM_OK;
	centre = fm_producer(graph, node->inputs[0], &fm_op_sub);
	if (!centre || !is_mean_of(graph, centre->inputs[1], centre->inputs[0]) ||
	        !is_deviation_of(graph, node->inputs[1], node->inputs[0], &epsilon))
		return FM_OK;
	scaled = reader_with_row(graph, node->outputs[0], &fm_op_mul, &inputs[1]);
	shifted = scaled ? reader_with_row(graph, scaled->outputs[0], &fm_op_add, &inputs[2]) : NULL;
	if (!shifted)
		return FM_OK;
	inputs[0] = centre->inputs[0];
	float *params = fm_node_become(graph, shifted, &fm_op_layer_normalization, 3, inputs);
	if (!params)
		return fm_node_nomem(node, err);
	*params = epsilon;
	return FM_OK;
}
