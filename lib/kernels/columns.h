/* One quantize_columns per ISA; the contract is in kernels.h. Internal to lib/kernels. */
#ifndef FM_KERNELS_COLUMNS_H
#define FM_KERNELS_COLUMNS_H

#include "lib/kernels/kernels.h"

void fm_quantize_columns_scalar(uint8_t *q, struct fm_row_quant *quant, const float *const *columns, size_t m,
        size_t k, size_t k_padded);
void fm_quantize_columns_sse41(uint8_t *q, struct fm_row_quant *quant, const float *const *columns, size_t m,
        size_t k, size_t k_padded);
void fm_quantize_columns_neon(uint8_t *q, struct fm_row_quant *quant, const float *const *columns, size_t m,
        size_t k, size_t k_padded);
void fm_quantize_columns_avx2(uint8_t *q, struct fm_row_quant *quant, const float *const *columns, size_t m,
        size_t k, size_t k_padded);
void fm_quantize_columns_avx512vnni(uint8_t *q, struct fm_row_quant *quant, const float *const *columns,
        size_t m, size_t k, size_t k_padded);

#endif
