/* What every op reads: attributes with defaults, constant operands, axes. */
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

static enum fm_status find(const struct fm_node *node, const char *name, enum fm_onnx_attribute_kind kind,
        const struct fm_onnx_attribute **ret_attribute, struct fm_error *err)
{
	const struct fm_onnx_attribute *attribute = fm_onnx_attribute(node->source, name);

	if (attribute && attribute->kind != kind)
		return fm_node_fail(node, err, FM_E_CORRUPT, "its attribute '%s' has the wrong type", name);
	*ret_attribute = attribute;
	return FM_OK;
}

enum fm_status fm_attribute_int(const struct fm_node *node, const char *name, int64_t fallback,
        int64_t *ret_value, struct fm_error *err)
{
	const struct fm_onnx_attribute *attribute = NULL;
	enum fm_status status = find(node, name, FM_ONNX_ATTRIBUTE_INT, &attribute, err);

	if (!status)
		*ret_value = attribute ? attribute->i : fallback;
	return status;
}

enum fm_status fm_attribute_float(
        const struct fm_node *node, const char *name, float fallback, float *ret_value, struct fm_error *err)
{
	const struct fm_onnx_attribute *attribute = NULL;
	enum fm_status status = find(node, name, FM_ONNX_ATTRIBUTE_FLOAT, &attribute, err);

	if (!status)
		*ret_value = attribute ? attribute->f : fallback;
	return status;
}

enum fm_status fm_attribute_ints(const struct fm_node *node, const char *name, const int64_t **ret_values,
        size_t *ret_count, struct fm_error *err)
{
	const struct fm_onnx_attribute *attribute = NULL;
	enum fm_status status = find(node, name, FM_ONNX_ATTRIBUTE_INTS, &attribute, err);

	if (!status) {
		*ret_values = attribute ? attribute->ints : NULL;
		*ret_count = attribute ? attribute->count : 0;
	}
	return status;
}

enum fm_status fm_axis(
        const struct fm_node *node, int64_t axis, size_t rank, size_t *ret_axis, struct fm_error *err)
{
	if (axis < -(int64_t)rank || axis >= (int64_t)rank)
		return fm_node_fail(node, err, FM_E_CORRUPT, "axis %lld of a tensor with %zu dimensions",
		        (long long)axis, rank);
	*ret_axis = (size_t)(axis < 0 ? axis + (int64_t)rank : axis);
	return FM_OK;
}

struct fm_value *fm_node_input(const struct fm_graph *graph, const struct fm_node *node, size_t index)
{
	if (index >= node->input_count || node->inputs[index] == FM_VALUE_NONE)
		return NULL;
	return &graph->values[node->inputs[index]];
}

enum fm_status fm_node_ints(struct fm_graph *graph, const struct fm_node *node, size_t index,
        const int64_t **ret_values, size_t *ret_count, struct fm_error *err)
{
	const struct fm_value *value = fm_node_input(graph, node, index);

	*ret_values = NULL;
	*ret_count = 0;
	if (!value)
		return FM_OK;
	if (!value->constant)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED,
		        "its input %zu must be constant, and depends on the network's input", index);
	if (value->rank > 1 || (value->type != FM_ONNX_INT64 && value->type != FM_ONNX_INT32))
		return fm_node_fail(
		        node, err, FM_E_CORRUPT, "its input %zu is not a list of integers", index);
	*ret_count = value->elements;
	if (value->type == FM_ONNX_INT64) {
		*ret_values = value->constant;
		return FM_OK;
	}
	int64_t *wide = fm_arena_alloc(graph->arena, value->elements, sizeof(*wide));
	if (!wide)
		return fm_node_nomem(node, err);
	for (size_t i = 0; i < value->elements; i++)
		wide[i] = ((const int32_t *)value->constant)[i];
	*ret_values = wide;
	return FM_OK;
}

enum fm_status fm_node_floats(const struct fm_graph *graph, const struct fm_node *node, size_t index,
        const float **ret_values, struct fm_error *err)
{
	const struct fm_value *value = fm_node_input(graph, node, index);

	if (!value || !value->constant || value->type != FM_ONNX_FLOAT32)
		return fm_node_fail(
		        node, err, FM_E_UNSUPPORTED, "its input %zu must be constant float32", index);
	*ret_values = value->constant;
	return FM_OK;
}

enum fm_status fm_shape_same(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]];

	return fm_value_set_shape(&graph->values[node->outputs[0]], in->type, in->rank, in->dims, node, err);
}

enum fm_status fm_check_float(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]];

	if (in->type != FM_ONNX_FLOAT32)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "it computes on %s; float32 is supported",
		        fm_onnx_type_name(in->type));
	return FM_OK;
}
