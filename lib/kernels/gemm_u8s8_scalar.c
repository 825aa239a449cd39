/* Packed: w_sum s32 [n], then the weights as they came, s8 [n][k]. */
#include "lib/kernels/epilogue.h"
#include "lib/kernels/gemm_u8s8.h"

#include <string.h>

#include "lib/base/banned.h"

size_t fm_gemm_u8s8_packed_bytes_scalar(size_t n, size_t k)
{
	return n * (sizeof(int32_t) + k);
}

void fm_gemm_u8s8_pack_scalar(void *packed, const int8_t *weights, size_t n, size_t k)
{
	int32_t *w_sum = packed;

	for (size_t j = 0; j < n; j++) {
		int32_t sum = 0;
		for (size_t i = 0; i < k; i++)
			sum += weights[j * k + i];
		w_sum[j] = sum;
	}
	memcpy(w_sum + n, weights, n * k);
}

void fm_gemm_u8s8_run_scalar(float *out, size_t out_stride, const uint8_t *a,
        const struct fm_row_quant *a_quant, size_t m, const void *packed, const float *w_scale, size_t n,
        size_t k, const struct fm_epilogue *epilogue)
{
	const int32_t *w_sum = packed;
	const int8_t *w = (const int8_t *)(w_sum + n);

	for (size_t i = 0; i < m; i++) {
		for (size_t j = 0; j < n; j++) {
			int32_t sum = 0;
			for (size_t t = 0; t < k; t++)
				sum += a[i * k + t] * w[j * k + t];
			sum -= a_quant[i].zero * w_sum[j];
			float v = (float)sum * (a_quant[i].scale * w_scale[j]);
			out[i * out_stride + j] = fm_epilogue_scalar(epilogue, v, i, j);
		}
	}
}
