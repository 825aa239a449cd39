/* The epilogue on sixteen channels: internal to lib/kernels. See epilogue.h for why two activations do. */
#ifndef FM_KERNELS_EPILOGUE_AVX512_H
#define FM_KERNELS_EPILOGUE_AVX512_H

#include "lib/kernels/epilogue.h"

#include <immintrin.h>

/* Lanes that exist when `count` channels are left, counted from this vector's first. */
FM_INLINE __mmask16 fm_mask_avx512(size_t count)
{
	return count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1);
}

FM_INLINE __m512 fm_bias_avx512(const struct fm_epilogue *epilogue, size_t channel, __mmask16 mask)
{
	if (epilogue->bias == NULL)
		return _mm512_set1_ps(-0.0f);
	return _mm512_maskz_loadu_ps(mask, epilogue->bias + channel);
}

FM_INLINE __m512 fm_slope_avx512(const struct fm_epilogue *epilogue, size_t channel, __mmask16 mask)
{
	if (epilogue->activation != FM_ACT_PRELU)
		return _mm512_set1_ps(1.0f);
	return _mm512_maskz_loadu_ps(mask, epilogue->slope + channel);
}

/* Bias, residual (NULL: none) and activation. */
FM_INLINE __m512 fm_finish_avx512(const struct fm_epilogue *epilogue, __m512 v, __m512 bias, __m512 slope,
        const float *residual, __mmask16 mask)
{
	v = _mm512_add_ps(v, bias);
	if (residual != NULL)
		v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, residual));
	if (fm_epilogue_clips(epilogue)) {
		v = _mm512_max_ps(v, _mm512_set1_ps(fm_epilogue_low(epilogue)));
		return _mm512_min_ps(v, _mm512_set1_ps(fm_epilogue_high(epilogue)));
	}
	__mmask16 sloped = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NGT_UQ);
	return _mm512_mask_mul_ps(v, sloped, v, slope);
}

#endif
