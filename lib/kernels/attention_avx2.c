#include "lib/kernels/attention.h"

#include "lib/base/banned.h"

void fm_attention_f32_avx2(float *out, const float *qkv, float *scratch, const struct fm_attention *attention)
{
	fm_attention_heads(out, qkv, scratch, attention);
}
