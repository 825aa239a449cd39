/*
 * Without VNNI there is vpmaddubsw (u8 x s8, pairs summed to s16), which saturates: 2 * 255 * 127 > 32767. So
 * terms are widened to s16, and vpmaddwd sums pairs to s32 exactly. A broadcast of four terms becomes its
 * even and its odd terms with one mask and one shift; the packer puts the weights in the same order.
 *
 * Packed: panels of 8 columns, each -w_sum s32 [8] and 32 bytes unused, then s16 [k / 4][2][8][2]: of every
 * four terms first 0 and 2, then 1 and 3. Columns and terms past the end are 0.
 */
#include "lib/kernels/epilogue_avx2.h"
#include "lib/kernels/gemm_u8s8.h"

#include <string.h>

#include "lib/base/banned.h"

#define LANES       FM_LANES_AVX2
#define GROUP       FM_GEMM_U8S8_K_MULTIPLE_AVX2
#define HEAD_BYTES  64
#define GROUP_BYTES (LANES * GROUP * sizeof(int16_t))
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

size_t fm_gemm_u8s8_packed_bytes_avx2(size_t n, size_t k)
{
	return (n + LANES - 1) / LANES * panel_bytes_of(k);
}

void fm_gemm_u8s8_pack_avx2(void *packed, const int8_t *weights, size_t n, size_t k)
{
	for (size_t j = 0; j < n; j++) {
		char *panel = (char *)packed + j / LANES * panel_bytes_of(k);
		int32_t *less = (int32_t *)panel + j % LANES;
		int16_t *column = (int16_t *)(panel + HEAD_BYTES) + j % LANES * 2;

		*less = 0;
		for (size_t t = 0; t < k; t++) {
			size_t odd = t % 2, second = t % GROUP / 2;
			*less -= weights[j * k + t];
			column[(t / GROUP * 2 + odd) * LANES * 2 + second] = weights[j * k + t];
		}
	}
}

/* Up to VECTORS_MAX panels, and all rows against them. */
struct block {
	__m256 scale[VECTORS_MAX], bias[VECTORS_MAX], slope[VECTORS_MAX];
	const char *panel;
	size_t panel_bytes, groups;
	size_t last; /* lanes of the last vector that are columns, or more */
	float *out;
	size_t out_stride;
	const uint8_t *a;
	const struct fm_row_quant *a_quant;
	size_t m;
	bool corrects; /* some row's zero point is not 0 */
	bool clips;
	__m256 low, high;      /* where it clips */
	const float *residual; /* at this block's first column, or NULL */
	size_t residual_stride;
};

/*
 * sum += two products a lane. Assembly, because gcc 12 adds the products of even and odd terms first, keeps
 * those of all rows alive, and spills.
 */
FM_INLINE __m256i add_products(__m256i sum, __m256i a, __m256i w)
{
	__m256i products;

	__asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(a), "x"(w));
	return sum;
}

/* Sums begin with what the zero points take from them: the order of integers is free. */
FM_INLINE void begin_sums(const struct block *block, size_t row, size_t rows, size_t vectors,
        __m256i acc[ROWS_MAX][VECTORS_MAX])
{
	const struct fm_row_quant *quant = block->a_quant + row;

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[r][v] = _mm256_setzero_si256();
	}
	if (!block->corrects)
		return;
	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		__m256i zero = _mm256_set1_epi32(quant[r].zero);

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[r][v] = _mm256_mullo_epi32(zero,
			        _mm256_load_si256((const __m256i *)(block->panel + v * block->panel_bytes)));
	}
}

