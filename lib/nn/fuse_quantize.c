/*
 * QuantizeLinear and DequantizeLinear around products: what the grids of activations and weights say becomes
 * the product's own, so that it multiplies the file's integers and stores values on the grid that follows.
 * Without a grid of its input a product in int8 still takes the weights' integers from the file, of 8 bits or
 * fewer.
 */
#include "lib/nn/conv_shape.h"
#include "lib/nn/fuse.h"

#include "lib/base/banned.h"

/* Along which of its weights' dimensions a product's output channels lie. */
static enum fm_status channel_axis(const struct fm_node *node, size_t *ret_axis, struct fm_error *err)
{
	int64_t transposed = 0;
	enum fm_status status = FM_OK;

	if (node->op == &fm_op_gemm)
		status = fm_attribute_int(node, "transB", 0, &transposed, err);
	*ret_axis = node->op == &fm_op_conv || transposed ? 0 : 1;
	return status;
}

enum fm_status fm_fuse_static(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	size_t axis;
	enum fm_status status = channel_axis(node, &axis, err);

	if (status || (status = fm_dequantize_scales(
	                       graph, node, node->inputs[1], axis, &node->fused.weight_scale, err)))
		return status;
	if (node->fused.weight_scale)
		node->fused.grid = graph->values[node->inputs[0]].grid;
	return FM_OK;
}

bool fm_fuse_grid(struct fm_fused *fused, const struct fm_node *quantize)
{
	const struct fm_grid *grid = quantize->params;

	if (fused->gelu || fused->last)
		return false;
	if (!fused->first && fused->residual == FM_VALUE_NONE && fused->activation == FM_ACT_NONE)
		fused->first = grid;
	else
		fused->last = grid;
	return true;
}

/* Whether this is a convolution that quantizes its input by that grid, and so is no depthwise one. */
static bool quantizes(const struct fm_graph *graph, const struct fm_node *node, const struct fm_grid *grid)
{
	const struct fm_grid *own = node->fused.grid;

	if (node->op != &fm_op_conv || node->removed || !own)
		return false;
	const struct fm_conv_shape *s = node->params;
	const struct fm_value *weights = &graph->values[node->inputs[1]];
	/* Products of more terms are computed in float. */
	return own->scale == grid->scale && own->low == grid->low && own->high == grid->high &&
	       !(s->groups == s->in_channels && s->groups == s->out_channels) &&
	       weights->elements / weights->dims[0] <= FM_GEMM_K_MAX;
}

void fm_fuse_drop_grid(struct fm_graph *graph, struct fm_node *node)
{
	struct fm_fused *fused = &node->fused;
	const struct fm_value *out = &graph->values[node->outputs[0]];
	/* The grid at the end, which may be the only one. */
	const bool alone = fused->first && !fused->last && fused->residual == FM_VALUE_NONE &&
	                   fused->activation == FM_ACT_NONE;
	const struct fm_grid **end = alone ? &fused->first : &fused->last;

	if (!node->op->product || !*end || out->uses != 1 || out->consumer == FM_NODE_NONE)
		return;
	const struct fm_node *reader = &graph->nodes[out->consumer];
	if (reader->inputs[0] == node->outputs[0] && reader->fused.residual != node->outputs[0] &&
	        quantizes(graph, reader, *end))
		*end = NULL;
}
