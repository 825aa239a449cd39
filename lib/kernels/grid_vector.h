/* Static quantization for the ISA that a file is compiled for; the contract is in grid.h. Internal. */
#ifndef FM_KERNELS_GRID_VECTOR_H
#define FM_KERNELS_GRID_VECTOR_H

#include "lib/kernels/grid.h"
#include "lib/kernels/vector.h"

typedef uint8_t fm_vector_codes __attribute__((vector_size(FM_VECTOR_LANES)));

/* A grid in registers: what is stored between vectors could be the grid itself, for all that a compiler
 * knows. */
struct fm_grid_vectors {
	fm_vector scale, inverse, low, high;
};

FM_INLINE struct fm_grid_vectors fm_grid_load(const struct fm_grid *grid)
{
	static const struct fm_grid none;

	if (!grid)
		grid = &none;
	return (struct fm_grid_vectors){.scale = fm_vector_all(grid->scale),
	        .inverse = fm_vector_all(grid->inverse),
	        .low = fm_vector_all(grid->low),
	        .high = fm_vector_all(grid->high)};
}

FM_INLINE fm_vector fm_grid_steps(fm_vector x, const struct fm_grid_vectors *grid)
{
	const fm_vector magic = fm_vector_all(12582912.0f); /* 1.5 * 2^23: rounds to the nearest integer */

	x = fm_vector_min(fm_vector_max(x * grid->inverse, grid->low), grid->high);
	return (x + magic) - magic;
}

/* What a chain is made of, loaded once. */
struct fm_grid_links {
	struct fm_grid_vectors first, last;
	fm_vector clip_low, clip_high;
	bool has_first, has_last;
};

/* One vector of the chain; slope points at its lanes. The activation is constant where it is called. */
FM_INLINE fm_vector fm_grid_chain_vector(fm_vector v, fm_vector residual, fm_vector slope,
        const struct fm_grid_links *links, enum fm_activation activation)
{
	if (links->has_first)
		v = fm_grid_steps(v, &links->first) * links->first.scale;
	v += residual;
	switch (activation) {
	case FM_ACT_NONE: break;
	case FM_ACT_RELU: v = fm_vector_max(v, fm_vector_all(0.0f)); break;
	case FM_ACT_PRELU:
		v = fm_vector_max(v, fm_vector_all(0.0f)) + fm_vector_min(v, fm_vector_all(0.0f)) * slope;
		break;
	case FM_ACT_CLIP: v = fm_vector_min(fm_vector_max(v, links->clip_low), links->clip_high); break;
	}
	if (links->has_last)
		v = fm_grid_steps(v, &links->last) * links->last.scale;
	return v;
}

FM_INLINE void fm_grid_chain_activation(float *x, size_t stride, size_t m, size_t n,
        const struct fm_grid_chain *chain, enum fm_activation activation)
{
	const struct fm_grid_links links = {.first = fm_grid_load(chain->first),
	        .last = fm_grid_load(chain->last),
	        .clip_low = fm_vector_all(chain->clip_low),
	        .clip_high = fm_vector_all(chain->clip_high),
	        .has_first = chain->first != NULL,
	        .has_last = chain->last != NULL};
	const float *slope = activation == FM_ACT_PRELU ? chain->slope : NULL, *residual = chain->residual;
	const fm_vector zero = {0};

	for (size_t row = 0; row < m; row++, x += stride) {
		size_t i = 0;

		for (; i + FM_VECTOR_LANES <= n; i += FM_VECTOR_LANES)
			fm_vector_store(
			        x + i, fm_grid_chain_vector(fm_vector_load(x + i),
			                       residual ? fm_vector_load(residual + i) : zero,
			                       slope ? fm_vector_load(slope + i) : zero, &links, activation));
		if (i < n)
			fm_vector_store_part(x + i,
			        fm_grid_chain_vector(fm_vector_load_part(x + i, n - i),
			                residual ? fm_vector_load_part(residual + i, n - i) : zero,
			                slope ? fm_vector_load_part(slope + i, n - i) : zero, &links,
			                activation),
			        n - i);
		if (residual)
			residual += stride;
	}
}

FM_INLINE void fm_grid_chain_rows(
        float *x, size_t stride, size_t m, size_t n, const struct fm_grid_chain *chain)
{
	switch (chain->activation) {
	case FM_ACT_NONE: fm_grid_chain_activation(x, stride, m, n, chain, FM_ACT_NONE); break;
	case FM_ACT_RELU: fm_grid_chain_activation(x, stride, m, n, chain, FM_ACT_RELU); break;
	case FM_ACT_PRELU: fm_grid_chain_activation(x, stride, m, n, chain, FM_ACT_PRELU); break;
	case FM_ACT_CLIP: fm_grid_chain_activation(x, stride, m, n, chain, FM_ACT_CLIP); break;
	}
}

FM_INLINE void fm_grid_quantize_rows(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t m, size_t k, size_t k_padded, const struct fm_grid *grid)
{
	const struct fm_grid_vectors links = fm_grid_load(grid);
	const struct fm_row_quant same = {.scale = grid->scale, .zero = (int32_t)-grid->low};

	for (size_t row = 0; row < m; row++, a += a_stride, q += k_padded) {
		size_t i = 0;

		quant[row] = same;
		for (; i < k; i += FM_VECTOR_LANES) {
			const size_t part = k - i < FM_VECTOR_LANES ? k - i : FM_VECTOR_LANES;
			const fm_vector x = part == FM_VECTOR_LANES ? fm_vector_load(a + i)
			                                            : fm_vector_load_part(a + i, part);
			const fm_vector_codes codes = __builtin_convertvector(
			        __builtin_convertvector(fm_grid_steps(x, &links) - links.low, fm_vector_int),
			        fm_vector_codes);

			if (part == FM_VECTOR_LANES)
				memcpy(q + i, &codes, sizeof(codes));
			else
				memcpy(q + i, &codes, part);
		}
		if (k < k_padded)
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
