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

#define FM_GEMM_U8S8_DECLARE(isa)                                                                            \
	size_t fm_gemm_u8s8_packed_bytes_##isa(size_t n, size_t k);                                          \
	void fm_gemm_u8s8_pack_##isa(void *packed, const int8_t *weights, size_t n, size_t k);               \
	void fm_gemm_u8s8_run_##isa(float *out, size_t out_stride, const uint8_t *a,                         \
	        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale,      \
	        size_t n, size_t k, const struct fm_epilogue *epilogue)

FM_GEMM_U8S8_DECLARE(scalar);
FM_GEMM_U8S8_DECLARE(sse41);
FM_GEMM_U8S8_DECLARE(avx2);
FM_GEMM_U8S8_DECLARE(avxvnni);
FM_GEMM_U8S8_DECLARE(avx512vlvnni);
FM_GEMM_U8S8_DECLARE(avx512vnni);
FM_GEMM_U8S8_DECLARE(neon);
FM_GEMM_U8S8_DECLARE(neondot);

#endif
