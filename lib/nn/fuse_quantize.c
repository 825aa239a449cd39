/*
 * QuantizeLinear and DequantizeLinear around products: what the grids of activations and weights say becomes
 * the product's own, so that it multiplies the file's integers and stores values on the grid that follows.
 * Without a grid of its input a product in int8 still takes the weights' integers from the file, of 8 bits or
 * fewer.
 */
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
