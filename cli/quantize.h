/* What quantization did to a network, measured: `model quantize` reports it. Threads: pure. */
#ifndef FM_CLI_QUANTIZE_H
#define FM_CLI_QUANTIZE_H

#include "cli/cli.h"
#include "cli/crops.h"
#include "lib/nn/net.h"

#include <stddef.h>

#define FM_FIDELITY_INPUTS 8 /* made up, where there are no photos */

/* Cosines of one output to the float32 network's own, over all inputs. */
struct fm_fidelity {
	double float32_mean, float32_min; /* run in float32: what the file costs */
	double int8_mean, int8_min;       /* run in int8: as facematchd would */
};

/*
 * Loads both files from memory and compares them on the crops, or on made-up inputs when crops is NULL, with
 * a progress bar on a terminal. The crops are the original's inputs; made-up ones have the size, where the
 * files leave theirs open.
 * *ret_fidelity[fm_net_output_count(*ret_net)] is the caller's to free(), *ret_net (the original, float32) to
 * fm_net_free(). Errors: fm_net_load_memory's; FM_E_INTERNAL when the outputs differ in number or size.
 */
enum fm_status fm_fidelity_measure(const void *original, size_t original_length, const void *quantized,
        size_t quantized_length, const struct fm_crops *crops, struct fm_size_px size,
        struct fm_net **ret_net, struct fm_fidelity **ret_fidelity, struct fm_error *err);

#endif
