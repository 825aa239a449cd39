#include "lib/kernels/dot.h"
#include "lib/kernels/epilogue_avx2.h"

#include "lib/base/banned.h"

float fm_dot_f32_avx2(const float *a, const float *b, size_t n)
{
	__m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		low = _mm256_add_ps(low, _mm256_mul_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
		high = _mm256_add_ps(
		        high, _mm256_mul_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8)));
	}
	/* Lanes past the end add a product of zeros, which changes no lane: none is -0, as all began with +0.
	 */
	if (i < n) {
		__m256i mask = fm_mask_avx2(n - i);
		__m256 x = _mm256_maskload_ps(a + i, mask), y = _mm256_maskload_ps(b + i, mask);
		low = _mm256_add_ps(low, _mm256_mul_ps(x, y));
	}
	if (i + 8 < n) {
		__m256i mask = fm_mask_avx2(n - i - 8);
		__m256 x = _mm256_maskload_ps(a + i + 8, mask), y = _mm256_maskload_ps(b + i + 8, mask);
		high = _mm256_add_ps(high, _mm256_mul_ps(x, y));
	}
	__m256 eight = _mm256_add_ps(low, high);
	__m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
	__m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
	return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
