#include "lib/kernels/max_pool.h"

#include "lib/base/banned.h"

void fm_max_pool_f32_avx512vnni(float *out, const float *in, const struct fm_dwconv_shape *shape)
{
	fm_max_pool(out, in, shape);
}
