/*
 * Two passes over blocks of rows. The first finds the ranges of sixteen rows, so that they share the
 * reductions across lanes and the divisions; the second, in which nothing waits for these any more,
 * quantizes.
 */
#include "lib/kernels/epilogue_avx512.h"
#include "lib/kernels/quantize.h"

#include <string.h>

#include "lib/base/banned.h"

#define LANES FM_LANES_AVX512
#define BLOCK 16   /* rows whose ranges are one vector; they stay in the first cache for the second pass */
#define AHEAD 1024 /* floats: what is fetched into the first cache while long rows are quantized */

/*
 * Ranges are found among the bits: the largest as signed numbers is the largest float where one is positive,
 * the largest as unsigned ones the lowest float where one is negative. What else they are counts as 0. Unlike
 * minimum and maximum of floats, these leave the multiplying ports to the second pass.
 */
FM_INLINE __m512i larger(__m512i a, __m512i b, bool is_signed)
{
	return is_signed ? _mm512_max_epi32(a, b) : _mm512_max_epu32(a, b);
}

/* Of four vectors, to four times [a b c d], each of four other elements. */
FM_INLINE __m512i largest_of_four(const __m512i v[4], bool is_signed)
{
	__m512i ab = larger(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]), is_signed);
	__m512i cd = larger(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]), is_signed);
	return larger(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd), is_signed);
}

/* Of four such vectors, the sixteen in order. */
FM_INLINE __m512i largest_of_sixteen(const __m512i v[4], bool is_signed)
{
	__m512i front = larger(_mm512_shuffle_i32x4(v[0], v[1], _MM_SHUFFLE(1, 0, 1, 0)),
	        _mm512_shuffle_i32x4(v[0], v[1], _MM_SHUFFLE(3, 2, 3, 2)), is_signed);
	__m512i back = larger(_mm512_shuffle_i32x4(v[2], v[3], _MM_SHUFFLE(1, 0, 1, 0)),
	        _mm512_shuffle_i32x4(v[2], v[3], _MM_SHUFFLE(3, 2, 3, 2)), is_signed);
	return larger(_mm512_shuffle_i32x4(front, back, _MM_SHUFFLE(2, 0, 2, 0)),
	        _mm512_shuffle_i32x4(front, back, _MM_SHUFFLE(3, 1, 3, 1)), is_signed);
}

/*
 * What four rows from `first` on span; past the last row it is that row again. Without negative values
 * *ret_low stays as it is.
 */
FM_INLINE void span_four(__m512i *ret_low, __m512i *ret_high, const float *a, size_t a_stride, size_t first,
        size_t last, size_t k, bool nonnegative)
{
	const float *row[4];
	__m512i low[4], high[4];

	FM_UNROLL
	for (size_t r = 0; r < 4; r++) {
		row[r] = a + (first + r < last ? first + r : last) * a_stride;
		low[r] = high[r] = _mm512_castps_si512(fm_load_avx512(row[r], k));
	}
	/* The last vector overlaps its neighbour, which changes no range. */
	for (size_t t = LANES; t < k; t += LANES) {
		const size_t at = t + LANES <= k ? t : k - LANES;

		FM_UNROLL
		for (size_t r = 0; r < 4; r++) {
			__m512i x = _mm512_loadu_si512(row[r] + at);
			if (!nonnegative)
				low[r] = larger(low[r], x, false);
			high[r] = larger(high[r], x, true);
		}
	}
	if (!nonnegative)
		*ret_low = largest_of_four(low, false);
	*ret_high = largest_of_four(high, true);
}

/* What rows are quantized by: loaded where it is used, so that a zero point that nobody adds is not loaded.
 */
struct grids {
	float inverse[BLOCK];
	int32_t zero[BLOCK];
};

