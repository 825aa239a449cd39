/*
 * Cast and BitShift: what turns packed weights into codes (lib/onnx/quantize.h), and sizes into other types.
 * They run at load only; one that depends on the network's input is refused, but for a Cast to what it is.
 */
#include "lib/nn/op.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

static enum fm_status prepare_graph(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	(void)node;
	(void)err;
	step->state = build->graph->values;
	return FM_OK;
}

/* ---- Cast ------------------------------------------------------------------------------------ */

static enum fm_status check_cast(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(graph, node, 0);
	enum fm_onnx_type *type = node->params;
	int64_t to;
	enum fm_status status = fm_attribute_int(node, "to", 0, &to, err);

	if (status)
		return status;
	*type = (enum fm_onnx_type)to;
	if (to <= 0 || to > INT32_MAX || !fm_onnx_type_bytes(*type))
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "it casts to data type %lld", (long long)to);
	if (in->type == *type)
		node->op = &fm_op_identity;
	else if (!in->constant)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED,
		        "it casts %s, which depends on the network's input, to %s",
		        fm_onnx_type_name(in->type), fm_onnx_type_name(*type));
	return FM_OK;
}

static enum fm_status shape_cast(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(graph, node, 0);

	return fm_value_set_shape(&graph->values[node->outputs[0]], *(const enum fm_onnx_type *)node->params,
	        in->rank, in->dims, node, err);
}

/* Doubles hold all values but the integers beyond 2^53, of which there is no use here. */
static double element_at(const struct fm_value *value, size_t i)
{
	switch (value->type) {
	case FM_ONNX_FLOAT32: return ((const float *)value->constant)[i];
	case FM_ONNX_INT32: return ((const int32_t *)value->constant)[i];
	case FM_ONNX_INT64: return (double)((const int64_t *)value->constant)[i];
	case FM_ONNX_INT8: return ((const int8_t *)value->constant)[i];
	case FM_ONNX_UINT8:
	case FM_ONNX_BOOL: break;
	}
	return ((const uint8_t *)value->constant)[i];
}

/* Towards zero. What ONNX leaves undefined is the nearest end of the range, and 0 for what is no number. */
static double truncated(double x, double low, double high)
{
	return isnan(x) ? 0.0 : fmax(low, fmin(high, trunc(x)));
}

static void run_cast(const struct fm_step *step, const struct fm_run *run)
{
	const struct fm_value *values = step->state, *out = &values[step->outputs[0]];
	const struct fm_value *in = &values[step->inputs[0]];
	void *to = run->values[step->outputs[0]];

	for (size_t i = 0; i < out->elements; i++) {
		const double x = element_at(in, i);

		switch (out->type) {
		case FM_ONNX_FLOAT32: ((float *)to)[i] = (float)x; break;
		case FM_ONNX_INT32: ((int32_t *)to)[i] = (int32_t)truncated(x, INT32_MIN, INT32_MAX); break;
		case FM_ONNX_INT64:
			((int64_t *)to)[i] = (int64_t)truncated(x, -0x1p63, 0x1.fffffffffffffp62);
			break;
		case FM_ONNX_INT8: ((int8_t *)to)[i] = (int8_t)truncated(x, INT8_MIN, INT8_MAX); break;
		case FM_ONNX_UINT8: ((uint8_t *)to)[i] = (uint8_t)truncated(x, 0, UINT8_MAX); break;
		case FM_ONNX_BOOL: ((uint8_t *)to)[i] = x != 0.0; break;
		}
	}
}

const struct fm_op fm_op_cast = {
        .name = "Cast",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .params_bytes = sizeof(enum fm_onnx_type),
        .check = check_cast,
        .shape = shape_cast,
        .prepare = prepare_graph,
        .run = run_cast,
};

/* ---- BitShift -------------------------------------------------------------------------------- */

static enum fm_status check_shift(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(graph, node, 0), *by = fm_node_input(graph, node, 1);
	const struct fm_onnx_attribute *direction = fm_onnx_attribute(node->source, "direction");
	bool *left = node->params;

	if (!in->constant || !by->constant || in->type != FM_ONNX_UINT8 || by->type != FM_ONNX_UINT8 ||
	        by->elements != 1 || by->rank > in->rank)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED,
		        "it does not shift constant uint8 by one constant number of bits");
	if (!direction || direction->kind != FM_ONNX_ATTRIBUTE_STRING ||
	        (strcmp(direction->s, "LEFT") != 0 && strcmp(direction->s, "RIGHT") != 0))
		return fm_node_fail(node, err, FM_E_CORRUPT, "its direction is neither LEFT nor RIGHT");
	*left = strcmp(direction->s, "LEFT") == 0;
	return FM_OK;
}

static enum fm_status shape_shift(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(graph, node, 0), *by = fm_node_input(graph, node, 1);
	const unsigned bits = *(const uint8_t *)by->constant;
	struct fm_value *out = &graph->values[node->outputs[0]];
	uint8_t *shifted = fm_arena_alloc(graph->arena, in->elements, 1);

	if (!shifted)
		return fm_node_nomem(node, err);
	for (size_t i = 0; i < in->elements && bits < 8; i++) {
		const unsigned code = ((const uint8_t *)in->constant)[i];

		shifted[i] = (uint8_t)(*(const bool *)node->params ? code << bits : code >> bits);
	}
	out->constant = shifted;
	return fm_value_set_shape(out, FM_ONNX_UINT8, in->rank, in->dims, node, err);
}

const struct fm_op fm_op_bit_shift = {
        .name = "BitShift",
        .inputs_min = 2,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .params_bytes = sizeof(bool),
        .check = check_shift,
        .shape = shape_shift,
};
