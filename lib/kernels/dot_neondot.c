#include "lib/kernels/dot.h"

#include <arm_neon.h>

#include "lib/base/banned.h"

int32_t fm_dot_s8_neondot(const int8_t *a, const int8_t *b, size_t n)
{
	int32x4_t sum = vdupq_n_s32(0), other = vdupq_n_s32(0);
	size_t i = 0;

	for (; i + 32 <= n; i += 32) {
		sum = vdotq_s32(sum, vld1q_s8(a + i), vld1q_s8(b + i));
		other = vdotq_s32(other, vld1q_s8(a + i + 16), vld1q_s8(b + i + 16));
	}
	int32_t total = vaddvq_s32(vaddq_s32(sum, other));
	for (; i < n; i++)
		total += a[i] * b[i];
	return total;
}
