/* Static quantization for the ISA that a file is compiled for; the contract is in grid.h. Internal. */
#ifndef FM_KERNELS_GRID_VECTOR_H
#define FM_KERNELS_GRID_VECTOR_H

#include "lib/kernels/grid.h"
#include "lib/kernels/vector.h"

typedef uint8_t fm_vector_codes __attribute__((vector_size(FM_VECTOR_LANES)));

FM_INLINE fm_vector fm_grid_steps(fm_vector x, const struct fm_grid *grid)
{
	const fm_vector magic = fm_vector_all(12582912.0f); /* 1.5 * 2^23: rounds to the nearest integer */

	x = fm_vector_min(
	        fm_vector_max(x * grid->inverse, fm_vector_all(grid->low)), fm_vector_all(grid->high));
	return (x + magic) - magic;
}

/* One vector of the chain; residual and slope point at its lanes. */
FM_INLINE fm_vector fm_grid_chain_vector(
        fm_vector v, fm_vector residual, fm_vector slope, const struct fm_grid_chain *chain)
{
	if (chain->first)
		v = fm_grid_steps(v, chain->first) * chain->first->scale;
	v += residual;
	switch (chain->activation) {
	case FM_ACT_NONE: break;
	case FM_ACT_RELU: v = fm_vector_max(v, fm_vector_all(0.0f)); break;
	case FM_ACT_PRELU:
		v = fm_vector_max(v, fm_vector_all(0.0f)) + fm_vector_min(v, fm_vector_all(0.0f)) * slope;
		break;
	case FM_ACT_CLIP:
		v = fm_vector_min(
		        fm_vector_max(v, fm_vector_all(chain->clip_low)), fm_vector_all(chain->clip_high));
		break;
	}
	if (chain->last)
		v = fm_grid_steps(v, chain->last) * chain->last->scale;
	return v;
}

FM_INLINE void fm_grid_chain_rows(
        float *x, size_t stride, size_t m, size_t n, const struct fm_grid_chain *chain)
{
	const bool sloped = chain->activation == FM_ACT_PRELU;
	const fm_vector zero = {0};

	for (size_t row = 0; row < m; row++, x += stride) {
		const float *residual = chain->residual ? chain->residual + row * stride : NULL;
		size_t i = 0;

		for (; i + FM_VECTOR_LANES <= n; i += FM_VECTOR_LANES)
			fm_vector_store(
			        x + i, fm_grid_chain_vector(fm_vector_load(x + i),
			                       residual ? fm_vector_load(residual + i) : zero,
			                       sloped ? fm_vector_load(chain->slope + i) : zero, chain));
		if (i == n)
			continue;
		fm_vector_store_part(x + i,
		        fm_grid_chain_vector(fm_vector_load_part(x + i, n - i),
		                residual ? fm_vector_load_part(residual + i, n - i) : zero,
		                sloped ? fm_vector_load_part(chain->slope + i, n - i) : zero, chain),
		        n - i);
	}
}

FM_INLINE void fm_grid_quantize_rows(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t m, size_t k, size_t k_padded, const struct fm_grid *grid)
{
	for (size_t row = 0; row < m; row++, a += a_stride, q += k_padded) {
		size_t i = 0;

		quant[row] = (struct fm_row_quant){.scale = grid->scale, .zero = (int32_t)-grid->low};
		for (; i < k; i += FM_VECTOR_LANES) {
			const size_t part = k - i < FM_VECTOR_LANES ? k - i : FM_VECTOR_LANES;
			const fm_vector x = part == FM_VECTOR_LANES ? fm_vector_load(a + i)
			                                            : fm_vector_load_part(a + i, part);
			const fm_vector_codes codes = __builtin_convertvector(
			        __builtin_convertvector(fm_grid_steps(x, grid) - grid->low, fm_vector_int),
			        fm_vector_codes);

			if (part == FM_VECTOR_LANES)
				memcpy(q + i, &codes, sizeof(codes));
			else
				memcpy(q + i, &codes, part);
		}
		memset(q + k, 0, k_padded - k);
	}
}

void fm_grid_chain_f32_scalar(float *x, size_t stride, size_t m, size_t n, const struct fm_grid_chain *chain);
void fm_grid_chain_f32_avx2(float *x, size_t stride, size_t m, size_t n, const struct fm_grid_chain *chain);
void fm_grid_chain_f32_avx512vnni(
        float *x, size_t stride, size_t m, size_t n, const struct fm_grid_chain *chain);
void fm_grid_quantize_f32_scalar(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t m, size_t k, size_t k_padded, const struct fm_grid *grid);
void fm_grid_quantize_f32_avx2(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t m, size_t k, size_t k_padded, const struct fm_grid *grid);
void fm_grid_quantize_f32_avx512vnni(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t m, size_t k, size_t k_padded, const struct fm_grid *grid);

#endif
