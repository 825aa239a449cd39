/*
 * fmla: one fused multiply-add per term, k ascending, in one accumulator per output, as everywhere. The tile
 * is 4 rows by 16 columns: 16 accumulators, four vectors of weights and a scalar a row, of 32 registers.
 *
 * Packed: panels of 4 columns, f32 [k][4]; columns past the end are 0.
 */
#include "lib/kernels/gemm_f32.h"
#include "lib/kernels/vec4.h"

#include "lib/base/banned.h"

#define LANES       FM_LANES_VEC4
#define VECTORS_MAX 4
#define ROWS_MAX    4

size_t fm_gemm_f32_packed_bytes_neon(size_t n, size_t k)
{
	return (n + LANES - 1) / LANES * LANES * k * sizeof(float);
}

void fm_gemm_f32_pack_neon(void *packed, const float *weights, size_t n, size_t k)
{
	for (size_t j = 0; j < n; j++) {
		float *column = (float *)packed + j / LANES * LANES * k + j % LANES;

		for (size_t t = 0; t < k; t++)
			column[t * LANES] = weights[j * k + t];
	}
}

/* Up to 16 columns, and all rows against them. */
struct block {
	fm_vec4 bias[VECTORS_MAX], slope[VECTORS_MAX];
	const float *panel;
	size_t last; /* lanes of the last vector that are columns, or more */
	float *out;
	size_t out_stride;
	const float *a;
	size_t a_stride, m, k;
	const struct fm_epilogue *epilogue;
	const float *residual; /* at this block's first column, or NULL */
};

FM_INLINE void store_tile(const struct block *block, size_t row, size_t rows, size_t vectors,
        fm_vec4 acc[ROWS_MAX][VECTORS_MAX])
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
			fm_vec4 value = fm_finish_vec4(
			        block->epilogue, acc[r][v], block->bias[v], block->slope[v], residual, lanes);
			fm_store_vec4(out + v * LANES, value, lanes);
		}
	}
}

FM_INLINE void multiply_tile(const struct block *block, size_t row, size_t rows, size_t vectors)
{
	const float *a = block->a + row * block->a_stride;
	const float *w = block->panel;
	size_t panel_floats = block->k * LANES;
	fm_vec4 acc[ROWS_MAX][VECTORS_MAX];

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[r][v] = fm_set_vec4(0.0f);
	}
	for (size_t t = 0; t < block->k; t++) {
		fm_vec4 terms[VECTORS_MAX];

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			terms[v] = vld1q_f32(w + v * panel_floats);
		FM_UNROLL
		for (size_t r = 0; r < rows; r++) {
			float x = a[r * block->a_stride];
			FM_UNROLL
			for (size_t v = 0; v < vectors; v++)
				acc[r][v] = vfmaq_n_f32(acc[r][v], terms[v], x);
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
	for (; row < block->m; row++)
		multiply_tile(block, row, 1, vectors);
}

void fm_gemm_f32_run_neon(float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
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
			block.bias[v] = fm_bias_vec4(epilogue, channel, n - channel);
			block.slope[v] = fm_slope_vec4(epilogue, channel, n - channel);
			block.last = n - channel;
		}
		block.panel = (const float *)packed + j * k;
		block.out = out + j;
		block.residual = epilogue->residual != NULL ? epilogue->residual + j : NULL;
		switch (vectors) {
		case 4: multiply_rows(&block, 4, 4); break;
		case 3: multiply_rows(&block, 4, 3); break;
		case 2: multiply_rows(&block, 4, 2); break;
		default: multiply_rows(&block, 4, 1); break;
		}
	}
}
