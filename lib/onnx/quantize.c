#include "lib/onnx/quantize.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/onnx/edit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

/* ---- a weight in 8 bits
 * ------------------------------------------------------------------------------------ */

/* Channel c's elements are [o][c][i]: o < outer, i < inner. */
struct codes {
	size_t outer, channels, inner;
	uint8_t *codes; /* s8 as its bytes, or u8 */
	float *scales;  /* [channels] */
	uint8_t *zeros; /* [channels] */
};

static void codes_done(struct codes *codes)
{
	free(codes->codes);
	free(codes->scales);
	free(codes->zeros);
}

/* Denormal weights are zero to lib/nn, too. */
static float weight_at(const float *weights, size_t i)
{
	return fabsf(weights[i]) < FLT_MIN ? 0.0f : weights[i];
}

static void encode_channel(struct codes *codes, const float *weights, size_t channel, bool asymmetric)
{
	float low = 0.0f, high = 0.0f, scale, zero = 0.0f;

	for (size_t o = 0; o < codes->outer; o++)
		for (size_t i = 0; i < codes->inner; i++) {
			const float w =
			        weight_at(weights, (o * codes->channels + channel) * codes->inner + i);

			low = fminf(low, w);
			high = fmaxf(high, w);
		}
	if (asymmetric)
		scale = (float)(((double)high - (double)low) / 255.0);
	else
		scale = fmaxf(-low, high) / 127.0f;
	if (scale < FLT_MIN)
		scale = 1.0f; /* all codes become the zero point */
	else if (asymmetric)
		zero = fminf(255.0f, nearbyintf(-low / scale));
	codes->scales[channel] = scale;
	codes->zeros[channel] = (uint8_t)zero;
	for (size_t o = 0; o < codes->outer; o++)
		for (size_t i = 0; i < codes->inner; i++) {
			const size_t at = (o * codes->channels + channel) * codes->inner + i;
			const float q = nearbyintf(weight_at(weights, at) / scale) + zero;

			if (asymmetric)
				codes->codes[at] = (uint8_t)fmaxf(0.0f, fminf(255.0f, q));
			else
				codes->codes[at] = (uint8_t)(int8_t)fmaxf(-127.0f, fminf(127.0f, q));
		}
}

static double snr_db(const struct codes *codes, const float *weights, bool asymmetric)
{
	const size_t elements = codes->outer * codes->channels * codes->inner;
	double signal = 0.0, noise = 0.0;

	for (size_t i = 0; i < elements; i++) {
		const size_t channel = i / codes->inner % codes->channels;
		const int q = asymmetric ? codes->codes[i] - codes->zeros[channel] : (int8_t)codes->codes[i];
		const double error = (double)weights[i] - (double)q * (double)codes->scales[channel];

		signal += (double)weights[i] * (double)weights[i];
		noise += error * error;
	}
	return noise > 0.0 ? 10.0 * log10(signal / noise) : (double)INFINITY;
}

static enum fm_status encode(const struct fm_onnx_tensor *tensor, size_t axis,
        const struct fm_onnx_quantize_options *options, struct codes *ret_codes, double *ret_snr_db,
        struct fm_error *err)
{
	fm_cleanup(codes_done) struct codes codes = {.outer = 1, .channels = 1, .inner = tensor->elements};
	const float *weights = tensor->data;
	char label[FM_ONNX_LABEL_BYTES];

	for (size_t i = 0; i < tensor->elements; i++)
		if (!isfinite(weights[i]))
			return fm_fail(err, FM_E_CORRUPT, "weight '%s' is infinite or not a number",
			        fm_onnx_label(tensor->name, label));
	if (!options->per_tensor) {
		codes.channels = tensor->dims[axis];
		for (size_t i = 0; i < axis; i++)
			codes.outer *= tensor->dims[i];
		codes.inner = tensor->elements / codes.outer / codes.channels;
	}
	codes.codes = fm_calloc(tensor->elements, 1);
	codes.scales = fm_calloc(codes.channels, sizeof(*codes.scales));
	codes.zeros = fm_calloc(codes.channels, 1);
	if (!codes.codes || !codes.scales || !codes.zeros)
		return fm_onnx_nomem(err);
	for (size_t c = 0; c < codes.channels; c++)
		encode_channel(&codes, weights, c, options->asymmetric);
	*ret_snr_db = snr_db(&codes, weights, options->asymmetric);
	*ret_codes = codes;
	codes = (struct codes){0};
	return FM_OK;
}

