#include "cli/cli.h"
#include "cli/json.h"
#include "cli/tensors.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/sha256.h"
#include "lib/base/size.h"
#include "lib/onnx/onnx.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

#define PARSED_BYTES_MAX ((size_t)2 << 30)

static const enum fm_precision precisions[] = {FM_FLOAT32, FM_INT8};
#define PRECISION_COUNT 2

struct inspection {
	char *bytes;
	size_t length;
	struct fm_onnx_model *onnx;
	struct fm_net *nets[PRECISION_COUNT];
};

static void inspection_done(struct inspection *inspection)
{
	free(inspection->bytes);
	fm_onnx_free(inspection->onnx);
	for (size_t i = 0; i < PRECISION_COUNT; i++)
		fm_net_free(inspection->nets[i]);
}

static enum fm_status load(
        struct inspection *inspection, const char *path, struct fm_size_px size, struct fm_error *err)
{
	enum fm_status status =
	        fm_file_read(path, FM_ONNX_FILE_BYTES_MAX, &inspection->bytes, &inspection->length, err);
	if (status)
		return status;
	status = fm_onnx_parse(
	        inspection->bytes, inspection->length, PARSED_BYTES_MAX, &inspection->onnx, err);
	for (size_t i = 0; !status && i < PRECISION_COUNT; i++) {
		const struct fm_net_options options = {.precision = precisions[i],
		        .input_height_px = size.height,
		        .input_width_px = size.width};
		status = fm_net_load_memory(
		        inspection->bytes, inspection->length, &options, &inspection->nets[i], err);
	}
	return status ? fm_fail_prefix(err, status, "cannot load %s", path) : FM_OK;
}

static uint64_t net_macs(const struct fm_net *net)
{
	uint64_t macs = 0;

	for (size_t i = 0; i < fm_net_layer_count(net); i++)
		macs += fm_net_layer(net, i)->macs;
	return macs;
}

/* Denormal weights make some runtimes many times slower; here they are zero. */
static size_t count_denormals(const struct fm_onnx_model *onnx)
{
	size_t count = 0;

	for (size_t i = 0; i < onnx->initializer_count; i++) {
		const struct fm_onnx_tensor *tensor = &onnx->initializers[i];
		const float *values = tensor->data;
		for (size_t j = 0; tensor->type == FM_ONNX_FLOAT32 && j < tensor->elements; j++)
			count += fpclassify(values[j]) == FP_SUBNORMAL;
	}
	return count;
}

/* How often the file uses each ONNX operator: {"Conv": 52, …}. */
static json_t *json_ops(const struct fm_onnx_model *onnx)
{
	json_t *ops = json_object();

	for (size_t i = 0; i < onnx->node_count; i++) {
		json_int_t before = json_integer_value(json_object_get(ops, onnx->nodes[i].op));
		json_object_set_new(ops, onnx->nodes[i].op, json_integer(before + 1));
	}
	return ops;
}

/* The layers of one op, as the int8 network has them. */
struct kind {
	const char *op;
	size_t layers, bytes, bytes_float32;
	uint64_t macs;
};

static int by_falling_macs(const void *left, const void *right)
{
	const struct kind *a = left, *b = right;

	return a->macs != b->macs ? (a->macs < b->macs) - (a->macs > b->macs) : strcmp(a->op, b->op);
}

/* The caller frees *ret_kinds. */
static enum fm_status count_kinds(
        const struct fm_net *net, struct kind **ret_kinds, size_t *ret_count, struct fm_error *err)
{
	size_t layers = fm_net_layer_count(net), count = 0;
	struct kind *kinds = fm_calloc(layers ? layers : 1, sizeof(*kinds));

	if (!kinds)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu layers", layers);
	for (size_t i = 0; i < layers; i++) {
		const struct fm_layer_info *layer = fm_net_layer(net, i);
		size_t k = 0;
		while (k < count && strcmp(kinds[k].op, layer->op) != 0)
			k++;
		if (k == count)
			kinds[count++].op = layer->op;
		kinds[k].layers++;
		kinds[k].macs += layer->macs;
		kinds[k].bytes += layer->weight_bytes;
		kinds[k].bytes_float32 += layer->weight_bytes_float32;
	}
	qsort(kinds, count, sizeof(*kinds), by_falling_macs);
	*ret_kinds = kinds;
	*ret_count = count;
	return FM_OK;
}

