/*
 * vpdpbusd: 16 columns by 4 terms an instruction. The tile is 6 rows by 64 columns, or 12 by 32 for what is
 * left of n: 24 accumulators, the weights' vectors and one broadcast fit in the 32 registers.
 *
 * Packed: panels of 16 columns, each w_sum s32 [16], then s8 [k / 4][16][4]; columns and terms past the end
 * are 0.
 */
#include "lib/kernels/epilogue_avx512.h"
#include "lib/kernels/gemm_u8s8.h"

#include <string.h>

#include "lib/base/banned.h"

#define LANES       FM_LANES_AVX512
#define GROUP       FM_GEMM_U8S8_K_MULTIPLE_AVX512VNNI
#define VECTORS_MAX 4
#define ROWS_MAX    12

static size_t groups_of(size_t k)
{
	return (k + GROUP - 1) / GROUP;
}

static size_t panel_bytes_of(size_t k)
{
	return LANES * sizeof(int32_t) + groups_of(k) * LANES * GROUP;
}

size_t fm_gemm_u8s8_packed_bytes_avx512vnni(size_t n, size_t k)
{
	return (n + LANES - 1) / LANES * panel_bytes_of(k);
}

void fm_gemm_u8s8_pack_avx512vnni(void *packed, const int8_t *weights, size_t n, size_t k)
{
	for (size_t j = 0; j < n; j++) {
		char *panel = (char *)packed + j / LANES * panel_bytes_of(k);
		int32_t *w_sum = (int32_t *)panel + j % LANES;
		int8_t *column = (int8_t *)panel + LANES * sizeof(int32_t) + j % LANES * GROUP;

		*w_sum = 0;
		for (size_t t = 0; t < k; t++) {
			*w_sum += weights[j * k + t];
			column[t / GROUP * LANES * GROUP + t % GROUP] = weights[j * k + t];
		}
	}
}

enum ending { PLAIN, SLOPES, CLIPS };

/* Up to 64 columns, and all rows against them. */
struct block {
	__m512 scale[VECTORS_MAX], bias[VECTORS_MAX], slope[VECTORS_MAX];
	const char *panel;
	size_t panel_bytes, groups;
	size_t last; /* lanes of the last vector that are columns, or more */
	float *out;
	size_t out_stride;
	const uint8_t *a;
	const struct fm_row_quant *a_quant;
	size_t m;
	enum ending ending;
	__m512 low, high;      /* where it clips */
	const float *residual; /* at this block's first column, or NULL */
	size_t residual_stride;
};

/*
 * sum += four products a lane. Assembly, because gcc 12 copies the accumulator before and after the
 * intrinsic, and so spills a tile that fits (measured: half the speed).
 */
FM_INLINE __m512i add_products(__m512i sum, __m512i a, __m512i w)
{
	__asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(w));
	return sum;
}

/*
 * What ends a sum: constant where a tile is stored, so that no branch is left between its vectors. With few
 * terms, and so few products a sum, this is most of the work.
 */
FM_INLINE void store_tile(const struct block *block, size_t row, size_t rows, size_t vectors,
        __m512i acc[ROWS_MAX][VECTORS_MAX], enum ending ending, bool has_residual)
{
	const struct fm_row_quant *quant = block->a_quant + row;
	const float *residual = has_residual ? block->residual + row * block->residual_stride : NULL;
	float *out = block->out + row * block->out_stride;

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		__m512i zero = _mm512_set1_epi32(quant[r].zero);
		__m512 scale = _mm512_set1_ps(quant[r].scale);

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++) {
			size_t lanes = v + 1 == vectors ? block->last : LANES;
			__m512i w_sum = _mm512_load_si512(block->panel + v * block->panel_bytes);
			__m512i sum = _mm512_sub_epi32(acc[r][v], _mm512_mullo_epi32(zero, w_sum));
			__m512 value =
			        _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, block->scale[v]));

			value = _mm512_add_ps(value, block->bias[v]);
			if (has_residual)
				value = _mm512_add_ps(value, fm_load_avx512(residual + v * LANES, lanes));
			if (ending == CLIPS)
				value = fm_clip_avx512(value, block->low, block->high);
			else if (ending == SLOPES)
				value = fm_slope_by_avx512(value, block->slope[v]);
			fm_store_avx512(out + v * LANES, value, lanes);
		}
		out += block->out_stride;
		if (has_residual)
			residual += block->residual_stride;
	}
}

