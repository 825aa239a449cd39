#include "lib/kernels/dot.h"
#include "lib/kernels/epilogue_avx512.h"

#include "lib/base/banned.h"

/* vpdpbusd wants one side unsigned: a . b = (a + 128) . b - 128 . b, and a + 128 is a with its top bit
 * flipped. */
int32_t fm_dot_s8_avx512vnni(const int8_t *a, const int8_t *b, size_t n)
{
	const __m512i offset = _mm512_set1_epi8(-128);
	__m512i sum = _mm512_setzero_si512(), excess = _mm512_setzero_si512();

	for (size_t i = 0; i < n; i += 64) {
		__mmask64 mask = n - i >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (n - i)) - 1;
		__m512i x = _mm512_maskz_loadu_epi8(mask, a + i);
		__m512i y = _mm512_maskz_loadu_epi8(mask, b + i);
		sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(x, offset), y);
		excess = _mm512_dpbusd_epi32(excess, offset, y);
	}
	return _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, excess));
}

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
