/*
 * vpdpbusd: 16 columns by 4 terms an instruction. The tile is 6 rows by 64 columns, or 12 by 32 for what is
 * left of n: 24 accumulators, the weights' vectors and one broadcast fit in the 32 registers.
 *
 * Packed: panels of 16 columns, each -w_sum s32 [16], then s8 [k / 4][16][4]; columns and terms past the end
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

/* With few terms weights stay in registers, all rows long. */
#define SHORT_GROUPS_MAX  8
#define SHORT_VECTORS_MAX 2
#define SHORT_ROWS        4

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
		int32_t *less = (int32_t *)panel + j % LANES;
		int8_t *column = (int8_t *)panel + LANES * sizeof(int32_t) + j % LANES * GROUP;

		*less = 0;
		for (size_t t = 0; t < k; t++) {
			*less -= weights[j * k + t];
			column[t / GROUP * LANES * GROUP + t % GROUP] = weights[j * k + t];
		}
	}
}

/* Fewer operations than a slope or two bounds: they share the multiplying ports with the products. */
enum ending { PLAIN, SLOPES, RECTIFIES, CLIPS };

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
	bool corrects; /* some row's zero point is not 0 */
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

FM_INLINE __m512i broadcast_four(const uint8_t *from)
{
	int32_t four;

	memcpy(&four, from, sizeof(four));
	return _mm512_set1_epi32(four);
}

