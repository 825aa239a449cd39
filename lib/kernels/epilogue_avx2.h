/* The epilogue on eight channels: internal to lib/kernels. See epilogue.h for why two activations do. */
#ifndef FM_KERNELS_EPILOGUE_AVX2_H
#define FM_KERNELS_EPILOGUE_AVX2_H

#include "lib/kernels/epilogue.h"

#include <immintrin.h>

/* Lanes that exist when `count` channels are left, counted from this vector's first. */
FM_INLINE __m256i fm_mask_avx2(size_t count)
{
	const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	return _mm256_cmpgt_epi32(_mm256_set1_epi32(count >= 8 ? 8 : (int)count), lane);
}

FM_INLINE __m256 fm_bias_avx2(const struct fm_epilogue *epilogue, size_t channel, __m256i mask)
{
	if (epilogue->bias == NULL)
		return _mm256_set1_ps(-0.0f);
	return _mm256_maskload_ps(epilogue->bias + channel, mask);
}

FM_INLINE __m256 fm_slope_avx2(const struct fm_epilogue *epilogue, size_t channel, __m256i mask)
{
	if (epilogue->activation != FM_ACT_PRELU)
		return _mm256_set1_ps(1.0f);
	return _mm256_maskload_ps(epilogue->slope + channel, mask);
}

/* Bias, residual (NULL: none) and activation. */
FM_INLINE __m256 fm_finish_avx2(const struct fm_epilogue *epilogue, __m256 v, __m256 bias, __m256 slope,
        const float *residual, __m256i mask)
{
	v = _mm256_add_ps(v, bias);
	if (residual != NULL)
		v = _mm256_add_ps(v, _mm256_maskload_ps(residual, mask));
	if (fm_epilogue_clips(epilogue)) {
		v = _mm256_max_ps(v, _mm256_set1_ps(fm_epilogue_low(epilogue)));
		return _mm256_min_ps(v, _mm256_set1_ps(fm_epilogue_high(epilogue)));
	}
	__m256 positive = _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_GT_OQ);
	return _mm256_blendv_ps(_mm256_mul_ps(v, slope), v, positive);
}

#endif
