/* Ops whose result is their input's memory under another shape, and those that are constant once shapes are
 * known. */
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

static enum fm_status prepare_view(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	(void)build;
	(void)node;
	(void)err;
	step->view = true;
	step->input_count = 1;
	return FM_OK;
}

static enum fm_status set_shape(
        struct fm_graph *graph, struct fm_node *node, size_t rank, const size_t *dims, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]];
	struct fm_value *out = &graph->values[node->outputs[0]];
	enum fm_status status = fm_value_set_shape(out, in->type, rank, dims, node, err);

	if (!status && out->elements != in->elements)
		return fm_node_fail(node, err, FM_E_CORRUPT, "it makes %zu elements out of %zu",
		        out->elements, in->elements);
	out->grid = in->grid;
	return status;
}

const struct fm_op fm_op_identity = {
        .name = "Identity",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .shape = fm_shape_same,
        .prepare = prepare_view,
};

static enum fm_status check_dropout(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	if (node->output_count > 1 && graph->values[node->outputs[1]].uses)
		return fm_node_fail(
		        node, err, FM_E_UNSUPPORTED, "its mask is used; only inference is supported");
	node->output_count = 1;
	return FM_OK;
}

const struct fm_op fm_op_dropout = {
        .name = "Dropout",
        .inputs_min = 1,
        .inputs_max = 3,
        .outputs_max = 2,
        .layout = FM_OP_ANY,
        .check = check_dropout,
        .shape = fm_shape_same,
        .prepare = prepare_view,
};

static enum fm_status shape_reshape(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]];
	const int64_t *wanted;
	size_t rank, dims[FM_ONNX_RANK_MAX], known = 1, unknown = SIZE_MAX;
	int64_t allow_zero;
	enum fm_status status;

	if ((status = fm_node_ints(graph, node, 1, &wanted, &rank, err)) ||
	        (status = fm_attribute_int(node, "allowzero", 0, &allow_zero, err)))
		return status;
	if (rank > FM_ONNX_RANK_MAX)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "it makes %zu dimensions", rank);
	for (size_t i = 0; i < rank; i++) {
		if (wanted[i] == -1 && unknown == SIZE_MAX) {
			unknown = i;
			dims[i] = 1;
			continue;
		}
		if (wanted[i] < 0 || wanted[i] > (int64_t)FM_VALUE_ELEMENTS_MAX ||
		        (wanted[i] == 0 && !allow_zero && i >= in->rank))
			return fm_node_fail(
			        node, err, FM_E_CORRUPT, "it wants the dimension %lld", (long long)wanted[i]);
		dims[i] = wanted[i] == 0 && !allow_zero ? in->dims[i] : (size_t)wanted[i];
		if (__builtin_mul_overflow(known, dims[i], &known))
			return fm_node_fail(node, err, FM_E_CORRUPT, "its dimensions overflow");
	}
	if (unknown != SIZE_MAX) {
		if (!known || in->elements % known)
			return fm_node_fail(node, err, FM_E_CORRUPT, "%zu elements do not divide by %zu",
			        in->elements, known);
		dims[unknown] = in->elements / known;
	}
	return set_shape(graph, node, rank, dims, err);
}

const struct fm_op fm_op_reshape = {
        .name = "Reshape",
        .inputs_min = 2,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .shape = shape_reshape,
        .prepare = prepare_view,
};

static enum fm_status shape_flatten(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]];
	size_t dims[2] = {1, 1};
	int64_t axis;
	enum fm_status status = fm_attribute_int(node, "axis", 1, &axis, err);

	if (status)
		return status;
	if (axis < -(int64_t)in->rank || axis > (int64_t)in->rank)
		return fm_node_fail(node, err, FM_E_CORRUPT, "axis %lld of a tensor with %zu dimensions",
		        (long long)axis, in->rank);
	if (axis < 0)
		axis += (int64_t)in->rank;
	for (size_t i = 0; i < in->rank; i++)
		dims[i < (size_t)axis ? 0 : 1] *= in->dims[i];
	return set_shape(graph, node, 2, dims, err);
}

const struct fm_op fm_op_flatten = {
        .name = "Flatten",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .shape = shape_flatten,
        .prepare = prepare_view,
};

