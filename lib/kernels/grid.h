/*
 * Static quantization: tensors whose values lie on a grid that the network's file states (ONNX QuantizeLinear
 * and DequantizeLinear). x ~= scale * (q - zero); q - zero is an integer in low..high.
 *   steps(x) = round(min(max(x * inverse, low), high)), to nearest even; x snaps to scale * steps(x).
 * Every ISA gives the bits of the scalar row. Inputs hold no NaN. Threads: pure. Source: Jacob et al. 2018
 * (arXiv:1712.05877) section 2.1. ONNX divides by scale where this multiplies by its inverse: where x / scale
 * lies within a rounding error of a half, q differs by one.
 */
#ifndef FM_KERNELS_GRID_H
#define FM_KERNELS_GRID_H

#include "lib/kernels/kernels.h"

struct fm_grid {
	float scale, inverse; /* inverse = 1 / scale */
	float low, high;      /* integers, -255..255, low <= 0 <= high, high - low <= 255 */
};

/*
 * What follows a sum, in this order, each only where it is there:
 *   v = snap(v); v = v + residual; v = activation(v); v = snap(v).
 */
struct fm_grid_chain {
	const struct fm_grid *first, *last; /* or NULL */
	const float *residual;              /* [m][stride] or NULL; may be the output itself */
	enum fm_activation activation;
	const float *slope; /* [n], FM_ACT_PRELU only */
	float clip_low, clip_high;
};

struct fm_grid_kernels {
	/* m rows of n, rows `stride` apart, in place. */
	void (*chain_f32)(float *x, size_t stride, size_t m, size_t n, const struct fm_grid_chain *chain);

	/* q [m][k_padded] = steps(a) - low, as quantize_rows lays it out; quant[m] says so. */
	void (*quantize_f32)(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
	        size_t m, size_t k, size_t k_padded, const struct fm_grid *grid);
};

/* Never NULL: an ISA without kernels of its own gets those of a narrower one. */
const struct fm_grid_kernels *fm_grid_kernels_for(enum fm_isa isa);

#endif
