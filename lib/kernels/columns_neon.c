#include "lib/kernels/columns_vector.h"

#include "lib/base/banned.h"

void fm_quantize_columns_neon(uint8_t *q, struct fm_row_quant *quant, const float *const *columns, size_t m,
        size_t k, size_t k_padded)
{
	quantize_columns(q, quant, columns, m, k, k_padded);
}
