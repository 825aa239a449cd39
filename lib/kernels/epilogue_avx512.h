/* The epilogue on sixteen channels: internal to lib/kernels. See epilogue.h for why two activations do. */
#ifndef FM_KERNELS_EPILOGUE_AVX512_H
#define FM_KERNELS_EPILOGUE_AVX512_H

#include "lib/kernels/epilogue.h"

#include <immintrin.h>

#define FM_LANES_AVX512 16

/*
 * The first `lanes` of a vector (16 or more: all), the others 0. With a constant 16 no mask remains: a masked
 * load takes an arithmetic port, a plain one does not.
 */
FM_INLINE __mmask16 fm_mask_avx512(size_t lanes)
{
	return lanes >= FM_LANES_AVX512 ? 0xffff : (__mmask16)((1u << lanes) - 1);
}

FM_INLINE __m512 fm_load_avx512(const float *from, size_t lanes)
{
	if (lanes >= FM_LANES_AVX512)
		return _mm512_loadu_ps(from);
	return _mm512_maskz_loadu_ps(fm_mask_avx512(lanes), from);
}

FM_INLINE void fm_store_avx512(float *to, __m512 v, size_t lanes)
{
	if (lanes >= FM_LANES_AVX512)
		_mm512_storeu_ps(to, v);
	else
		_mm512_mask_storeu_ps(to, fm_mask_avx512(lanes), v);
}

FM_INLINE __m512 fm_bias_avx512(const struct fm_epilogue *epilogue, size_t channel, size_t lanes)
{
	if (epilogue->bias == NULL)
		return _mm512_set1_ps(-0.0f);
	return fm_load_avx512(epilogue->bias + channel, lanes);
}

FM_INLINE __m512 fm_slope_avx512(const struct fm_epilogue *epilogue, size_t channel, size_t lanes)
{
	if (epilogue->activation != FM_ACT_PRELU)
		return _mm512_set1_ps(1.0f);
	return fm_load_avx512(epilogue->slope + channel, lanes);
}

FM_INLINE __m512 fm_clip_avx512(__m512 v, __m512 low, __m512 high)
{
	return _mm512_min_ps(_mm512_max_ps(v, low), high);
}

FM_INLINE __m512 fm_slope_by_avx512(__m512 v, __m512 slope)
{
	return _mm512_mask_mul_ps(v, _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NGT_UQ), v, slope);
}

/* Bias, residual (NULL: none) and activation. */
FM_INLINE __m512 fm_finish_avx512(const struct fm_epilogue *epilogue, __m512 v, __m512 bias, __m512 slope,
        const float *residual, size_t lanes)
{
	v = _mm512_add_ps(v, bias);
	if (residual != NULL)
		v = _mm512_add_ps(v, fm_load_avx512(residual, lanes));
	if (fm_epilogue_clips(epilogue))
		return fm_clip_avx512(v, _mm512_set1_ps(fm_epilogue_low(epilogue)),
		        _mm512_set1_ps(fm_epilogue_high(epilogue)));
	return fm_slope_by_avx512(v, slope);
}

#endif
