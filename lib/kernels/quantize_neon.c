/*
 * Two passes over blocks of rows. The first finds the ranges of four rows at a time, so that they share the
 * reductions across lanes and the divisions; the second quantizes.
 */
#include "lib/kernels/quantize.h"
#include "lib/kernels/vec4.h"

#include "lib/base/banned.h"

#define LANES FM_LANES_VEC4
#define ROWS  4
#define BLOCK 16 /* a multiple of ROWS, few enough to stay in the first cache for the second pass */

/* Widens each row's range by its next vector, of `lanes` elements: past the end it is 0, which is in every
 * range. */
FM_INLINE void widen(float32x4_t low[ROWS], float32x4_t high[ROWS], const float *a, size_t a_stride,
        const size_t index[ROWS], size_t lanes)
{
	FM_UNROLL
	for (size_t r = 0; r < ROWS; r++) {
		float32x4_t x = fm_load_vec4(a + index[r] * a_stride, lanes);
		low[r] = vminq_f32(low[r], x);
		high[r] = vmaxq_f32(high[r], x);
	}
}

/* Scale, its inverse and zero point of the next ROWS rows, or of the `m` that are left. */
FM_INLINE void find_ranges(
        float *inverse, struct fm_row_quant *quant, const float *a, size_t a_stride, size_t m, size_t k)
{
	size_t index[ROWS], t;
	float32x4_t low[ROWS], high[ROWS];

	FM_UNROLL
	for (size_t r = 0; r < ROWS; r++) {
		index[r] = r < m ? r : m - 1;
		low[r] = high[r] = vdupq_n_f32(0.0f);
	}
	for (t = 0; t + LANES <= k; t += LANES)
		widen(low, high, a + t, a_stride, index, LANES);
	if (t < k)
		widen(low, high, a + t, a_stride, index, k - t);
	/* Lane r of the result: the lowest of vector r; vpmin takes neighbours. */
	float32x4_t lows = vpminq_f32(vpminq_f32(low[0], low[1]), vpminq_f32(low[2], low[3]));
	float32x4_t highs = vpmaxq_f32(vpmaxq_f32(high[0], high[1]), vpmaxq_f32(high[2], high[3]));

	float32x4_t range = vsubq_f32(highs, lows);
	uint32x4_t flat = vcltq_f32(range, vdupq_n_f32(FM_QUANT_RANGE_MIN));
	float32x4_t one = vdupq_n_f32(1.0f);
	float32x4_t scale = vbslq_f32(flat, one, vdivq_f32(range, vdupq_n_f32(255.0f)));
	int32x4_t zero = vcvtnq_s32_f32(vdivq_f32(vnegq_f32(lows), scale));
	zero = vminq_s32(vmaxq_s32(zero, vdupq_n_s32(0)), vdupq_n_s32(255));
	vst1q_f32(inverse, vdivq_f32(one, scale));

	float scales[ROWS];
	int32_t zeros[ROWS];
	vst1q_f32(scales, scale);
	vst1q_s32(zeros, zero);
	for (size_t r = 0; r < ROWS && r < m; r++)
		quant[r] = (struct fm_row_quant){.scale = scales[r], .zero = zeros[r]};
}

FM_INLINE int32x4_t round_to_s32(float32x4_t x, float32x4_t inverse, int32x4_t zero)
{
	return vaddq_s32(vcvtnq_s32_f32(vmulq_f32(x, inverse)), zero);
}

FM_INLINE void quantize_row(
        uint8_t *codes, const float *row, size_t k, size_t k_padded, float inverse_scale, int32_t zero_point)
{
	const float32x4_t inverse = vdupq_n_f32(inverse_scale);
	const int32x4_t zero = vdupq_n_s32(zero_point);
	size_t t = 0;

	for (; t + 16 <= k; t += 16) {
		int32x4_t s0 = round_to_s32(vld1q_f32(row + t), inverse, zero);
		int32x4_t s1 = round_to_s32(vld1q_f32(row + t + 4), inverse, zero);
		int32x4_t s2 = round_to_s32(vld1q_f32(row + t + 8), inverse, zero);
		int32x4_t s3 = round_to_s32(vld1q_f32(row + t + 12), inverse, zero);
		uint8x8_t low = vqmovun_s16(vcombine_s16(vqmovn_s32(s0), vqmovn_s32(s1)));
		uint8x8_t high = vqmovun_s16(vcombine_s16(vqmovn_s32(s2), vqmovn_s32(s3)));
		vst1q_u8(codes + t, vcombine_u8(low, high));
	}
	for (; t < k; t += LANES) {
		size_t count = k - t < LANES ? k - t : LANES;
		int16x4_t words = vqmovn_s32(round_to_s32(fm_load_vec4(row + t, count), inverse, zero));
		uint32_t four =
		        vget_lane_u32(vreinterpret_u32_u8(vqmovun_s16(vcombine_s16(words, words))), 0);
		memcpy(codes + t, &four, count);
	}
	if (k < k_padded)
		memset(codes + k, 0, k_padded - k);
}

void fm_quantize_rows_neon(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride, size_t m,
        size_t k, size_t k_padded, bool nonnegative)
{
	(void)nonnegative;
	for (size_t i = 0; i < m; i += BLOCK) {
		size_t rows = m - i < BLOCK ? m - i : BLOCK;
		float inverse[BLOCK];

		for (size_t r = 0; r < rows; r += ROWS)
			find_ranges(
			        inverse + r, quant + i + r, a + (i + r) * a_stride, a_stride, rows - r, k);
		for (size_t r = 0; r < rows; r++)
			quantize_row(q + (i + r) * k_padded, a + (i + r) * a_stride, k, k_padded, inverse[r],
			        quant[i + r].zero);
	}
}
