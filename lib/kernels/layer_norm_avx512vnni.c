#include "lib/kernels/layer_norm.h"

#include "lib/base/banned.h"

void fm_layer_norm_f32_avx512vnni(float *out, size_t out_stride, const float *in, size_t in_stride, size_t m,
        size_t k, const float *scale, const float *shift, float epsilon)
{
	fm_layer_norm_rows(out, out_stride, in, in_stride, m, k, scale, shift, epsilon);
}
