/* One quantize_rows per ISA; the contract is in kernels.h. Internal to lib/kernels. */
#ifndef FM_KERNELS_QUANTIZE_H
#define FM_KERNELS_QUANTIZE_H

#include "lib/kernels/kernels.h"

void fm_quantize_rows_scalar(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t m, size_t k, size_t k_padded, bool nonnegative);
void fm_quantize_rows_sse41(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride, size_t m,
        size_t k, size_t k_padded, bool nonnegative);
void fm_quantize_rows_avx2(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride, size_t m,
        size_t k, size_t k_padded, bool nonnegative);
void fm_quantize_rows_avx512vnni(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride,
        size_t m, size_t k, size_t k_padded, bool nonnegative);
void fm_quantize_rows_neon(uint8_t *q, struct fm_row_quant *quant, const float *a, size_t a_stride, size_t m,
        size_t k, size_t k_padded, bool nonnegative);

#endif
