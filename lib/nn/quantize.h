/* Weights at load: checked, cleaned, quantized. Threads: pure. */
#ifndef FM_NN_QUANTIZE_H
#define FM_NN_QUANTIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Denormals become 0. False when a weight is infinite or not a number. */
bool fm_weights_clean(float *weights, size_t count);

/*
 * s8, symmetric, one scale for each output channel (row): scale = max|w| / 127, q = round to nearest even of
 * w / scale, in -127..127. A row whose scale would be denormal becomes 0 with scale 1.
 * Source: Jacob et al. 2018 (arXiv:1712.05877) section 2, per channel and without zero point.
 */
void fm_weights_quantize(int8_t *ret_q, float *ret_scale, const float *weights, size_t n, size_t k);

/* q = round to nearest even of w / scale, in -127..127, by scales that are given; a row whose scale is 0 or
 * denormal becomes 0. */
void fm_weights_quantize_by(int8_t *ret_q, const float *scale, const float *weights, size_t n, size_t k);

#endif
