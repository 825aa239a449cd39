/*
 * sdot: four terms of four columns an instruction, the activations' four by lane. It wants both sides signed:
 *   sum a * w = sum (a - 128) * w + 128 * w_sum, and a - 128 is a with its top bit flipped,
 * so 128 joins the zero point. The tile is 4 rows by 16 columns: 16 accumulators, 4 vectors of weights and 4
 * of sixteen terms each, of 32 registers.
 *
 * Panels of 4 columns, behind their head s8 [k / 16][4][4][4]: of every sixteen terms four at a time, column
 * by column.
 */
#define GROUP      FM_GEMM_U8S8_K_MULTIPLE_NEONDOT
#define HEAD_BYTES (LANES * sizeof(int32_t))
#define OFFSET     128
#define ROWS_4     4
#define ROWS_3     4
#define ROWS_2     4
#define ROWS_1     4
#define ROWS_MAX   4
#define weight     int8_t
#include "lib/kernels/gemm_u8s8_tiles.h"

#include "lib/base/banned.h"

static size_t place_of(size_t lane, size_t t)
{
	return t / 4 * LANES * 4 + lane * 4 + t % 4;
}

/* sum + four products a lane, x's four terms by lane; the intrinsic wants a constant even unoptimised. */
FM_INLINE int32x4_t add_products(int32x4_t sum, int8x16_t w, int8x16_t x, size_t lane)
{
	switch (lane) {
	case 0: return vdotq_laneq_s32(sum, w, x, 0);
	case 1: return vdotq_laneq_s32(sum, w, x, 1);
	case 2: return vdotq_laneq_s32(sum, w, x, 2);
	default: return vdotq_laneq_s32(sum, w, x, 3);
	}
}

FM_INLINE void add_group(integers acc[ROWS_MAX][VECTORS_MAX], const uint8_t *a, size_t a_stride,
        const weight *w, size_t panel_bytes, size_t rows, size_t vectors)
{
	const uint8x16_t top_bit = vdupq_n_u8(OFFSET);
	int8x16_t x[ROWS_MAX];

	FM_UNROLL
	for (size_t r = 0; r < rows; r++)
		x[r] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(a + r * a_stride), top_bit));
	FM_UNROLL
	for (size_t lane = 0; lane < 4; lane++) {
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++) {
			int8x16_t terms = vld1q_s8(w + v * panel_bytes + lane * LANES * 4);
			FM_UNROLL
			for (size_t r = 0; r < rows; r++)
				acc[r][v] = add_products(acc[r][v], terms, x[r], lane);
		}
	}
}

FM_GEMM_U8S8_DEFINE(neondot)
