#include "cli/tune.h"

#include "cli/moments.h"
#include "cli/progress.h"
#include "cli/rounding.h"
#include "cli/tensors.h"
#include "lib/base/mem.h"
#include "lib/cpu/cpu.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

#define PARSED_BYTES_MAX ((size_t)2 << 30)
/* Rows of each layer, in all, for each of its inputs. */
#define ROWS_PER_INPUT 48
/* From where each face's rows are taken, so that they are not the same pixels in all. */
#define OFFSET_STEP 7919

void fm_tuning_done(struct fm_tuning *tuning)
{
	for (size_t i = 0; i < tuning->count; i++) {
		free((void *)(uintptr_t)tuning->weights[i].codes);
		free((void *)(uintptr_t)tuning->weights[i].scales);
		free((void *)(uintptr_t)tuning->weights[i].bias);
	}
	free(tuning->weights);
	*tuning = (struct fm_tuning){0};
}

struct tuner {
	const void *bytes; /* the original */
	size_t length;
	const struct fm_onnx_quantize_options *options;
	const struct fm_onnx_model *model;
	const struct fm_crops *crops;
	struct fm_tuning tuning;
};

/* ---- what a layer is ------------------------------------------------------------------------- */

static const struct fm_onnx_tensor *find_constant(const struct fm_onnx_model *model, const char *name)
{
	for (size_t i = 0; i < model->initializer_count; i++)
		if (strcmp(model->initializers[i].name, name) == 0)
			return &model->initializers[i];
	for (size_t i = 0; i < model->node_count; i++) {
		const struct fm_onnx_node *node = &model->nodes[i];
		const struct fm_onnx_attribute *value =
		        strcmp(node->op, "Constant") == 0 ? fm_onnx_attribute(node, "value") : NULL;

		if (value && node->output_count == 1 && strcmp(node->outputs[0], name) == 0)
			return value->t;
	}
	return NULL;
}

/* The only reader of a value, or node_count; *ret_input: which of its inputs. */
static size_t only_reader(const struct fm_onnx_model *model, const char *name, size_t *ret_input)
{
	size_t reader = model->node_count, readers = 0;

	for (size_t i = 0; i < model->node_count; i++)
		for (size_t j = 0; j < model->nodes[i].input_count; j++)
			if (strcmp(model->nodes[i].inputs[j], name) == 0) {
				readers++;
				reader = i;
				*ret_input = j;
			}
	for (size_t i = 0; i < model->output_count; i++)
		readers += strcmp(model->outputs[i].name, name) == 0;
	return readers == 1 ? reader : model->node_count;
}

/* Where a layer's bias is: an input of a node, and its value; or nowhere. */
struct bias {
	bool exists;
	size_t node, input;
	const struct fm_onnx_tensor *tensor; /* NULL: none yet, all 0 */
};

static bool is_row(const struct fm_onnx_tensor *tensor, size_t channels)
{
	return tensor && tensor->type == FM_ONNX_FLOAT32 && tensor->elements == channels && tensor->rank == 1;
}

static struct bias find_bias(const struct fm_onnx_model *model, size_t index, size_t channels)
{
	const struct fm_onnx_node *node = &model->nodes[index];
	struct bias bias = {.node = index, .input = 2};
	size_t input = 0;

	if (strcmp(node->op, "MatMul") != 0) {
		const bool given = node->input_count > 2 && *node->inputs[2];

		bias.tensor = given ? find_constant(model, node->inputs[2]) : NULL;
		bias.exists = !given || is_row(bias.tensor, channels);
		return bias;
	}
	bias.node = only_reader(model, node->outputs[0], &input);
	if (bias.node == model->node_count || strcmp(model->nodes[bias.node].op, "Add") != 0)
		return bias;
	bias.input = 1 - input;
	bias.tensor = find_constant(model, model->nodes[bias.node].inputs[bias.input]);
	bias.exists = is_row(bias.tensor, channels);
	return bias;
}

static bool is_plain(const struct fm_onnx_node *node)
{
	const struct fm_onnx_attribute *alpha = fm_onnx_attribute(node, "alpha");
	const struct fm_onnx_attribute *beta = fm_onnx_attribute(node, "beta");

	return strcmp(node->op, "Gemm") != 0 || ((!alpha || alpha->f == 1.0f) && (!beta || beta->f == 1.0f));
}

/* ---- its inputs ------------------------------------------------------------------------------ */

/* A network that ends at the layer's input; none where that is the network's own. */
struct source {
	struct fm_net *net;
	struct fm_session *session;
	struct fm_tensors tensors;
};

static void source_done(struct source *source)
{
	fm_tensors_done(&source->tensors);
	fm_session_free(source->session);
	fm_net_free(source->net);
	*source = (struct source){0};
}

