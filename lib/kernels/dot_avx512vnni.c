#include "lib/kernels/dot.h"
#include "lib/kernels/epilogue_avx512.h"

#include "lib/base/banned.h"

float fm_dot_f32_avx512vnni(const float *a, const float *b, size_t n)
{
	__m512 sum = _mm512_setzero_ps();
	size_t i = 0;

	for (; i + 16 <= n; i += 16)
		sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i)));
	if (i < n) {
		__mmask16 mask = fm_mask_avx512(n - i);
		__m512 x = _mm512_maskz_loadu_ps(mask, a + i), y = _mm512_maskz_loadu_ps(mask, b + i);
		sum = _mm512_mask_add_ps(sum, mask, sum, _mm512_mul_ps(x, y));
	}
	__m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sum), _mm512_extractf32x8_ps(sum, 1));
	__m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
	__m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
	return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
