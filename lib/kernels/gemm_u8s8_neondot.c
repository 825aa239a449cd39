/*
 * sdot: four terms of four columns an instruction, the activations' four by lane. It wants both sides signed:
 *   sum a * w = sum (a - 128) * w + 128 * w_sum, and a - 128 is a with its top bit flipped,
 * so 128 joins the zero point. The tile is 4 rows by 16 columns: 16 accumulators, 4 vectors of weights and 4
 * of sixteen terms each, of 32 registers.
 *
 * Packed: panels of 4 columns, each w_sum s32 [4], then s8 [k / 16][4][4][4]: of every sixteen terms four at
 * a time, column by column. Columns and terms past the end are 0.
 */
#include "lib/kernels/gemm_u8s8.h"
#include "lib/kernels/vec4.h"

#include "lib/base/banned.h"

#define LANES       FM_LANES_VEC4
#define GROUP       FM_GEMM_U8S8_K_MULTIPLE_NEONDOT
#define HEAD_BYTES  (LANES * sizeof(int32_t))
#define GROUP_BYTES (LANES * GROUP)
#define OFFSET      128
#define VECTORS_MAX 4
#define ROWS_MAX    4

static size_t groups_of(size_t k)
{
	return (k + GROUP - 1) / GROUP;
}

static size_t panel_bytes_of(size_t k)
{
	return HEAD_BYTES + groups_of(k) * GROUP_BYTES;
}

size_t fm_gemm_u8s8_packed_bytes_neondot(size_t n, size_t k)
{
	return (n + LANES - 1) / LANES * panel_bytes_of(k);
}

void fm_gemm_u8s8_pack_neondot(void *packed, const int8_t *weights, size_t n, size_t k)
{
	for (size_t j = 0; j < n; j++) {
		char *panel = (char *)packed + j / LANES * panel_bytes_of(k);
		int32_t *w_sum = (int32_t *)panel + j % LANES;
		int8_t *column = (int8_t *)panel + HEAD_BYTES + j % LANES * 4;

		*w_sum = 0;
		for (size_t t = 0; t < k; t++) {
			*w_sum += weights[j * k + t];
			column[t / 4 * LANES * 4 + t % 4] = weights[j * k + t];
		}
	}
}

/* Up to VECTORS_MAX panels, and all rows against them. */
struct block {
	fm_vec4 scale[VECTORS_MAX], bias[VECTORS_MAX], slope[VECTORS_MAX];
	const char *panel;
	size_t panel_bytes, groups;
	size_t last; /* lanes of the last vector that are columns, or more */
	float *out;
	size_t out_stride;
	const uint8_t *a;
	const struct fm_row_quant *a_quant;
	size_t m;
	const struct fm_epilogue *epilogue;
	const float *residual; /* at this block's first column, or NULL */
};

FM_INLINE void store_tile(const struct block *block, size_t row, size_t rows, size_t vectors,
        int32x4_t acc[ROWS_MAX][VECTORS_MAX])
{
	const struct fm_epilogue *epilogue = block->epilogue;

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		const struct fm_row_quant *quant = &block->a_quant[row + r];
		int32x4_t zero = vdupq_n_s32(OFFSET - quant->zero);
		fm_vec4 scale = fm_set_vec4(quant->scale);
		float *out = block->out + (row + r) * block->out_stride;

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++) {
			size_t lanes = v + 1 == vectors ? block->last : LANES;
			const float *residual = block->residual;
			if (residual != NULL)
				residual += (row + r) * epilogue->residual_stride + v * LANES;
			int32x4_t w_sum = vld1q_s32((const int32_t *)(block->panel + v * block->panel_bytes));
			int32x4_t sum = vmlaq_s32(acc[r][v], zero, w_sum);
			fm_vec4 value = vcvtq_f32_s32(sum) * (scale * block->scale[v]);
			value = fm_finish_vec4(
			        epilogue, value, block->bias[v], block->slope[v], residual, lanes);
			fm_store_vec4(out + v * LANES, value, lanes);
		}
	}
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

FM_INLINE void multiply_tile(const struct block *block, size_t row, size_t rows, size_t vectors)
{
	const uint8x16_t top_bit = vdupq_n_u8(OFFSET);
	size_t a_stride = block->groups * GROUP;
	const uint8_t *a = block->a + row * a_stride;
	const int8_t *w = (const int8_t *)block->panel + HEAD_BYTES;
	int32x4_t acc[ROWS_MAX][VECTORS_MAX];

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[r][v] = vdupq_n_s32(0);
	}
	for (size_t g = 0; g < block->groups; g++) {
		int8x16_t x[ROWS_MAX];

		FM_UNROLL
		for (size_t r = 0; r < rows; r++)
			x[r] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(a + r * a_stride), top_bit));
		FM_UNROLL
		for (size_t lane = 0; lane < 4; lane++) {
			FM_UNROLL
			for (size_t v = 0; v < vectors; v++) {
				int8x16_t terms = vld1q_s8(w + v * block->panel_bytes + lane * LANES * 4);
				FM_UNROLL
				for (size_t r = 0; r < rows; r++)
					acc[r][v] = add_products(acc[r][v], terms, x[r], lane);
			}
		}
		a += GROUP;
		w += GROUP_BYTES;
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

void fm_gemm_u8s8_run_neondot(float *out, size_t out_stride, const uint8_t *a,
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
	        .epilogue = epilogue,
	};

	for (size_t j = 0; j < n; j += VECTORS_MAX * LANES) {
		size_t columns = n - j < VECTORS_MAX * LANES ? n - j : VECTORS_MAX * LANES;
		size_t vectors = (columns + LANES - 1) / LANES;

		for (size_t v = 0; v < vectors; v++) {
			size_t channel = j + v * LANES;
			block.scale[v] = fm_load_vec4(w_scale + channel, n - channel);
			block.bias[v] = fm_bias_vec4(epilogue, channel, n - channel);
			block.slope[v] = fm_slope_vec4(epilogue, channel, n - channel);
			block.last = n - channel;
		}
		block.panel = (const char *)packed + j / LANES * block.panel_bytes;
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
