#include "cli/cli.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/quantize.h"
#include "cli/ranges.h"
#include "cli/tensors.h"
#include "lib/base/file.h"
#include "lib/base/size.h"
#include "lib/face/pipeline.h"
#include "lib/onnx/quantize.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/banned.h"

#define PARSED_BYTES_MAX ((size_t)2 << 30)

struct job {
	const char *in, *out;
	const char *calibrate, *models_dir, *manifest; /* calibrate: a directory, or NULL */
	long photos;
	bool is_static;
	struct fm_onnx_quantize_options options;
	char *bytes;
	size_t length;
	struct fm_crops crops;
	struct fm_ranges ranges;
	struct fm_onnx_quantized quantized;
	struct fm_net *net; /* the original in float32 */
	struct fm_fidelity *fidelity;
};

static void job_done(struct job *job)
{
	free(job->bytes);
	fm_crops_done(&job->crops);
	fm_onnx_quantized_done(&job->quantized);
	fm_ranges_done(&job->ranges);
	fm_net_free(job->net);
	free(job->fidelity);
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat first, second;

	return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

/* Quantizes again, now with the ranges of the activations. */
static enum fm_status quantize_activations(struct job *job, struct fm_error *err)
{
	struct fm_onnx_quantize_options options = job->options;
	struct fm_onnx_quantized quantized;
	enum fm_status status =
	        fm_ranges_measure(job->bytes, job->length, &job->quantized, &job->crops, &job->ranges, err);

	if (status)
		return status;
	options.ranges = job->ranges.ranges;
	options.range_count = job->ranges.count;
	status = fm_onnx_quantize(job->bytes, job->length, &options, PARSED_BYTES_MAX, &quantized, err);
	if (status)
		return status;
	fm_ranges_done(&job->ranges); /* their names go with what they were measured for */
	fm_onnx_quantized_done(&job->quantized);
	job->quantized = quantized;
	return FM_OK;
}

/* Nothing is written before the result has been loaded and run. */
static enum fm_status quantize(struct job *job, struct fm_error *err)
{
	if (is_same_file(job->in, job->out))
		return fm_fail(err, FM_E_INVALID, "%s and %s are the same file: the original would be lost",
		        job->in, job->out);
	enum fm_status status = fm_file_read(job->in, FM_ONNX_FILE_BYTES_MAX, &job->bytes, &job->length, err);
	if (status)
		return status;
	if (job->calibrate)
		status = fm_crops_load(job->calibrate, (size_t)job->photos, job->models_dir, job->manifest,
		        job->bytes, job->length, &job->crops, err);
	if (!status)
		status = fm_onnx_quantize(
		        job->bytes, job->length, &job->options, PARSED_BYTES_MAX, &job->quantized, err);
	if (!status && job->is_static)
		status = quantize_activations(job, err);
	if (!status)
		status = fm_fidelity_measure(job->bytes, job->length, job->quantized.bytes,
		        job->quantized.length, job->calibrate ? &job->crops : NULL, &job->net, &job->fidelity,
		        err);
	if (status)
		return fm_fail_prefix(err, status, "cannot quantize %s", job->in);
	return fm_output_write(job->out, job->quantized.bytes, job->quantized.length, err);
}

static json_t *json_weights(const struct fm_onnx_quantized *quantized)
{
	json_t *array = json_array();

	for (size_t i = 0; i < quantized->weight_count; i++) {
		const struct fm_onnx_quantized_weight *weight = &quantized->weights[i];
		json_array_append_new(array,
		        json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o}", "layer",
		                fm_json_text(weight->layer), "op", fm_json_text(weight->op), "weight",
		                fm_json_text(weight->name), "shape",
		                fm_shape_json(weight->dims, weight->rank), "bits", (json_int_t)weight->bits,
		                "float32_bytes", (json_int_t)weight->bytes_float32, "bytes",
		                (json_int_t)weight->bytes, "snr_db", fm_json_number(weight->snr_db)));
	}
	return array;
}