static enum fm_status open_source(const void *bytes, size_t length, const char *input,
        const struct fm_crops *crops, struct source *source, struct fm_error *err)
{
	const struct fm_net_options options = {.precision = FM_FLOAT32,
	        .input_height_px = crops->height_px,
	        .input_width_px = crops->width_px};
	fm_autofree void *tapped = NULL;
	size_t tapped_length;
	enum fm_status status;

	if ((status = fm_onnx_tap(
	             bytes, length, &input, 1, PARSED_BYTES_MAX, &tapped, &tapped_length, err)) ||
	        (status = fm_net_load_memory(tapped, tapped_length, &options, &source->net, err)) ||
	        (status = fm_session_create(source->net, &source->session, err)))
		return status;
	return fm_tensors_create(source->net, &source->tensors, err);
}

static const float *run_source(struct source *source, const struct fm_crops *crops, size_t n)
{
	const float *crop = crops->inputs + n * crops->elements;

	if (!source->net)
		return crop;
	memcpy(source->tensors.inputs[0], crop, crops->elements * sizeof(*crop));
	fm_tensors_run(&source->tensors, source->session);
	return source->tensors.outputs[0];
}

/* The original, and the network as quantized so far. */
enum { ORIGINAL, QUANTIZED, SOURCES };

struct layer {
	const struct fm_onnx_quantized_weight *weight;
	const struct fm_onnx_tensor *tensor;
	struct bias bias;
	struct source sources[SOURCES];
	struct fm_rows rows;
	struct fm_moments moments;
};

static void layer_done(struct layer *layer)
{
	for (size_t i = 0; i < SOURCES; i++)
		source_done(&layer->sources[i]);
	fm_moments_done(&layer->moments);
}

static enum fm_status open_layer(struct tuner *tuner, struct layer *layer, struct fm_error *err)
{
	struct fm_onnx_quantize_options options = *tuner->options;
	fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized quantized = {0};
	const char *input = layer->weight->input;
	enum fm_status status;

	if (strcmp(input, tuner->model->inputs[0].name) == 0)
		return FM_OK;
	/* The noise of static activations, taken for a property of the inputs, would shrink the weights. */
	options.range_count = 0;
	options.tuned = tuner->tuning.weights;
	options.tuned_count = tuner->tuning.count;
	if ((status = fm_onnx_quantize(
	             tuner->bytes, tuner->length, &options, PARSED_BYTES_MAX, &quantized, err)) ||
	        (status = open_source(
	                 tuner->bytes, tuner->length, input, tuner->crops, &layer->sources[ORIGINAL], err)))
		return status;
	return open_source(
	        quantized.bytes, quantized.length, input, tuner->crops, &layer->sources[QUANTIZED], err);
}

/* False: a layer that is not tuned. */
static bool shape_layer(struct tuner *tuner, struct layer *layer)
{
	const struct fm_onnx_quantized_weight *weight = layer->weight;
	const struct fm_onnx_node *node = &tuner->model->nodes[weight->node];
	const struct fm_onnx_value *first = &tuner->model->inputs[0];
	const struct fm_net *net = layer->sources[ORIGINAL].net;
	const struct fm_tensor_info *made = net ? fm_net_output(net, 0) : NULL;
	const size_t rank = made ? made->rank : first->rank;
	size_t dims[FM_ONNX_RANK_MAX], elements = 1;

	layer->tensor = find_constant(tuner->model, weight->name);
	if (!layer->tensor || !is_plain(node))
		return false;
	for (size_t i = 0; i < rank; i++) {
		/* A batch left open is 1. */
		dims[i] = made ? made->dims[i] : i == 0 && !first->dims[i] ? 1 : first->dims[i];
		elements *= dims[i];
	}
	if ((!made && elements != tuner->crops->elements) ||
	        !fm_rows_of(node, weight->rank, weight->dims, rank, dims, &layer->rows))
		return false;
	layer->bias = find_bias(tuner->model, weight->node, weight->dims[weight->axis]);
	return layer->rows.k * weight->dims[weight->axis] == layer->tensor->elements &&
	       weight->dims[weight->axis] % layer->rows.groups == 0;
}

static enum fm_status collect(struct tuner *tuner, struct layer *layer, struct fm_error *err)
{
	const struct fm_rows *rows = &layer->rows;
	const size_t faces = tuner->crops->count, moments = rows->groups * (rows->k + 1) * (rows->k + 1);
	const size_t wanted = (rows->k + 1) * ROWS_PER_INPUT / faces + 1;

	for (size_t n = 0; n < faces; n++)
		fm_moments_add(&layer->moments, rows, run_source(&layer->sources[ORIGINAL], tuner->crops, n),
		        run_source(&layer->sources[QUANTIZED], tuner->crops, n), wanted, n * OFFSET_STEP);
	fm_moments_finish(&layer->moments);
	for (size_t i = 0; i < moments; i++)
		if (!isfinite(layer->moments.square[i]) || !isfinite(layer->moments.cross[i]))
			return fm_fail(err, FM_E_UNSUPPORTED,
			        "an activation is infinite or not a number on a calibration face");
	return FM_OK;
}