/* ---- constants and layers
 * ---------------------------------------------------------------------------------- */

struct constant {
	const char *name;
	const struct fm_onnx_tensor *tensor;
	bool is_node; /* graph->node[front + index], else graph->initializer[index] */
	size_t index;
	bool seen, replaced;
};

struct constants {
	struct constant *items; /* by name */
	size_t count;
};

static void constants_done(struct constants *constants)
{
	free(constants->items);
}

static int compare_constants(const void *a, const void *b)
{
	return strcmp(((const struct constant *)a)->name, ((const struct constant *)b)->name);
}

static enum fm_status find_constants(
        const struct fm_onnx_model *model, struct constants *ret_constants, struct fm_error *err)
{
	struct constant *items = fm_calloc(model->initializer_count + model->node_count + 1, sizeof(*items));
	size_t count = 0;

	if (!items)
		return fm_onnx_nomem(err);
	for (size_t i = 0; i < model->initializer_count; i++)
		items[count++] =
		        (struct constant){model->initializers[i].name, &model->initializers[i], false, i};
	for (size_t i = 0; i < model->node_count; i++) {
		const struct fm_onnx_node *node = &model->nodes[i];
		const struct fm_onnx_attribute *value =
		        strcmp(node->op, "Constant") == 0 ? fm_onnx_attribute(node, "value") : NULL;

		if (value && value->kind == FM_ONNX_ATTRIBUTE_TENSOR && node->output_count == 1)
			items[count++] = (struct constant){node->outputs[0], value->t, true, i};
	}
	qsort(items, count, sizeof(*items), compare_constants);
	*ret_constants = (struct constants){items, count};
	return FM_OK;
}

/* Whether the node multiplies by a weight, and along which of its dimensions its output channels lie. */
static bool weight_axis(const struct fm_onnx_node *node, size_t rank, size_t *ret_axis)
{
	const struct fm_onnx_attribute *transposed = fm_onnx_attribute(node, "transB");

	if (strcmp(node->op, "Conv") == 0)
		*ret_axis = 0;
	else if (strcmp(node->op, "Gemm") == 0)
		*ret_axis = transposed && transposed->i ? 0 : 1;
	else if (strcmp(node->op, "MatMul") == 0)
		*ret_axis = 1;
	else
		return false;
	return strcmp(node->op, "Conv") == 0 ? rank >= 3 : rank == 2;
}

static bool is_depthwise(const struct fm_onnx_node *node)
{
	const struct fm_onnx_attribute *group = fm_onnx_attribute(node, "group");

	return strcmp(node->op, "Conv") == 0 && group && group->i > 1;
}

/* ---- the graph
 * --------------------------------------------------------------------------------------------- */

/* The node that gives the weight its old name: what was its Constant node, or a new one before all others. */
static enum fm_status place_node(struct fm_onnx_edit *edit, const struct constant *constant,
        Onnx__NodeProto **ret_node, struct fm_error *err)
{
	Onnx__GraphProto *graph = edit->message->graph;
	Onnx__NodeProto *node;
	enum fm_status status;

	if (constant->is_node) {
		node = graph->node[edit->front + constant->index];
		fm_onnx_drop_attribute(node, "value");
		status = fm_onnx_set_text(&node->op_type, "DequantizeLinear", err);
	} else {
		if ((status = fm_onnx_new_node("DequantizeLinear", constant->name, &node, err)))
			return status;
		status = fm_onnx_insert_node(edit, edit->front, node, err);
		edit->front += !status;
	}
	if (!status)
		*ret_node = node;
	return status;
}

