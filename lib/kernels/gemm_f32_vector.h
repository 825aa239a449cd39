/*
 * The f32 product for ISAs with a fused multiply-add, by the widest vector of the ISA that a file is compiled
 * for: one fused multiply-add per term, k ascending, in one accumulator per output. A tile's many
 * accumulators hide the latency, not a split of the sum. Internal to lib/kernels.
 *
 *   AVX-512  6 rows by 64 columns, or 12 by 32 for what is left of n: 24 accumulators, the weights' vectors
 * and one broadcast, of 32 registers AVX2     6 rows by 16 columns: 12 accumulators, two vectors of weights
 * and one broadcast, of 16 registers NEON     4 rows by 16 columns: 16 accumulators, four vectors of weights
 * and a scalar a row, of 32 registers
 *
 * Packed: panels of LANES columns, f32 [k][LANES]; columns past the end are 0.
 */
#ifndef FM_KERNELS_GEMM_F32_VECTOR_H
#define FM_KERNELS_GEMM_F32_VECTOR_H

#include "lib/kernels/gemm_f32.h"

#if defined(__AVX512F__)

#include "lib/kernels/epilogue_avx512.h"

#define ISA(name)   name##_avx512
#define LANES       FM_LANES_AVX512
#define VECTORS_MAX 4
#define ROWS_MAX    12 /* with up to two vectors of columns */
#define ROWS_WIDE   6  /* with more */
#define ROWS_REST   4  /* of rows that fill no tile */
typedef __m512 vector;

FM_INLINE vector add_products(vector sum, float x, vector terms)
{
	return _mm512_fmadd_ps(_mm512_set1_ps(x), terms, sum);
}

#elif defined(__AVX2__)

#include "lib/kernels/epilogue_avx2.h"

#define ISA(name)   name##_avx2
#define LANES       FM_LANES_AVX2
#define VECTORS_MAX 2
#define ROWS_MAX    6
#define ROWS_REST   2
typedef __m256 vector;

FM_INLINE vector add_products(vector sum, float x, vector terms)
{
	return _mm256_fmadd_ps(_mm256_set1_ps(x), terms, sum);
}

#elif defined(__aarch64__)

#include "lib/kernels/vec4.h"

#define ISA(name)   name##_vec4
#define LANES       FM_LANES_VEC4
#define VECTORS_MAX 4
#define ROWS_MAX    4
#define ROWS_WIDE   4
#define ROWS_REST   1
typedef fm_vec4 vector;

FM_INLINE vector add_products(vector sum, float x, vector terms)
{
	return vfmaq_n_f32(sum, terms, x);
}

#endif

FM_INLINE size_t packed_bytes(size_t n, size_t k)
{
	return (n + LANES - 1) / LANES * LANES * k * sizeof(float);
}

FM_INLINE void pack_panels(void *packed, const float *weights, size_t n, size_t k)
{
	for (size_t j = 0; j < n; j++) {
		float *column = (float *)packed + j / LANES * LANES * k + j % LANES;

		for (size_t t = 0; t < k; t++)
			column[t * LANES] = weights[j * k + t];
	}
}

/* Up to VECTORS_MAX vectors of columns, and all rows against them. */
struct block {
	vector bias[VECTORS_MAX], slope[VECTORS_MAX];
	const float *panel;
	size_t last; /* lanes of the last vector that are columns, or more */
	float *out;
	size_t out_stride;
	const float *a;
	size_t a_stride, m, k;
	const struct fm_epilogue *epilogue;
	const float *residual; /* at this block's first column, or NULL */
};

FM_INLINE void store_tile(
        const struct block *block, size_t row, size_t rows, size_t vectors, vector acc[ROWS_MAX][VECTORS_MAX])
{
	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		float *out = block->out + (row + r) * block->out_stride;

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++) {
			size_t lanes = v + 1 == vectors ? block->last : LANES;
			const float *residual = block->residual;
			if (residual != NULL)
				residual += (row + r) * block->epilogue->residual_stride + v * LANES;
			vector value = ISA(fm_finish)(
			        block->epilogue, acc[r][v], block->bias[v], block->slope[v], residual, lanes);
			ISA(fm_store)(out + v * LANES, value, lanes);
		}
	}
}

FM_INLINE void multiply_tile(const struct block *block, size_t row, size_t rows, size_t vectors)
{
	const float *a = block->a + row * block->a_stride;
	const float *w = block->panel;
	size_t panel_floats = block->k * LANES;
	vector acc[ROWS_MAX][VECTORS_MAX];

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[r][v] = (vector){0};
	}
	for (size_t t = 0; t < block->k; t++) {
		vector terms[VECTORS_MAX];

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			terms[v] = ISA(fm_load)(w + v * panel_floats, LANES);
		FM_UNROLL
		for (size_t r = 0; r < rows; r++) {
			float x = a[r * block->a_stride];
			FM_UNROLL
			for (size_t v = 0; v < vectors; v++)
				acc[r][v] = add_products(acc[r][v], x, terms[v]);
		}
		a++;
		w += LANES;
	}
	store_tile(block, row, rows, vectors, acc);
}

/* In tiles of as many rows as there are accumulators for. */
FM_INLINE void multiply_rows(const struct block *block, size_t rows, size_t vectors)
{
	size_t row = 0;

	for (; block->m - row >= rows; row += rows)
		multiply_tile(block, row, rows, vectors);
	for (; block->m - row >= ROWS_REST; row += ROWS_REST)
		multiply_tile(block, row, ROWS_REST, vectors);
	for (; ROWS_REST > 1 && row < block->m; row++)
		multiply_tile(block, row, 1, vectors);
}

FM_INLINE void multiply(float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
        const void *packed, size_t n, size_t k, const struct fm_epilogue *epilogue)
{
	struct block block = {
	        .out_stride = out_stride,
	        .a = a,
	        .a_stride = a_stride,
	        .m = m,
	        .k = k,
	        .epilogue = epilogue,
	};

	for (size_t j = 0; j < n; j += VECTORS_MAX * LANES) {
		size_t columns = n - j < VECTORS_MAX * LANES ? n - j : VECTORS_MAX * LANES;
		size_t vectors = (columns + LANES - 1) / LANES;

		for (size_t v = 0; v < vectors; v++) {
			size_t channel = j + v * LANES;
			block.bias[v] = ISA(fm_bias)(epilogue, channel, n - channel);
			block.slope[v] = ISA(fm_slope)(epilogue, channel, n - channel);
			block.last = n - channel;
		}
		block.panel = (const float *)packed + j * k;
		block.out = out + j;
		block.residual = epilogue->residual != NULL ? epilogue->residual + j : NULL;
		switch (vectors) {
#if VECTORS_MAX > 2
		case 4: multiply_rows(&block, ROWS_WIDE, 4); break;
		case 3: multiply_rows(&block, ROWS_WIDE, 3); break;
#endif
		case 2: multiply_rows(&block, ROWS_MAX, 2); break;
		default: multiply_rows(&block, ROWS_MAX, 1); break;
		}
	}
}

#endif
