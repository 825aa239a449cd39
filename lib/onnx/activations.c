/* Activations by ranges found beforehand: where they are tapped, and where they become 8 bits. */
#include "lib/onnx/edit.h"

#include "lib/base/cleanup.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

enum fm_status fm_onnx_tap(const void *bytes, size_t length, const char *const *names, size_t count,
        size_t memory_max_bytes, void **ret_bytes, size_t *ret_length, struct fm_error *err)
{
	fm_cleanup(fm_onnx_message_freep) Onnx__ModelProto *message = NULL;
	struct fm_onnx_model *model;
	struct fm_onnx_edit edit = {0};
	enum fm_status status = fm_onnx_parse(bytes, length, memory_max_bytes, &model, err);

	if (status)
		return status;
	fm_onnx_free(model);
	if (count > FM_ONNX_OPERANDS_MAX)
		return fm_fail(err, FM_E_TOO_LARGE, "%zu activations are to be watched; the limit is %d",
		        count, FM_ONNX_OPERANDS_MAX);
	if ((status = fm_onnx_unpack(bytes, length, memory_max_bytes, &message, err)))
		return status;
	edit.message = message;
	status = fm_onnx_set_outputs(&edit, names, count, err);
	return status ? status : fm_onnx_pack(message, ret_bytes, ret_length, err);
}

/* Whether the node multiplies the activation by a quantized weight. */
static bool takes(
        const Onnx__NodeProto *node, const char *activation, const struct fm_onnx_quantized *quantized)
{
	if (node->n_input < 2 || strcmp(node->input[0], activation) != 0 ||
	        (strcmp(node->op_type, "Conv") != 0 && strcmp(node->op_type, "Gemm") != 0 &&
	                strcmp(node->op_type, "MatMul") != 0))
		return false;
	for (size_t i = 0; i < quantized->weight_count; i++)
		if (quantized->weights[i].bits < 32 &&
		        strcmp(quantized->weights[i].name, node->input[1]) == 0)
			return true;
	return false;
}

static enum fm_status insert(struct fm_onnx_edit *edit, size_t at, const char *op, const char *input,
        const char *output, float scale, uint8_t zero, struct fm_error *err)
{
	Onnx__NodeProto *node;
	enum fm_status status = fm_onnx_new_node(op, output, &node, err);

	if (status || (status = fm_onnx_insert_node(edit, at, node, err)) ||
	        (status = fm_onnx_set_input(node, 0, input, err)) ||
	        (status = fm_onnx_add_constant(
	                 edit, node, 1, "scale", FM_ONNX_FLOAT32, 0, NULL, &scale, err)))
		return status;
	return fm_onnx_add_constant(edit, node, 2, "zero", FM_ONNX_UINT8, 0, NULL, &zero, err);
}

static void grid_of(const struct fm_onnx_range *range, float *ret_scale, uint8_t *ret_zero)
{
	const float low = fminf(0.0f, range->low), high = fmaxf(0.0f, range->high);
	const float scale = (float)(((double)high - (double)low) / 255.0);
	const bool usable = scale >= FLT_MIN;

	*ret_scale = usable ? scale : 1.0f;
	*ret_zero = usable ? (uint8_t)fminf(255.0f, nearbyintf(-low / scale)) : 0;
}

static enum fm_status quantize_activation(struct fm_onnx_edit *edit, const struct fm_onnx_range *range,
        struct fm_onnx_quantized *quantized, struct fm_error *err)
{
	Onnx__GraphProto *graph = edit->message->graph;
	char codes[FM_ONNX_LABEL_BYTES], values[FM_ONNX_LABEL_BYTES];
	float scale;
	uint8_t zero;
	enum fm_status status;
	size_t first = 0;

	while (first < graph->n_node && !takes(graph->node[first], range->name, quantized))
		first++;
	if (first == graph->n_node)
		return FM_OK;
	grid_of(range, &scale, &zero);
	fm_onnx_edit_name(edit, "codes", codes);
	fm_onnx_edit_name(edit, "values", values);
	for (size_t i = first; i < graph->n_node; i++)
		if (takes(graph->node[i], range->name, quantized) &&
		        (status = fm_onnx_set_input(graph->node[i], 0, values, err)))
			return status;
	if ((status = insert(edit, first, "DequantizeLinear", codes, values, scale, zero, err)) ||
	        (status = insert(edit, first, "QuantizeLinear", range->name, codes, scale, zero, err)))
		return status;
	quantized->activation_count++;
	return FM_OK;
}

enum fm_status fm_onnx_quantize_activations(struct fm_onnx_edit *edit,
        const struct fm_onnx_quantize_options *options, struct fm_onnx_quantized *quantized,
        struct fm_error *err)
{
	for (size_t i = 0; i < options->range_count; i++) {
		enum fm_status status = quantize_activation(edit, &options->ranges[i], quantized, err);

		if (status)
			return status;
	}
	return FM_OK;
}
