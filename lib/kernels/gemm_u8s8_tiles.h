/*
 * What the u8 x s8 products on vectors of 128 and 256 bits have in common: panels, tiles and their ends.
 * Internal to lib/kernels. An ISA's file defines, includes this, and ends with FM_GEMM_U8S8_DEFINE:
 *
 *   GROUP        terms that go together; a row of a is a multiple of them
 *   HEAD_BYTES   of a panel before its weights: -w_sum s32 [LANES], and what aligns the rest
 *   ROWS_n       rows of a tile of n vectors of columns; ROWS_MAX, the most
 *   OFFSET       what add_group subtracts from each code of a (it joins the zero point)
 *   weight       int8_t or int16_t, as weights are packed
 *   place_of     where, in weights behind the head, column `lane` of a panel has its term t
 *   add_group    acc += one group of terms of `rows` rows (a) by `vectors` vectors of columns (w)
 *
 * Packed: panels of LANES columns; columns and terms past the end are 0.
 */
#ifndef FM_KERNELS_GEMM_U8S8_TILES_H
#define FM_KERNELS_GEMM_U8S8_TILES_H

#include "lib/kernels/gemm_u8s8.h"

#include <string.h>

#define VECTORS_MAX 4

#if defined(__AVX2__)

#include "lib/kernels/epilogue_avx2.h"

#define ISA(name) name##_avx2
#define LANES     FM_LANES_AVX2
typedef __m256 floats;
typedef __m256i integers;

FM_INLINE integers broadcast_s32(int32_t v)
{
	return _mm256_set1_epi32(v);
}

FM_INLINE integers load_s32(const void *from)
{
	return _mm256_load_si256(from);
}

FM_INLINE integers multiply_s32(integers a, integers b)
{
	return _mm256_mullo_epi32(a, b);
}

FM_INLINE floats to_floats(integers v)
{
	return _mm256_cvtepi32_ps(v);
}

#else

#include "lib/kernels/vec4.h"

#define ISA(name) name##_vec4
#define LANES     FM_LANES_VEC4
typedef fm_vec4 floats;

#if defined(__aarch64__)

typedef int32x4_t integers;

FM_INLINE integers broadcast_s32(int32_t v)
{
	return vdupq_n_s32(v);
}

FM_INLINE integers load_s32(const void *from)
{
	return vld1q_s32(from);
}

FM_INLINE integers multiply_s32(integers a, integers b)
{
	return vmulq_s32(a, b);
}

FM_INLINE floats to_floats(integers v)
{
	return vcvtq_f32_s32(v);
}

#else

typedef __m128i integers;

FM_INLINE integers broadcast_s32(int32_t v)
{
	return _mm_set1_epi32(v);
}

FM_INLINE integers load_s32(const void *from)
{
	return _mm_load_si128(from);
}

FM_INLINE integers multiply_s32(integers a, integers b)
{
	return _mm_mullo_epi32(a, b);
}

FM_INLINE floats to_floats(integers v)
{
	return _mm_cvtepi32_ps(v);
}

#endif
#endif

static size_t place_of(size_t lane, size_t t);
FM_INLINE void add_group(integers acc[ROWS_MAX][VECTORS_MAX], const uint8_t *a, size_t a_stride,
        const weight *w, size_t panel_bytes, size_t rows, size_t vectors);

static size_t groups_of(size_t k)
{
	return (k + GROUP - 1) / GROUP;
}

static size_t panel_bytes_of(size_t k)
{
	return HEAD_BYTES + groups_of(k) * GROUP * LANES * sizeof(weight);
}

static void pack_panels(void *packed, const int8_t *weights, size_t n, size_t k)
{
	for (size_t j = 0; j < n; j++) {
		char *panel = (char *)packed + j / LANES * panel_bytes_of(k);
		int32_t *less = (int32_t *)panel + j % LANES;
		weight *w = (weight *)(panel + HEAD_BYTES);

		*less = 0;
		for (size_t t = 0; t < k; t++) {
			*less -= weights[j * k + t];
			w[place_of(j % LANES, t)] = weights[j * k + t];
		}
	}
}

/* Up to VECTORS_MAX panels, and all rows against them. */
struct block {
	floats scale[VECTORS_MAX], bias[VECTORS_MAX], slope[VECTORS_MAX];
	const char *panel;
	size_t panel_bytes, groups;
	size_t last; /* lanes of the last vector that are columns, or more */
	float *out;
	size_t out_stride;
	const uint8_t *a;
	const struct fm_row_quant *a_quant;
	size_t m;
	bool corrects; /* some row's zero point is not OFFSET */
	bool clips;
	floats low, high;      /* where it clips */
	const float *residual; /* at this block's first column, or NULL */
	size_t residual_stride;
};

/* Rows without a negative value, behind a rectifier, need no correction where there is no offset. */
FM_INLINE bool any_corrects(const struct fm_row_quant *quant, size_t m)
{
#if defined(__AVX2__)
	return fm_any_zero_point_avx2(quant, m);
#else
	int32_t found = OFFSET;

	for (size_t i = 0; found == 0 && i < m; i++)
		found = quant[i].zero;
	return found != 0;
#endif
}

/* Sums begin with what zero points and offset take from them: the order of integers is free. */
FM_INLINE void begin_sums(const struct block *block, size_t row, size_t rows, size_t vectors,
        integers acc[ROWS_MAX][VECTORS_MAX])
{
	const struct fm_row_quant *quant = block->a_quant + row;

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[r][v] = broadcast_s32(0);
	}
	if (!block->corrects)
		return;
	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		integers zero = broadcast_s32(quant[r].zero - OFFSET);

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[r][v] = multiply_s32(zero, load_s32(block->panel + v * block->panel_bytes));
	}
}

