#include "lib/onnx/quantize.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/onnx/edit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

/* ---- a weight in few bits -------------------------------------------------------------------- */

/* Channel c's elements are [o][c][i]: o < outer, i < inner. */
struct codes {
	unsigned bits;
	bool asymmetric;
	size_t outer, channels, inner;
	int *steps;     /* codes less zero point */
	float *scales;  /* [channels] */
	int *zeros;     /* [channels]; what is added where codes have no sign */
	uint8_t *bytes; /* as they go into the file: s8 as its bytes, or u8 */
	uint8_t *zero_bytes;
};

static void codes_done(struct codes *codes)
{
	free(codes->steps);
	free(codes->scales);
	free(codes->zeros);
	free(codes->bytes);
	free(codes->zero_bytes);
}

/* Denormal weights are zero to lib/nn, too. */
static float weight_at(const float *weights, size_t i)
{
	return fabsf(weights[i]) < FLT_MIN ? 0.0f : weights[i];
}

static void encode_channel(struct codes *codes, const float *weights, size_t channel)
{
	const float most = (float)((1 << (codes->bits - 1)) - 1), codes_most = 2.0f * most + 1.0f;
	float low = 0.0f, high = 0.0f, scale, zero = 0.0f;

	for (size_t o = 0; o < codes->outer; o++)
		for (size_t i = 0; i < codes->inner; i++) {
			const float w =
			        weight_at(weights, (o * codes->channels + channel) * codes->inner + i);

			low = fminf(low, w);
			high = fmaxf(high, w);
		}
	if (codes->asymmetric)
		scale = (float)(((double)high - (double)low) / (double)codes_most);
	else
		scale = fmaxf(-low, high) / most;
	if (scale < FLT_MIN)
		scale = 1.0f; /* all codes become the zero point */
	else if (codes->asymmetric)
		zero = fminf(codes_most, nearbyintf(-low / scale));
	codes->scales[channel] = scale;
	codes->zeros[channel] = (int)zero;
	for (size_t o = 0; o < codes->outer; o++)
		for (size_t i = 0; i < codes->inner; i++) {
			const size_t at = (o * codes->channels + channel) * codes->inner + i;
			const float q = nearbyintf(weight_at(weights, at) / scale) + zero;

			if (codes->asymmetric)
				codes->steps[at] = (int)(fmaxf(0.0f, fminf(codes_most, q)) - zero);
			else
				codes->steps[at] = (int)fmaxf(-most, fminf(most, q));
		}
}

static double snr_db(const struct codes *codes, const float *weights)
{
	const size_t elements = codes->outer * codes->channels * codes->inner;
	double signal = 0.0, noise = 0.0;

	for (size_t i = 0; i < elements; i++) {
		const size_t channel = i / codes->inner % codes->channels;
		const double error =
		        (double)weights[i] - (double)codes->steps[i] * (double)codes->scales[channel];

		signal += (double)weights[i] * (double)weights[i];
		noise += error * error;
	}
	return noise > 0.0 ? 10.0 * log10(signal / noise) : (double)INFINITY;
}

/* Symmetric codes of 8 bits have a sign, fewer bits are stored without. */
static bool is_signed(const struct codes *codes)
{
	return codes->bits == 8 && !codes->asymmetric;
}

static void to_bytes(struct codes *codes)
{
	const size_t elements = codes->outer * codes->channels * codes->inner;

	for (size_t c = 0; c < codes->channels; c++) {
		if (!is_signed(codes) && !codes->asymmetric)
			codes->zeros[c] = 1 << (codes->bits - 1);
		codes->zero_bytes[c] = (uint8_t)codes->zeros[c];
	}
	for (size_t i = 0; i < elements; i++)
		codes->bytes[i] =
		        (uint8_t)(codes->steps[i] + codes->zeros[i / codes->inner % codes->channels]);
}

static const struct fm_onnx_tuned *find_tuned(
        const struct fm_onnx_quantize_options *options, const char *name)
{
	for (size_t i = 0; i < options->tuned_count; i++)
		if (strcmp(options->tuned[i].name, name) == 0)
			return &options->tuned[i];
	return NULL;
}

