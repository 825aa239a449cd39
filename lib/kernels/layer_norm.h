/*
 * Layer normalization for the ISA that a file is compiled for; the contract is in transformer.h. Internal to
 * lib/kernels.
 */
#ifndef FM_KERNELS_LAYER_NORM_H
#define FM_KERNELS_LAYER_NORM_H

#include "lib/kernels/vector.h"

/* Sum of (x - mean)^power over a row, power 1 or 2; element i goes to lane i % 16. */
FM_INLINE float fm_row_moment(const float *x, size_t k, float mean, int power)
{
	fm_vector sum[FM_SUM_VECTORS] = {{0}};
	float tail[16] = {0};
	size_t i = 0;

	for (; i + 16 <= k; i += 16)
		FM_UNROLL
	for (size_t u = 0; u < FM_SUM_VECTORS; u++) {
		const fm_vector d = fm_vector_load(x + i + u * FM_VECTOR_LANES) - mean;

		sum[u] += power == 2 ? d * d : d;
	}
	if (i < k) {
		for (size_t j = 0; j < k - i; j++) {
			const float d = x[i + j] - mean;

			tail[j] = power == 2 ? d * d : d;
		}
		FM_UNROLL
		for (size_t u = 0; u < FM_SUM_VECTORS; u++)
			sum[u] += fm_vector_load(tail + u * FM_VECTOR_LANES);
	}
	return fm_vector_sum(sum);
}

FM_INLINE void fm_layer_norm_rows(float *out, size_t out_stride, const float *in, size_t in_stride, size_t m,
        size_t k, const float *scale, const float *shift, float epsilon)
{
	for (size_t row = 0; row < m; row++, in += in_stride, out += out_stride) {
		const float mean = fm_row_moment(in, k, 0.0f, 1) / (float)k;
		const float variance = fm_row_moment(in, k, mean, 2) / (float)k;
		const float inverse = 1.0f / sqrtf(variance + epsilon);
		size_t i = 0;

		for (; i + FM_VECTOR_LANES <= k; i += FM_VECTOR_LANES)
			fm_vector_store(out + i,
			        (fm_vector_load(in + i) - mean) * inverse * fm_vector_load(scale + i) +
			                fm_vector_load(shift + i));
		for (; i < k; i++)
			out[i] = (in[i] - mean) * inverse * scale[i] + shift[i];
	}
}

void fm_layer_norm_f32_scalar(float *out, size_t out_stride, const float *in, size_t in_stride, size_t m,
        size_t k, const float *scale, const float *shift, float epsilon);
void fm_layer_norm_f32_avx2(float *out, size_t out_stride, const float *in, size_t in_stride, size_t m,
        size_t k, const float *scale, const float *shift, float epsilon);
void fm_layer_norm_f32_avx512vnni(float *out, size_t out_stride, const float *in, size_t in_stride, size_t m,
        size_t k, const float *scale, const float *shift, float epsilon);

#endif