/* Constant kinds of epilogue, so that no branch is left between a tile's vectors. */
FM_INLINE void store_tile(const struct block *block, size_t row, size_t rows, size_t vectors,
        integers acc[ROWS_MAX][VECTORS_MAX], bool clips, bool has_residual)
{
	const struct fm_row_quant *quant = block->a_quant + row;
	const float *residual = has_residual ? block->residual + row * block->residual_stride : NULL;
	float *out = block->out + row * block->out_stride;

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		floats scale = ISA(fm_set)(quant[r].scale);

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++) {
			size_t lanes = v + 1 == vectors ? block->last : LANES;
			floats value = to_floats(acc[r][v]) * (scale * block->scale[v]);

			value = value + block->bias[v];
			if (has_residual)
				value = value + ISA(fm_load)(residual + v * LANES, lanes);
			value = clips ? ISA(fm_clip)(value, block->low, block->high)
			              : ISA(fm_slope_by)(value, block->slope[v]);
			ISA(fm_store)(out + v * LANES, value, lanes);
		}
		out += block->out_stride;
		if (has_residual)
			residual += block->residual_stride;
	}
}

FM_INLINE void multiply_tile(const struct block *block, size_t row, size_t rows, size_t vectors)
{
	const size_t a_stride = block->groups * GROUP;
	const uint8_t *a = block->a + row * a_stride;
	const weight *w = (const weight *)(block->panel + HEAD_BYTES);
	integers acc[ROWS_MAX][VECTORS_MAX];

	begin_sums(block, row, rows, vectors, acc);
	for (size_t g = 0; g < block->groups; g++) {
		add_group(acc, a, a_stride, w, block->panel_bytes, rows, vectors);
		a += GROUP;
		w += GROUP * LANES;
	}
	if (block->residual != NULL && block->clips)
		store_tile(block, row, rows, vectors, acc, true, true);
	else if (block->residual != NULL)
		store_tile(block, row, rows, vectors, acc, false, true);
	else if (block->clips)
		store_tile(block, row, rows, vectors, acc, true, false);
	else
		store_tile(block, row, rows, vectors, acc, false, false);
}

FM_INLINE void multiply_rows(const struct block *block, size_t rows, size_t vectors)
{
	size_t row = 0;

	for (; block->m - row >= rows; row += rows)
		multiply_tile(block, row, rows, vectors);
	for (; row < block->m; row++)
		multiply_tile(block, row, 1, vectors);
}

static void multiply(float *out, size_t out_stride, const uint8_t *a, const struct fm_row_quant *a_quant,
        size_t m, const void *packed, const float *w_scale, size_t n, size_t k,
        const struct fm_epilogue *epilogue)
{
	struct block block = {
	        .panel_bytes = panel_bytes_of(k),
	        .groups = groups_of(k),
	        .out_stride = out_stride,
	        .a = a,
	        .a_quant = a_quant,
	        .m = m,
	        .corrects = any_corrects(a_quant, m),
	        .clips = fm_epilogue_clips(epilogue),
	        .low = ISA(fm_set)(fm_epilogue_low(epilogue)),
	        .high = ISA(fm_set)(fm_epilogue_high(epilogue)),
	        .residual_stride = epilogue->residual_stride,
	};

	for (size_t j = 0; j < n; j += VECTORS_MAX * LANES) {
		size_t columns = n - j < VECTORS_MAX * LANES ? n - j : VECTORS_MAX * LANES;
		size_t vectors = (columns + LANES - 1) / LANES;

		for (size_t v = 0; v < vectors; v++) {
			size_t channel = j + v * LANES;
			block.scale[v] = ISA(fm_load)(w_scale + channel, n - channel);
			block.bias[v] = ISA(fm_bias)(epilogue, channel, n - channel);
			block.slope[v] = ISA(fm_slope)(epilogue, channel, n - channel);
			block.last = n - channel;
		}
		block.panel = (const char *)packed + j / LANES * block.panel_bytes;
		block.out = out + j;
		block.residual = epilogue->residual != NULL ? epilogue->residual + j : NULL;
		switch (vectors) {
		case 4: multiply_rows(&block, ROWS_4, 4); break;
		case 3: multiply_rows(&block, ROWS_3, 3); break;
		case 2: multiply_rows(&block, ROWS_2, 2); break;
		default: multiply_rows(&block, ROWS_1, 1); break;
		}
	}
}

#define FM_GEMM_U8S8_DEFINE(isa)                                                                             \
	size_t fm_gemm_u8s8_packed_bytes_##isa(size_t n, size_t k)                                           \
	{                                                                                                    \
		return (n + LANES - 1) / LANES * panel_bytes_of(k);                                          \
	}                                                                                                    \
	void fm_gemm_u8s8_pack_##isa(void *packed, const int8_t *weights, size_t n, size_t k)                \
	{                                                                                                    \
		pack_panels(packed, weights, n, k);                                                          \
	}                                                                                                    \
	void fm_gemm_u8s8_run_##isa(float *out, size_t out_stride, const uint8_t *a,                         \
	        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale,      \
	        size_t n, size_t k, const struct fm_epilogue *epilogue)                                      \
	{                                                                                                    \
		multiply(out, out_stride, a, a_quant, m, packed, w_scale, n, k, epilogue);                   \
	}

#endif
