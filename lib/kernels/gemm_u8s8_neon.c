/*
 * smull and smlal multiply s8 into s16, and sadalp adds pairs of s16 to s32. With a - 128 in place of a (its
 * top bit flipped) two products fit s16 exactly: 2 * 128 * 127 = 32512. So
 *   sum a * w = sum (a - 128) * w + 128 * w_sum,
 * and 128 joins the zero point. Three instructions take four terms of four columns; a pair of terms is
 * broadcast for all columns at once. The tile is 3 rows by 16 columns, or 4 by fewer.
 *
 * Panels of 4 columns, behind their head s8 [k / 4][2][4][2]: of every four terms first 0 and 1, then 2 and
 * 3, column by column, to a multiple of 8 terms.
 */
#define GROUP      FM_GEMM_U8S8_K_MULTIPLE_NEON
#define HEAD_BYTES (LANES * sizeof(int32_t))
#define OFFSET     128
#define ROWS_4     3
#define ROWS_3     4
#define ROWS_2     4
#define ROWS_1     4
#define ROWS_MAX   4
#define weight     int8_t
#include "lib/kernels/gemm_u8s8_tiles.h"

#include "lib/base/banned.h"

static size_t place_of(size_t lane, size_t t)
{
	return t / 2 * LANES * 2 + lane * 2 + t % 2;
}

/* Adds the products of four terms: first[r] and second[r] hold a pair of row r's in every two lanes. */
FM_INLINE void add_four(integers acc[ROWS_MAX][VECTORS_MAX], const int8x16_t *first, const int8x16_t *second,
        const weight *w, size_t panel_bytes, size_t rows, size_t vectors)
{
	FM_UNROLL
	for (size_t v = 0; v < vectors; v++) {
		int8x16_t terms = vld1q_s8(w + v * panel_bytes);
		FM_UNROLL
		for (size_t r = 0; r < rows; r++) {
			int16x8_t pairs = vmull_s8(vget_low_s8(terms), vget_low_s8(first[r]));
			pairs = vmlal_high_s8(pairs, terms, second[r]);
			acc[r][v] = vpadalq_s16(acc[r][v], pairs);
		}
	}
}

/* One of four pairs of terms in every two lanes; the intrinsic wants a constant even unoptimised. */
FM_INLINE int8x16_t broadcast_pair(int16x4_t pairs, size_t pair)
{
	switch (pair) {
	case 0: return vreinterpretq_s8_s16(vdupq_lane_s16(pairs, 0));
	case 1: return vreinterpretq_s8_s16(vdupq_lane_s16(pairs, 1));
	case 2: return vreinterpretq_s8_s16(vdupq_lane_s16(pairs, 2));
	default: return vreinterpretq_s8_s16(vdupq_lane_s16(pairs, 3));
	}
}

FM_INLINE void add_group(integers acc[ROWS_MAX][VECTORS_MAX], const uint8_t *a, size_t a_stride,
        const weight *w, size_t panel_bytes, size_t rows, size_t vectors)
{
	const uint8x8_t top_bit = vdup_n_u8(OFFSET);
	int16x4_t x[ROWS_MAX];

	FM_UNROLL
	for (size_t r = 0; r < rows; r++)
		x[r] = vreinterpret_s16_u8(veor_u8(vld1_u8(a + r * a_stride), top_bit));
	FM_UNROLL
	for (size_t half = 0; half < 2; half++) {
		int8x16_t first[ROWS_MAX], second[ROWS_MAX];

		FM_UNROLL
		for (size_t r = 0; r < rows; r++) {
			first[r] = broadcast_pair(x[r], 2 * half);
			second[r] = broadcast_pair(x[r], 2 * half + 1);
		}
		add_four(acc, first, second, w + half * GROUP * LANES / 2, panel_bytes, rows, vectors);
	}
}

FM_GEMM_U8S8_DEFINE(neon)
