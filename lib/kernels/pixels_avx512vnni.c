#include "lib/kernels/epilogue_avx512.h"
#include "lib/kernels/pixels_vector.h"

#include "lib/base/banned.h"

struct fm_row_quant fm_pixels_quant_of_avx512vnni(const float *x, size_t count)
{
	return quant_of(x, count);
}

void fm_pixels_quantize_avx512vnni(uint8_t *q, const float *from, size_t plane, size_t channels, size_t count,
        const struct fm_row_quant *quant)
{
	quantize(q, from, plane, channels, count, quant);
}

/* ---- the product ------------------------------------------------------------------------------------------
 */

#define VECTORS_MAX 4
#define ROWS_MAX    12

/* A small kernel's weights stay in registers, all of a row long. */
#define SMALL_GROUPS_MAX  9
#define SMALL_VECTORS_MAX 2
#define SMALL_PIXELS      4

/* As in gemm_u8s8_avx512vnni.c, but that none is a slope of 1. */
enum ending { SLOPES, RECTIFIES, CLIPS };

/* Up to 64 columns, and all pixels of a row against them. */
struct block {
	__m512 scale[VECTORS_MAX], bias[VECTORS_MAX], slope[VECTORS_MAX];
	__m512i start[VECTORS_MAX]; /* sums begin with what the zero point takes off */
	const char *panel;          /* gemm_u8s8_avx512vnni.c says what is in it */
	size_t panel_bytes;
	size_t last; /* lanes of the last vector that are columns, or more */
	float *out;
	enum ending ending;
	__m512 low, high; /* where it clips */
	const struct fm_pixels_product *product;
	const uint8_t *const *rows;
};

/* As in gemm_u8s8_avx512vnni.c, and for its reason. */
FM_INLINE __m512i add_products(__m512i sum, __m512i a, __m512i w)
{
	__asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(w));
	return sum;
}

FM_INLINE void store_tile(const struct block *block, size_t pixel, size_t pixels, size_t vectors,
        __m512i acc[ROWS_MAX][VECTORS_MAX], enum ending ending)
{
	float *out = block->out + pixel * block->product->n;

	FM_UNROLL
	for (size_t p = 0; p < pixels; p++) {
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++) {
			const size_t lanes = v + 1 == vectors ? block->last : LANES;
			__m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[p][v]), block->scale[v]);

			value = _mm512_add_ps(value, block->bias[v]);
			if (ending == RECTIFIES)
				value = _mm512_max_ps(value, _mm512_setzero_ps());
			else if (ending == CLIPS)
				value = fm_clip_avx512(value, block->low, block->high);
			else
				value = fm_slope_by_avx512(value, block->slope[v]);
			fm_store_avx512(out + v * LANES, value, lanes);
		}
		out += block->product->n;
	}
}

FM_INLINE void store_sums(const struct block *block, size_t pixel, size_t pixels, size_t vectors,
        __m512i acc[ROWS_MAX][VECTORS_MAX])
{
	switch (block->ending) {
	case SLOPES: store_tile(block, pixel, pixels, vectors, acc, SLOPES); break;
	case RECTIFIES: store_tile(block, pixel, pixels, vectors, acc, RECTIFIES); break;
	case CLIPS: store_tile(block, pixel, pixels, vectors, acc, CLIPS); break;
	}
}

FM_INLINE __m512i broadcast_four(const uint8_t *from)
{
	int32_t four;

	memcpy(&four, from, sizeof(four));
	return _mm512_set1_epi32(four);
}

FM_INLINE void multiply_tile(const struct block *block, size_t pixel, size_t pixels, size_t vectors)
{
	const size_t step = block->product->step, groups = block->product->row_terms / 4;
	const char *w = block->panel + LANES * sizeof(int32_t);
	__m512i acc[ROWS_MAX][VECTORS_MAX];

	FM_UNROLL
	for (size_t p = 0; p < pixels; p++) {
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[p][v] = block->start[v];
	}
	for (size_t row = 0; row < block->product->kernel_h; row++) {
		const uint8_t *a = block->rows[row] + pixel * step;

		for (size_t g = 0; g < groups; g++) {
			__m512i terms[VECTORS_MAX];

			FM_UNROLL
			for (size_t v = 0; v < vectors; v++)
				terms[v] = _mm512_load_si512(w + v * block->panel_bytes);
			FM_UNROLL
			for (size_t p = 0; p < pixels; p++) {
				const __m512i x = broadcast_four(a + p * step);

				FM_UNROLL
				for (size_t v = 0; v < vectors; v++)
					acc[p][v] = add_products(acc[p][v], x, terms[v]);
			}
			a += sizeof(int32_t);
			w += sizeof(__m512i);
		}
	}
	store_sums(block, pixel, pixels, vectors, acc);
}

FM_INLINE void multiply_pixels(const struct block *block, size_t count, size_t pixels, size_t vectors)
{
	size_t pixel = 0;

	for (; count - pixel >= pixels; pixel += pixels)
		multiply_tile(block, pixel, pixels, vectors);
	for (; count - pixel >= 4; pixel += 4)
		multiply_tile(block, pixel, 4, vectors);
	for (; pixel < count; pixel++)
		multiply_tile(block, pixel, 1, vectors);
}

