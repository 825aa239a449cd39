/* The epilogue on eight channels: internal to lib/kernels. See epilogue.h for why two activations do. */
#ifndef FM_KERNELS_EPILOGUE_AVX2_H
#define FM_KERNELS_EPILOGUE_AVX2_H

#include "lib/kernels/epilogue.h"

#include <immintrin.h>

#define FM_LANES_AVX2 8

/*
 * The first `lanes` of a vector (8 or more: all), the others 0. vmaskmovps is for tails only: some processors
 * take twenty times as long for it as for a plain store.
 */
FM_INLINE __m256i fm_mask_avx2(size_t lanes)
{
	const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	return _mm256_cmpgt_epi32(
	        _mm256_set1_epi32(lanes >= FM_LANES_AVX2 ? FM_LANES_AVX2 : (int)lanes), lane);
}

FM_INLINE __m256 fm_load_avx2(const float *from, size_t lanes)
{
	if (lanes >= FM_LANES_AVX2)
		return _mm256_loadu_ps(from);
	return _mm256_maskload_ps(from, fm_mask_avx2(lanes));
}

FM_INLINE void fm_store_avx2(float *to, __m256 v, size_t lanes)
{
	if (lanes >= FM_LANES_AVX2)
		_mm256_storeu_ps(to, v);
	else
		_mm256_maskstore_ps(to, fm_mask_avx2(lanes), v);
}

FM_INLINE __m256 fm_set_avx2(float v)
{
	return _mm256_set1_ps(v);
}

FM_INLINE __m256 fm_bias_avx2(const struct fm_epilogue *epilogue, size_t channel, size_t lanes)
{
	if (epilogue->bias == NULL)
		return _mm256_set1_ps(-0.0f);
	return fm_load_avx2(epilogue->bias + channel, lanes);
}

FM_INLINE __m256 fm_slope_avx2(const struct fm_epilogue *epilogue, size_t channel, size_t lanes)
{
	if (epilogue->activation != FM_ACT_PRELU)
		return _mm256_set1_ps(1.0f);
	return fm_load_avx2(epilogue->slope + channel, lanes);
}

FM_INLINE __m256 fm_clip_avx2(__m256 v, __m256 low, __m256 high)
{
	return _mm256_min_ps(_mm256_max_ps(v, low), high);
}

FM_INLINE __m256 fm_slope_by_avx2(__m256 v, __m256 slope)
{
	__m256 positive = _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_GT_OQ);
	return _mm256_blendv_ps(_mm256_mul_ps(v, slope), v, positive);
}

/* Whether a product's sums need correcting. Rows without a negative value, behind a rectifier, do not. */
FM_INLINE bool fm_any_zero_point_avx2(const struct fm_row_quant *quant, size_t m)
{
	__m256i found = _mm256_setzero_si256(); /* four rows: scale, zero, scale, zero ... */
	int32_t rest = 0;
	size_t i = 0;

	for (; i + 4 <= m; i += 4)
		found = _mm256_or_si256(found, _mm256_loadu_si256((const __m256i *)(quant + i)));
	for (; i < m; i++)
		rest |= quant[i].zero;
	return rest != 0 || !_mm256_testz_si256(found, _mm256_set1_epi64x((int64_t)0xffffffff00000000));
}

/* Bias, residual (NULL: none) and activation. */
FM_INLINE __m256 fm_finish_avx2(const struct fm_epilogue *epilogue, __m256 v, __m256 bias, __m256 slope,
        const float *residual, size_t lanes)
{
	v = _mm256_add_ps(v, bias);
	if (residual != NULL)
		v = _mm256_add_ps(v, fm_load_avx2(residual, lanes));
	if (fm_epilogue_clips(epilogue))
		return fm_clip_avx2(v, _mm256_set1_ps(fm_epilogue_low(epilogue)),
		        _mm256_set1_ps(fm_epilogue_high(epilogue)));
	return fm_slope_by_avx2(v, slope);
}

#endif
