/*
 * Fine-tuning after quantization without labels: each layer's codes, scales and bias are chosen so that its
 * output on calibration faces comes near to the original network's, given what the layers before it have
 * become (cli/rounding.h). Activations are float32 meanwhile, also where they become static. Threads: pure.
 */
#ifndef FM_CLI_TUNE_H
#define FM_CLI_TUNE_H

#include "cli/crops.h"
#include "lib/onnx/quantize.h"

struct fm_tuning {
	struct fm_onnx_tuned *weights; /* their names are the quantized model's */
	size_t count;
	size_t skipped; /* layers that are no matrix product over rows, or too large: rounded to nearest */
};
void fm_tuning_done(struct fm_tuning *tuning);

/*
 * Layer after layer, in the model's order. bytes[length]: the original, whose inputs the crops are;
 * quantized: what fm_onnx_quantize made of it by `options`, which are symmetric and per channel. Shows a
 * progress bar on a terminal. Errors: fm_onnx_tap's, fm_onnx_quantize's, fm_net_load_memory's,
 * FM_E_UNSUPPORTED (not one input, or an activation that is infinite or not a number), FM_E_NOMEM.
 */
enum fm_status fm_tune(const void *bytes, size_t length, const struct fm_onnx_quantize_options *options,
        const struct fm_onnx_quantized *quantized, const struct fm_crops *crops, struct fm_tuning *ret_tuning,
        struct fm_error *err);

#endif
