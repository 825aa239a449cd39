#include "lib/kernels/dwconv_f32_vec4.h"

#include "lib/base/banned.h"

void fm_dwconv_f32_sse41(float *out, const float *in, const float *weights,
        const struct fm_dwconv_shape *shape, const struct fm_epilogue *epilogue)
{
	fm_dwconv_f32_vec4(out, in, weights, shape, epilogue);
}
