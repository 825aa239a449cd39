/* The u8 x s8 matrix product, one per ISA; the contract is struct fm_gemm_u8s8. Internal to lib/kernels. */
#ifndef FM_KERNELS_GEMM_U8S8_H
#define FM_KERNELS_GEMM_U8S8_H

#include "lib/kernels/kernels.h"

/* What a packer wants k padded to: the terms that one instruction sums, or one load brings. */
enum {
	FM_GEMM_U8S8_K_MULTIPLE_SCALAR = 1,
	FM_GEMM_U8S8_K_MULTIPLE_SSE41 = 4,
	FM_GEMM_U8S8_K_MULTIPLE_AVX2 = 4,
	FM_GEMM_U8S8_K_MULTIPLE_VNNI256 = 4,
	FM_GEMM_U8S8_K_MULTIPLE_AVX512VNNI = 4,
	FM_GEMM_U8S8_K_MULTIPLE_NEON = 8,
	FM_GEMM_U8S8_K_MULTIPLE_NEONDOT = 16,
};

size_t fm_gemm_u8s8_packed_bytes_scalar(size_t n, size_t k);
void fm_gemm_u8s8_pack_scalar(void *packed, const int8_t *weights, size_t n, size_t k);
void fm_gemm_u8s8_run_scalar(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue);

size_t fm_gemm_u8s8_packed_bytes_sse41(size_t n, size_t k);
void fm_gemm_u8s8_pack_sse41(void *packed, const int8_t *weights, size_t n, size_t k);
void fm_gemm_u8s8_run_sse41(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue);

size_t fm_gemm_u8s8_packed_bytes_avx2(size_t n, size_t k);
void fm_gemm_u8s8_pack_avx2(void *packed, const int8_t *weights, size_t n, size_t k);
void fm_gemm_u8s8_run_avx2(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue);

size_t fm_gemm_u8s8_packed_bytes_avxvnni(size_t n, size_t k);
void fm_gemm_u8s8_pack_avxvnni(void *packed, const int8_t *weights, size_t n, size_t k);
void fm_gemm_u8s8_run_avxvnni(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue);

size_t fm_gemm_u8s8_packed_bytes_avx512vlvnni(size_t n, size_t k);
void fm_gemm_u8s8_pack_avx512vlvnni(void *packed, const int8_t *weights, size_t n, size_t k);
void fm_gemm_u8s8_run_avx512vlvnni(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue);

size_t fm_gemm_u8s8_packed_bytes_avx512vnni(size_t n, size_t k);
void fm_gemm_u8s8_pack_avx512vnni(void *packed, const int8_t *weights, size_t n, size_t k);
void fm_gemm_u8s8_run_avx512vnni(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue);

size_t fm_gemm_u8s8_packed_bytes_neon(size_t n, size_t k);
void fm_gemm_u8s8_pack_neon(void *packed, const int8_t *weights, size_t n, size_t k);
void fm_gemm_u8s8_run_neon(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue);

size_t fm_gemm_u8s8_packed_bytes_neondot(size_t n, size_t k);
void fm_gemm_u8s8_pack_neondot(void *packed, const int8_t *weights, size_t n, size_t k);
void fm_gemm_u8s8_run_neondot(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue);

#endif
