/*
 * What transformer blocks compute between their matrix products: exponentials, GELU, layer normalization over
 * rows, and cross-covariance attention. float32; every ISA gives the bits of the scalar row: multiply and add
 * are separate, sums over a row have sixteen interleaved accumulators, reduced as fm_dot_f32 does. Inputs
 * hold no NaN. Threads: pure. docs/KERNELS.md.
 */
#ifndef FM_KERNELS_TRANSFORMER_H
#define FM_KERNELS_TRANSFORMER_H

#include "lib/cpu/cpu.h"

#include <stddef.h>

/*
 * Attention among channels and not among pixels: with q, k, v of one head [tokens][size],
 * out = softmax(temperature * (q / |q|)^T (k / |k|)) v^T, columns normalized over the tokens.
 * Source: El-Nouby et al. 2021 (arXiv:2106.09681), as EdgeFace uses it.
 */
struct fm_attention {
	size_t tokens, heads, size; /* channels = heads * size */
	const float *temperature;   /* [heads] */
	float norm_min;             /* lengths below count as this */
};

struct fm_transformer_kernels {
	/*
	 * out = e^x, error below 0.51 ulp, of any float: overflow gives infinity, results below the smallest
	 * normal float give 0, with denormals flushed or not, what is not a number stays. May be in place.
	 * Source: argument reduction to |r| <= ln(2)/2 and Taylor's polynomial, in double.
	 */
	void (*exp_f32)(float *out, const float *in, size_t count);

	/*
	 * out = x/2 (1 + erf(x / sqrt 2)), error below 1.2e-6 for |x| <= 5 and below 3e-7 |x| beyond. May be
	 * in place. Source: Hendrycks and Gimpel 2016 (arXiv:1606.08415); a polynomial of degree 12 in x^2,
	 * fitted by Lawson's iteration.
	 */
	void (*gelu_f32)(float *out, const float *in, size_t count);

	/*
	 * Each of m rows: out = (x - mean) / sqrt(variance + epsilon) * scale + shift, scale and shift [k].
	 * May be in place. Source: Ba et al. 2016 (arXiv:1607.06450).
	 */
	void (*layer_norm_f32)(float *out, size_t out_stride, const float *in, size_t in_stride, size_t m,
	        size_t k, const float *scale, const float *shift, float epsilon);

	/*
	 * qkv [tokens][3][heads][size], out [tokens][heads][size], heads * size >= 16. scratch:
	 * fm_attention_scratch_floats(). Exponentials have a relative error below 2e-7.
	 */
	void (*attention_f32)(
	        float *out, const float *qkv, float *scratch, const struct fm_attention *attention);
};

size_t fm_attention_scratch_floats(const struct fm_attention *attention);

/* Never NULL: an ISA without kernels of its own gets those of a narrower one. */
const struct fm_transformer_kernels *fm_transformer_kernels_for(enum fm_isa isa);

#endif