static enum fm_status encode(const struct fm_onnx_tensor *tensor, size_t axis,
        const struct fm_onnx_quantize_options *options, const struct fm_onnx_tuned *tuned,
        struct codes *ret_codes, double *ret_snr_db, struct fm_error *err)
{
	fm_cleanup(codes_done) struct codes codes = {.bits = options->bits ? options->bits : 8,
	        .asymmetric = options->asymmetric,
	        .outer = 1,
	        .channels = 1,
	        .inner = tensor->elements};
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
	codes.steps = fm_calloc(tensor->elements, sizeof(*codes.steps));
	codes.bytes = fm_calloc(tensor->elements, 1);
	codes.scales = fm_calloc(codes.channels, sizeof(*codes.scales));
	codes.zeros = fm_calloc(codes.channels, sizeof(*codes.zeros));
	codes.zero_bytes = fm_calloc(codes.channels, 1);
	if (!codes.steps || !codes.bytes || !codes.scales || !codes.zeros || !codes.zero_bytes)
		return fm_onnx_nomem(err);
	for (size_t c = 0; !tuned && c < codes.channels; c++)
		encode_channel(&codes, weights, c);
	for (size_t i = 0; tuned && i < tensor->elements; i++)
		codes.steps[i] = tuned->codes[i];
	if (tuned)
		memcpy(codes.scales, tuned->scales, codes.channels * sizeof(*codes.scales));
	*ret_snr_db = snr_db(&codes, weights);
	to_bytes(&codes);
	*ret_codes = codes;
	codes = (struct codes){0};
	return FM_OK;
}

/* ---- constants and layers -------------------------------------------------------------------- */

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

/* ---- the graph ------------------------------------------------------------------------------- */

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

/* The codes as the node's first input: a tensor of their own, or their part of the packed ones. */
static enum fm_status add_codes(struct fm_onnx_edit *edit, struct fm_onnx_packing *packing,
        Onnx__NodeProto *node, size_t at, const struct fm_onnx_tensor *tensor, const struct codes *codes,
        struct fm_error *err)
{
	char part[FM_ONNX_LABEL_BYTES], shaped[FM_ONNX_LABEL_BYTES];
	int64_t dims[FM_ONNX_RANK_MAX];
	Onnx__NodeProto *reshape;
	enum fm_status status;

	if (codes->bits == 8)
		return fm_onnx_add_constant(edit, node, 0, "codes",
		        is_signed(codes) ? FM_ONNX_INT8 : FM_ONNX_UINT8, tensor->rank, tensor->dims,
		        codes->bytes, err);
	for (size_t i = 0; i < tensor->rank; i++)
		dims[i] = (int64_t)tensor->dims[i];
	if ((status = fm_onnx_packing_add(packing, edit, codes->bytes, tensor->elements, part, err)))
		return status;
	fm_onnx_edit_name(edit, "codes", shaped);
	if ((status = fm_onnx_new_node("Reshape", shaped, &reshape, err)) ||
	        (status = fm_onnx_insert_node(edit, at, reshape, err)))
		return status;
	edit->front++;
	if ((status = fm_onnx_set_input(reshape, 0, part, err)) ||
	        (status = fm_onnx_add_constant(
	                 edit, reshape, 1, "shape", FM_ONNX_INT64, 1, &tensor->rank, dims, err)))
		return status;
	return fm_onnx_set_input(node, 0, shaped, err);
}

static enum fm_status replace(struct fm_onnx_edit *edit, struct fm_onnx_packing *packing,
        const struct constant *constant, size_t axis, const struct codes *codes,
        const struct fm_onnx_quantize_options *options, struct fm_error *err)
{
	const size_t scale_rank = options->per_tensor ? 0 : 1;
	Onnx__NodeProto *node = NULL;
	enum fm_status status = place_node(edit, constant, &node, err);

	/* A node before all others needs its codes before it; what was a Constant lies behind those. */
	const size_t at = !status && !constant->is_node ? edit->front - 1 : edit->front;
	if (status || (status = add_codes(edit, packing, node, at, constant->tensor, codes, err)) ||
	        (status = fm_onnx_add_constant(edit, node, 1, "scale", FM_ONNX_FLOAT32, scale_rank,
	                 &codes->channels, codes->scales, err)))
		return status;
	/* Left out, the zero point is 0. */
	if (!is_signed(codes) && (status = fm_onnx_add_constant(edit, node, 2, "zero", FM_ONNX_UINT8,
	                                  scale_rank, &codes->channels, codes->zero_bytes, err)))
		return status;
	return options->per_tensor ? FM_OK : fm_onnx_set_int(node, "axis", (int64_t)axis, err);
}

static enum fm_status replace_bias(
        struct fm_onnx_edit *edit, const struct fm_onnx_tuned *tuned, size_t channels, struct fm_error *err)
{
	if (!tuned || !tuned->bias)
		return FM_OK;
	return fm_onnx_add_constant(edit, edit->message->graph->node[edit->front + tuned->bias_node],
	        tuned->bias_input, "bias", FM_ONNX_FLOAT32, 1, &channels, tuned->bias, err);
}

