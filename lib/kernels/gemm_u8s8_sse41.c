/*
 * As AVX2 does it, on half the width: pmaddubsw (u8 x s8, pairs summed to s16) saturates at 2 * 255 * 127, so
 * terms are widened to s16, and pmaddwd sums pairs to s32 exactly. A broadcast of four terms becomes its even
 * and its odd terms with one mask and one shift; the packer puts the weights in the same order.
 *
 * Packed: panels of 4 columns, each w_sum s32 [4] and 16 bytes unused, then s16 [k / 4][2][4][2]: of every
 * four terms first 0 and 2, then 1 and 3. Columns and terms past the end are 0.
 */
#include "lib/kernels/gemm_u8s8.h"
#include "lib/kernels/vec4.h"

#include "lib/base/banned.h"

#define LANES       FM_LANES_VEC4
#define GROUP       FM_GEMM_U8S8_K_MULTIPLE_SSE41
#define HEAD_BYTES  32
#define GROUP_BYTES (LANES * GROUP * sizeof(int16_t))
#define VECTORS_MAX 4
#define ROWS_MAX    2

static size_t groups_of(size_t k)
{
	return (k + GROUP - 1) / GROUP;
}

static size_t panel_bytes_of(size_t k)
{
	return HEAD_BYTES + groups_of(k) * GROUP_BYTES;
}

size_t fm_gemm_u8s8_packed_bytes_sse41(size_t n, size_t k)
{
	return (n + LANES - 1) / LANES * panel_bytes_of(k);
}

void fm_gemm_u8s8_pack_sse41(void *packed, const int8_t *weights, size_t n, size_t k)
{
	for (size_t j = 0; j < n; j++) {
		char *panel = (char *)packed + j / LANES * panel_bytes_of(k);
		int32_t *w_sum = (int32_t *)panel + j % LANES;
		int16_t *column = (int16_t *)(panel + HEAD_BYTES) + j % LANES * 2;

		*w_sum = 0;
		for (size_t t = 0; t < k; t++) {
			size_t odd = t % 2, second = t % GROUP / 2;
			*w_sum += weights[j * k + t];
			column[(t / GROUP * 2 + odd) * LANES * 2 + second] = weights[j * k + t];
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
        __m128i acc[ROWS_MAX][VECTORS_MAX])
{
	const struct fm_epilogue *epilogue = block->epilogue;

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		const struct fm_row_quant *quant = &block->a_quant[row + r];
		__m128i zero = _mm_set1_epi32(quant->zero);
		fm_vec4 scale = fm_set_vec4(quant->scale);
		float *out = block->out + (row + r) * block->out_stride;

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++) {
			size_t lanes = v + 1 == vectors ? block->last : LANES;
			const float *residual = block->residual;
			if (residual != NULL)
				residual += (row + r) * epilogue->residual_stride + v * LANES;
			__m128i w_sum =
			        _mm_load_si128((const __m128i *)(block->panel + v * block->panel_bytes));
			__m128i sum = _mm_sub_epi32(acc[r][v], _mm_mullo_epi32(zero, w_sum));
			fm_vec4 value = _mm_cvtepi32_ps(sum) * (scale * block->scale[v]);
			value = fm_finish_vec4(
			        epilogue, value, block->bias[v], block->slope[v], residual, lanes);
			fm_store_vec4(out + v * LANES, value, lanes);
		}
	}
}

/*
 * sum + two products a lane. Assembly, because gcc 12 otherwise adds the products of even and odd terms
 * first, and so needs more registers for a tile than there are.
 */
FM_INLINE __m128i add_products(__m128i sum, __m128i a, const __m128i *w)
{
	__m128i products;

	__asm__("movdqa %2, %1\n\tpmaddwd %3, %1\n\tpaddd %1, %0"
	        : "+x"(sum), "=&x"(products)
	        : "m"(*w), "x"(a));
	return sum;
}

FM_INLINE void multiply_tile(const struct block *block, size_t row, size_t rows, size_t vectors)
{
	const __m128i low_bytes = _mm_set1_epi16(0x00ff);
	size_t a_stride = block->groups * GROUP;
	const uint8_t *a = block->a + row * a_stride;
	const char *w = block->panel + HEAD_BYTES;
	__m128i acc[ROWS_MAX][VECTORS_MAX];

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[r][v] = _mm_setzero_si128();
	}
	for (size_t g = 0; g < block->groups; g++) {
		__m128i even[ROWS_MAX], odd[ROWS_MAX];

		FM_UNROLL
		for (size_t r = 0; r < rows; r++) {
			int32_t four;
			memcpy(&four, a + r * a_stride, sizeof(four));
			__m128i x = _mm_set1_epi32(four);
			even[r] = _mm_and_si128(x, low_bytes);
			odd[r] = _mm_srli_epi16(x, 8);
		}
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++) {
			const __m128i *terms = (const __m128i *)(w + v * block->panel_bytes);
			FM_UNROLL
			for (size_t r = 0; r < rows; r++) {
				acc[r][v] = add_products(acc[r][v], even[r], terms);
				acc[r][v] = add_products(acc[r][v], odd[r], terms + 1);
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

void fm_gemm_u8s8_run_sse41(float *out, size_t out_stride, const uint8_t *a,
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
		case 4: multiply_rows(&block, 2, 4); break;
		case 3: multiply_rows(&block, 2, 3); break;
		case 2: multiply_rows(&block, 2, 2); break;
		default: multiply_rows(&block, 2, 1); break;
		}
	}
}
