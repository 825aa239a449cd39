/* VEX encoding: AVX-VNNI, on processors without AVX-512 (Alder Lake, its E cores, and later). */
#include "lib/kernels/gemm_u8s8_vnni256.h"

#include "lib/base/banned.h"

FM_INLINE __m256i add_products(__m256i sum, __m256i a, __m256i w)
{
	__asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(w));
	return sum;
}

size_t fm_gemm_u8s8_packed_bytes_avxvnni(size_t n, size_t k)
{
	return fm_gemm_u8s8_packed_bytes_vnni256(n, k);
}

void fm_gemm_u8s8_pack_avxvnni(void *packed, const int8_t *weights, size_t n, size_t k)
{
	fm_gemm_u8s8_pack_vnni256(packed, weights, n, k);
}

void fm_gemm_u8s8_run_avxvnni(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue)
{
	fm_gemm_u8s8_run_vnni256(
	        add_products, out, out_stride, a, a_quant, m, packed, w_scale, n, k, epilogue);
}
