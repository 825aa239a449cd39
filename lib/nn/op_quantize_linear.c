/*
 * QuantizeLinear and DequantizeLinear. A tensor that a run makes stays float32 in memory, with its values on
 * the grid that QuantizeLinear states; DequantizeLinear by the same grid is then nothing at all. What the
 * integers are for, Conv takes from the value's grid (fuse_quantize.c, linear.c). Constants are dequantized
 * at load.
 */
#include "lib/nn/op.h"
#include "lib/nn/quantize.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

/* Scale and zero point of one grid for the whole tensor. */
static enum fm_status read_grid(
        struct fm_graph *graph, const struct fm_node *node, struct fm_grid *ret_grid, struct fm_error *err)
{
	const struct fm_value *scale = fm_node_input(graph, node, 1), *zero = fm_node_input(graph, node, 2);
	const bool is_signed = zero && zero->type == FM_ONNX_INT8;
	const float *s;
	int z = 0;
	enum fm_status status = fm_node_floats(graph, node, 1, &s, err);

	if (status)
		return status;
	if (scale->elements != 1 || (zero && (!zero->constant || zero->elements != 1)) ||
	        (zero && !is_signed && zero->type != FM_ONNX_UINT8))
		return fm_node_fail(node, err, FM_E_UNSUPPORTED,
		        "activations are quantized by one constant scale and a uint8 or int8 zero point");
	if (!(*s >= FLT_MIN && *s <= 1e30f))
		return fm_node_fail(node, err, FM_E_CORRUPT, "its scale is %g", (double)*s);
	if (zero)
		z = is_signed ? *(const int8_t *)zero->constant : *(const uint8_t *)zero->constant;
	*ret_grid = (struct fm_grid){.scale = *s,
	        .inverse = 1.0f / *s,
	        .low = (float)((is_signed ? -128 : 0) - z),
	        .high = (float)((is_signed ? 127 : 255) - z)};
	return FM_OK;
}

static enum fm_status check_quantize(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	enum fm_status status = fm_check_float(graph, node, err);

	return status ? status : read_grid(graph, node, node->params, err);
}

static enum fm_status shape_quantize(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(graph, node, 0);
	struct fm_value *out = &graph->values[node->outputs[0]];

	out->grid = node->params;
	out->encoded = true;
	if (in->constant) {
		float *values = fm_arena_memdup(graph->arena, in->constant, in->elements, sizeof(*values));

		if (!values)
			return fm_node_nomem(node, err);
		if (!fm_weights_clean(values, in->elements))
			return fm_node_fail(node, err, FM_E_UNSUPPORTED,
			        "it quantizes a constant that is infinite or not a number");
		fm_grid_kernels_for(fm_kernels_best()->isa)
		        ->chain_f32(values, in->elements, in->elements ? 1 : 0, in->elements,
		                &(struct fm_grid_chain){.first = node->params});
		out->constant = values;
	}
	return fm_shape_same(graph, node, err);
}

struct quantize_state {
	size_t elements;
	struct fm_grid grid;
};

static enum fm_status prepare_quantize(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	struct quantize_state *state = fm_arena_alloc(build->arena, 1, sizeof(*state));

	if (!state)
		return fm_node_nomem(node, err);
	state->elements = build->graph->values[node->outputs[0]].elements;
	state->grid = *(const struct fm_grid *)node->params;
	step->state = state;
	step->input_count = 1;
	step->in_place = node->inputs[0];
	step->info.op = "quantize";
	return FM_OK;
}

static void run_quantize(const struct fm_step *step, const struct fm_run *run)
{
	const struct quantize_state *state = step->state;
	const float *in = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];

	if (out != in)
		memcpy(out, in, state->elements * sizeof(*out));
	fm_grid_kernels_for(run->kernels->isa)
	        ->chain_f32(out, state->elements, 1, state->elements,
	                &(struct fm_grid_chain){.first = &state->grid});
}

const struct fm_op fm_op_quantize_linear = {
        .name = "QuantizeLinear",
        .inputs_min = 2,
        .inputs_max = 3,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .params_bytes = sizeof(struct fm_grid),
        .check = check_quantize,
        .shape = shape_quantize,
        .prepare = prepare_quantize,
        .run = run_quantize,
};

/* ---- DequantizeLinear ------------------------------------------------------------------------ */

/* A constant's integers: scales along the axis, and how many elements in a row go by one. */
struct dequantize {
	size_t scales, inner, axis;
};

static double integer_at(const struct fm_value *value, size_t i)
{
	switch (value->type) {
	case FM_ONNX_INT8: return ((const int8_t *)value->constant)[i];
	case FM_ONNX_UINT8: return ((const uint8_t *)value->constant)[i];
	default: return ((const int32_t *)value->constant)[i];
	}
}