static json_t *json_kinds(const struct kind *kinds, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array,
		        json_pack("{s:o, s:I, s:I, s:I, s:I}", "op", fm_json_text(kinds[i].op), "layers",
		                (json_int_t)kinds[i].layers, "macs", (json_int_t)kinds[i].macs,
		                "float32_bytes", (json_int_t)kinds[i].bytes_float32, "int8_bytes",
		                (json_int_t)kinds[i].bytes));
	return array;
}

static json_t *json_layers(const struct fm_net *net)
{
	json_t *array = json_array();

	for (size_t i = 0; i < fm_net_layer_count(net); i++) {
		const struct fm_layer_info *layer = fm_net_layer(net, i);
		json_array_append_new(
		        array, json_pack("{s:o, s:o, s:o, s:s, s:I, s:I, s:I}", "name",
		                       fm_json_text(layer->name), "op", fm_json_text(layer->op), "shape",
		                       fm_shape_json(layer->out_dims, layer->out_rank), "precision",
		                       fm_precision_name(layer->precision), "macs", (json_int_t)layer->macs,
		                       "float32_bytes", (json_int_t)layer->weight_bytes_float32, "int8_bytes",
		                       (json_int_t)layer->weight_bytes));
	}
	return array;
}

typedef const struct fm_tensor_info *tensor_at(const struct fm_net *net, size_t index);

static json_t *json_tensors(const struct fm_net *net, size_t count, tensor_at *at)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(
		        array, json_pack("{s:o, s:o}", "name", fm_json_text(at(net, i)->name), "shape",
		                       fm_shape_json(at(net, i)->dims, at(net, i)->rank)));
	return array;
}

static json_t *report(
        const char *path, const struct inspection *inspection, const struct kind *kinds, size_t kind_count)
{
	const struct fm_net *float32 = inspection->nets[0], *int8 = inspection->nets[1];
	char sha256[FM_SHA256_HEX];

	fm_sha256_hex(inspection->bytes, inspection->length, sha256);
	return json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}",
	        "model", fm_json_text(path), "sha256", sha256, "file_bytes", (json_int_t)inspection->length,
	        "opset", (json_int_t)inspection->onnx->opset, "denormal_weights",
	        (json_int_t)count_denormals(inspection->onnx), "macs", (json_int_t)net_macs(int8),
	        "float32_bytes", (json_int_t)fm_net_weight_bytes(float32), "int8_bytes",
	        (json_int_t)fm_net_weight_bytes(int8), "float32_arena_bytes",
	        (json_int_t)fm_net_arena_bytes(float32), "int8_arena_bytes",
	        (json_int_t)fm_net_arena_bytes(int8), "ops", json_ops(inspection->onnx), "inputs",
	        json_tensors(int8, fm_net_input_count(int8), fm_net_input), "outputs",
	        json_tensors(int8, fm_net_output_count(int8), fm_net_output), "kinds",
	        json_kinds(kinds, kind_count), "layers", json_layers(int8));
}

static void print_tensors(const char *title, const struct fm_net *net, size_t count, tensor_at *at)
{
	for (size_t i = 0; i < count; i++) {
		char shape[FM_SHAPE_TEXT], name[64];
		fm_shape_format(at(net, i)->dims, at(net, i)->rank, shape);
		snprintf(name, sizeof(name), "%s", at(net, i)->name);
		printf("%-22s %s %s\n", title, fm_printable(name), shape);
	}
}