static enum fm_status replace(struct fm_onnx_edit *edit, const struct constant *constant, size_t axis,
        const struct codes *codes, const struct fm_onnx_quantize_options *options, struct fm_error *err)
{
	const enum fm_onnx_type type = options->asymmetric ? FM_ONNX_UINT8 : FM_ONNX_INT8;
	const struct fm_onnx_tensor *tensor = constant->tensor;
	const size_t scale_rank = options->per_tensor ? 0 : 1;
	Onnx__NodeProto *node;
	enum fm_status status = place_node(edit, constant, &node, err);

	if (status ||
	        (status = fm_onnx_add_constant(
	                 edit, node, 0, "codes", type, tensor->rank, tensor->dims, codes->codes, err)) ||
	        (status = fm_onnx_add_constant(edit, node, 1, "scale", FM_ONNX_FLOAT32, scale_rank,
	                 &codes->channels, codes->scales, err)))
		return status;
	/* Left out, the zero point is 0. */
	if (options->asymmetric && (status = fm_onnx_add_constant(edit, node, 2, "zero", type, scale_rank,
	                                    &codes->channels, codes->zeros, err)))
		return status;
	return options->per_tensor ? FM_OK : fm_onnx_set_int(node, "axis", (int64_t)axis, err);
}

static enum fm_status quantize_weight(struct fm_onnx_edit *edit, const struct fm_onnx_node *node,
        const struct constant *constant, size_t axis, const struct fm_onnx_quantize_options *options,
        struct fm_onnx_quantized_weight *ret_weight, struct fm_error *err)
{
	const struct fm_onnx_tensor *tensor = constant->tensor;
	struct fm_onnx_quantized_weight weight = {.name = constant->name,
	        .op = node->op,
	        .layer = node->name,
	        .input = node->inputs[0],
	        .rank = tensor->rank,
	        .bits = 32,
	        .bytes_float32 = tensor->elements * sizeof(float),
	        .bytes = tensor->elements * sizeof(float),
	        .snr_db = (double)INFINITY};
	fm_cleanup(codes_done) struct codes codes = {0};
	enum fm_status status;

	memcpy(weight.dims, tensor->dims, sizeof(weight.dims));
	if (tensor->elements >= FM_ONNX_QUANTIZED_ELEMENTS_MIN &&
	        !(is_depthwise(node) &&
	                (options->float_depthwise ||
	                        tensor->elements / tensor->dims[0] < FM_ONNX_QUANTIZED_DEPTHWISE_MIN))) {
		if ((status = encode(tensor, axis, options, &codes, &weight.snr_db, err)) ||
		        (status = replace(edit, constant, axis, &codes, options, err)))
			return status;
		weight.bits = 8;
		weight.bytes =
		        tensor->elements + codes.channels * (sizeof(float) + (options->asymmetric ? 1 : 0));
	}
	*ret_weight = weight;
	return FM_OK;
}

/* Drops the initializers whose DequantizeLinear stands in for them, and inputs that are no inputs. */
static void drop_replaced(
        struct fm_onnx_edit *edit, const struct constants *constants, const struct fm_onnx_model *model)
{
	Onnx__GraphProto *graph = edit->message->graph;
	size_t kept = 0, input = 0;

	for (size_t i = 0; i < constants->count; i++) {
		const struct constant *constant = &constants->items[i];

		if (!constant->replaced || constant->is_node)
			continue;
		onnx__tensor_proto__free_unpacked(graph->initializer[constant->index], NULL);
		graph->initializer[constant->index] = NULL;
	}
	for (size_t i = 0; i < graph->n_initializer; i++)
		if (graph->initializer[i])
			graph->initializer[kept++] = graph->initializer[i];
	graph->n_initializer = kept;
	kept = 0;
	for (size_t i = 0; i < graph->n_input; i++) {
		const char *name = graph->input[i]->name ? graph->input[i]->name : "";

		if (input < model->input_count && strcmp(model->inputs[input].name, name) == 0) {
			graph->input[kept++] = graph->input[i];
			input++;
		} else {
			onnx__value_info_proto__free_unpacked(graph->input[i], NULL);
		}
	}
	graph->n_input = kept;
}