/* ---- its weights ----------------------------------------------------------------------------- */

/* Element n of channel c, where the channels lie along axis 0 or, of two, axis 1. */
static size_t element_of(const struct layer *layer, size_t channel, size_t n)
{
	const size_t channels = layer->weight->dims[layer->weight->axis];

	return layer->weight->axis == 0 ? channel * layer->rows.k + n : n * channels + channel;
}

static enum fm_status round_layer(
        struct tuner *tuner, struct layer *layer, struct fm_onnx_tuned *tuned, struct fm_error *err)
{
	const size_t channels = layer->weight->dims[layer->weight->axis], k = layer->rows.k;
	const size_t side = k + 1, each = channels / layer->rows.groups;
	fm_autofree float *weights = fm_calloc(k, sizeof(*weights));
	fm_autofree int8_t *channel_codes = fm_calloc(k, 1);
	int8_t *codes = fm_calloc(layer->tensor->elements, 1);
	float *scales = fm_calloc(channels, sizeof(*scales));
	float *bias = fm_calloc(channels, sizeof(*bias));

	*tuned = (struct fm_onnx_tuned){.name = layer->weight->name,
	        .codes = codes,
	        .scales = scales,
	        .bias = bias,
	        .bias_node = layer->bias.node,
	        .bias_input = layer->bias.input};
	if (!weights || !channel_codes || !codes || !scales || !bias)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu codes", layer->tensor->elements);
	for (size_t c = 0; c < channels; c++) {
		const size_t moments = c / each * side * side;
		const struct fm_rounding rounding = {.k = k,
		        .bits = tuner->options->bits ? tuner->options->bits : 8,
		        .square = layer->moments.square + moments,
		        .cross = layer->moments.cross + moments,
		        .has_bias = layer->bias.exists};

		for (size_t n = 0; n < k; n++) {
			const float w = ((const float *)layer->tensor->data)[element_of(layer, c, n)];

			weights[n] = fabsf(w) < FLT_MIN ? 0.0f : w;
		}
		if (layer->bias.exists && layer->bias.tensor)
			bias[c] = ((const float *)layer->bias.tensor->data)[c];
		enum fm_status status =
		        fm_round_channel(&rounding, weights, &bias[c], channel_codes, &scales[c], err);
		if (status)
			return status;
		for (size_t n = 0; n < k; n++)
			codes[element_of(layer, c, n)] = channel_codes[n];
	}
	if (!layer->bias.exists) {
		free(bias);
		tuned->bias = NULL;
	}
	return FM_OK;
}

static enum fm_status tune_layer(
        struct tuner *tuner, const struct fm_onnx_quantized_weight *weight, struct fm_error *err)
{
	fm_cleanup(layer_done) struct layer layer = {.weight = weight};
	enum fm_status status = open_layer(tuner, &layer, err);

	if (status)
		return status;
	status = shape_layer(tuner, &layer)
	                 ? fm_moments_create(layer.rows.groups, layer.rows.k, &layer.moments, err)
	                 : FM_E_TOO_LARGE;
	if (status == FM_E_TOO_LARGE) {
		tuner->tuning.skipped++;
		return FM_OK;
	}
	if (status || (status = collect(tuner, &layer, err)))
		return status;
	/* Counted before it is whole, so that what it holds is freed. */
	return round_layer(tuner, &layer, &tuner->tuning.weights[tuner->tuning.count++], err);
}

enum fm_status fm_tune(const void *bytes, size_t length, const struct fm_onnx_quantize_options *options,
        const struct fm_onnx_quantized *quantized, const struct fm_crops *crops, struct fm_tuning *ret_tuning,
        struct fm_error *err)
{
	struct tuner tuner = {.bytes = bytes,
	        .length = length,
	        .options = options,
	        .model = quantized->model,
	        .crops = crops};
	struct fm_progress progress;
	size_t layers = 0;
	enum fm_status status = FM_OK;

	if (tuner.model->input_count != 1)
		return fm_fail(err, FM_E_UNSUPPORTED, "the network has not one input");
	tuner.tuning.weights = fm_calloc(quantized->weight_count + 1, sizeof(*tuner.tuning.weights));
	if (!tuner.tuning.weights)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu weights", quantized->weight_count);
	for (size_t i = 0; i < quantized->weight_count; i++)
		layers += quantized->weights[i].bits < 32;
	fm_cpu_flush_denormals();
	fm_progress_begin(&progress, "layers", layers);
	for (size_t i = 0; !status && i < quantized->weight_count; i++) {
		if (quantized->weights[i].bits == 32)
			continue;
		status = tune_layer(&tuner, &quantized->weights[i], err);
		fm_progress_step(&progress);
	}
	fm_progress_end(&progress);
	if (status) {
		fm_tuning_done(&tuner.tuning);
		return status;
	}
	*ret_tuning = tuner.tuning;
	return FM_OK;
}
