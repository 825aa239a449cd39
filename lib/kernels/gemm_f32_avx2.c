/*
 * One fused multiply-add per term, k ascending, in one accumulator per output: the tile's many accumulators
 * hide the latency, not a split of the sum. The tile is 6 rows by 16 columns: 12 accumulators, two vectors of
 * weights and one broadcast, of 16 registers.
 *
 * Packed: panels of 8 columns, f32 [k][8]; columns past the end are 0.
 */
#include "lib/kernels/epilogue_avx2.h"
#include "lib/kernels/gemm_f32.h"

#include "lib/base/banned.h"

#define LANES       FM_LANES_AVX2
#define VECTORS_MAX 2
#define ROWS_MAX    6

size_t fm_gemm_f32_packed_bytes_avx2(size_t n, size_t k)
{
	return (n + LANES - 1) / LANES * LANES * k * sizeof(float);
}

void fm_gemm_f32_pack_avx2(void *packed, const float *weights, size_t n, size_t k)
{
	for (size_t j = 0; j < n; j++) {
		float *column = (float *)packed + j / LANES * LANES * k + j % LANES;

		for (size_t t = 0; t < k; t++)
			column[t * LANES] = weights[j * k + t];
	}
}

/* Up to 16 columns, and all rows against them. */
struct block {
	__m256 bias[VECTORS_MAX], slope[VECTORS_MAX];
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
        const struct block *block, size_t row, size_t rows, size_t vectors, __m256 acc[ROWS_MAX][VECTORS_MAX])
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
			__m256 value = fm_finish_avx2(
			        block->epilogue, acc[r][v], block->bias[v], block->slope[v], residual, lanes);
			fm_store_avx2(out + v * LANES, value, lanes);
		}
	}
}

FM_INLINE void multiply_tile(const struct block *block, size_t row, size_t rows, size_t vectors)
{
	const float *a = block->a + row * block->a_stride;
	const float *w = block->panel;
	size_t panel_floats = block->k * LANES;
	__m256 acc[ROWS_MAX][VECTORS_MAX];

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[r][v] = _mm256_setzero_ps();
	}
	for (size_t t = 0; t < block->k; t++) {
		__m256 terms[VECTORS_MAX];

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			terms[v] = _mm256_load_ps(w + v * panel_floats);
		FM_UNROLL
		for (size_t r = 0; r < rows; r++) {
			__m256 x = _mm256_set1_ps(a[r * block->a_stride]);
			FM_UNROLL
			for (size_t v = 0; v < vectors; v++)
				acc[r][v] = _mm256_fmadd_ps(x, terms[v], acc[r][v]);
		}
		a++;
		w += LANES;
	}
	store_tile(block, row, rows, vectors, acc);
}

FM_INLINE void multiply_rows(const struct block *block, size_t rows, size_t vectors)
{
	size_t row = 0;

	for (; block->m - row >= rows; row += rows)
		multiply_tile(block, row, rows, vectors);
	for (; block->m - row >= 2; row += 2)
		multiply_tile(block, row, 2, vectors);
	for (; row < block->m; row++)
		multiply_tile(block, row, 1, vectors);
}

void fm_gemm_f32_run_avx2(float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
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
			block.bias[v] = fm_bias_avx2(epilogue, channel, n - channel);
			block.slope[v] = fm_slope_avx2(epilogue, channel, n - channel);
			block.last = n - channel;
		}
		block.panel = (const float *)packed + j * k;
		block.out = out + j;
		block.residual = epilogue->residual != NULL ? epilogue->residual + j : NULL;
		if (vectors == 2)
			multiply_rows(&block, 6, 2);
		else
			multiply_rows(&block, 6, 1);
	}
}
