/*
 * Which tensors have no element below 0, as far as the graph says: what a rectifier made, and what comes of
 * such tensors alone. Their rows have the zero point 0, and the kernels need not look for it.
 */
#include "lib/base/size.h"
#include "lib/nn/op.h"

#include "lib/base/banned.h"

/* Whose outputs have no element below 0. */
static const struct fm_op *const rectifiers[] = {&fm_op_exp, &fm_op_relu, &fm_op_sigmoid, &fm_op_softmax};

/* Whose outputs have none where no float input has one: elements that move, the largest, sums. */
static const struct fm_op *const keepers[] = {&fm_op_add, &fm_op_concat, &fm_op_dropout, &fm_op_expand,
        &fm_op_flatten, &fm_op_gather, &fm_op_identity, &fm_op_layout_change, &fm_op_max_pool, &fm_op_mul,
        &fm_op_reduce_mean, &fm_op_reshape, &fm_op_resize, &fm_op_slice, &fm_op_split, &fm_op_squeeze,
        &fm_op_transpose, &fm_op_unsqueeze};

static bool is_one_of(const struct fm_op *op, const struct fm_op *const *ops, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ops[i] == op)
			return true;
	return false;
}

static bool constant_has_none(const struct fm_value *value)
{
	const float *elements = value->constant;

	for (size_t i = 0; i < value->elements; i++)
		if (!(elements[i] >= 0.0f))
			return false;
	return true;
}

static bool inputs_have_none(const struct fm_graph *graph, const struct fm_node *node)
{
	for (size_t i = 0; i < node->input_count; i++) {
		if (node->inputs[i] == FM_VALUE_NONE)
			continue;
		const struct fm_value *value = &graph->values[node->inputs[i]];
		if (value->type != FM_ONNX_FLOAT32)
			continue;
		if (value->constant ? !constant_has_none(value) : !value->nonnegative)
			return false;
	}
	return true;
}

static bool has_none(const struct fm_graph *graph, const struct fm_node *node)
{
	const struct fm_fused *fused = &node->fused;
	float low, high;

	/* What follows an activation may bring negative values back. */
	if (node->op->product)
		return !fused->gelu && !fused->first && !fused->last &&
		       (fused->activation == FM_ACT_RELU ||
		               (fused->activation == FM_ACT_CLIP && fused->clip_low >= 0.0f));
	if (node->op == &fm_op_clip) {
		fm_clip_bounds(node, &low, &high);
		return low >= 0.0f;
	}
	return is_one_of(node->op, rectifiers, FM_ARRAY_SIZE(rectifiers)) ||
	       (is_one_of(node->op, keepers, FM_ARRAY_SIZE(keepers)) && inputs_have_none(graph, node));
}

void fm_graph_find_signs(struct fm_graph *graph)
{
	for (size_t n = 0; n < graph->node_count; n++) {
		const struct fm_node *node = &graph->nodes[n];
		const bool none = has_none(graph, node);

		for (size_t i = 0; !node->removed && i < node->output_count; i++)
			if (node->outputs[i] != FM_VALUE_NONE)
				graph->values[node->outputs[i]].nonnegative = none;
	}
}
