/*
 * quantize_columns and span_columns for SSE4.1, NEON, AVX2 and AVX-512BW. A lane is a row: ranges need no
 * reduction across lanes, divisions are shared by a vector of rows, and the codes are turned around, sixteen
 * terms at a time, once they are bytes.
 */
#ifndef FM_KERNELS_COLUMNS_VECTOR_H
#define FM_KERNELS_COLUMNS_VECTOR_H

#include "lib/kernels/codes_vector.h"
#include "lib/kernels/columns.h"

#define TERMS 16 /* codes of one row that are stored at once */
#define BLOCK 4  /* vectors of rows whose divisions overlap */

/* Four terms of four rows to four rows of four terms. */
static const uint8_t turned[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};

/* The 128-bit lanes, to rows that are four apart. */
FM_INLINE void store_lanes(uint8_t *to, size_t k_padded, bytes from)
{
#if defined(__AVX512BW__)
	_mm_storeu_si128((__m128i *)to, _mm512_castsi512_si128(from));
	_mm_storeu_si128((__m128i *)(to + 4 * k_padded), _mm512_extracti32x4_epi32(from, 1));
	_mm_storeu_si128((__m128i *)(to + 8 * k_padded), _mm512_extracti32x4_epi32(from, 2));
	_mm_storeu_si128((__m128i *)(to + 12 * k_padded), _mm512_extracti32x4_epi32(from, 3));
#elif defined(__AVX2__)
	_mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(from));
	_mm_storeu_si128((__m128i *)(to + 4 * k_padded), _mm256_extracti128_si256(from, 1));
#else
	(void)k_padded;
	memcpy(to, &from, sizeof(from));
#endif
}

/* Scale and zero point of each row, one beside the other. */
FM_INLINE void store_quant(struct fm_row_quant *to, fm_vector scale, fm_vector_int zero)
{
#if defined(__AVX512BW__)
	const __m512i pairs = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
	const __m512i later = _mm512_add_epi32(pairs, _mm512_set1_epi32(8));

	_mm512_storeu_si512(to, _mm512_permutex2var_epi32((__m512i)scale, pairs, (__m512i)zero));
	_mm512_storeu_si512(to + 8, _mm512_permutex2var_epi32((__m512i)scale, later, (__m512i)zero));
#elif defined(__AVX2__)
	const __m256i low = _mm256_unpacklo_epi32((__m256i)scale, (__m256i)zero);
	const __m256i high = _mm256_unpackhi_epi32((__m256i)scale, (__m256i)zero);

	_mm256_storeu_si256((__m256i *)to, _mm256_permute2x128_si256(low, high, 0x20));
	_mm256_storeu_si256((__m256i *)(to + 4), _mm256_permute2x128_si256(low, high, 0x31));
#else
	const bytes pairs[2] = {LOW_32((bytes)scale, zero), HIGH_32((bytes)scale, zero)};

	memcpy(to, pairs, sizeof(pairs));
#endif
}

FM_INLINE fm_vector_int constant(int32_t x)
{
	return x - (fm_vector_int){0};
}

FM_INLINE fm_vector choose(fm_vector_int mask, fm_vector a, fm_vector b)
{
	return (fm_vector)((mask & (fm_vector_int)a) | (~mask & (fm_vector_int)b));
}

FM_INLINE fm_vector_int choose_int(fm_vector_int mask, fm_vector_int a, fm_vector_int b)
{
	return (mask & a) | (~mask & b);
}

/* TERMS codes of rows `i` on. */
FM_INLINE void quantize_terms(uint8_t *to, size_t k_padded, const float *const *columns, size_t i,
        fm_vector inverse, fm_vector_int zero)
{
	bytes fours[TERMS / 4];

	FM_UNROLL
	for (size_t v = 0; v < TERMS / 4; v++) {
		fm_vector_int s[4];

		FM_UNROLL
		for (size_t j = 0; j < 4; j++)
			s[j] = ROUND(fm_vector_load(columns[4 * v + j] + i) * inverse) + zero;
		fours[v] = PACK_MOVE(s, MOVES(turned));
	}
	const bytes a = LOW_32(fours[0], fours[1]), b = LOW_32(fours[2], fours[3]);
	const bytes c = HIGH_32(fours[0], fours[1]), d = HIGH_32(fours[2], fours[3]);

	store_lanes(to, k_padded, LOW_64(a, b));
	store_lanes(to + k_padded, k_padded, HIGH_64(a, b));
	store_lanes(to + 2 * k_padded, k_padded, LOW_64(c, d));
	store_lanes(to + 3 * k_padded, k_padded, HIGH_64(c, d));
}

