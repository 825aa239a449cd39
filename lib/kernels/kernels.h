/*
 * The ISA table: for each instruction set one struct fm_kernels that binds kernels with the tiles and packers
 * they need. Every row gives the same bits as the scalar row, for every function, on every input within the
 * limits:
 *   - integer sums are exact;
 *   - float steps outside fm_gemm_f32 use separate multiply and add, in the order written here
 * (-ffp-contract=off);
 *   - fm_gemm_f32 uses one fused multiply-add per term, k ascending, one accumulator per output (fmaf in
 * scalar);
 *   - rounding is to nearest even.
 * Inputs hold no NaN. Denormals are flushed by the caller's thread (lib/cpu).
 *
 * Layout: activations are NHWC: a matrix of rows (pixels) and columns (channels); strides count elements.
 * Threads: all functions are pure; tables are constant.
 */
#ifndef FM_KERNELS_KERNELS_H
#define FM_KERNELS_KERNELS_H

#include "lib/cpu/cpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fm_activation {
	FM_ACT_NONE = 0,
	FM_ACT_RELU,  /* v > 0 ? v : 0 */
	FM_ACT_PRELU, /* v > 0 ? v : v * slope[channel] */
	FM_ACT_CLIP, /* min(max(v, low), high), where max is v > low ? v : low, and min v < high ? v : high */
};

/*
 * What happens to a sum before it is stored, in this order:
 *   v = sum (+ bias[channel] when bias)
 *   v = v + residual[row * residual_stride + channel] when residual
 *   v = activation(v)
 */
struct fm_epilogue {
	const float *bias;     /* [n] or NULL */
	const float *residual; /* [m][residual_stride] or NULL; may be the output itself */
	size_t residual_stride;
	enum fm_activation activation;
	const float *slope; /* [n], FM_ACT_PRELU only */
	float clip_low, clip_high;
};

/*
 * One row's dynamic quantization: x ~= scale * (q - zero). Range widened to hold 0, so that zero is exact:
 *   low = min(0, min x), high = max(0, max x), scale = (high - low) / 255,
 *   zero = clamp(round(-low / scale), 0, 255), q = clamp(round(x * (1 / scale)) + zero, 0, 255).
 * Every operation is one f32 operation, 1 / scale and x times it are two; round() gives an integer, and the
 * sum of two integers is clamped. Where high - low < FM_QUANT_RANGE_MIN (a row of zeros, or noise whose
 * inverse would overflow) scale is 1. Limits: x finite, and high - low too. Source: linear min-max
 * quantization, Jacob et al. 2018 (arXiv:1712.05877) section 2.1, per row at run time.
 */
#define FM_QUANT_RANGE_MIN 1e-30f

struct fm_row_quant {
	float scale;
	int32_t zero;
};

/*
 * u8 x s8 -> f32 matrix product.
 * Shapes: a [m][k_padded] u8 from quantize_rows; w packed from s8 [n][k]; out [m][out_stride] f32.
 * Units:  out[i][j] = epilogue((float)(sum_k a[i][k] * w[j][k] - zero[i] * w_sum[j]) * (scale[i] *
 * w_scale[j])) where w_sum[j] = sum_k w[j][k] is computed by the packer and kept in the packed block. Limits:
 * k <= FM_GEMM_K_MAX (the s32 sum cannot overflow), m, n >= 1; weights in -127..127.
 */
#define FM_GEMM_K_MAX 32768

struct fm_gemm_u8s8 {
	size_t k_multiple; /* k_padded = k rounded up to this; the padding of `a` must be zero bytes */
	size_t (*packed_bytes)(size_t n, size_t k);
	/* packed: 64-byte aligned, packed_bytes() long, zeroed. */
	void (*pack)(void *packed, const int8_t *weights, size_t n, size_t k);
	void (*run)(float *out, size_t out_stride, const uint8_t *a, const struct fm_row_quant *a_quant,
	        size_t m, const void *packed, const float *w_scale, size_t n, size_t k,
	        const struct fm_epilogue *epilogue);
};

/* f32 x f32 -> f32. a [m][a_stride]; weights [n][k] packed; out = epilogue(sum_k fma(a, w, sum)). */
struct fm_gemm_f32 {
	size_t (*packed_bytes)(size_t n, size_t k);
	void (*pack)(void *packed, const float *weights, size_t n, size_t k);
	void (*run)(float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
	        const void *packed, size_t n, size_t k, const struct fm_epilogue *epilogue);
};

/* Depthwise convolution (or pooling), NHWC, channel multiplier 1. Weights packed as [kernel_h *
 * kernel_w][channels]. */
struct fm_dwconv_shape {
	size_t in_h, in_w, out_h, out_w, channels;
	size_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
	size_t pad_top, pad_left; /* out_h, out_w already account for bottom and right */
};

