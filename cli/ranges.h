/* What values a network's activations take on calibration faces. Threads: pure. */
#ifndef FM_CLI_RANGES_H
#define FM_CLI_RANGES_H

#include "cli/crops.h"
#include "cli/range_choice.h"
#include "lib/onnx/quantize.h"

struct fm_ranges {
	size_t count;
	struct fm_onnx_range *ranges; /* their names are the quantized model's */
};
void fm_ranges_done(struct fm_ranges *ranges);

/*
 * The range, by the rule, of the values that each activation which a layer with a quantized weight takes has
 * on the crops, in float32; all but the rule of smallest and largest take a second run over them.
 * bytes[length]: the original. Shows a progress bar on a terminal. Errors: fm_onnx_tap's,
 * fm_net_load_memory's, FM_E_UNSUPPORTED (an activation that is infinite or not a number).
 */
enum fm_status fm_ranges_measure(const void *bytes, size_t length, const struct fm_onnx_quantized *quantized,
        const struct fm_crops *crops, const struct fm_range_rule *rule, struct fm_ranges *ret_ranges,
        struct fm_error *err);

#endif
