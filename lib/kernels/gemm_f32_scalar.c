/* Packed: the weights as they came, f32 [n][k]. fmaf is one rounding on every machine, in software at worst.
 */
#include "lib/kernels/epilogue.h"
#include "lib/kernels/gemm_f32.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

size_t fm_gemm_f32_packed_bytes_scalar(size_t n, size_t k)
{
	return n * k * sizeof(float);
}

void fm_gemm_f32_pack_scalar(void *packed, const float *weights, size_t n, size_t k)
{
	memcpy(packed, weights, n * k * sizeof(float));
}

void fm_gemm_f32_run_scalar(float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
        const void *packed, size_t n, size_t k, const struct fm_epilogue *epilogue)
{
	const float *w = packed;

	for (size_t i = 0; i < m; i++) {
		for (size_t j = 0; j < n; j++) {
			float sum = 0.0f;
			for (size_t t = 0; t < k; t++)
				sum = fmaf(a[i * a_stride + t], w[j * k + t], sum);
			out[i * out_stride + j] = fm_epilogue_scalar(epilogue, sum, i, j);
		}
	}
}
