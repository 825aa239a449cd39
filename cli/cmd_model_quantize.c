#include "cli/cli.h"
#include "cli/json.h"
#include "cli/quantize_job.h"
#include "cli/tensors.h"
#include "lib/base/size.h"
#include "lib/face/pipeline.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

#define PERCENTILE 99.99

static const char *const methods[] = {[FM_RANGE_MINMAX] = "minmax",
        [FM_RANGE_PERCENTILE] = "percentile",
        [FM_RANGE_ENTROPY] = "entropy",
        [FM_RANGE_MSE] = "mse"};

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

static void add_calibration(json_t *json, const struct fm_quantize_job *job)
{
	json_object_set_new(json, "misses", json_integer((json_int_t)job->crops.misses));
	if (!job->is_static && !job->tunes)
		return;
	json_object_set_new(json, "inputs_calibrated", json_integer((json_int_t)job->calibration.count));
	json_object_set_new(json, "held_out", json_boolean(job->is_held_out));
	if (job->is_static)
		json_object_set_new(json, "method", json_string(methods[job->rule.method]));
	if (job->is_static && job->rule.method == FM_RANGE_PERCENTILE)
		json_object_set_new(json, "percentile", json_real(job->rule.percentile));
	if (!job->tunes)
		return;
	json_object_set_new(json, "tuned", json_integer((json_int_t)job->tuned));
	json_object_set_new(json, "not_tuned", json_integer((json_int_t)job->tune_skipped));
	json_object_set_new(json, "outputs_untuned", json_outputs(job->net, job->fidelity_untuned));
}

static json_t *report(const struct fm_quantize_job *job)
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
	        job->calibrate ? (int)job->compared.count : FM_FIDELITY_INPUTS, "outputs",
	        json_outputs(job->net, job->fidelity), "weights", json_weights(quantized));
	if (json && job->calibrate)
		add_calibration(json, job);
	return json;
}

static void print_fidelity(
        const struct fm_net *net, const struct fm_fidelity *fidelities, const char *heading)
{
	printf("\n%-24s %17s %10s %14s %10s\n", heading, "float32 run, mean", "worst", "int8 run, mean",
	        "worst");
	for (size_t i = 0; i < fm_net_output_count(net); i++) {
		const struct fm_fidelity *fidelity = &fidelities[i];
		char name[25];
		snprintf(name, sizeof(name), "%s", fm_net_output(net, i)->name);
		printf("%-24s %17.6f %10.6f %14.6f %10.6f\n", fm_printable(name), fidelity->float32_mean,
		        fidelity->float32_min, fidelity->int8_mean, fidelity->int8_min);
	}
}

static void print_tables(const struct fm_quantize_job *job)
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

	if (job->fidelity_untuned)
		print_fidelity(job->net, job->fidelity_untuned, "before --tune, cosine of");
	print_fidelity(job->net, job->fidelity, "cosine to float32 of");
}

static bool parse_method(const char *name, enum fm_range_method *ret_method)
{
	for (size_t i = 0; i < FM_ARRAY_SIZE(methods); i++)
		if (strcmp(methods[i], name) == 0) {
			*ret_method = (enum fm_range_method)i;
			return true;
		}
	return false;
}

struct words {
	const char *per, *activations, *method;
	long bits;
};

/* What the options say together; FM_EXIT_OK or FM_EXIT_USAGE. */
static int settle(const struct fm_command *command, const struct words *words, struct fm_quantize_job *job)
{
	job->is_static = strcmp(words->activations, "static") == 0;
	job->options.per_tensor = strcmp(words->per, "tensor") == 0;
	job->options.bits = (unsigned)words->bits;
	if (words->bits % 2)
		return fm_usage_error(command, "--bits: %ld is none of 8, 6 and 4", words->bits);
	if (strcmp(words->per, "channel") != 0 && !job->options.per_tensor)
		return fm_usage_error(command, "--per: '%s' is neither channel nor tensor", words->per);
	if (strcmp(words->activations, "dynamic") != 0 && !job->is_static)
		return fm_usage_error(
		        command, "--activations: '%s' is neither dynamic nor static", words->activations);
	if (job->is_static && !job->calibrate)
		return fm_usage_error(command, "--activations static needs --calibrate DIR");
	if (job->size.width && job->calibrate)
		return fm_usage_error(command,
		        "--size is for made-up inputs: with --calibrate, the manifest gives the size");
	if (job->tunes && !job->calibrate)
		return fm_usage_error(command, "--tune needs --calibrate DIR");
	if (job->tunes && (job->options.per_tensor || job->options.asymmetric))
		return fm_usage_error(command, "--tune goes with neither --per tensor nor --asymmetric");
	if (words->method && !job->is_static)
		return fm_usage_error(command, "--method is for --activations static");
	if (words->method && !parse_method(words->method, &job->rule.method))
		return fm_usage_error(command,
		        "--method: '%s' is none of minmax, percentile, entropy and mse", words->method);
	if (job->rule.percentile > 0 && job->rule.method != FM_RANGE_PERCENTILE)
		return fm_usage_error(command, "--percentile is for --method percentile");
	if (job->rule.percentile == 0)
		job->rule.percentile = PERCENTILE;
	return FM_EXIT_OK;
}

