#include "lib/kernels/dot.h"
#include "lib/kernels/dot_f32_vec4.h"

#include "lib/base/banned.h"

int32_t fm_dot_s8_sse41(const int8_t *a, const int8_t *b, size_t n)
{
	__m128i sum = _mm_setzero_si128();
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		__m128i x = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(a + i)));
		__m128i y = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(b + i)));
		sum = _mm_add_epi32(sum, _mm_madd_epi16(x, y));
	}
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(1, 0, 3, 2)));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(2, 3, 0, 1)));
	int32_t total = _mm_cvtsi128_si32(sum);
	for (; i < n; i++)
		total += a[i] * b[i];
	return total;
}

float fm_dot_f32_sse41(const float *a, const float *b, size_t n)
{
	return fm_dot_f32_vec4(a, b, n);
}
