/* What values a network's activations take on calibration faces. Threads: pure. */
#ifndef FM_CLI_RANGES_H
#define FM_CLI_RANGES_H

#include "cli/crops.h"
#include "lib/onnx/quantize.h"

struct fm_ranges {
	size_t count;
	struct fm_onnx_range *ranges; /* their names are the quantized model's */
};
void fm_ranges_done(struct fm_ranges *ranges);

/*
 * The smallest and largest value over the crops of each activation that a layer with a quantized weight
 * takes, in float32. bytes[length]: the original. Shows a progress bar on a terminal. Errors: fm_onnx_tap's,
 * fm_net_load_memory's, FM_E_UNSUPPORTED (an activation that is infinite or not a number).
 */
enum fm_status fm_ranges_measure(const void *bytes, size_t length, const struct fm_onnx_quantized *quantized,
        const struct fm_crops *crops, struct fm_ranges *ret_ranges, struct fm_error *err);

#endif
