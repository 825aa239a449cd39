/* The f32 dot product on four lanes a vector, for SSE4.1 and NEON: internal to lib/kernels. */
#ifndef FM_KERNELS_DOT_F32_VEC4_H
#define FM_KERNELS_DOT_F32_VEC4_H

#include "lib/kernels/vec4.h"

FM_INLINE float fm_dot_f32_vec4(const float *a, const float *b, size_t n)
{
	fm_vec4 sum[4];
	size_t i = 0;

	FM_UNROLL
	for (size_t v = 0; v < 4; v++)
		sum[v] = fm_set_vec4(0.0f);
	for (; i + 16 <= n; i += 16) {
		FM_UNROLL
		for (size_t v = 0; v < 4; v++)
			sum[v] = sum[v] + fm_load_all_vec4(a + i + v * 4) * fm_load_all_vec4(b + i + v * 4);
	}
	/* Lanes past the end add a product of zeros, which changes no lane: none is -0, as all began with +0.
	 */
	FM_UNROLL
	for (size_t v = 0; v < 4; v++) {
		if (i + v * 4 < n) {
			size_t lanes = n - i - v * 4;
			sum[v] = sum[v] +
			         fm_load_vec4(a + i + v * 4, lanes) * fm_load_vec4(b + i + v * 4, lanes);
		}
	}
	return fm_sum_vec4((sum[0] + sum[2]) + (sum[1] + sum[3]));
}

#endif