/* Scale, its inverse and zero point of `rows` rows, which are at most BLOCK. */
FM_INLINE void find_ranges(struct grids *grids, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t rows, size_t k, bool nonnegative)
{
	const __m512i pairs = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
	__m512i low[4], high[4], zero = _mm512_setzero_si512();
	__m512 lows = _mm512_setzero_ps();

	FM_UNROLL
	for (size_t f = 0; f < 4; f++)
		span_four(&low[f], &high[f], a, a_stride, 4 * f, rows - 1, k, nonnegative);
	__m512 highs = _mm512_castsi512_ps(largest_of_sixteen(high, true));
	highs = _mm512_max_ps(highs, _mm512_setzero_ps());
	if (!nonnegative)
		lows = _mm512_min_ps(_mm512_castsi512_ps(largest_of_sixteen(low, false)), lows);
	__m512 range = nonnegative ? highs : _mm512_sub_ps(highs, lows);
	__mmask16 flat = _mm512_cmp_ps_mask(range, _mm512_set1_ps(FM_QUANT_RANGE_MIN), _CMP_LT_OS);
	__m512 one = _mm512_set1_ps(1.0f);
	__m512 scale = _mm512_mask_mov_ps(_mm512_div_ps(range, _mm512_set1_ps(255.0f)), flat, one);
	if (!nonnegative) {
		__m512 negated = _mm512_xor_ps(lows, _mm512_set1_ps(-0.0f));
		__m512i rounded = _mm512_cvtps_epi32(_mm512_div_ps(negated, scale));
		zero = _mm512_min_epi32(_mm512_max_epi32(rounded, zero), _mm512_set1_epi32(255));
	}
	_mm512_storeu_ps(grids->inverse, _mm512_div_ps(one, scale));
	if (!nonnegative)
		_mm512_storeu_si512(grids->zero, zero);

	struct fm_row_quant quants[BLOCK];
	struct fm_row_quant *to = rows == BLOCK ? quant : quants;
	__m512i scales = _mm512_castps_si512(scale);
	_mm512_storeu_si512(to, _mm512_permutex2var_epi32(scales, pairs, zero));
	_mm512_storeu_si512(to + BLOCK / 2,
	        _mm512_permutex2var_epi32(scales, _mm512_add_epi32(pairs, _mm512_set1_epi32(8)), zero));
	if (rows < BLOCK)
		memcpy(quant, quants, rows * sizeof(*quant));
}

/* A constant without negative values, so that nobody adds it. */
FM_INLINE __m512i zero_point(const struct grids *grids, size_t row, bool nonnegative)
{
	return nonnegative ? _mm512_setzero_si512() : _mm512_set1_epi32(grids->zero[row]);
}

FM_INLINE __m512i round_to_s32(__m512 x, __m512 inverse, __m512i zero)
{
	return _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(x, inverse)), zero);
}

FM_INLINE void quantize_vector(uint8_t *codes, const float *from, size_t count, __m512 inverse, __m512i zero)
{
	__m512i s = round_to_s32(fm_load_avx512(from, count), inverse, zero);
	__m128i bytes = _mm512_cvtusepi32_epi8(_mm512_max_epi32(s, _mm512_setzero_si512()));

	if (count >= LANES)
		_mm_storeu_si128((__m128i *)codes, bytes);
	else
		_mm_mask_storeu_epi8(codes, fm_mask_avx512(count), bytes);
}

/* Sixty-four codes, from four vectors, each with its own row's inverse and zero point or with the same. */
FM_INLINE void store_codes(uint8_t *codes, __m512i s0, __m512i s1, __m512i s2, __m512i s3)
{
	/* vpackssdw and vpackuswb work within 128-bit lanes; this puts the sixteen groups of four in order.
	 */
	const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
	__m512i bytes = _mm512_packus_epi16(_mm512_packs_epi32(s0, s1), _mm512_packs_epi32(s2, s3));

	_mm512_storeu_si512(codes, _mm512_permutexvar_epi32(order, bytes));
}

FM_INLINE void quantize_row(uint8_t *codes, const float *from, size_t k, size_t k_padded,
        const struct grids *grids, size_t row, bool nonnegative)
{
	const __m512 inverse = _mm512_set1_ps(grids->inverse[row]);
	const __m512i zero = zero_point(grids, row, nonnegative);
	const uint32_t padding = 0;
	size_t t = 0;

	/* A matrix product asks for less than four; a constant size is one store, not a call. */
	if (k < k_padded && k_padded < k + sizeof(padding) && k_padded >= sizeof(padding))
		memcpy(codes + k_padded - sizeof(padding), &padding, sizeof(padding));
	else if (k < k_padded)
		memset(codes + k, 0, k_padded - k);
	for (; t + 64 <= k; t += 64) {
		__m512i s0 = round_to_s32(_mm512_loadu_ps(from + t), inverse, zero);
		__m512i s1 = round_to_s32(_mm512_loadu_ps(from + t + 16), inverse, zero);
		__m512i s2 = round_to_s32(_mm512_loadu_ps(from + t + 32), inverse, zero);
		__m512i s3 = round_to_s32(_mm512_loadu_ps(from + t + 48), inverse, zero);
		store_codes(codes + t, s0, s1, s2, s3);
		FM_UNROLL
		for (size_t v = 0; v < 4; v++)
			__builtin_prefetch(from + t + v * LANES + AHEAD);
	}
	for (; t + LANES <= k; t += LANES)
		quantize_vector(codes + t, from + t, LANES, inverse, zero);
	/* The last vector overlaps its neighbour: the same codes once more, but no mask. */
	if (t < k && k >= LANES)
		quantize_vector(codes + k - LANES, from + k - LANES, LANES, inverse, zero);
	else if (t < k)
		quantize_vector(codes, from, k, inverse, zero);
}