/* What to quantize a vector of rows by. */
struct grid {
	fm_vector scale, inverse;
	fm_vector_int zero;
};

/*
 * Of rows `i` on. The largest of the bits as signed numbers is the largest float where one is positive, the
 * largest as unsigned ones the lowest float where one is negative; what else they are counts as 0. These
 * leave the multiplying ports alone.
 */
FM_INLINE struct grid find_grid(const float *const *spans, size_t i, size_t count)
{
	bytes low[2] = {0}, high[2] = {0};
	struct grid grid;
	size_t t;

	for (t = 0; t + 2 <= count; t += 2) {
		FM_UNROLL
		for (size_t j = 0; j < 2; j++) {
			const bytes x = (bytes)fm_vector_load(spans[t + j] + i);
			low[j] = MAX_U32(low[j], x);
			high[j] = MAX_S32(high[j], x);
		}
	}
	if (t < count) {
		const bytes x = (bytes)fm_vector_load(spans[t] + i);
		low[0] = MAX_U32(low[0], x);
		high[0] = MAX_S32(high[0], x);
	}
	const fm_vector lowest = fm_vector_min((fm_vector)MAX_U32(low[0], low[1]), fm_vector_all(0.0f));
	const fm_vector range = (fm_vector)MAX_S32(high[0], high[1]) - lowest, one = fm_vector_all(1.0f);

	grid.scale = choose(range < fm_vector_all(FM_QUANT_RANGE_MIN), one, range / fm_vector_all(255.0f));
	grid.inverse = one / grid.scale;
	grid.zero = ROUND(-lowest / grid.scale);
	grid.zero = choose_int(grid.zero > constant(0), grid.zero, constant(0));
	grid.zero = choose_int(grid.zero < constant(255), grid.zero, constant(255));
	return grid;
}

/* LANES rows from `i` on. */
FM_INLINE void quantize_vector(uint8_t *q, struct fm_row_quant *quant, const struct grid *grid,
        const float *const *columns, size_t i, size_t k, size_t k_padded)
{
	uint8_t *to = q + i * k_padded;
	const uint32_t padding = 0;
	size_t t;

	store_quant(quant + i, grid->scale, grid->zero);
	for (size_t r = 0; k < k_padded && r < LANES; r++) {
		/* A matrix product asks for less than four; a constant size is one store, not a call. */
		if (k_padded < k + sizeof(padding))
			memcpy(to + (r + 1) * k_padded - sizeof(padding), &padding, sizeof(padding));
		else
			memset(to + r * k_padded + k, 0, k_padded - k);
	}
	for (t = 0; t + TERMS <= k; t += TERMS)
		quantize_terms(to + t, k_padded, columns + t, i, grid->inverse, grid->zero);
	/* The last ones overlap their neighbours: the same codes once more. */
	if (t < k)
		quantize_terms(to + k - TERMS, k_padded, columns + k - TERMS, i, grid->inverse, grid->zero);
}

FM_INLINE void quantize_columns(uint8_t *q, struct fm_row_quant *quant, const float *const *columns, size_t m,
        size_t k, size_t k_padded, const float *const *spans, size_t span_count)
{
	if (m < LANES || k < TERMS) {
		fm_quantize_columns_scalar(q, quant, columns, m, k, k_padded, spans, span_count);
		return;
	}
	for (size_t i = 0; i < m; i += BLOCK * LANES) {
		const size_t left = (m - i + LANES - 1) / LANES, vectors = left < BLOCK ? left : BLOCK;
		struct grid grid[BLOCK];
		size_t at[BLOCK];

		/* The last vector of rows overlaps its neighbour. */
		for (size_t v = 0; v < vectors; v++) {
			at[v] = i + (v + 1) * LANES <= m ? i + v * LANES : m - LANES;
			grid[v] = find_grid(spans, at[v], span_count);
		}
		for (size_t v = 0; v < vectors; v++)
			quantize_vector(q, quant, &grid[v], columns, at[v], k, k_padded);
	}
}

/* The bits of find_grid, column by column of one matrix. */
FM_INLINE void span_columns(
        float *low, float *high, const float *from, size_t from_stride, size_t m, size_t k)
{
	for (size_t i = 0; i < m; i += LANES) {
		bytes lowest = {0}, highest = {0};

		for (size_t t = 0; t < k; t++) {
			const bytes x = (bytes)fm_vector_load(from + t * from_stride + i);
			lowest = MAX_U32(lowest, x);
			highest = MAX_S32(highest, x);
		}
		fm_vector_store(low + i, fm_vector_min((fm_vector)lowest, fm_vector_all(0.0f)));
		fm_vector_store(high + i, (fm_vector)highest);
	}
}

#endif