static void print_ops(const json_t *ops)
{
	const char *op;
	json_t *count;

	printf("%-22s", "ops");
	json_object_foreach((json_t *)ops, op, count)
	{
		char name[64];
		snprintf(name, sizeof(name), "%s", op);
		printf(" %s %" JSON_INTEGER_FORMAT, fm_printable(name), json_integer_value(count));
	}
	putchar('\n');
}

static void print_tables(const struct fm_net *net, const struct kind *kinds, size_t kind_count)
{
	double macs = (double)net_macs(net);

	printf("\n%-16s %7s %10s %6s %13s %11s\n", "kind of layer", "layers", "MMAC", "%", "float32 KiB",
	        "int8 KiB");
	for (size_t i = 0; i < kind_count; i++)
		printf("%-16s %7zu %10.3f %6.1f %13.1f %11.1f\n", kinds[i].op, kinds[i].layers,
		        (double)kinds[i].macs / 1e6, macs > 0 ? 100 * (double)kinds[i].macs / macs : 0,
		        (double)kinds[i].bytes_float32 / 1024, (double)kinds[i].bytes / 1024);

	printf("\n%-24s %-16s %-16s %-9s %9s %11s\n", "layer", "op", "output", "precision", "MMAC",
	        "int8 KiB");
	for (size_t i = 0; i < fm_net_layer_count(net); i++) {
		const struct fm_layer_info *layer = fm_net_layer(net, i);
		char shape[FM_SHAPE_TEXT], name[25];
		fm_shape_format(layer->out_dims, layer->out_rank, shape);
		snprintf(name, sizeof(name), "%s", layer->name);
		printf("%-24s %-16s %-16s %-9s %9.3f %11.1f\n", fm_printable(name), layer->op, shape,
		        fm_precision_name(layer->precision), (double)layer->macs / 1e6,
		        (double)layer->weight_bytes / 1024);
	}
}

static int model_inspect_run(struct fm_call *call)
{
	bool as_json = false;
	struct fm_size_px size = {0};
	const struct fm_option options[] = {
	        FM_OPTION_SIZE_ROW(&size),
	        {"json", FM_OPTION_FLAG, &as_json, NULL, "print one line of JSON"},
	};
	fm_cleanup(inspection_done) struct inspection inspection = {0};
	fm_autofree struct kind *kinds = NULL;
	size_t kind_count = 0;
	struct fm_error err;
	int result;

	if (!fm_options_parse(call, options, FM_ARRAY_SIZE(options), 1, 1, &result))
		return result;
	enum fm_status status = load(&inspection, call->operands[0], size, &err);
	const struct fm_net *net = inspection.nets[1];
	if (!status)
		status = count_kinds(net, &kinds, &kind_count, &err);
	if (!status) {
		json_t *json = report(call->operands[0], &inspection, kinds, kind_count);
		if (as_json || !json) {
			status = fm_json_print_line(json, &err);
		} else {
			fm_json_print_table(json);
			print_ops(json_object_get(json, "ops"));
			print_tensors("input", net, fm_net_input_count(net), fm_net_input);
			print_tensors("output", net, fm_net_output_count(net), fm_net_output);
			print_tables(net, kinds, kind_count);
		}
		json_decref(json);
	}
	if (status)
		fm_complain("%s", err.message);
	return status ? FM_EXIT_FAILURE : FM_EXIT_OK;
}

const struct fm_command fm_cmd_model_inspect = {
        .name = "model inspect",
        .operands = "MODEL.onnx",
        .summary = "what a network is made of and what it costs",
        .description = "Loads the network in float32 and in int8 and prints its inputs and outputs, the "
                       "steps that run\n"
                       "with their shapes, multiply-accumulates by kind of layer, the size of the weights as "
                       "held in\n"
                       "either precision, and the memory that one thread's activations take (arena).",
        .example = "  facematchctl model inspect build/models/fr_feature.onnx",
        .run = model_inspect_run,
};
