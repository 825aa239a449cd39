/* Ops that only move elements: Transpose, Slice, Gather, and the change of layout. Any element type. */
#include "lib/nn/nd.h"
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

/* A strided copy; start is where in the input it begins, in elements. */
struct move {
	struct fm_nd nd;
	size_t element_bytes;
	ptrdiff_t start;
};

static enum fm_status prepare_move(const struct fm_build *build, struct fm_node *node, struct fm_step *step,
        const char *op, const ptrdiff_t *in_strides, ptrdiff_t start, struct fm_error *err)
{
	const struct fm_value *out = &build->graph->values[node->outputs[0]];
	const struct fm_value *in = &build->graph->values[node->inputs[0]];
	struct move *move = fm_arena_alloc(build->arena, 1, sizeof(*move));

	if (!move)
		return fm_node_nomem(node, err);
	move->element_bytes = fm_onnx_type_bytes(out->type);
	move->start = start;
	move->nd.rank = out->rank;
	memcpy(move->nd.dims, out->dims, sizeof(move->nd.dims));
	fm_value_strides(out, move->nd.strides[0]);
	memcpy(move->nd.strides[1], in_strides, out->rank * sizeof(*in_strides));
	fm_nd_normalize(&move->nd);
	step->state = move;
	step->input_count = 1;
	step->info.op = op;
	step->view = start == 0 && out->elements == in->elements && fm_nd_same_order(&move->nd);
	return FM_OK;
}

static void run_move(const struct fm_step *step, const struct fm_run *run)
{
	const struct move *move = step->state;
	const char *in = run->values[step->inputs[0]];

	fm_nd_copy(&move->nd, move->element_bytes, run->values[step->outputs[0]],
	        in + move->start * (ptrdiff_t)move->element_bytes);
}

/* ---- Transpose ------------------------------------------------------------------------------- */

static enum fm_status check_transpose(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]];
	struct fm_permutation *permutation = node->params;
	const int64_t *perm;
	size_t count;
	unsigned seen = 0;
	enum fm_status status = fm_attribute_ints(node, "perm", &perm, &count, err);

	if (status)
		return status;
	if (count && count != in->rank)
		return fm_node_fail(
		        node, err, FM_E_CORRUPT, "it permutes %zu of %zu dimensions", count, in->rank);
	for (size_t i = 0; i < in->rank; i++) {
		int64_t from = count ? perm[i] : (int64_t)(in->rank - 1 - i);

		if (from < 0 || from >= (int64_t)in->rank || seen & 1u << from)
			return fm_node_fail(node, err, FM_E_CORRUPT, "its permutation is none");
		seen |= 1u << from;
		permutation->from[i] = (size_t)from;
	}
	return FM_OK;
}

static enum fm_status shape_transpose(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]];
	const struct fm_permutation *permutation = node->params;
	size_t dims[FM_ONNX_RANK_MAX];

	for (size_t i = 0; i < in->rank; i++)
		dims[i] = in->dims[permutation->from[i]];
	graph->values[node->outputs[0]].grid = in->grid;
	return fm_value_set_shape(&graph->values[node->outputs[0]], in->type, in->rank, dims, node, err);
}

static enum fm_status prepare_transpose(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	const struct fm_value *in = &build->graph->values[node->inputs[0]];
	const struct fm_permutation *permutation = node->params;
	ptrdiff_t own[FM_ONNX_RANK_MAX], strides[FM_ONNX_RANK_MAX];

	fm_value_strides(in, own);
	for (size_t i = 0; i < in->rank; i++)
		strides[i] = own[permutation->from[i]];
	return prepare_move(build, node, step, "transpose", strides, 0, err);
}

const struct fm_op fm_op_transpose = {
        .name = "Transpose",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_TRANSPOSE,
        .params_bytes = sizeof(struct fm_permutation),
        .check = check_transpose,
        .shape = shape_transpose,
        .prepare = prepare_transpose,
        .run = run_move,
};

/* ---- change of layout ------------------------------------------------------------------------ */

static enum fm_status prepare_layout(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	ptrdiff_t strides[FM_ONNX_RANK_MAX];

	fm_value_strides(&build->graph->values[node->inputs[0]], strides);
	return prepare_move(build, node, step, "layout", strides, 0, err);
}

