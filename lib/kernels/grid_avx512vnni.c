#include "lib/kernels/grid_vector.h"

#include "lib/base/banned.h"

void fm_grid_chain_f32_avx512vnni(
        float *x, size_t stride, size_t m, size_t n, const struct fm_grid_chain *chain)
{
	fm_grid_chain_rows(x, stride, m, n, chain);
}

void fm_grid_quantize_f32_avx512vnni(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t m, size_t k, size_t k_padded, const struct fm_grid *grid)
{
	fm_grid_quantize_rows(q, quant, a, a_stride, m, k, k_padded, grid);
}