static json_t *json_outputs(const struct fm_net *net, const struct fm_fidelity *fidelity)
{
	json_t *array = json_array();

	for (size_t i = 0; i < fm_net_output_count(net); i++)
		json_array_append_new(
		        array, json_pack("{s:o, s:f, s:f, s:f, s:f}", "name",
		                       fm_json_text(fm_net_output(net, i)->name), "float32_cosine_mean",
		                       fidelity[i].float32_mean, "float32_cosine_min",
		                       fidelity[i].float32_min, "int8_cosine_mean", fidelity[i].int8_mean,
		                       "int8_cosine_min", fidelity[i].int8_min));
	return array;
}

static json_t *report(const struct job *job)
{
	const struct fm_onnx_quantized *quantized = &job->quantized;
	size_t before = 0, after = 0;

	for (size_t i = 0; i < quantized->weight_count; i++) {
		before += quantized->weights[i].bytes_float32;
		after += quantized->weights[i].bytes;
	}
	json_t *json = json_pack(
	        "{s:o, s:o, s:i, s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:i, s:o, s:o}", "model",
	        fm_json_text(job->in), "quantized", fm_json_text(job->out), "bits", (int)job->options.bits,
	        "per", job->options.per_tensor ? "tensor" : "channel", "asymmetric", job->options.asymmetric,
	        "activations", job->is_static ? "static" : "dynamic", "quantized_activations",
	        (json_int_t)quantized->activation_count, "opset", (json_int_t)quantized->opset,
	        "file_bytes_before", (json_int_t)job->length, "file_bytes", (json_int_t)quantized->length,
	        "ratio", (double)job->length / (double)quantized->length, "weight_bytes_before",
	        (json_int_t)before, "weight_bytes", (json_int_t)after, "inputs_compared",
	        job->calibrate ? (int)job->crops.count : FM_FIDELITY_INPUTS, "outputs",
	        json_outputs(job->net, job->fidelity), "weights", json_weights(quantized));
	if (json && job->calibrate)
		json_object_set_new(json, "misses", json_integer((json_int_t)job->crops.misses));
	return json;
}

static void print_tables(const struct job *job)
{
	printf("\n%-24s %-8s %-16s %4s %12s %11s %8s\n", "layer", "op", "weight", "bits", "before KiB",
	        "after KiB", "SNR dB");
	for (size_t i = 0; i < job->quantized.weight_count; i++) {
		const struct fm_onnx_quantized_weight *weight = &job->quantized.weights[i];
		char shape[FM_SHAPE_TEXT], name[25], snr[16] = "exact";
		fm_shape_format(weight->dims, weight->rank, shape);
		snprintf(name, sizeof(name), "%s", *weight->layer ? weight->layer : weight->name);
		if (weight->snr_db < 1000)
			snprintf(snr, sizeof(snr), "%.1f", weight->snr_db);
		printf("%-24s %-8s %-16s %4u %12.1f %11.1f %8s\n", fm_printable(name), weight->op, shape,
		        weight->bits, (double)weight->bytes_float32 / 1024, (double)weight->bytes / 1024,
		        snr);
	}

	printf("\n%-24s %17s %10s %14s %10s\n", "cosine to float32 of", "float32 run, mean", "worst",
	        "int8 run, mean", "worst");
	for (size_t i = 0; i < fm_net_output_count(job->net); i++) {
		const struct fm_fidelity *fidelity = &job->fidelity[i];
		char name[25];
		snprintf(name, sizeof(name), "%s", fm_net_output(job->net, i)->name);
		printf("%-24s %17.6f %10.6f %14.6f %10.6f\n", fm_printable(name), fidelity->float32_mean,
		        fidelity->float32_min, fidelity->int8_mean, fidelity->int8_min);
	}
}

