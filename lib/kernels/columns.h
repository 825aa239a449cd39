/* quantize_columns and span_columns of each ISA; the contracts are in kernels.h. Internal to lib/kernels. */
#ifndef FM_KERNELS_COLUMNS_H
#define FM_KERNELS_COLUMNS_H

#include "lib/kernels/kernels.h"

void fm_quantize_columns_scalar(uint8_t *q, struct fm_row_quant *quant, const float *const *columns, size_t m,
        size_t k, size_t k_padded, const float *const *spans, size_t span_count);
void fm_span_columns_scalar(
        float *low, float *high, const float *from, size_t from_stride, size_t m, size_t k);

void fm_quantize_columns_sse41(uint8_t *q, struct fm_row_quant *quant, const float *const *columns, size_t m,
        size_t k, size_t k_padded, const float *const *spans, size_t span_count);
void fm_span_columns_sse41(
        float *low, float *high, const float *from, size_t from_stride, size_t m, size_t k);

void fm_quantize_columns_neon(uint8_t *q, struct fm_row_quant *quant, const float *const *columns, size_t m,
        size_t k, size_t k_padded, const float *const *spans, size_t span_count);
void fm_span_columns_neon(float *low, float *high, const float *from, size_t from_stride, size_t m, size_t k);

void fm_quantize_columns_avx2(uint8_t *q, struct fm_row_quant *quant, const float *const *columns, size_t m,
        size_t k, size_t k_padded, const float *const *spans, size_t span_count);
void fm_span_columns_avx2(float *low, float *high, const float *from, size_t from_stride, size_t m, size_t k);

void fm_quantize_columns_avx512vnni(uint8_t *q, struct fm_row_quant *quant, const float *const *columns,
        size_t m, size_t k, size_t k_padded, const float *const *spans, size_t span_count);
void fm_span_columns_avx512vnni(
        float *low, float *high, const float *from, size_t from_stride, size_t m, size_t k);

#endif
