#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/tensors.h"
#include "lib/base/size.h"

#include <stdio.h>

#include "lib/base/banned.h"

static double gmac_per_s(double macs, double ms)
{
	return ms > 0 ? macs / ms / 1e6 : 0;
}

static uint64_t net_macs(const struct fm_net *net)
{
	uint64_t macs = 0;

	for (size_t i = 0; i < fm_net_layer_count(net); i++)
		macs += fm_net_layer(net, i)->macs;
	return macs;
}

static json_t *json_layers(const struct fm_net *net, const double *layer_ms)
{
	json_t *layers = json_array();

	for (size_t i = 0; i < fm_net_layer_count(net); i++) {
		const struct fm_layer_info *layer = fm_net_layer(net, i);
		json_array_append_new(layers,
		        json_pack("{s:o, s:s, s:o, s:s, s:I, s:f, s:f}", "name", fm_json_text(layer->name),
		                "op", layer->op, "shape", fm_shape_json(layer->out_dims, layer->out_rank),
		                "precision", fm_precision_name(layer->precision), "macs",
		                (json_int_t)layer->macs, "median_ms", layer_ms[i], "gmac_per_s",
		                gmac_per_s((double)layer->macs, layer_ms[i])));
	}
	return layers;
}

static json_t *report(const char *path, const struct fm_net *net, const struct fm_bench *bench)
{
	uint64_t macs = net_macs(net);
	json_t *json = json_pack("{s:o, s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:I, s:I, s:I}", "model",
	        fm_json_text(path), "precision", fm_precision_name(fm_net_precision(net)), "isa",
	        fm_isa_name(fm_net_isa(net)), "threads", (json_int_t)bench->threads, "runs",
	        (json_int_t)bench->runs, "median_ms", bench->median_ms, "min_ms", bench->min_ms, "gmac_per_s",
	        gmac_per_s((double)macs * (double)bench->threads, bench->median_ms), "macs", (json_int_t)macs,
	        "weight_bytes", (json_int_t)fm_net_weight_bytes(net), "arena_bytes",
	        (json_int_t)fm_net_arena_bytes(net));

	if (json && bench->layer_ms)
		json_object_set_new(json, "layers", json_layers(net, bench->layer_ms));
	return json;
}

static void print_layers(const struct fm_net *net, const double *layer_ms)
{
	double total_ms = 0;

	for (size_t i = 0; i < fm_net_layer_count(net); i++)
		total_ms += layer_ms[i];
	printf("\n%-24s %-12s %-16s %9s %9s %8s %6s\n", "layer", "op", "output", "MMAC", "ms", "GMAC/s", "%");
	for (size_t i = 0; i < fm_net_layer_count(net); i++) {
		const struct fm_layer_info *layer = fm_net_layer(net, i);
		char shape[FM_SHAPE_TEXT], name[25], op[13];
		fm_shape_format(layer->out_dims, layer->out_rank, shape);
		snprintf(name, sizeof(name), "%s", layer->name);
		snprintf(op, sizeof(op), "%s", layer->op);
		printf("%-24s %-12s %-16s %9.3f %9.4f %8.1f %6.1f\n", fm_printable(name), fm_printable(op),
		        shape, (double)layer->macs / 1e6, layer_ms[i],
		        gmac_per_s((double)layer->macs, layer_ms[i]),
		        total_ms > 0 ? 100 * layer_ms[i] / total_ms : 0);
	}
}

static int bench_net_run(struct fm_call *call)
{
	enum fm_precision precision = FM_INT8;
	struct fm_size_px size = {0};
	bool as_json = false, layers = false;
	double seconds = 2;
	long threads = 1;
	const struct fm_option options[] = {
	        FM_OPTION_PRECISION_ROW(&precision),
	        FM_OPTION_SIZE_ROW(&size),
	        {"threads", FM_OPTION_COUNT, &threads, "N", "networks run at once, one a thread (default: 1)",
	                .low = 1, .high = FM_BENCH_THREADS_MAX},
	        {"seconds", FM_OPTION_SECONDS, &seconds, "S", "how long to measure (default: 2)", .low = 0.01,
	                .high = 3600},
	        {"layers", FM_OPTION_FLAG, &layers, NULL, "measure each layer too"},
	        {"json", FM_OPTION_FLAG, &as_json, NULL, "print one line of JSON"},
	};
	fm_cleanup(fm_bench_done) struct fm_bench bench = {0};
	fm_cleanup(fm_net_freep) struct fm_net *net = NULL;
	struct fm_error err;
	int result;

	if (!fm_options_parse(call, options, FM_ARRAY_SIZE(options), 1, 1, &result))
		return result;
	const struct fm_net_options net_options = {
	        .precision = precision, .input_height_px = size.height, .input_width_px = size.width};
	enum fm_status status = fm_net_load(call->operands[0], &net_options, &net, &err);
	if (!status)
		status = fm_bench_run(net, (size_t)threads, seconds, &bench, &err);
	if (!status && layers)
		status = fm_bench_layers(net, seconds, &bench, &err);
	if (!status) {
		status = fm_json_print(report(call->operands[0], net, &bench), as_json, &err);
		if (!as_json && bench.layer_ms)
			print_layers(net, bench.layer_ms);
	}
	if (status)
		fm_complain("%s", err.message);
	return status ? FM_EXIT_FAILURE : FM_EXIT_OK;
}

const struct fm_command fm_cmd_bench_net = {
        .name = "bench net",
        .operands = "MODEL.onnx",
        .summary = "time a network on this machine",
        .description =
                "Runs the network on made-up input, after a warm-up, with denormals flushed, and prints the "
                "median\n"
                "and the fastest time of one run, multiply-accumulates a second over all threads (at the "
                "median),\n"
                "the instruction set in use, and the memory of weights and of one thread's activations.\n"
                "FACEMATCH_ISA in the environment (scalar, sse41, avx2, …) lowers the instruction set.",
        .example =
                "  facematchctl bench net build/models/fr_feature.onnx --precision int8 --threads 1 --json",
        .run = bench_net_run,
};