static int model_quantize_run(struct fm_call *call)
{
	fm_cleanup(job_done) struct job job = {
	        .models_dir = call->models_dir, .manifest = fm_models_defaults.embedding, .photos = 64};
	const char *per = "channel", *activations = "dynamic";
	long bits = 8;
	bool as_json = false;
	const struct fm_option options[] = {
	        {"bits", FM_OPTION_COUNT, &bits, "8|6|4", "of each code; 6 and 4 are packed (default: 8)",
	                .low = 4, .high = 8},
	        {"per", FM_OPTION_TEXT, &per, "channel|tensor",
	                "one scale per output channel, or per weight (default: channel)"},
	        {"asymmetric", FM_OPTION_FLAG, &job.options.asymmetric, NULL,
	                "uint8 with a zero point, not int8 around zero"},
	        {"float-depthwise", FM_OPTION_FLAG, &job.options.float_depthwise, NULL,
	                "leave large grouped convolutions in float32, too"},
	        {"activations", FM_OPTION_TEXT, &activations, "dynamic|static",
	                "when they are quantized: as it runs, or by ranges from --calibrate (default: "
	                "dynamic)"},
	        {"calibrate", FM_OPTION_TEXT, &job.calibrate, "DIR",
	                "compare on the faces in DIR/PERSON/PHOTO, not on made-up inputs"},
	        {"photos", FM_OPTION_COUNT, &job.photos, "N", "at most so many of them (default: 64)",
	                .low = 1, .high = FM_CROPS_MAX},
	        {"manifest", FM_OPTION_TEXT, &job.manifest, "NAME",
	                "IN.onnx's own, for --calibrate (default: fr_feature)"},
	        FM_OPTION_MODELS_ROW(&job.models_dir),
	        {"json", FM_OPTION_FLAG, &as_json, NULL, "print one line of JSON"},
	};
	struct fm_error err;
	int result;

	if (!fm_options_parse(call, options, FM_ARRAY_SIZE(options), 2, 2, &result))
		return result;
	if (strcmp(per, "channel") != 0 && strcmp(per, "tensor") != 0) {
		fm_complain("model quantize: --per: '%s' is neither channel nor tensor; see facematchctl "
		            "model quantize --help",
		        per);
		return FM_EXIT_USAGE;
	}
	job.is_static = strcmp(activations, "static") == 0;
	if (!job.is_static && strcmp(activations, "dynamic") != 0) {
		fm_complain("model quantize: --activations: '%s' is neither dynamic nor static; see "
		            "facematchctl model quantize --help",
		        activations);
		return FM_EXIT_USAGE;
	}
	if (job.is_static && !job.calibrate) {
		fm_complain("model quantize: --activations static needs --calibrate DIR; see facematchctl "
		            "model quantize --help");
		return FM_EXIT_USAGE;
	}
	if (bits % 2) {
		fm_complain("model quantize: --bits: %ld is none of 8, 6 and 4; see facematchctl model "
		            "quantize --help",
		        bits);
		return FM_EXIT_USAGE;
	}
	job.options.bits = (unsigned)bits;
	job.options.per_tensor = strcmp(per, "tensor") == 0;
	job.in = call->operands[0];
	job.out = call->operands[1];
	enum fm_status status = quantize(&job, &err);
	if (!status) {
		json_t *json = report(&job);
		if (as_json || !json) {
			status = fm_json_print_line(json, &err);
		} else {
			fm_json_print_table(json);
			print_tables(&job);
		}
		json_decref(json);
	}
	if (status)
		fm_complain("%s", err.message);
	return status ? FM_EXIT_FAILURE : FM_EXIT_OK;
}

const struct fm_command fm_cmd_model_quantize = {
        .name = "model quantize",
        .operands = "IN.onnx OUT.onnx",
        .summary = "store a network's weights in 8 bits or fewer",
        .description =
                "Writes a copy of the network whose Conv, Gemm and MatMul weights are codes of 8, 6 or 4 "
                "bits "
                "with scales,\n"
                "turned back by DequantizeLinear: standard ONNX of opset 13, with 8 bits about a quarter of "
                "the size,\n"
                "which facematchd and other runtimes load as they do the original. Weights under 256 "
                "elements, of depthwise "
                "convolutions under\n"
                "16 to a channel, biases and slopes stay float32. Activations are quantized when the network "
                "runs,\nunless --activations is static.\n"
                "Prints size and signal-to-noise ratio of each weight, and the cosine of the outputs to the "
                "original's in\n"
                "float32, on made-up inputs or on faces.\n\n"
                "With --float-depthwise and the defaults otherwise, results in int8 are those of the "
                "original, bit for\n"
                "bit, where no batch normalization is left to fold.",
        .example = "  facematchctl model quantize build/models/fr_feature.onnx fr_feature_q8.onnx",
        .run = model_quantize_run,
};