/*
 * The rows of a block whose k is 16 or 32, without padding: as many as fill a store of 64 codes. Returns how
 * many it did.
 */
FM_INLINE size_t quantize_short_rows(uint8_t *q, const float *a, size_t a_stride, size_t rows, size_t k,
        const struct grids *grids, bool nonnegative)
{
	const size_t vectors = k / LANES, step = 4 / vectors;
	size_t row = 0;

	for (; row + step <= rows; row += step) {
		__m512i s[4];

		FM_UNROLL
		for (size_t v = 0; v < 4; v++) {
			const size_t r = row + v / vectors;
			s[v] = round_to_s32(_mm512_loadu_ps(a + r * a_stride + v % vectors * LANES),
			        _mm512_set1_ps(grids->inverse[r]), zero_point(grids, r, nonnegative));
		}
		store_codes(q + row * k, s[0], s[1], s[2], s[3]);
	}
	return row;
}

/* At most BLOCK rows. */
FM_INLINE void quantize_block(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t rows, size_t k, size_t k_padded, bool is_short, bool nonnegative)
{
	struct grids grids;
	size_t row = 0;

	find_ranges(&grids, quant, a, a_stride, rows, k, nonnegative);
	if (is_short)
		row = quantize_short_rows(q, a, a_stride, rows, k, &grids, nonnegative);
	for (; row < rows; row++)
		quantize_row(q + row * k_padded, a + row * a_stride, k, k_padded, &grids, row, nonnegative);
}

FM_INLINE void quantize_rows(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t m, size_t k, size_t k_padded, bool is_short, bool nonnegative)
{
	size_t i = 0;

	for (; i + BLOCK <= m; i += BLOCK)
		quantize_block(q + i * k_padded, quant + i, a + i * a_stride, a_stride, BLOCK, k, k_padded,
		        is_short, nonnegative);
	if (i < m)
		quantize_block(q + i * k_padded, quant + i, a + i * a_stride, a_stride, m - i, k, k_padded,
		        is_short, nonnegative);
}

/*
 * Rows of 16 or 32 terms without negative values: a block's ranges are found before the block in front of it
 * is quantized, which hides their divisions. It pays where little else is done in a block.
 */
FM_INLINE void quantize_short_nonnegative(
        uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride, size_t m, size_t k)
{
	const size_t whole = m / BLOCK * BLOCK;
	struct grids grids[2];

	if (whole)
		find_ranges(&grids[0], quant, a, a_stride, BLOCK, k, true);
	for (size_t i = 0, at = 0; i < whole; i += BLOCK, at = !at) {
		if (i + BLOCK < whole)
			find_ranges(&grids[!at], quant + i + BLOCK, a + (i + BLOCK) * a_stride, a_stride,
			        BLOCK, k, true);
		quantize_short_rows(q + i * k, a + i * a_stride, a_stride, BLOCK, k, &grids[at], true);
	}
	if (whole < m)
		quantize_block(q + whole * k, quant + whole, a + whole * a_stride, a_stride, m - whole, k, k,
		        true, true);
}

static __attribute__((noinline)) void quantize_16_nonnegative(
        uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride, size_t m)
{
	quantize_short_nonnegative(q, quant, a, a_stride, m, 16);
}

static __attribute__((noinline)) void quantize_32_nonnegative(
        uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride, size_t m)
{
	quantize_short_nonnegative(q, quant, a, a_stride, m, 32);
}

void fm_quantize_rows_avx512vnni(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t m, size_t k, size_t k_padded, bool nonnegative)
{
	const size_t whole = k == k_padded ? k : 0;

	if (whole == 16 && nonnegative)
		quantize_16_nonnegative(q, quant, a, a_stride, m);
	else if (whole == 32 && nonnegative)
		quantize_32_nonnegative(q, quant, a, a_stride, m);
	else if (nonnegative)
		quantize_rows(q, quant, a, a_stride, m, k, k_padded, false, true);
	else if (whole == 16)
		quantize_rows(q, quant, a, a_stride, m, 16, 16, true, false);
	else if (whole == 32)
		quantize_rows(q, quant, a, a_stride, m, 32, 32, true, false);
	else
		quantize_rows(q, quant, a, a_stride, m, k, k_padded, false, false);
}
