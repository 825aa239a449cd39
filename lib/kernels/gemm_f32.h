/* The f32 matrix product, one per ISA; the contract is struct fm_gemm_f32. Internal to lib/kernels. */
#ifndef FM_KERNELS_GEMM_F32_H
#define FM_KERNELS_GEMM_F32_H

#include "lib/kernels/kernels.h"

size_t fm_gemm_f32_packed_bytes_scalar(size_t n, size_t k);
void fm_gemm_f32_pack_scalar(void *packed, const float *weights, size_t n, size_t k);
void fm_gemm_f32_run_scalar(float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
        const void *packed, size_t n, size_t k, const struct fm_epilogue *epilogue);

size_t fm_gemm_f32_packed_bytes_sse41(size_t n, size_t k);
void fm_gemm_f32_pack_sse41(void *packed, const float *weights, size_t n, size_t k);
void fm_gemm_f32_run_sse41(float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
        const void *packed, size_t n, size_t k, const struct fm_epilogue *epilogue);

size_t fm_gemm_f32_packed_bytes_avx2(size_t n, size_t k);
void fm_gemm_f32_pack_avx2(void *packed, const float *weights, size_t n, size_t k);
void fm_gemm_f32_run_avx2(float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
        const void *packed, size_t n, size_t k, const struct fm_epilogue *epilogue);

size_t fm_gemm_f32_packed_bytes_avx512vnni(size_t n, size_t k);
void fm_gemm_f32_pack_avx512vnni(void *packed, const float *weights, size_t n, size_t k);
void fm_gemm_f32_run_avx512vnni(float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
        const void *packed, size_t n, size_t k, const struct fm_epilogue *epilogue);

size_t fm_gemm_f32_packed_bytes_neon(size_t n, size_t k);
void fm_gemm_f32_pack_neon(void *packed, const float *weights, size_t n, size_t k);
void fm_gemm_f32_run_neon(float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
        const void *packed, size_t n, size_t k, const struct fm_epilogue *epilogue);

#endif
