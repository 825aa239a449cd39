/*
 * A convolution of an image of few channels, such as a network begins with, in int8 by one grid for the
 * whole image: its range is found once, each of its rows becomes codes once, channels innermost, and what
 * lies under the kernel is multiplied where it is. Every ISA gives the bits of the scalar row. Inputs hold no
 * NaN and no infinity. Threads: pure.
 */
#ifndef FM_KERNELS_PIXELS_H
#define FM_KERNELS_PIXELS_H

#include "lib/kernels/kernels.h"

#define FM_PIXELS_CHANNELS_MAX 4
/* Bytes behind a row of codes that may be read, and overwritten with anything. */
#define FM_PIXELS_SLACK 64

/* Weights are packed by gemm_u8s8 of the same ISA from [n][kernel_h * row_terms]. */
struct fm_pixels_product {
	size_t kernel_h;
	size_t row_terms; /* of one row of the kernel, a multiple of four; those that fill up have weight 0 */
	size_t step;      /* bytes from one output pixel to the next */
	const void *packed;
	const float *w_scale; /* [n] */
	size_t n;
};

struct fm_pixels_kernels {
	/* The scale and zero point by kernels.h of all of x. */
	struct fm_row_quant (*quant_of)(const float *x, size_t count);

	/* One row: q[i * channels + c] = the code of from[c * plane + i], i < count. */
	void (*quantize)(uint8_t *q, const float *from, size_t plane, size_t channels, size_t count,
	        const struct fm_row_quant *quant);

	/*
	 * NULL, or `count` outputs [count][n] as gemm_u8s8 makes them of the rows of terms that begin, output
	 * pixel i's, at rows[0..kernel_h - 1] + i * step. The epilogue has no residual.
	 */
	void (*multiply)(float *out, const uint8_t *const *rows, size_t count,
	        const struct fm_pixels_product *product, const struct fm_row_quant *quant,
	        const struct fm_epilogue *epilogue);
};

/* Never NULL. */
const struct fm_pixels_kernels *fm_pixels_kernels_for(enum fm_isa isa);

#endif