const struct fm_op fm_op_layout_change = {
        .name = "layout",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .shape = fm_shape_same,
        .prepare = prepare_layout,
        .run = run_move,
};

/* ---- Slice ----------------------------------------------------------------------------------- */

struct slice {
	int64_t start[FM_ONNX_RANK_MAX], step[FM_ONNX_RANK_MAX];
	size_t dims[FM_ONNX_RANK_MAX];
};

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* One axis by ONNX's rules: negative counts from the end, then clamped to what exists. */
static void slice_axis(
        struct slice *slice, size_t axis, int64_t dim, int64_t start, int64_t end, int64_t step)
{
	if (start < 0)
		start = start < -dim ? -1 : start + dim;
	if (end < 0)
		end = end < -dim ? -1 : end + dim;
	int64_t count;
	if (step > 0) {
		start = clamp(start, 0, dim);
		end = clamp(end, 0, dim);
		count = end > start ? (end - start - 1) / step + 1 : 0;
	} else {
		start = clamp(start, 0, dim - 1);
		end = clamp(end, -1, dim - 1);
		count = start > end ? (start - end - 1) / -step + 1 : 0;
	}
	if (!dim)
		count = 0;
	slice->start[axis] = count ? start : 0;
	slice->step[axis] = step;
	slice->dims[axis] = (size_t)count;
}

static enum fm_status check_slice(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]];
	struct slice *slice = node->params;
	const int64_t *starts, *ends, *axes, *steps = NULL;
	size_t count, end_count, axis_count, step_count = 0;
	unsigned seen = 0;
	enum fm_status status;

	if (graph->opset < 10) {
		if ((status = fm_attribute_ints(node, "starts", &starts, &count, err)) ||
		        (status = fm_attribute_ints(node, "ends", &ends, &end_count, err)) ||
		        (status = fm_attribute_ints(node, "axes", &axes, &axis_count, err)))
			return status;
	} else if ((status = fm_node_ints(graph, node, 1, &starts, &count, err)) ||
	           (status = fm_node_ints(graph, node, 2, &ends, &end_count, err)) ||
	           (status = fm_node_ints(graph, node, 3, &axes, &axis_count, err)) ||
	           (status = fm_node_ints(graph, node, 4, &steps, &step_count, err))) {
		return status;
	}
	if (end_count != count || (axes && axis_count != count) || (steps && step_count != count) ||
	        count > in->rank)
		return fm_node_fail(node, err, FM_E_CORRUPT, "its starts, ends, axes and steps do not match");

	for (size_t i = 0; i < in->rank; i++)
		slice_axis(slice, i, (int64_t)in->dims[i], 0, (int64_t)in->dims[i], 1);
	for (size_t i = 0; i < count; i++) {
		size_t axis;
		int64_t step = steps ? steps[i] : 1;

		if ((status = fm_axis(node, axes ? axes[i] : (int64_t)i, in->rank, &axis, err)))
			return status;
		if (step == 0 || step == INT64_MIN || seen & 1u << axis)
			return fm_node_fail(node, err, FM_E_CORRUPT, "its steps or axes make no sense");
		seen |= 1u << axis;
		slice_axis(slice, axis, (int64_t)in->dims[axis], starts[i], ends[i], step);
	}
	return FM_OK;
}

static enum fm_status shape_slice(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]];
	const struct slice *slice = node->params;

	return fm_value_set_shape(
	        &graph->values[node->outputs[0]], in->type, in->rank, slice->dims, node, err);
}

bool fm_slice_is_half(const struct fm_graph *graph, const struct fm_node *node, bool second)
{
	const struct slice *slice = node->params;
	const struct fm_value *in = &graph->values[node->inputs[0]];

	if (!in->rank || in->dims[in->rank - 1] != 4)
		return false;
	for (size_t i = 0; i < in->rank; i++) {
		const bool last = i + 1 == in->rank;

		if (slice->step[i] != 1 || slice->start[i] != (last && second ? 2 : 0) ||
		        slice->dims[i] != (last ? 2 : in->dims[i]))
			return false;
	}
	return true;
}

