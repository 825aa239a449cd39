#include "lib/kernels/dot.h"
#include "lib/kernels/dot_f32_vec4.h"

#include "lib/base/banned.h"

/* One product a lane at a time: two of -128 by -128 would not fit s16. */
int32_t fm_dot_s8_neon(const int8_t *a, const int8_t *b, size_t n)
{
	int32x4_t sum = vdupq_n_s32(0);
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		int8x16_t x = vld1q_s8(a + i), y = vld1q_s8(b + i);
		sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(x), vget_low_s8(y)));
		sum = vpadalq_s16(sum, vmull_high_s8(x, y));
	}
	int32_t total = vaddvq_s32(sum);
	for (; i < n; i++)
		total += a[i] * b[i];
	return total;
}

float fm_dot_f32_neon(const float *a, const float *b, size_t n)
{
	return fm_dot_f32_vec4(a, b, n);
}