/* Axes are an attribute before opset 13, an input since. */
static enum fm_status read_axes(struct fm_graph *graph, struct fm_node *node, size_t rank,
        bool ret_marked[FM_ONNX_RANK_MAX], size_t *ret_count, struct fm_error *err)
{
	const int64_t *axes;
	size_t count, axis;
	enum fm_status status = graph->opset < 13 ? fm_attribute_ints(node, "axes", &axes, &count, err)
	                                          : fm_node_ints(graph, node, 1, &axes, &count, err);

	if (status)
		return status;
	memset(ret_marked, 0, FM_ONNX_RANK_MAX * sizeof(*ret_marked));
	for (size_t i = 0; i < count; i++) {
		if ((status = fm_axis(node, axes[i], rank, &axis, err)))
			return status;
		if (ret_marked[axis])
			return fm_node_fail(node, err, FM_E_CORRUPT, "axis %zu is named twice", axis);
		ret_marked[axis] = true;
	}
	*ret_count = count;
	return FM_OK;
}

static enum fm_status shape_squeeze(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]];
	size_t dims[FM_ONNX_RANK_MAX], rank = 0, count;
	bool marked[FM_ONNX_RANK_MAX];
	enum fm_status status = read_axes(graph, node, in->rank, marked, &count, err);

	if (status)
		return status;
	for (size_t i = 0; i < in->rank; i++) {
		if (marked[i] && in->dims[i] != 1)
			return fm_node_fail(
			        node, err, FM_E_CORRUPT, "it drops a dimension of %zu", in->dims[i]);
		if (count ? !marked[i] : in->dims[i] != 1)
			dims[rank++] = in->dims[i];
	}
	return set_shape(graph, node, rank, dims, err);
}

const struct fm_op fm_op_squeeze = {
        .name = "Squeeze",
        .inputs_min = 1,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .shape = shape_squeeze,
        .prepare = prepare_view,
};

static enum fm_status shape_unsqueeze(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]];
	size_t dims[FM_ONNX_RANK_MAX], count, next = 0;
	bool marked[FM_ONNX_RANK_MAX];
	const int64_t *axes;
	enum fm_status status = graph->opset < 13 ? fm_attribute_ints(node, "axes", &axes, &count, err)
	                                          : fm_node_ints(graph, node, 1, &axes, &count, err);

	if (status)
		return status;
	size_t rank = in->rank + count;
	if (rank > FM_ONNX_RANK_MAX)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "it makes %zu dimensions", rank);
	if ((status = read_axes(graph, node, rank, marked, &count, err)))
		return status;
	for (size_t i = 0; i < rank; i++)
		dims[i] = marked[i] ? 1 : in->dims[next++];
	return set_shape(graph, node, rank, dims, err);
}

const struct fm_op fm_op_unsqueeze = {
        .name = "Unsqueeze",
        .inputs_min = 1,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .shape = shape_unsqueeze,
        .prepare = prepare_view,
};

/* ---- constant once shapes are known ---------------------------------------------------------- */

static enum fm_status shape_constant(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_onnx_attribute *attribute = fm_onnx_attribute(node->source, "value");
	struct fm_value *out = &graph->values[node->outputs[0]];

	if (!attribute || attribute->kind != FM_ONNX_ATTRIBUTE_TENSOR)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "its value is not a tensor");
	out->constant = attribute->t->data;
	return fm_value_set_shape(out, attribute->t->type, attribute->t->rank, attribute->t->dims, node, err);
}

const struct fm_op fm_op_constant = {
        .name = "Constant",
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .shape = shape_constant,
};

static size_t clamp_axis(int64_t axis, size_t rank)
{
	if (axis < 0)
		axis += (int64_t)rank;
	return axis < 0 ? 0 : (size_t)axis > rank ? rank : (size_t)axis;
}

static enum fm_status shape_shape(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]];
	struct fm_value *out = &graph->values[node->outputs[0]];
	int64_t first, last;
	enum fm_status status;

	if ((status = fm_attribute_int(node, "start", 0, &first, err)) ||
	        (status = fm_attribute_int(node, "end", (int64_t)in->rank, &last, err)))
		return status;
	if (first < -(int64_t)FM_ONNX_RANK_MAX || last < -(int64_t)FM_ONNX_RANK_MAX)
		return fm_node_fail(node, err, FM_E_CORRUPT, "its range is out of bounds");
	size_t from = clamp_axis(first, in->rank), to = clamp_axis(last, in->rank);
	size_t count = to > from ? to - from : 0;
	int64_t *dims = fm_arena_alloc(graph->arena, count, sizeof(*dims));
	if (!dims)
		return fm_node_nomem(node, err);
	for (size_t i = 0; i < count; i++)
		dims[i] = (int64_t)in->dims[from + i];
	out->constant = dims;
	return fm_value_set_shape(out, FM_ONNX_INT64, 1, &count, node, err);
}

const struct fm_op fm_op_shape = {
        .name = "Shape",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .shape = shape_shape,
};
