#include "lib/kernels/dot.h"
#include "lib/kernels/dot_f32_vec4.h"

#include "lib/base/banned.h"

float fm_dot_f32_sse41(const float *a, const float *b, size_t n)
{
	return fm_dot_f32_vec4(a, b, n);
}
