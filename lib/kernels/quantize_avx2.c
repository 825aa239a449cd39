/*
 * Two passes over blocks of rows. The first finds the ranges of eight rows at a time, so that they share the
 * reductions across lanes and the divisions; the second, in which nothing waits for these any more,
 * quantizes.
 */
#include "lib/kernels/epilogue_avx2.h"
#include "lib/kernels/quantize.h"

#include <string.h>

#include "lib/base/banned.h"

#define LANES FM_LANES_AVX2
#define ROWS  8  /* whose ranges are one vector */
#define BLOCK 16 /* a multiple of ROWS, few enough to stay in the first cache for the second pass */

/* Of four vectors, to twice [a b c d], each of four other elements. */
FM_INLINE __m256 lowest_of_four(const __m256 v[4])
{
	__m256 ab = _mm256_min_ps(_mm256_shuffle_ps(v[0], v[1], _MM_SHUFFLE(1, 0, 1, 0)),
	        _mm256_shuffle_ps(v[0], v[1], _MM_SHUFFLE(3, 2, 3, 2)));
	__m256 cd = _mm256_min_ps(_mm256_shuffle_ps(v[2], v[3], _MM_SHUFFLE(1, 0, 1, 0)),
	        _mm256_shuffle_ps(v[2], v[3], _MM_SHUFFLE(3, 2, 3, 2)));
	return _mm256_min_ps(_mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(2, 0, 2, 0)),
	        _mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 1, 3, 1)));
}

FM_INLINE __m256 highest_of_four(const __m256 v[4])
{
	__m256 ab = _mm256_max_ps(_mm256_shuffle_ps(v[0], v[1], _MM_SHUFFLE(1, 0, 1, 0)),
	        _mm256_shuffle_ps(v[0], v[1], _MM_SHUFFLE(3, 2, 3, 2)));
	__m256 cd = _mm256_max_ps(_mm256_shuffle_ps(v[2], v[3], _MM_SHUFFLE(1, 0, 1, 0)),
	        _mm256_shuffle_ps(v[2], v[3], _MM_SHUFFLE(3, 2, 3, 2)));
	return _mm256_max_ps(_mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(2, 0, 2, 0)),
	        _mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 1, 3, 1)));
}

/* What four rows from `first` on span; past the last row it is that row again. */
FM_INLINE void span_four(__m256 *ret_low, __m256 *ret_high, const float *a, size_t a_stride, size_t first,
        size_t last, size_t k)
{
	const float *row[4];
	__m256 low[4], high[4];

	FM_UNROLL
	for (size_t r = 0; r < 4; r++) {
		row[r] = a + (first + r < last ? first + r : last) * a_stride;
		low[r] = high[r] = fm_load_avx2(row[r], k);
	}
	/* The last vector overlaps its neighbour, which changes no range. */
	for (size_t t = LANES; t < k; t += LANES) {
		const size_t at = t + LANES <= k ? t : k - LANES;

		FM_UNROLL
		for (size_t r = 0; r < 4; r++) {
			__m256 x = _mm256_loadu_ps(row[r] + at);
			low[r] = _mm256_min_ps(low[r], x);
			high[r] = _mm256_max_ps(high[r], x);
		}
	}
	*ret_low = lowest_of_four(low);
	*ret_high = highest_of_four(high);
}

