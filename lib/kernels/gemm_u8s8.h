/* The u8 x s8 matrix product, one per ISA; the contract is struct fm_gemm_u8s8. Internal to lib/kernels. */
#ifndef FM_KERNELS_GEMM_U8S8_H
#define FM_KERNELS_GEMM_U8S8_H

#include "lib/kernels/kernels.h"

/* What a packer wants k padded to: the terms that one instruction sums. */
enum {
	FM_GEMM_U8S8_K_MULTIPLE_SCALAR = 1,
	FM_GEMM_U8S8_K_MULTIPLE_AVX2 = 4,
	FM_GEMM_U8S8_K_MULTIPLE_AVX512VNNI = 4,
};

size_t fm_gemm_u8s8_packed_bytes_scalar(size_t n, size_t k);
void fm_gemm_u8s8_pack_scalar(void *packed, const int8_t *weights, size_t n, size_t k);
void fm_gemm_u8s8_run_scalar(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue);

size_t fm_gemm_u8s8_packed_bytes_avx2(size_t n, size_t k);
void fm_gemm_u8s8_pack_avx2(void *packed, const int8_t *weights, size_t n, size_t k);
void fm_gemm_u8s8_run_avx2(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue);

size_t fm_gemm_u8s8_packed_bytes_avx512vnni(size_t n, size_t k);
void fm_gemm_u8s8_pack_avx512vnni(void *packed, const int8_t *weights, size_t n, size_t k);
void fm_gemm_u8s8_run_avx512vnni(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue);

#endif