/* Sums begin with what the zero points take from them: the order of integers is free. */
FM_INLINE void begin_sums(const struct block *block, size_t row, size_t rows, size_t vectors,
        __m512i acc[ROWS_MAX][VECTORS_MAX])
{
	const struct fm_row_quant *quant = block->a_quant + row;

	if (!block->corrects) {
		FM_UNROLL
		for (size_t r = 0; r < rows; r++) {
			FM_UNROLL
			for (size_t v = 0; v < vectors; v++)
				acc[r][v] = _mm512_setzero_si512();
		}
		return;
	}
	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		__m512i zero = _mm512_set1_epi32(quant[r].zero);

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[r][v] = _mm512_mullo_epi32(
			        zero, _mm512_load_si512(block->panel + v * block->panel_bytes));
	}
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
		__m512 scale = _mm512_set1_ps(quant[r].scale);

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++) {
			size_t lanes = v + 1 == vectors ? block->last : LANES;
			__m512 value = _mm512_mul_ps(
			        _mm512_cvtepi32_ps(acc[r][v]), _mm512_mul_ps(scale, block->scale[v]));

			value = _mm512_add_ps(value, block->bias[v]);
			if (has_residual)
				value = _mm512_add_ps(value, fm_load_avx512(residual + v * LANES, lanes));
			if (ending == CLIPS)
				value = fm_clip_avx512(value, block->low, block->high);
			else if (ending == RECTIFIES)
				value = _mm512_max_ps(value, _mm512_setzero_ps());
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

FM_INLINE void store_sums(const struct block *block, size_t row, size_t rows, size_t vectors,
        __m512i acc[ROWS_MAX][VECTORS_MAX])
{
	switch (block->ending) {
	case PLAIN: store_ending(block, row, rows, vectors, acc, PLAIN); break;
	case SLOPES: store_ending(block, row, rows, vectors, acc, SLOPES); break;
	case RECTIFIES: store_ending(block, row, rows, vectors, acc, RECTIFIES); break;
	case CLIPS: store_ending(block, row, rows, vectors, acc, CLIPS); break;
	}
}

FM_INLINE void multiply_tile(const struct block *block, size_t row, size_t rows, size_t vectors)
{
	size_t a_stride = block->groups * GROUP;
	const uint8_t *a = block->a + row * a_stride;
	const char *w = block->panel + LANES * sizeof(int32_t);
	__m512i acc[ROWS_MAX][VECTORS_MAX];

	begin_sums(block, row, rows, vectors, acc);
	for (size_t g = 0; g < block->groups; g++) {
		__m512i terms[VECTORS_MAX];

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			terms[v] = _mm512_load_si512(w + v * block->panel_bytes);
		FM_UNROLL
		for (size_t r = 0; r < rows; r++) {
			__m512i x = broadcast_four(a + r * a_stride);

			FM_UNROLL
			for (size_t v = 0; v < vectors; v++)
				acc[r][v] = add_products(acc[r][v], x, terms[v]);
		}
		a += GROUP;
		w += LANES * GROUP;
	}
	store_sums(block, row, rows, vectors, acc);
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

/* A tile of `rows` rows against weights that are in registers. */
FM_INLINE void multiply_short_tile(const struct block *block, size_t row, size_t rows, size_t groups,
        size_t vectors, const __m512i w[SHORT_GROUPS_MAX][SHORT_VECTORS_MAX])
{
	const uint8_t *a = block->a + row * groups * GROUP;
	__m512i acc[ROWS_MAX][VECTORS_MAX];

	begin_sums(block, row, rows, vectors, acc);
	FM_UNROLL
	for (size_t g = 0; g < groups; g++) {
		FM_UNROLL
		for (size_t r = 0; r < rows; r++) {
			__m512i x = broadcast_four(a + (r * groups + g) * GROUP);

			FM_UNROLL
			for (size_t v = 0; v < vectors; v++)
				acc[r][v] = add_products(acc[r][v], x, w[g][v]);
		}
	}
	store_sums(block, row, rows, vectors, acc);
}

FM_INLINE void multiply_short_rows(const struct block *block, size_t groups, size_t vectors)
{
	__m512i w[SHORT_GROUPS_MAX][SHORT_VECTORS_MAX];
	size_t row = 0;

	FM_UNROLL
	for (size_t v = 0; v < vectors; v++) {
		const char *from = block->panel + v * block->panel_bytes + LANES * sizeof(int32_t);

		FM_UNROLL
		for (size_t g = 0; g < groups; g++)
			w[g][v] = _mm512_load_si512(from + g * LANES * GROUP);
	}
	for (; block->m - row >= SHORT_ROWS; row += SHORT_ROWS)
		multiply_short_tile(block, row, SHORT_ROWS, groups, vectors, w);
	for (; row < block->m; row++)
		multiply_short_tile(block, row, 1, groups, vectors, w);
}

/*
 * How many vectors of columns have their weights in registers, of the terms that networks come with; 0: none.
 */
static size_t short_vectors(size_t groups, size_t n)
{
	switch (groups) {
	case 4:
	case 7:
	case 8: return n > LANES ? 2 : 1;
	default: return 0;
	}
}

static void multiply_short(const struct block *block, size_t vectors)
{
	switch (block->groups) {
	case 4: vectors == 1 ? multiply_short_rows(block, 4, 1) : multiply_short_rows(block, 4, 2); break;
	case 7: vectors == 1 ? multiply_short_rows(block, 7, 1) : multiply_short_rows(block, 7, 2); break;
	case 8: vectors == 1 ? multiply_short_rows(block, 8, 1) : multiply_short_rows(block, 8, 2); break;
	}
}

static enum ending ending_of(enum fm_activation activation)
{
	switch (activation) {
	case FM_ACT_NONE: break;
	case FM_ACT_RELU: return RECTIFIES;
	case FM_ACT_PRELU: return SLOPES;
	case FM_ACT_CLIP: return CLIPS;
	}
	return PLAIN;
}

/* Rows without a negative value have none, which are most rows behind a rectifier. */
static bool any_zero_point(const struct fm_row_quant *quant, size_t m)
{
	const __mmask16 zeros = 0xaaaa; /* of eight rows */
	__mmask16 found = 0;
	size_t i = 0;

	for (; i + 8 <= m; i += 8) {
		__m512i eight = _mm512_loadu_si512(quant + i);
		found |= _mm512_mask_test_epi32_mask(zeros, eight, eight);
	}
	for (; i < m; i++)
		found |= quant[i].zero != 0;
	return found != 0;
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
	        .corrects = any_zero_point(a_quant, m),
	        .ending = ending_of(epilogue->activation),
	        .low = _mm512_set1_ps(fm_epilogue_low(epilogue)),
	        .high = _mm512_set1_ps(fm_epilogue_high(epilogue)),
	        .residual_stride = epilogue->residual_stride,
	};

	const size_t in_registers = short_vectors(block.groups, n);
	const size_t columns_max = (in_registers ? in_registers : VECTORS_MAX) * LANES;

	for (size_t j = 0; j < n; j += columns_max) {
		size_t columns = n - j < columns_max ? n - j : columns_max;
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
		if (in_registers) {
			multiply_short(&block, vectors);
			continue;
		}
		switch (vectors) {
		case 4: multiply_rows(&block, 6, 4); break;
		case 3: multiply_rows(&block, 6, 3); break;
		case 2: multiply_rows(&block, 12, 2); break;
		default: multiply_rows(&block, 12, 1); break;
		}
	}
}
