#include "lib/kernels/gelu.h"

#include "lib/base/banned.h"

void fm_gelu_f32_scalar(float *out, const float *in, size_t count)
{
	fm_gelu_rows(out, in, count);
}
