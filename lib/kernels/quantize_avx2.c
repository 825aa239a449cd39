/*
 * Two passes over blocks of rows. The first finds the ranges of four rows at a time, so that they share the
 * reductions across lanes and the divisions; the second, in which nothing waits for these any more,
 * quantizes.
 */
#include "lib/kernels/epilogue_avx2.h"
#include "lib/kernels/quantize.h"

#include <string.h>

#include "lib/base/banned.h"

#define LANES FM_LANES_AVX2
#define ROWS  4
#define BLOCK 16 /* a multiple of ROWS, few enough to stay in the first cache for the second pass */

/* Lanes [a b c d] of the result: the lowest of each vector. */
FM_INLINE __m128 lowest(__m256 a, __m256 b, __m256 c, __m256 d)
{
	__m256 ab = _mm256_min_ps(_mm256_shuffle_ps(a, b, _MM_SHUFFLE(1, 0, 1, 0)),
	        _mm256_shuffle_ps(a, b, _MM_SHUFFLE(3, 2, 3, 2)));
	__m256 cd = _mm256_min_ps(_mm256_shuffle_ps(c, d, _MM_SHUFFLE(1, 0, 1, 0)),
	        _mm256_shuffle_ps(c, d, _MM_SHUFFLE(3, 2, 3, 2)));
	__m256 all = _mm256_min_ps(_mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(2, 0, 2, 0)),
	        _mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 1, 3, 1)));
	return _mm_min_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

FM_INLINE __m128 highest(__m256 a, __m256 b, __m256 c, __m256 d)
{
	__m256 ab = _mm256_max_ps(_mm256_shuffle_ps(a, b, _MM_SHUFFLE(1, 0, 1, 0)),
	        _mm256_shuffle_ps(a, b, _MM_SHUFFLE(3, 2, 3, 2)));
	__m256 cd = _mm256_max_ps(_mm256_shuffle_ps(c, d, _MM_SHUFFLE(1, 0, 1, 0)),
	        _mm256_shuffle_ps(c, d, _MM_SHUFFLE(3, 2, 3, 2)));
	__m256 all = _mm256_max_ps(_mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(2, 0, 2, 0)),
	        _mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 1, 3, 1)));
	return _mm_max_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

/* Widens each row's range by its next vector, of `lanes` elements: past the end it is 0, which is in every
 * range. */
FM_INLINE void widen(__m256 low[ROWS], __m256 high[ROWS], const float *a, size_t a_stride,
        const size_t index[ROWS], size_t lanes)
{
	FM_UNROLL
	for (size_t r = 0; r < ROWS; r++) {
		__m256 x = fm_load_avx2(a + index[r] * a_stride, lanes);
		low[r] = _mm256_min_ps(low[r], x);
		high[r] = _mm256_max_ps(high[r], x);
	}
}

FM_INLINE __m256i round_to_s32(__m256 x, __m256 inverse, __m256i zero)
{
	return _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_mul_ps(x, inverse)), zero);
}

FM_INLINE void quantize_vector(uint8_t *codes, const float *from, size_t count, __m256 inverse, __m256i zero)
{
	__m256i s = round_to_s32(fm_load_avx2(from, count), inverse, zero);
	__m128i words = _mm_packs_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
	int64_t eight = _mm_cvtsi128_si64(_mm_packus_epi16(words, words));

	memcpy(codes, &eight, count);
}

FM_INLINE void quantize_row(
        uint8_t *codes, const float *row, size_t k, size_t k_padded, float inverse_scale, int32_t zero_point)
{
	/* vpackssdw and vpackuswb work within 128-bit lanes; this puts the eight groups of four in order. */
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	const __m256 inverse = _mm256_set1_ps(inverse_scale);
	const __m256i zero = _mm256_set1_epi32(zero_point);
	const uint32_t padding = 0;
	size_t t = 0;

	/* A matrix product asks for less than four; a constant size is one store, not a call. */
	if (k < k_padded && k_padded < k + sizeof(padding) && k_padded >= sizeof(padding))
		memcpy(codes + k_padded - sizeof(padding), &padding, sizeof(padding));
	else if (k < k_padded)
		memset(codes + k, 0, k_padded - k);
	for (; t + 32 <= k; t += 32) {
		__m256i s0 = round_to_s32(_mm256_loadu_ps(row + t), inverse, zero);
		__m256i s1 = round_to_s32(_mm256_loadu_ps(row + t + 8), inverse, zero);
		__m256i s2 = round_to_s32(_mm256_loadu_ps(row + t + 16), inverse, zero);
		__m256i s3 = round_to_s32(_mm256_loadu_ps(row + t + 24), inverse, zero);
		__m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(s0, s1), _mm256_packs_epi32(s2, s3));
		_mm256_storeu_si256((__m256i *)(codes + t), _mm256_permutevar8x32_epi32(bytes, order));
	}
	for (; t + LANES <= k; t += LANES)
		quantize_vector(codes + t, row + t, LANES, inverse, zero);
	/* The last vector overlaps its neighbour: the same codes once more, but no mask and no call. */
	if (t < k && k >= LANES)
		quantize_vector(codes + k - LANES, row + k - LANES, LANES, inverse, zero);
	else if (t < k)
		quantize_vector(codes, row, k, inverse, zero);
}

/* Scale, its inverse and zero point of the next ROWS rows, or of the `m` that are left. */
FM_INLINE void find_ranges(
        float *inverse, struct fm_row_quant *quant, const float *a, size_t a_stride, size_t m, size_t k)
{
	size_t index[ROWS], t;
	__m256 low[ROWS], high[ROWS];

	FM_UNROLL
	for (size_t r = 0; r < ROWS; r++) {
		index[r] = r < m ? r : m - 1;
		low[r] = high[r] = _mm256_setzero_ps();
	}
	for (t = 0; t + LANES <= k; t += LANES)
		widen(low, high, a + t, a_stride, index, LANES);
	if (t < k && k >= LANES)
		widen(low, high, a + k - LANES, a_stride, index, LANES);
	else if (t < k)
		widen(low, high, a, a_stride, index, k);
	__m128 lows = lowest(low[0], low[1], low[2], low[3]);
	__m128 range = _mm_sub_ps(highest(high[0], high[1], high[2], high[3]), lows);
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

void fm_quantize_rows_avx2(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride, size_t m,
        size_t k, size_t k_padded)
{
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
