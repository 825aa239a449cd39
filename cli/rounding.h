/*
 * The codes of one output channel that change the layer's output least, not each weight least.
 *
 * Over rows x of the original network's inputs and x' of the quantized one's, it lessens the mean of
 * (w . x + b - s q . x' - b')^2 in the codes q, the scale s and the bias b': a quadratic in the moments of x
 * and x'. Starting from the weights themselves and from those rounded to nearest, one coordinate after the
 * other takes the code that is best given all others, the bias in between (in closed form: bias correction,
 * Nagel et al. 2019, arXiv:1906.04721 section 4.2); then the scale is refitted, over and again while it
 * helps. The better of the two stays; never a worse one than rounding to nearest.
 * Source: cyclic coordinate descent, Behdin et al. 2023 (arXiv:2309.01885) Algorithm 1; the moments and the
 * damping of Frantar et al. 2023 (arXiv:2210.17323). Threads: pure.
 */
#ifndef FM_CLI_ROUNDING_H
#define FM_CLI_ROUNDING_H

#include "lib/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How much the moments of k inputs are made to resemble those of independent ones: so that few faces do not
 * decide alone, of the mean of the squares. */
#define FM_ROUNDING_DAMPING 0.01

struct fm_rounding {
	size_t k;
	unsigned bits;                /* codes within 2^(bits - 1) - 1 on both sides of 0 */
	const double *square, *cross; /* [k + 1][k + 1], see cli/moments.h */
	bool has_bias;                /* else b = b' = 0 */
};

/* weights [k], finite, no denormals. bias in and out. *ret_scale is a normal number. FM_E_NOMEM. */
enum fm_status fm_round_channel(const struct fm_rounding *rounding, const float *weights, float *bias,
        int8_t *ret_codes, float *ret_scale, struct fm_error *err);

#endif