static enum fm_status check_constant(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *q = fm_node_input(graph, node, 0), *scale = fm_node_input(graph, node, 1);
	const struct fm_value *zero = fm_node_input(graph, node, 2);
	struct dequantize *dequantize = node->params;
	const float *values;
	int64_t attribute;
	size_t axis = 0;
	enum fm_status status;

	if ((status = fm_node_floats(graph, node, 1, &values, err)) ||
	        (status = fm_attribute_int(node, "axis", 1, &attribute, err)))
		return status;
	if (q->type != FM_ONNX_INT8 && q->type != FM_ONNX_UINT8 && q->type != FM_ONNX_INT32)
		return fm_node_fail(
		        node, err, FM_E_UNSUPPORTED, "it dequantizes %s", fm_onnx_type_name(q->type));
	if (zero && (!zero->constant || zero->type != q->type || zero->elements != scale->elements))
		return fm_node_fail(node, err, FM_E_CORRUPT, "its zero points do not match its scales");
	*dequantize = (struct dequantize){1, q->elements, 0};
	if (scale->elements == 1)
		return FM_OK;
	if ((status = fm_axis(node, attribute, q->rank, &axis, err)))
		return status;
	dequantize->axis = axis;
	dequantize->scales = q->dims[axis];
	dequantize->inner = 1;
	for (size_t i = axis + 1; i < q->rank; i++)
		dequantize->inner *= q->dims[i];
	if (scale->elements != dequantize->scales)
		return fm_node_fail(node, err, FM_E_CORRUPT, "%zu scales for %zu slices", scale->elements,
		        dequantize->scales);
	return FM_OK;
}

static enum fm_status check_dequantize(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	struct fm_value *in = fm_node_input(graph, node, 0), *out = &graph->values[node->outputs[0]];
	struct fm_grid grid;
	enum fm_status status;

	if (in->constant && !in->encoded)
		return check_constant(graph, node, err);
	if (!in->encoded)
		return fm_node_fail(
		        node, err, FM_E_UNSUPPORTED, "its input does not come from QuantizeLinear");
	if ((status = read_grid(graph, node, &grid, err)))
		return status;
	if (grid.scale != in->grid->scale || grid.low != in->grid->low || grid.high != in->grid->high)
		return fm_node_fail(
		        node, err, FM_E_UNSUPPORTED, "its scale or zero point is not QuantizeLinear's");
	out->grid = in->grid;
	node->op = &fm_op_identity;
	node->input_count = 1;
	return FM_OK;
}

static enum fm_status shape_dequantize(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *q = fm_node_input(graph, node, 0), *scale = fm_node_input(graph, node, 1);
	const struct fm_value *zero = fm_node_input(graph, node, 2);
	struct fm_value *out = &graph->values[node->outputs[0]];
	const struct dequantize *dequantize = node->params;
	float *values = fm_arena_alloc(graph->arena, q->elements, sizeof(*values));

	if (!values)
		return fm_node_nomem(node, err);
	for (size_t i = 0; i < q->elements; i++) {
		const size_t at = i / dequantize->inner % dequantize->scales;
		const double steps = integer_at(q, i) - (zero ? integer_at(zero, at) : 0.0);

		values[i] = (float)(steps * ((const float *)scale->constant)[at]);
	}
	out->constant = values;
	return fm_value_set_shape(out, FM_ONNX_FLOAT32, q->rank, q->dims, node, err);
}

enum fm_status fm_dequantize_scales(struct fm_graph *graph, const struct fm_node *node, uint32_t v,
        size_t axis, const float **ret_scales, struct fm_error *err)
{
	const struct fm_value *weights = &graph->values[v];
	const struct fm_node *made =
	        weights->producer == FM_NODE_NONE ? NULL : &graph->nodes[weights->producer];

	*ret_scales = NULL;
	if (!weights->constant || !made || made->op != &fm_op_dequantize_linear)
		return FM_OK;
	const struct fm_value *q = fm_node_input(graph, made, 0), *scale = fm_node_input(graph, made, 1);
	const struct fm_value *zero = fm_node_input(graph, made, 2);
	const struct dequantize *dequantize = made->params;
	const size_t channels = q->dims[axis];
	if (dequantize->scales != 1 && dequantize->axis != axis)
		return FM_OK;
	for (size_t i = 0; i < q->elements; i++) {
		const size_t at = i / dequantize->inner % dequantize->scales;

		if (fabs(integer_at(q, i) - (zero ? integer_at(zero, at) : 0.0)) > 127.0)
			return FM_OK;
	}
	float *scales = fm_arena_alloc(graph->arena, channels, sizeof(*scales));
	if (!scales)
		return fm_node_nomem(node, err);
	for (size_t i = 0; i < channels; i++)
		scales[i] = ((const float *)scale->constant)[dequantize->scales == 1 ? 0 : i];
	*ret_scales = scales;
	return FM_OK;
}

const struct fm_op fm_op_dequantize_linear = {
        .name = "DequantizeLinear",
        .inputs_min = 2,
        .inputs_max = 3,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .params_bytes = sizeof(struct dequantize),
        .check = check_dequantize,
        .shape = shape_dequantize,
};