/* Scale, its inverse and zero point of `rows` rows, which are at most ROWS. */
FM_INLINE void find_ranges(float inverse[ROWS], int32_t zeros[ROWS], struct fm_row_quant *quant,
        const float *a, size_t a_stride, size_t rows, size_t k)
{
	__m256 low[2], high[2];

	FM_UNROLL
	for (size_t f = 0; f < 2; f++)
		span_four(&low[f], &high[f], a, a_stride, 4 * f, rows - 1, k);
	__m256 lows = _mm256_min_ps(
	        _mm256_permute2f128_ps(low[0], low[1], 0x20), _mm256_permute2f128_ps(low[0], low[1], 0x31));
	__m256 highs = _mm256_max_ps(_mm256_permute2f128_ps(high[0], high[1], 0x20),
	        _mm256_permute2f128_ps(high[0], high[1], 0x31));
	lows = _mm256_min_ps(lows, _mm256_setzero_ps());
	highs = _mm256_max_ps(highs, _mm256_setzero_ps());
	__m256 range = _mm256_sub_ps(highs, lows);
	__m256 flat = _mm256_cmp_ps(range, _mm256_set1_ps(FM_QUANT_RANGE_MIN), _CMP_LT_OS);
	__m256 one = _mm256_set1_ps(1.0f);
	__m256 scale = _mm256_blendv_ps(_mm256_div_ps(range, _mm256_set1_ps(255.0f)), one, flat);
	__m256 negated = _mm256_xor_ps(lows, _mm256_set1_ps(-0.0f));
	__m256i zero = _mm256_cvtps_epi32(_mm256_div_ps(negated, scale));
	zero = _mm256_min_epi32(_mm256_max_epi32(zero, _mm256_setzero_si256()), _mm256_set1_epi32(255));
	_mm256_storeu_ps(inverse, _mm256_div_ps(one, scale));
	_mm256_storeu_si256((__m256i *)zeros, zero);

	/* Pairs of scale and zero: rows 0 1 4 5 and 2 3 6 7, then in order. */
	struct fm_row_quant quants[ROWS];
	struct fm_row_quant *to = rows == ROWS ? quant : quants;
	__m256i scales = _mm256_castps_si256(scale);
	__m256i even = _mm256_unpacklo_epi32(scales, zero), odd = _mm256_unpackhi_epi32(scales, zero);
	_mm256_storeu_si256((__m256i *)to, _mm256_permute2x128_si256(even, odd, 0x20));
	_mm256_storeu_si256((__m256i *)(to + ROWS / 2), _mm256_permute2x128_si256(even, odd, 0x31));
	if (rows < ROWS)
		memcpy(quant, quants, rows * sizeof(*quant));
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

FM_INLINE void store_codes(uint8_t *codes, __m256i s0, __m256i s1, __m256i s2, __m256i s3)
{
	/* vpackssdw and vpackuswb work within 128-bit lanes; this puts the eight groups of four in order. */
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	__m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(s0, s1), _mm256_packs_epi32(s2, s3));

	_mm256_storeu_si256((__m256i *)codes, _mm256_permutevar8x32_epi32(bytes, order));
}

FM_INLINE void quantize_row(
        uint8_t *codes, const float *row, size_t k, size_t k_padded, float inverse_scale, int32_t zero_point)
{
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
		store_codes(codes + t, s0, s1, s2, s3);
	}
	for (; t + LANES <= k; t += LANES)
		quantize_vector(codes + t, row + t, LANES, inverse, zero);
	/* The last vector overlaps its neighbour: the same codes once more, but no mask and no call. */
	if (t < k && k >= LANES)
		quantize_vector(codes + k - LANES, row + k - LANES, LANES, inverse, zero);
	else if (t < k)
		quantize_vector(codes, row, k, inverse, zero);
}

/* Two rows of sixteen terms, without padding. */
FM_INLINE void quantize_two_rows(
        uint8_t *codes, const float *a, size_t a_stride, const float inverse[2], const int32_t zeros[2])
{
	__m256 inverse0 = _mm256_set1_ps(inverse[0]), inverse1 = _mm256_set1_ps(inverse[1]);
	__m256i zero0 = _mm256_set1_epi32(zeros[0]), zero1 = _mm256_set1_epi32(zeros[1]);

	store_codes(codes, round_to_s32(_mm256_loadu_ps(a), inverse0, zero0),
	        round_to_s32(_mm256_loadu_ps(a + LANES), inverse0, zero0),
	        round_to_s32(_mm256_loadu_ps(a + a_stride), inverse1, zero1),
	        round_to_s32(_mm256_loadu_ps(a + a_stride + LANES), inverse1, zero1));
}

FM_INLINE void quantize_rows(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t m, size_t k, size_t k_padded, bool is_short)
{
	for (size_t i = 0; i < m; i += BLOCK) {
		size_t rows = m - i < BLOCK ? m - i : BLOCK, row = 0;
		const float *from = a + i * a_stride;
		uint8_t *to = q + i * k_padded;
		float inverse[BLOCK];
		int32_t zeros[BLOCK];

		for (size_t r = 0; r < rows; r += ROWS)
			find_ranges(inverse + r, zeros + r, quant + i + r, from + r * a_stride, a_stride,
			        rows - r < ROWS ? rows - r : ROWS, k);
		for (; is_short && row + 2 <= rows; row += 2)
			quantize_two_rows(
			        to + row * k, from + row * a_stride, a_stride, inverse + row, zeros + row);
		for (; row < rows; row++)
			quantize_row(to + row * k_padded, from + row * a_stride, k, k_padded, inverse[row],
			        zeros[row]);
	}
}

void fm_quantize_rows_avx2(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride, size_t m,
        size_t k, size_t k_padded, bool nonnegative)
{
	(void)nonnegative;
	if (k == 16 && k_padded == 16)
		quantize_rows(q, quant, a, a_stride, m, 16, 16, true);
	else
		quantize_rows(q, quant, a, a_stride, m, k, k_padded, false);
}