FM_INLINE void multiply_small_tile(const struct block *block, size_t pixel, size_t pixels, size_t kernel_h,
        size_t groups, size_t vectors, const __m512i w[SMALL_GROUPS_MAX][SMALL_VECTORS_MAX])
{
	const size_t step = block->product->step;
	__m512i acc[ROWS_MAX][VECTORS_MAX];

	FM_UNROLL
	for (size_t p = 0; p < pixels; p++) {
		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			acc[p][v] = block->start[v];
	}
	FM_UNROLL
	for (size_t row = 0; row < kernel_h; row++) {
		const uint8_t *a = block->rows[row] + pixel * step;

		FM_UNROLL
		for (size_t g = 0; g < groups; g++) {
			FM_UNROLL
			for (size_t p = 0; p < pixels; p++) {
				const __m512i x = broadcast_four(a + p * step + g * sizeof(int32_t));

				FM_UNROLL
				for (size_t v = 0; v < vectors; v++)
					acc[p][v] = add_products(acc[p][v], x, w[row * groups + g][v]);
			}
		}
	}
	store_sums(block, pixel, pixels, vectors, acc);
}

FM_INLINE void multiply_small(
        const struct block *block, size_t count, size_t kernel_h, size_t groups, size_t vectors)
{
	__m512i w[SMALL_GROUPS_MAX][SMALL_VECTORS_MAX];
	size_t pixel = 0;

	FM_UNROLL
	for (size_t v = 0; v < vectors; v++) {
		const char *from = block->panel + v * block->panel_bytes + LANES * sizeof(int32_t);

		FM_UNROLL
		for (size_t g = 0; g < kernel_h * groups; g++)
			w[g][v] = _mm512_load_si512(from + g * sizeof(__m512i));
	}
	for (; count - pixel >= SMALL_PIXELS; pixel += SMALL_PIXELS)
		multiply_small_tile(block, pixel, SMALL_PIXELS, kernel_h, groups, vectors, w);
	for (; pixel < count; pixel++)
		multiply_small_tile(block, pixel, 1, kernel_h, groups, vectors, w);
}

/* 3 x 3 of three channels, or of one. */
static bool is_small(const struct fm_pixels_product *product)
{
	return product->kernel_h == 3 && (product->row_terms == 12 || product->row_terms == 4) &&
	       product->n <= SMALL_VECTORS_MAX * LANES;
}

static void multiply_small_kernel(const struct block *block, size_t count, size_t vectors)
{
	if (block->product->row_terms == 12)
		vectors == 1 ? multiply_small(block, count, 3, 3, 1) : multiply_small(block, count, 3, 3, 2);
	else
		vectors == 1 ? multiply_small(block, count, 3, 1, 1) : multiply_small(block, count, 3, 1, 2);
}

void fm_pixels_multiply_avx512vnni(float *out, const uint8_t *const *rows, size_t count,
        const struct fm_pixels_product *product, const struct fm_row_quant *quant,
        const struct fm_epilogue *epilogue)
{
	const size_t n = product->n;
	struct block block = {.product = product,
	        .rows = rows,
	        .panel_bytes = LANES * sizeof(int32_t) + product->kernel_h * product->row_terms * LANES,
	        .ending = epilogue->activation == FM_ACT_RELU   ? RECTIFIES
	                  : epilogue->activation == FM_ACT_CLIP ? CLIPS
	                                                        : SLOPES,
	        .low = _mm512_set1_ps(fm_epilogue_low(epilogue)),
	        .high = _mm512_set1_ps(fm_epilogue_high(epilogue))};

	for (size_t j = 0; j < n; j += VECTORS_MAX * LANES) {
		const size_t columns = n - j < VECTORS_MAX * LANES ? n - j : VECTORS_MAX * LANES;
		const size_t vectors = (columns + LANES - 1) / LANES;

		block.panel = (const char *)product->packed + j / LANES * block.panel_bytes;
		block.out = out + j;
		for (size_t v = 0; v < vectors; v++) {
			const size_t channel = j + v * LANES;
			const __m512i less = _mm512_load_si512(block.panel + v * block.panel_bytes);

			block.start[v] = _mm512_mullo_epi32(_mm512_set1_epi32(quant->zero), less);
			block.scale[v] = _mm512_mul_ps(_mm512_set1_ps(quant->scale),
			        fm_load_avx512(product->w_scale + channel, n - channel));
			block.bias[v] = fm_bias_avx512(epilogue, channel, n - channel);
			block.slope[v] = fm_slope_avx512(epilogue, channel, n - channel);
			block.last = n - channel;
		}
		if (is_small(product)) {
			multiply_small_kernel(&block, count, vectors);
			continue;
		}
		switch (vectors) {
		case 4: multiply_pixels(&block, count, 6, 4); break;
		case 3: multiply_pixels(&block, count, 6, 3); break;
		case 2: multiply_pixels(&block, count, 12, 2); break;
		default: multiply_pixels(&block, count, 12, 1); break;
		}
	}
}