/* Exporters leave stack traces there, with the paths of the machine they ran on: 112 KB in fr_feature. */
static void drop_notes(Onnx__GraphProto *graph)
{
	for (size_t i = 0; i < graph->n_node; i++) {
		free(graph->node[i]->doc_string);
		graph->node[i]->doc_string = NULL;
	}
}

static enum fm_status quantize_graph(struct fm_onnx_edit *edit,
        const struct fm_onnx_quantize_options *options, struct fm_onnx_quantized *quantized,
        struct fm_error *err)
{
	const struct fm_onnx_model *model = edit->model;
	fm_cleanup(constants_done) struct constants constants = {0};
	enum fm_status status = find_constants(model, &constants, err);
	bool any = false;

	for (size_t i = 0; !status && i < model->node_count; i++) {
		const struct fm_onnx_node *node = &model->nodes[i];
		struct constant key = {.name = node->input_count > 1 ? node->inputs[1] : ""};
		struct constant *found = bsearch(
		        &key, constants.items, constants.count, sizeof(*constants.items), compare_constants);
		size_t axis;

		if (!found || found->seen || found->tensor->type != FM_ONNX_FLOAT32 ||
		        !found->tensor->elements || !weight_axis(node, found->tensor->rank, &axis))
			continue;
		struct fm_onnx_quantized_weight *weight = &quantized->weights[quantized->weight_count];
		status = quantize_weight(edit, node, found, axis, options, weight, err);
		if (status)
			break;
		quantized->weight_count++;
		found->seen = true;
		found->replaced = weight->bits == 8;
		any |= found->replaced;
	}
	if (!status && !any)
		return fm_fail(err, FM_E_INVALID,
		        "the model has no Conv, Gemm or MatMul with a constant float32 weight of %d elements "
		        "or more",
		        FM_ONNX_QUANTIZED_ELEMENTS_MIN);
	if (!status) {
		drop_replaced(edit, &constants, model);
		drop_notes(edit->message->graph);
	}
	return status ? status : fm_onnx_raise(edit, err);
}

enum fm_status fm_onnx_quantize(const void *bytes, size_t length,
        const struct fm_onnx_quantize_options *options, size_t memory_max_bytes,
        struct fm_onnx_quantized *ret_quantized, struct fm_error *err)
{
	fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized quantized = {0};
	fm_cleanup(fm_onnx_message_freep) Onnx__ModelProto *message = NULL;
	struct fm_onnx_edit edit;
	enum fm_status status = fm_onnx_parse(bytes, length, memory_max_bytes, &quantized.model, err);

	if (status || (status = fm_onnx_unpack(bytes, length, memory_max_bytes, &message, err)))
		return status;
	quantized.weights = fm_calloc(quantized.model->node_count + 1, sizeof(*quantized.weights));
	if (!quantized.weights)
		return fm_onnx_nomem(err);
	if ((status = fm_onnx_edit_start(&edit, quantized.model, message, err)) ||
	        (status = quantize_graph(&edit, options, &quantized, err)) ||
	        (status = fm_onnx_quantize_activations(&edit, options, &quantized, err)) ||
	        (status = fm_onnx_pack(message, &quantized.bytes, &quantized.length, err)))
		return status;
	quantized.opset = quantized.model->opset < FM_ONNX_QUANTIZED_OPSET ? FM_ONNX_QUANTIZED_OPSET
	                                                                   : quantized.model->opset;
	*ret_quantized = quantized;
	quantized = (struct fm_onnx_quantized){0};
	return FM_OK;
}

void fm_onnx_quantized_done(struct fm_onnx_quantized *quantized)
{
	free(quantized->bytes);
	free(quantized->weights);
	fm_onnx_free(quantized->model);
	*quantized = (struct fm_onnx_quantized){0};
}
