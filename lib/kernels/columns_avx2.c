#include "lib/kernels/columns_vector.h"

#include "lib/base/banned.h"

void fm_quantize_columns_avx2(uint8_t *q, struct fm_row_quant *quant, const float *const *columns, size_t m,
        size_t k, size_t k_padded, const float *const *spans, size_t span_count)
{
	quantize_columns(q, quant, columns, m, k, k_padded, spans, span_count);
}

void fm_span_columns_avx2(float *low, float *high, const float *from, size_t from_stride, size_t m, size_t k)
{
	span_columns(low, high, from, from_stride, m, k);
}
