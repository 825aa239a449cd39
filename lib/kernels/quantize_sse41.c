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
FM_INLINE void widen(__m128 low[ROWS], __m128 high[ROWS], const float *a, size_t a_stride,
        const size_t index[ROWS], size_t lanes)
{
	FM_UNROLL
	for (size_t r = 0; r < ROWS; r++) {
		__m128 x = fm_load_vec4(a + index[r] * a_stride, lanes);
		low[r] = _mm_min_ps(low[r], x);
		high[r] = _mm_max_ps(high[r], x);
	}
}

/* Scale, its inverse and zero point of the next ROWS rows, or of the `m` that are left. */
FM_INLINE void find_ranges(
        float *inverse, struct fm_row_quant *quant, const float *a, size_t a_stride, size_t m, size_t k)
{
	size_t index[ROWS], t;
	__m128 low[ROWS], high[ROWS];

	FM_UNROLL
	for (size_t r = 0; r < ROWS; r++) {
		index[r] = r < m ? r : m - 1;
		low[r] = high[r] = _mm_setzero_ps();
	}
	for (t = 0; t + LANES <= k; t += LANES)
		widen(low, high, a + t, a_stride, index, LANES);
	if (t < k)
		widen(low, high, a + t, a_stride, index, k - t);
	_MM_TRANSPOSE4_PS(low[0], low[1], low[2], low[3]);
	_MM_TRANSPOSE4_PS(high[0], high[1], high[2], high[3]);
	__m128 lows = _mm_min_ps(_mm_min_ps(low[0], low[1]), _mm_min_ps(low[2], low[3]));
	__m128 highs = _mm_max_ps(_mm_max_ps(high[0], high[1]), _mm_max_ps(high[2], high[3]));

	__m128 range = _mm_sub_ps(highs, lows);
	__m128 flat = _mm_cmplt_ps(range, _mm_set1_ps(FM_QUANT_RANGE_MIN));
	__m128 scale = _mm_blendv_ps(_mm_div_ps(range, _mm_set1_ps(255.0f)), _mm_set1_ps(1.0f), flat);
	__m128 negated = _mm_xor_ps(lows, _mm_set1_ps(-0.0f));
	__m128i zero = _mm_cvtps_epi32(_mm_div_ps(negated, scale));
	zero = _mm_min_epi32(_mm_max_epi32(zero, _mm_setzero_si128()), _mm_set1_epi32(255));
	_mm_storeu_ps(inverse, _mm_div_ps(_mm_set1_ps(1.0f), scale));

	float scales[ROWS];
	int32_t zeros[ROWS];
	_mm_storeu_ps(scales, scale);
	_mm_storeu_si128((__m128i *)zeros, zero);
	for (size_t r = 0; r < ROWS && r < m; r++)
		quant[r] = (struct fm_row_quant){.scale = scales[r], .zero = zeros[r]};
}

FM_INLINE __m128i round_to_s32(__m128 x, __m128 inverse, __m128i zero)
{
	return _mm_add_epi32(_mm_cvtps_epi32(_mm_mul_ps(x, inverse)), zero);
}

FM_INLINE void quantize_row(
        uint8_t *codes, const float *row, size_t k, size_t k_padded, float inverse_scale, int32_t zero_point)
{
	const __m128 inverse = _mm_set1_ps(inverse_scale);
	const __m128i zero = _mm_set1_epi32(zero_point);
	size_t t = 0;

	for (; t + 16 <= k; t += 16) {
		__m128i s0 = round_to_s32(_mm_loadu_ps(row + t), inverse, zero);
		__m128i s1 = round_to_s32(_mm_loadu_ps(row + t + 4), inverse, zero);
		__m128i s2 = round_to_s32(_mm_loadu_ps(row + t + 8), inverse, zero);
		__m128i s3 = round_to_s32(_mm_loadu_ps(row + t + 12), inverse, zero);
		__m128i bytes = _mm_packus_epi16(_mm_packs_epi32(s0, s1), _mm_packs_epi32(s2, s3));
		_mm_storeu_si128((__m128i *)(codes + t), bytes);
	}
	for (; t < k; t += LANES) {
		size_t count = k - t < LANES ? k - t : LANES;
		__m128i words = round_to_s32(fm_load_vec4(row + t, count), inverse, zero);
		words = _mm_packs_epi32(words, words);
		int32_t four = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
		memcpy(codes + t, &four, count);
	}
	if (k < k_padded)
		memset(codes + k, 0, k_padded - k);
}

void fm_quantize_rows_sse41(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride, size_t m,
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
