/*
 * A detector's boxes as exporters spell them out (SSD, Liu et al. 2016, arXiv:1512.02325, section 2.2):
 * offsets [1][N][4] against constant priors become centre and size, and these two corners, by twenty nodes
 * that each pass over all boxes. They become one.
 */
#include "lib/nn/boxes.h"
#include "lib/nn/fuse.h"

#include <string.h>

#include "lib/base/banned.h"

/* What half of the last dimension value v is taken from, or FM_VALUE_NONE. */
static uint32_t half_of(struct fm_graph *graph, uint32_t v, bool second)
{
	const struct fm_node *slice = fm_producer(graph, v, &fm_op_slice);

	return slice && fm_slice_is_half(graph, slice, second) ? slice->inputs[0] : FM_VALUE_NONE;
}

static bool is_scalar(const struct fm_graph *graph, uint32_t v, float *ret_scalar)
{
	const struct fm_value *value = &graph->values[v];

	if (!value->constant || value->type != FM_ONNX_FLOAT32 || value->elements != 1)
		return false;
	*ret_scalar = *(const float *)value->constant;
	return true;
}

/* A constant [N][2], the same for all that is before it. */
static bool is_pairs(const struct fm_graph *graph, uint32_t v, size_t boxes, const float **ret_pairs)
{
	const struct fm_value *value = &graph->values[v];

	if (!value->constant || value->type != FM_ONNX_FLOAT32 || value->rank < 2 || value->rank > 3 ||
	        value->elements != 2 * boxes || value->dims[value->rank - 1] != 2 ||
	        value->dims[value->rank - 2] != boxes)
		return false;
	*ret_pairs = value->constant;
	return true;
}

/* v is something times a scalar, or times constant pairs: that something, or FM_VALUE_NONE. */
static uint32_t before_scalar(struct fm_graph *graph, uint32_t v, float *ret_scalar)
{
	const struct fm_node *mul = fm_producer(graph, v, &fm_op_mul);

	for (size_t i = 0; mul && i < 2; i++)
		if (is_scalar(graph, mul->inputs[i], ret_scalar))
			return mul->inputs[1 - i];
	return FM_VALUE_NONE;
}

static uint32_t before_pairs(
        struct fm_graph *graph, uint32_t v, const struct fm_op *op, size_t boxes, const float **ret_pairs)
{
	const struct fm_node *node = fm_producer(graph, v, op);

	for (size_t i = 0; node && i < 2; i++)
		if (is_pairs(graph, node->inputs[i], boxes, ret_pairs))
			return node->inputs[1 - i];
	return FM_VALUE_NONE;
}

/* Whether v is half of the size of `boxes`. */
static bool is_half_size(struct fm_graph *graph, uint32_t v, uint32_t boxes)
{
	const struct fm_node *div = fm_producer(graph, v, &fm_op_div);
	float divisor;

	return div && is_scalar(graph, div->inputs[1], &divisor) && divisor == 2.0f &&
	       half_of(graph, div->inputs[0], true) == boxes;
}

/* The boxes by centre and size whose corners `node` concatenates, or FM_VALUE_NONE. */
static uint32_t before_corners(struct fm_graph *graph, const struct fm_node *node)
{
	const struct fm_node *sub = fm_producer(graph, node->inputs[0], &fm_op_sub);
	const struct fm_node *add = fm_producer(graph, node->inputs[1], &fm_op_add);

	if (!sub || !add)
		return FM_VALUE_NONE;
	const uint32_t boxes = half_of(graph, sub->inputs[0], false);
	if (boxes == FM_VALUE_NONE || !is_half_size(graph, sub->inputs[1], boxes))
		return FM_VALUE_NONE;
	for (size_t i = 0; i < 2; i++)
		if (half_of(graph, add->inputs[i], false) == boxes &&
		        is_half_size(graph, add->inputs[1 - i], boxes))
			return boxes;
	return FM_VALUE_NONE;
}

/* How many rows of two and two the node joins; 0: it does something else. */
static size_t joined_pairs(const struct fm_graph *graph, const struct fm_node *node)
{
	if (!node || node->op != &fm_op_concat || node->input_count != 2)
		return 0;
	const struct fm_value *out = &graph->values[node->outputs[0]];
	return out->rank == 3 && out->dims[0] == 1 && out->dims[2] == 4 &&
	                       graph->values[node->inputs[0]].dims[2] == 2
	               ? out->dims[1]
	               : 0;
}

enum fm_status fm_fuse_boxes(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const size_t count = joined_pairs(graph, node);
	struct fm_boxes boxes = {.count = count};

	if (count < 2)
		return FM_OK;
	const struct fm_node *both = fm_producer(graph, before_corners(graph, node), &fm_op_concat);
	if (joined_pairs(graph, both) != count)
		return FM_OK;
	uint32_t centre = before_pairs(graph, both->inputs[0], &fm_op_add, count, &boxes.centres);
	centre = before_pairs(graph, centre, &fm_op_mul, count, &boxes.spans);
	const uint32_t offsets = half_of(graph, before_scalar(graph, centre, &boxes.centre_scale), false);
	const uint32_t factor = before_pairs(graph, both->inputs[1], &fm_op_mul, count, &boxes.sizes);
	const struct fm_node *exp = fm_producer(graph, factor, &fm_op_exp);
	if (offsets == FM_VALUE_NONE || !exp ||
	        half_of(graph, before_scalar(graph, exp->inputs[0], &boxes.size_scale), true) != offsets)
		return FM_OK;
	const struct fm_value *in = &graph->values[offsets];
	if (in->rank != 3 || in->dims[0] != 1 || in->dims[1] != count || in->dims[2] != 4)
		return FM_OK;
	struct fm_boxes *params = fm_node_become(graph, node, &fm_op_boxes, 1, &offsets);
	if (!params)
		return fm_node_nomem(node, err);
	*params = boxes;
	return FM_OK;
}