static int model_quantize_run(struct fm_call *call)
{
	fm_cleanup(fm_quantize_job_done) struct fm_quantize_job job = {
	        .models_dir = call->models_dir, .manifest = fm_models_defaults.embedding, .photos = 64};
	struct words words = {.per = "channel", .activations = "dynamic", .bits = 8};
	bool as_json = false;
	const struct fm_option options[] = {
	        {"bits", FM_OPTION_COUNT, &words.bits, "8|6|4",
	                "of each code; 6 and 4 are packed (default: 8)", .low = 4, .high = 8},
	        {"per", FM_OPTION_TEXT, &words.per, "channel|tensor",
	                "one scale per output channel, or per weight (default: channel)"},
	        {"asymmetric", FM_OPTION_FLAG, &job.options.asymmetric, NULL,
	                "uint8 with a zero point, not int8 around zero"},
	        {"float-depthwise", FM_OPTION_FLAG, &job.options.float_depthwise, NULL,
	                "leave large grouped convolutions in float32, too"},
	        {"activations", FM_OPTION_TEXT, &words.activations, "dynamic|static",
	                "when they are quantized: as it runs, or by ranges from --calibrate (default: "
	                "dynamic)"},
	        {"method", FM_OPTION_TEXT, &words.method, "NAME",
	                "static ranges: minmax, percentile, entropy or mse (default: minmax)"},
	        {"percentile", FM_OPTION_SECONDS, &job.rule.percentile, "P",
	                "of the values that lie in the range (default: 99.99)", .low = 50, .high = 100},
	        {"tune", FM_OPTION_FLAG, &job.tunes, NULL,
	                "fit codes, scales and biases to the faces of --calibrate, layer by layer"},
	        {"calibrate", FM_OPTION_TEXT, &job.calibrate, "DIR",
	                "compare on the faces in DIR/PERSON/PHOTO, not on made-up inputs"},
	        {"photos", FM_OPTION_COUNT, &job.photos, "N", "at most so many of them (default: 64)",
	                .low = 1, .high = FM_CROPS_MAX},
	        {"manifest", FM_OPTION_TEXT, &job.manifest, "NAME",
	                "IN.onnx's own, for --calibrate (default: fr_feature)"},
	        FM_OPTION_SIZE_ROW(&job.size),
	        FM_OPTION_MODELS_ROW(&job.models_dir),
	        {"json", FM_OPTION_FLAG, &as_json, NULL, "print one line of JSON"},
	};
	struct fm_error err;
	int result;

	if (!fm_options_parse(call, options, FM_ARRAY_SIZE(options), 2, 2, &result))
		return result;
	if ((result = settle(call->command, &words, &job)))
		return result;
	job.in = call->operands[0];
	job.out = call->operands[1];
	enum fm_status status = fm_quantize_job_run(&job, &err);
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
                "--tune chooses codes, scales and biases so that each layer's output on the faces of "
                "--calibrate "
                "comes near to\n"
                "the original's, without labels; the last quarter of the faces is kept to tell what it won.\n"
                "Prints size and signal-to-noise ratio of each weight, and the cosine of the outputs to the "
                "original's in\n"
                "float32, on made-up inputs or on faces.\n\n"
                "With --float-depthwise and the defaults otherwise, results in int8 are those of the "
                "original, bit for\n"
                "bit, where no batch normalization is left to fold.",
        .example = "  facematchctl model quantize build/models/fr_feature.onnx fr_feature_q8.onnx",
        .run = model_quantize_run,
};
