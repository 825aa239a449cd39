#include "lib/kernels/gemm_f32_vector.h"

#include "lib/base/banned.h"

size_t fm_gemm_f32_packed_bytes_neon(size_t n, size_t k)
{
	return packed_bytes(n, k);
}

void fm_gemm_f32_pack_neon(void *packed, const float *weights, size_t n, size_t k)
{
	pack_panels(packed, weights, n, k);
}

void fm_gemm_f32_run_neon(float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
        const void *packed, size_t n, size_t k, const struct fm_epilogue *epilogue)
{
	multiply(out, out_stride, a, a_stride, m, packed, n, k, epilogue);
}