/* Constant kinds of epilogue, so that no branch is left between a tile's vectors. */
FM_INLINE void store_tile(const struct block *block, size_t row, size_t rows, size_t vectors,
        __m256i acc[ROWS_MAX][VECTORS_MAX], bool clips, bool has_residual)
{
	const struct fm_row_quant *quant = block->a_quant + row;
	const float *residual = has_residual ? block->residual + row * block->residual_stride : NULL;
	float *out = block->out + row * block->out_stride;

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		__m256 scale = _mm256_set1_ps(quant[r].scale);

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++) {
			size_t lanes = v + 1 == vectors ? block->last : LANES;
			__m256 value = _mm256_mul_ps(
			        _mm256_cvtepi32_ps(acc[r][v]), _mm256_mul_ps(scale, block->scale[v]));

			value = _mm256_add_ps(value, block->bias[v]);
			if (has_residual)
				value = _mm256_add_ps(value, fm_load_avx2(residual + v * LANES, lanes));
			value = clips ? fm_clip_avx2(value, block->low, block->high)
			              : fm_slope_by_avx2(value, block->slope[v]);
			fm_store_avx2(out + v * LANES, value, lanes);
		}
		out += block->out_stride;
		if (has_residual)
			residual += block->residual_stride;
	}
}

FM_INLINE void multiply_tile(const struct block *block, size_t row, size_t rows, size_t vectors)
{
	const __m256i low_bytes = _mm256_set1_epi16(0x00ff);
	size_t a_stride = block->groups * GROUP;
	const uint8_t *a = block->a + row * a_stride;
	const char *w = block->panel + HEAD_BYTES;
	__m256i acc[ROWS_MAX][VECTORS_MAX];

	begin_sums(block, row, rows, vectors, acc);
	for (size_t g = 0; g < block->groups; g++) {
		__m256i even[ROWS_MAX], odd[ROWS_MAX];

		FM_UNROLL
		for (size_t r = 0; r < rows; r++) {
			int32_t four;
			memcpy(&four, a + r * a_stride, sizeof(four));
			__m256i x = _mm256_set1_epi32(four);
			even[r] = _mm256_and_si256(x, low_bytes);
			odd[r] = _mm256_srli_epi16(x, 8);
		}
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++) {
			const __m256i *terms = (const __m256i *)(w + v * block->panel_bytes);
			__m256i w_even = _mm256_load_si256(terms);
			FM_UNROLL
			for (size_t r = 0; r < rows; r++)
				acc[r][v] = add_products(acc[r][v], even[r], w_even);
			__m256i w_odd = _mm256_load_si256(terms + 1);
			FM_UNROLL
			for (size_t r = 0; r < rows; r++)
				acc[r][v] = add_products(acc[r][v], odd[r], w_odd);
		}
		a += GROUP;
		w += GROUP_BYTES;
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

void fm_gemm_u8s8_run_avx2(float *out, size_t out_stride, const uint8_t *a,
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
	        .corrects = fm_any_zero_point_avx2(a_quant, m),
	        .clips = fm_epilogue_clips(epilogue),
	        .low = _mm256_set1_ps(fm_epilogue_low(epilogue)),
	        .high = _mm256_set1_ps(fm_epilogue_high(epilogue)),
	        .residual_stride = epilogue->residual_stride,
	};

	for (size_t j = 0; j < n; j += VECTORS_MAX * LANES) {
		size_t columns = n - j < VECTORS_MAX * LANES ? n - j : VECTORS_MAX * LANES;
		size_t vectors = (columns + LANES - 1) / LANES;

		for (size_t v = 0; v < vectors; v++) {
			size_t channel = j + v * LANES;
			block.scale[v] = fm_load_avx2(w_scale + channel, n - channel);
			block.bias[v] = fm_bias_avx2(epilogue, channel, n - channel);
			block.slope[v] = fm_slope_avx2(epilogue, channel, n - channel);
			block.last = n - channel;
		}
		block.panel = (const char *)packed + j / LANES * block.panel_bytes;
		block.out = out + j;
		block.residual = epilogue->residual != NULL ? epilogue->residual + j : NULL;
		switch (vectors) {
		case 4: multiply_rows(&block, 2, 4); break;
		case 3: multiply_rows(&block, 3, 3); break;
		case 2: multiply_rows(&block, 4, 2); break;
		default: multiply_rows(&block, 4, 1); break;
		}
	}
}