static enum fm_status prepare_slice(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	const struct fm_value *in = &build->graph->values[node->inputs[0]];
	const struct slice *slice = node->params;
	ptrdiff_t strides[FM_ONNX_RANK_MAX], start = 0;

	fm_value_strides(in, strides);
	for (size_t i = 0; i < in->rank; i++) {
		start += (ptrdiff_t)slice->start[i] * strides[i];
		/* A step may be far larger than the tensor; then it is never taken. */
		strides[i] = slice->dims[i] > 1 ? strides[i] * (ptrdiff_t)slice->step[i] : 0;
	}
	return prepare_move(build, node, step, "slice", strides, start, err);
}

const struct fm_op fm_op_slice = {
        .name = "Slice",
        .inputs_min = 1,
        .inputs_max = 5,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .params_bytes = sizeof(struct slice),
        .check = check_slice,
        .shape = shape_slice,
        .prepare = prepare_slice,
        .run = run_move,
};

/* ---- Gather ---------------------------------------------------------------------------------- */

struct gather {
	size_t outer, length, inner_bytes, count;
	const size_t *indices; /* [count], checked */
	size_t axis;
};

static enum fm_status check_gather(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]], *at = &graph->values[node->inputs[1]];
	struct gather *gather = node->params;
	int64_t attribute;
	enum fm_status status;

	if ((status = fm_attribute_int(node, "axis", 0, &attribute, err)) ||
	        (status = fm_axis(node, attribute, in->rank, &gather->axis, err)))
		return status;
	if (!at->constant || (at->type != FM_ONNX_INT64 && at->type != FM_ONNX_INT32))
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "its indices must be constant integers");
	size_t *indices = fm_arena_alloc(graph->arena, at->elements, sizeof(*indices));
	if (!indices)
		return fm_node_nomem(node, err);
	gather->length = in->dims[gather->axis];
	for (size_t i = 0; i < at->elements; i++) {
		int64_t index = at->type == FM_ONNX_INT64 ? ((const int64_t *)at->constant)[i]
		                                          : ((const int32_t *)at->constant)[i];

		if (index < -(int64_t)gather->length || index >= (int64_t)gather->length)
			return fm_node_fail(node, err, FM_E_CORRUPT, "index %lld of %zu", (long long)index,
			        gather->length);
		indices[i] = (size_t)(index < 0 ? index + (int64_t)gather->length : index);
	}
	gather->indices = indices;
	gather->count = at->elements;
	return FM_OK;
}

static enum fm_status shape_gather(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]], *at = &graph->values[node->inputs[1]];
	struct gather *gather = node->params;
	size_t dims[2 * FM_ONNX_RANK_MAX], rank = 0;

	gather->outer = 1;
	gather->inner_bytes = fm_onnx_type_bytes(in->type);
	for (size_t i = 0; i < gather->axis; i++)
		gather->outer *= dims[rank++] = in->dims[i];
	for (size_t i = 0; i < at->rank; i++)
		dims[rank++] = at->dims[i];
	for (size_t i = gather->axis + 1; i < in->rank; i++)
		gather->inner_bytes *= dims[rank++] = in->dims[i];
	return fm_value_set_shape(&graph->values[node->outputs[0]], in->type, rank, dims, node, err);
}

static enum fm_status prepare_gather(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	struct gather *gather = fm_arena_memdup(build->arena, node->params, 1, sizeof(*gather));

	if (!gather)
		return fm_node_nomem(node, err);
	gather->indices =
	        fm_arena_memdup(build->arena, gather->indices, gather->count, sizeof(*gather->indices));
	if (!gather->indices)
		return fm_node_nomem(node, err);
	step->state = gather;
	step->input_count = 1;
	step->info.op = "gather";
	return FM_OK;
}

static void run_gather(const struct fm_step *step, const struct fm_run *run)
{
	const struct gather *gather = step->state;
	const char *in = run->values[step->inputs[0]];
	char *out = run->values[step->outputs[0]];

	for (size_t i = 0; i < gather->outer; i++, in += gather->length * gather->inner_bytes)
		for (size_t j = 0; j < gather->count; j++, out += gather->inner_bytes)
			memcpy(out, in + gather->indices[j] * gather->inner_bytes, gather->inner_bytes);
}

const struct fm_op fm_op_gather = {
        .name = "Gather",
        .inputs_min = 2,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .params_bytes = sizeof(struct gather),
        .check = check_gather,
        .shape = shape_gather,
        .prepare = prepare_gather,
        .run = run_gather,
};