static enum fm_status quantize_weight(struct fm_onnx_edit *edit, struct fm_onnx_packing *packing,
        size_t index, const struct constant *constant, size_t axis,
        const struct fm_onnx_quantize_options *options, struct fm_onnx_quantized_weight *ret_weight,
        struct fm_error *err)
{
	const struct fm_onnx_node *node = &edit->model->nodes[index];
	const struct fm_onnx_tensor *tensor = constant->tensor;
	struct fm_onnx_quantized_weight weight = {.name = constant->name,
	        .op = node->op,
	        .layer = node->name,
	        .input = node->inputs[0],
	        .rank = tensor->rank,
	        .bits = 32,
	        .axis = axis,
	        .node = index,
	        .bytes_float32 = tensor->elements * sizeof(float),
	        .bytes = tensor->elements * sizeof(float),
	        .snr_db = (double)INFINITY};
	fm_cleanup(codes_done) struct codes codes = {0};
	const struct fm_onnx_tuned *tuned = find_tuned(options, constant->name);
	enum fm_status status;

	memcpy(weight.dims, tensor->dims, sizeof(weight.dims));
	if (tensor->elements >= FM_ONNX_QUANTIZED_ELEMENTS_MIN &&
	        !(is_depthwise(node) &&
	                (options->float_depthwise ||
	                        tensor->elements / tensor->dims[0] < FM_ONNX_QUANTIZED_DEPTHWISE_MIN))) {
		if ((status = encode(tensor, axis, options, tuned, &codes, &weight.snr_db, err)) ||
		        (status = replace(edit, packing, constant, axis, &codes, options, err)) ||
		        (status = replace_bias(edit, tuned, codes.channels, err)))
			return status;
		weight.bits = codes.bits;
		weight.bytes = (tensor->elements * codes.bits + 7) / 8 +
		               codes.channels * (sizeof(float) + (is_signed(&codes) ? 0 : 1));
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

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_read(const char *const *names, size_t count, const char *name)
{
	return bsearch(&name, names, count, sizeof(*names), compare_names) != NULL;
}

/* Of a bias that another took the place of, nobody reads the old one: an initializer or a Constant node. */
static enum fm_status drop_unread(Onnx__GraphProto *graph, struct fm_error *err)
{
	size_t count = graph->n_output, kept = 0;

	for (size_t i = 0; i < graph->n_node; i++)
		count += graph->node[i]->n_input;
	fm_autofree const char **names = fm_calloc(count + 1, sizeof(*names));
	if (!names)
		return fm_onnx_nomem(err);
	count = 0;
	for (size_t i = 0; i < graph->n_output; i++)
		names[count++] = graph->output[i]->name;
	for (size_t i = 0; i < graph->n_node; i++)
		for (size_t j = 0; j < graph->node[i]->n_input; j++)
			names[count++] = graph->node[i]->input[j];
	qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; i < graph->n_initializer; i++)
		if (is_read(names, count, graph->initializer[i]->name))
			graph->initializer[kept++] = graph->initializer[i];
		else
			onnx__tensor_proto__free_unpacked(graph->initializer[i], NULL);
	graph->n_initializer = kept;
	kept = 0;
	for (size_t i = 0; i < graph->n_node; i++) {
		Onnx__NodeProto *node = graph->node[i];

		if (strcmp(node->op_type, "Constant") != 0 || node->n_output != 1 ||
		        is_read(names, count, node->output[0]))
			graph->node[kept++] = node;
		else
			onnx__node_proto__free_unpacked(node, NULL);
	}
	graph->n_node = kept;
	return FM_OK;
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
	fm_cleanup(fm_onnx_packing_done) struct fm_onnx_packing packing = {0};
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
		status = quantize_weight(edit, &packing, i, found, axis, options, weight, err);
		if (status)
			break;
		quantized->weight_count++;
		found->seen = true;
		found->replaced = weight->bits < 32;
		any |= found->replaced;
	}
	if (!status && !any)
		return fm_fail(err, FM_E_INVALID,
		        "the model has no Conv, Gemm or MatMul with a constant float32 weight of %d elements "
		        "or more",
		        FM_ONNX_QUANTIZED_ELEMENTS_MIN);
	if (!status && packing.part_count)
		status = fm_onnx_packing_emit(&packing, edit, options->bits, err);
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
	enum fm_status status;

	if (options->bits != 0 && options->bits != 8 && options->bits != 6 && options->bits != 4)
		return fm_fail(err, FM_E_INVALID, "codes have 8, 6 or 4 bits, not %u", options->bits);
	if ((status = fm_onnx_parse(bytes, length, memory_max_bytes, &quantized.model, err)) ||
	        (status = fm_onnx_unpack(bytes, length, memory_max_bytes, &message, err)))
		return status;
	quantized.weights = fm_calloc(quantized.model->node_count + 1, sizeof(*quantized.weights));
	if (!quantized.weights)
		return fm_onnx_nomem(err);
	if ((status = fm_onnx_edit_start(&edit, quantized.model, message, err)) ||
	        (status = quantize_graph(&edit, options, &quantized, err)) ||
	        (status = fm_onnx_quantize_activations(&edit, options, &quantized, err)) ||
	        (options->tuned_count && (status = drop_unread(message->graph, err))) ||
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
