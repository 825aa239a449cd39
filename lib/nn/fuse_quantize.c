/*
 * QuantizeLinear and DequantizeLinear around products: what the grids of activations and weights say becomes
 * the product's own, so that it multiplies the file's integers and stores values on the grid that follows.
 */
#include "lib/nn/fuse.h"

#include "lib/base/banned.h"

/* Whether constant v is symmetric s8 in the file; its codes and scales then. */
static bool is_symmetric_s8(const struct fm_graph *graph, uint32_t v, const struct fm_value **ret_codes,
        const struct fm_value **ret_scale)
{
	const struct fm_value *weights = &graph->values[v];

	if (!weights->constant || weights->producer == FM_NODE_NONE)
		return false;
	const struct fm_node *node = &graph->nodes[weights->producer];
	if (node->op != &fm_op_dequantize_linear)
		return false;
	const struct fm_value *codes = fm_node_input(graph, node, 0), *zero = fm_node_input(graph, node, 2);
	if (codes->type != FM_ONNX_INT8)
		return false;
	for (size_t i = 0; i < codes->elements; i++)
		if (((const int8_t *)codes->constant)[i] == -128)
			return false;
	for (size_t i = 0; zero && i < zero->elements; i++)
		if (((const int8_t *)zero->constant)[i])
			return false;
	*ret_codes = codes;
	*ret_scale = fm_node_input(graph, node, 1);
	return true;
}

enum fm_status fm_fuse_static(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *codes, *scale;
	const struct fm_grid *grid = graph->values[node->inputs[0]].grid;

	if (!grid || !is_symmetric_s8(graph, node->inputs[1], &codes, &scale))
		return FM_OK;
	node->fused.grid = grid;
	/* Conv's output channels are its weights' first dimension. Elsewhere the scales are found anew. */
	if (node->op != &fm_op_conv || (scale->elements != 1 && scale->elements != codes->dims[0]))
		return FM_OK;
	float *scales = fm_arena_alloc(graph->arena, codes->dims[0], sizeof(*scales));
	if (!scales)
		return fm_node_nomem(node, err);
	for (size_t i = 0; i < codes->dims[0]; i++)
		scales[i] = ((const float *)scale->constant)[scale->elements == 1 ? 0 : i];
	node->fused.weight_scale = scales;
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