FM_INLINE void store_ending(const struct block *block, size_t row, size_t rows, size_t vectors,
        __m512i acc[ROWS_MAX][VECTORS_MAX], enum ending ending)
{
	if (block->residual != NULL)
		store_tile(block, row, rows, vectors, acc, ending, true);
	else
		store_tile(block, row, rows, vectors, acc, ending, false);
}

FM_INLINE void multiply_tile(const struct block *block, size_t row, size_t rows, size_t vectors)
{
	size_t a_stride = block->groups * GROUP;
	const uint8_t *a = block->a + row * a_stride;
	const char *w = block->panel + LANES * sizeof(int32_t);
	__m512i acc[ROWS_MAX][VECTORS_MAX];

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[r][v] = _mm512_setzero_si512();
	}
	for (size_t g = 0; g < block->groups; g++) {
		__m512i terms[VECTORS_MAX];

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			terms[v] = _mm512_load_si512(w + v * block->panel_bytes);
		FM_UNROLL
		for (size_t r = 0; r < rows; r++) {
			int32_t four;
			memcpy(&four, a + r * a_stride, sizeof(four));
			__m512i x = _mm512_set1_epi32(four);
			FM_UNROLL
			for (size_t v = 0; v < vectors; v++)
				acc[r][v] = add_products(acc[r][v], x, terms[v]);
		}
		a += GROUP;
		w += LANES * GROUP;
	}
	switch (block->ending) {
	case PLAIN: store_ending(block, row, rows, vectors, acc, PLAIN); break;
	case SLOPES: store_ending(block, row, rows, vectors, acc, SLOPES); break;
	case CLIPS: store_ending(block, row, rows, vectors, acc, CLIPS); break;
	}
}

FM_INLINE void multiply_rows(const struct block *block, size_t rows, size_t vectors)
{
	size_t row = 0;

	for (; block->m - row >= rows; row += rows)
		multiply_tile(block, row, rows, vectors);
	for (; block->m - row >= 4; row += 4)
		multiply_tile(block, row, 4, vectors);
	for (; row < block->m; row++)
		multiply_tile(block, row, 1, vectors);
}

void fm_gemm_u8s8_run_avx512vnni(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue)
{
	struct block block = {
	        .panel_bytes = panel_bytes_of(k),
	        .groups = groups_of(k),
	        .out_stride = out_stride,
	        .a = a,
	        .a_quant = a_quant,
	        .m = m,
	        .ending = fm_epilogue_clips(epilogue)            ? CLIPS
	                  : epilogue->activation == FM_ACT_PRELU ? SLOPES
	                                                         : PLAIN,
	        .low = _mm512_set1_ps(fm_epilogue_low(epilogue)),
	        .high = _mm512_set1_ps(fm_epilogue_high(epilogue)),
	        .residual_stride = epilogue->residual_stride,
	};

	for (size_t j = 0; j < n; j += VECTORS_MAX * LANES) {
		size_t columns = n - j < VECTORS_MAX * LANES ? n - j : VECTORS_MAX * LANES;
		size_t vectors = (columns + LANES - 1) / LANES;

		for (size_t v = 0; v < vectors; v++) {
			size_t channel = j + v * LANES;
			block.scale[v] = fm_load_avx512(w_scale + channel, n - channel);
			block.bias[v] = fm_bias_avx512(epilogue, channel, n - channel);
			block.slope[v] = fm_slope_avx512(epilogue, channel, n - channel);
			block.last = n - channel;
		}
		block.panel = (const char *)packed + j / LANES * block.panel_bytes;
		block.out = out + j;
		block.residual = epilogue->residual != NULL ? epilogue->residual + j : NULL;
		switch (vectors) {
		case 4: multiply_rows(&block, 6, 4); break;
		case 3: multiply_rows(&block, 6, 3); break;
		case 2: multiply_rows(&block, 12, 2); break;
		default: multiply_rows(&block, 12, 1); break;
		}
	}
}
