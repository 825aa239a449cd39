#include "cli/ranges.h"

#include "cli/progress.h"
#include "cli/tensors.h"
#include "lib/base/mem.h"
#include "lib/cpu/cpu.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

#define PARSED_BYTES_MAX ((size_t)2 << 30)

void fm_ranges_done(struct fm_ranges *ranges)
{
	free(ranges->ranges);
	*ranges = (struct fm_ranges){0};
}

static bool is_known(const struct fm_ranges *ranges, const char *name)
{
	for (size_t i = 0; i < ranges->count; i++)
		if (strcmp(ranges->ranges[i].name, name) == 0)
			return true;
	return false;
}

static bool widen(struct fm_onnx_range *range, const float *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!isfinite(values[i]))
			return false;
		range->low = fminf(range->low, values[i]);
		range->high = fmaxf(range->high, values[i]);
	}
	return true;
}

/*
 * One run over the crops. ranges[0] is the network's input, the others are its outputs. Without histograms
 * the ranges are widened to hold all values, with them the values are counted.
 */
static enum fm_status measure(const struct fm_net *net, const struct fm_crops *crops,
        struct fm_ranges *ranges, struct fm_range_histogram *histograms, struct fm_error *err)
{
	fm_cleanup(fm_session_freep) struct fm_session *session = NULL;
	fm_cleanup(fm_tensors_done) struct fm_tensors tensors = {0};
	struct fm_progress progress;
	enum fm_status status = fm_session_create(net, &session, err);

	if (status || (status = fm_tensors_create(net, &tensors, err)))
		return status;
	fm_cpu_flush_denormals();
	fm_progress_begin(&progress, "faces", crops->count);
	for (size_t n = 0; !status && n < crops->count; n++) {
		memcpy(tensors.inputs[0], crops->inputs + n * crops->elements,
		        crops->elements * sizeof(float));
		fm_tensors_run(&tensors, session);
		for (size_t i = 0; !status && i < ranges->count; i++) {
			const float *values = i ? tensors.outputs[i - 1] : tensors.inputs[0];
			const size_t count = i ? fm_net_output(net, i - 1)->elements : crops->elements;

			if (histograms)
				fm_range_histogram_add(&histograms[i], values, count);
			else if (!widen(&ranges->ranges[i], values, count))
				status = fm_fail(err, FM_E_UNSUPPORTED,
				        "an activation is infinite or not a number on a calibration face");
		}
		fm_progress_step(&progress);
	}
	fm_progress_end(&progress);
	return status;
}

static enum fm_status choose(const struct fm_net *net, const struct fm_crops *crops,
        const struct fm_range_rule *rule, struct fm_ranges *ranges, struct fm_error *err)
{
	fm_autofree struct fm_range_histogram *histograms = fm_calloc(ranges->count, sizeof(*histograms));
	enum fm_status status;

	if (!histograms)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu histograms", ranges->count);
	for (size_t i = 0; i < ranges->count; i++) {
		histograms[i].low = ranges->ranges[i].low;
		histograms[i].high = ranges->ranges[i].high;
	}
	if ((status = measure(net, crops, ranges, histograms, err)))
		return status;
	for (size_t i = 0; i < ranges->count; i++)
		fm_range_choose(&histograms[i], rule, &ranges->ranges[i].low, &ranges->ranges[i].high);
	return FM_OK;
}

enum fm_status fm_ranges_measure(const void *bytes, size_t length, const struct fm_onnx_quantized *quantized,
        const struct fm_crops *crops, const struct fm_range_rule *rule, struct fm_ranges *ret_ranges,
        struct fm_error *err)
{
	fm_cleanup(fm_ranges_done) struct fm_ranges ranges = {0};
	fm_cleanup(fm_net_freep) struct fm_net *net = NULL;
	const size_t most = quantized->weight_count + 1;
	fm_autofree const char **names = fm_calloc(most, sizeof(*names));
	fm_autofree void *tapped = NULL;
	const struct fm_net_options options = {.precision = FM_FLOAT32,
	        .input_height_px = crops->height_px,
	        .input_width_px = crops->width_px};
	size_t tapped_length;
	enum fm_status status;

	ranges.ranges = fm_calloc(most, sizeof(*ranges.ranges));
	if (!names || !ranges.ranges)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu activations", most);
	if (quantized->model->input_count != 1)
		return fm_fail(err, FM_E_UNSUPPORTED, "the network has not one input");
	ranges.ranges[ranges.count++].name = quantized->model->inputs[0].name;
	for (size_t i = 0; i < quantized->weight_count; i++) {
		const struct fm_onnx_quantized_weight *weight = &quantized->weights[i];

		if (weight->bits == 32 || is_known(&ranges, weight->input))
			continue;
		names[ranges.count - 1] = weight->input;
		ranges.ranges[ranges.count++].name = weight->input;
	}
	if ((status = fm_onnx_tap(bytes, length, names, ranges.count - 1, PARSED_BYTES_MAX, &tapped,
	             &tapped_length, err)) ||
	        (status = fm_net_load_memory(tapped, tapped_length, &options, &net, err)) ||
	        (status = measure(net, crops, &ranges, NULL, err)) ||
	        (rule->method != FM_RANGE_MINMAX && (status = choose(net, crops, rule, &ranges, err))))
		return status;
	*ret_ranges = ranges;
	ranges = (struct fm_ranges){0};
	return FM_OK;
}
