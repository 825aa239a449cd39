/*
 * The u8 x s8 product by vpdpbusd on 256 bits: 8 columns by 4 terms an instruction. Internal to lib/kernels.
 * The instruction has two encodings, of different processors: VEX (AVX-VNNI) and EVEX (AVX-512 VL and VNNI).
 * One file for each says its own (ENCODING, as both compilers' assemblers know it); all else is this.
 *
 * The tile is 3 rows by 32 columns, or more rows where n leaves fewer columns: 12 accumulators, which with a
 * broadcast a row and one vector of weights make the 16 registers that VEX can name.
 *
 * Panels of 8 columns, behind their head s8 [k / 4][8][4].
 */
#ifndef FM_KERNELS_GEMM_U8S8_VNNI256_H
#define FM_KERNELS_GEMM_U8S8_VNNI256_H

#ifndef ENCODING
#define ENCODING "%{evex%}"
#endif
#define GROUP      FM_GEMM_U8S8_K_MULTIPLE_VNNI256
#define HEAD_BYTES (LANES * sizeof(int32_t))
#define OFFSET     0
#define ROWS_4     3
#define ROWS_3     4
#define ROWS_2     6
#define ROWS_1     6
#define ROWS_MAX   6
#define weight     int8_t
#include "lib/kernels/gemm_u8s8_tiles.h"

/*
 * sum + four products a lane. Assembly, because gcc 12 copies the accumulator before and after
 * the intrinsic, and so spills a tile that fits.
 */
FM_INLINE __m256i add_products(__m256i sum, __m256i a, __m256i w)
{
	__asm__(ENCODING " vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(w));
	return sum;
}

static size_t place_of(size_t lane, size_t t)
{
	return t / GROUP * LANES * GROUP + lane * GROUP + t % GROUP;
}

FM_INLINE void add_group(integers acc[ROWS_MAX][VECTORS_MAX], const uint8_t *a, size_t a_stride,
        const weight *w, size_t panel_bytes, size_t rows, size_t vectors)
{
	__m256i terms[VECTORS_MAX];

	FM_UNROLL
	for (size_t v = 0; v < vectors; v++)
		terms[v] = load_s32(w + v * panel_bytes);
	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		int32_t four;
		memcpy(&four, a + r * a_stride, sizeof(four));
		__m256i x = _mm256_set1_epi32(four);
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[r][v] = add_products(acc[r][v], x, terms[v]);
	}
}

#endif