/*
 * Sixteen faces, by five bits of each dimension, so that a vector holds the same dimensions of all and no sum
 * crosses lanes. For each 32 dimensions five lines of 64 bytes, in which byte 4 * face + t belongs to a face:
 * in line l < 4 its low nibble holds the upper four bits of dimension 8 l + t and its high nibble those of 8
 * l + 4 + t; in the fifth its bit g is the lowest bit of dimension 4 g + t.
 */
#define FM_SCAN_FACES        16
#define FM_SCAN_DIM_MULTIPLE 128
#define FM_SCAN_DIM_MAX      4096 /* sums stay below 2^24, exact in f32 */

struct fm_scan_block {
	const uint8_t *codes;   /* [dim / 32][5][64] */
	const float *scales;    /* [FM_SCAN_FACES] */
	const float *residuals; /* [FM_SCAN_FACES] */
};

/* One probe's part of the bounds. */
struct fm_scan_terms {
	float offset, scale, norm, fixed, least;
};

struct fm_kernels {
	enum fm_isa isa;

	struct fm_gemm_u8s8 gemm_u8s8;
	struct fm_gemm_f32 gemm_f32;

	/* Quantizes m rows of k floats (stride a_stride) to q [m][k_padded] (padding zeroed) and fills
	 * quant[m]. nonnegative: no value is below 0, which gives the same bits sooner. */
	void (*quantize_rows)(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
	        size_t m, size_t k, size_t k_padded, bool nonnegative);

	/*
	 * The same for the rows of a matrix that lies column by column, term t of row i being columns[t][i].
	 * A row's range is that of spans[s][i], s < span_count: the terms themselves, or fewer values that
	 * reach as far.
	 */
	void (*quantize_columns)(uint8_t *q, struct fm_row_quant *quant, const float *const *columns,
	        size_t m, size_t k, size_t k_padded, const float *const *spans, size_t span_count);

	/*
	 * low[i] = min(0, min over t of from[t * from_stride + i]), high[i] = max(0, max); t < k, i < m, a
	 * multiple of 16.
	 */
	void (*span_columns)(
	        float *low, float *high, const float *from, size_t from_stride, size_t m, size_t k);

	/*
	 * out[y][x][c] = epilogue(sum over taps, row-major, of in * w; taps in the padding are left out).
	 * The sum begins with the first product; without any tap it is -0.
	 * The epilogue's residual is indexed by output pixel.
	 */
	void (*dwconv_f32)(float *out, const float *in, const float *weights,
	        const struct fm_dwconv_shape *shape, const struct fm_epilogue *epilogue);

	/*
	 * dwconv_f32, then max_pool_f32 of 2 x 2 windows side by side, of which only the second's output is
	 * stored: out [out_h / 2][out_w / 2]. Returns false, and does nothing, for shapes and epilogues that
	 * it does not take. NULL where an ISA has no such kernel.
	 */
	bool (*dwconv_pool_f32)(float *out, const float *in, const float *weights,
	        const struct fm_dwconv_shape *shape, const struct fm_epilogue *epilogue);

	/*
	 * The largest of each channel under a window; of equals the first, row-major, padding left out. Every
	 * window holds an input; dilations are 1.
	 */
	void (*max_pool_f32)(float *out, const float *in, const struct fm_dwconv_shape *shape);

	/*
	 * For gallery search: the scan of a block, for each of `count` probes. probes [count][dim]; dim is a
	 * multiple of FM_SCAN_DIM_MULTIPLE, at most FM_SCAN_DIM_MAX; sums [count][FM_SCAN_FACES], exact;
	 * masks [count]: bit f is set where upper[f] >= least, by separate float operations in the order
	 * written: upper[f] = ((float)sum - offset) * scales[f] * scale + (residuals[f] * norm + fixed)
	 */
	void (*scan_u5s8)(int32_t *sums, uint16_t *masks, const struct fm_scan_block *block,
	        const int8_t *probes, const struct fm_scan_terms *terms, size_t count, size_t dim);

	/*
	 * Sum of value[i] * probe[i], i < dim, exact, dim as above. row holds values of three bits in dim * 3
	 * / 8 bytes: with e = dim / 8, dimension g e + i has its upper two bits in byte (g % 2) e + i at bit
	 * g / 2 * 2, and its lowest in byte 2 e + i at bit g.
	 */
	int32_t (*dot_u3s8)(const uint8_t *row, const int8_t *probe, size_t dim);

	/*
	 * Sum of a[i] * b[i] in f32 with sixteen interleaved accumulators (element i goes to lane i % 16,
	 * multiply then add), reduced as ((l0+l8)+(l4+l12))+((l2+l10)+(l6+l14)) + the same for odd lanes, in
	 * that order.
	 */
	float (*dot_f32)(const float *a, const float *b, size_t n);
};

/* The row for an ISA, or NULL where this build or machine does not have it. */
const struct fm_kernels *fm_kernels_for(enum fm_isa isa);

/* The row for fm_isa_best(). Never NULL. */
const struct fm_kernels *fm_kernels_best(void);

#endif
