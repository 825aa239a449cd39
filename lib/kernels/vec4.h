/*
 * Four f32 lanes and the epilogue on them, for kernels that SSE4.1 and NEON share word for word: internal to
 * lib/kernels. See epilogue.h for why two activations do.
 *
 * Comparisons are those of epilogue.h on both: maxps and minps are defined so, while NEON's own maximum knows
 * -0 < +0; it compares and selects.
 */
#ifndef FM_KERNELS_VEC4_H
#define FM_KERNELS_VEC4_H

#include "lib/kernels/epilogue.h"

#include <string.h>

#define FM_LANES_VEC4 4

#if defined(__aarch64__)

#include <arm_neon.h>

typedef float32x4_t fm_vec4;

FM_INLINE fm_vec4 fm_set_vec4(float v)
{
	return vdupq_n_f32(v);
}

FM_INLINE fm_vec4 fm_load_all_vec4(const float *from)
{
	return vld1q_f32(from);
}

FM_INLINE void fm_store_all_vec4(float *to, fm_vec4 v)
{
	vst1q_f32(to, v);
}

/* v > low ? v : low */
FM_INLINE fm_vec4 fm_max_vec4(fm_vec4 v, fm_vec4 low)
{
	return vbslq_f32(vcgtq_f32(v, low), v, low);
}

/* v < high ? v : high */
FM_INLINE fm_vec4 fm_min_vec4(fm_vec4 v, fm_vec4 high)
{
	return vbslq_f32(vcltq_f32(v, high), v, high);
}

/* test > 0 ? yes : no */
FM_INLINE fm_vec4 fm_where_positive_vec4(fm_vec4 test, fm_vec4 yes, fm_vec4 no)
{
	return vbslq_f32(vcgtzq_f32(test), yes, no);
}

/* (0 + 2) + (1 + 3) */
FM_INLINE float fm_sum_vec4(fm_vec4 v)
{
	float32x2_t two = vadd_f32(vget_low_f32(v), vget_high_f32(v));

	return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

#else

#include <immintrin.h>

typedef __m128 fm_vec4;

FM_INLINE fm_vec4 fm_set_vec4(float v)
{
	return _mm_set1_ps(v);
}

FM_INLINE fm_vec4 fm_load_all_vec4(const float *from)
{
	return _mm_loadu_ps(from);
}

FM_INLINE void fm_store_all_vec4(float *to, fm_vec4 v)
{
	_mm_storeu_ps(to, v);
}

/* v > low ? v : low */
FM_INLINE fm_vec4 fm_max_vec4(fm_vec4 v, fm_vec4 low)
{
	return _mm_max_ps(v, low);
}

/* v < high ? v : high */
FM_INLINE fm_vec4 fm_min_vec4(fm_vec4 v, fm_vec4 high)
{
	return _mm_min_ps(v, high);
}

/* test > 0 ? yes : no */
FM_INLINE fm_vec4 fm_where_positive_vec4(fm_vec4 test, fm_vec4 yes, fm_vec4 no)
{
	return _mm_blendv_ps(no, yes, _mm_cmpgt_ps(test, _mm_setzero_ps()));
}

/* (0 + 2) + (1 + 3) */
FM_INLINE float fm_sum_vec4(fm_vec4 v)
{
	__m128 two = _mm_add_ps(v, _mm_movehl_ps(v, v));

	return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, _MM_SHUFFLE(1, 1, 1, 1))));
}

#endif

/* The first `lanes` of a vector (4 or more: all), the others 0. Neither ISA has masks: a tail goes by memory.
 */
FM_INLINE fm_vec4 fm_load_vec4(const float *from, size_t lanes)
{
	float four[FM_LANES_VEC4] = {0};

	if (lanes >= FM_LANES_VEC4)
		return fm_load_all_vec4(from);
	memcpy(four, from, lanes * sizeof(float));
	return fm_load_all_vec4(four);
}

FM_INLINE void fm_store_vec4(float *to, fm_vec4 v, size_t lanes)
{
	float four[FM_LANES_VEC4];

	if (lanes >= FM_LANES_VEC4) {
		fm_store_all_vec4(to, v);
		return;
	}
	fm_store_all_vec4(four, v);
	memcpy(to, four, lanes * sizeof(float));
}

FM_INLINE fm_vec4 fm_bias_vec4(const struct fm_epilogue *epilogue, size_t channel, size_t lanes)
{
	if (epilogue->bias == NULL)
		return fm_set_vec4(-0.0f);
	return fm_load_vec4(epilogue->bias + channel, lanes);
}

FM_INLINE fm_vec4 fm_slope_vec4(const struct fm_epilogue *epilogue, size_t channel, size_t lanes)
{
	if (epilogue->activation != FM_ACT_PRELU)
		return fm_set_vec4(1.0f);
	return fm_load_vec4(epilogue->slope + channel, lanes);
}

FM_INLINE fm_vec4 fm_clip_vec4(fm_vec4 v, fm_vec4 low, fm_vec4 high)
{
	return fm_min_vec4(fm_max_vec4(v, low), high);
}

FM_INLINE fm_vec4 fm_slope_by_vec4(fm_vec4 v, fm_vec4 slope)
{
	return fm_where_positive_vec4(v, v, v * slope);
}

/* Bias, residual (NULL: none) and activation. */
FM_INLINE fm_vec4 fm_finish_vec4(const struct fm_epilogue *epilogue, fm_vec4 v, fm_vec4 bias, fm_vec4 slope,
        const float *residual, size_t lanes)
{
	v = v + bias;
	if (residual != NULL)
		v = v + fm_load_vec4(residual, lanes);
	if (fm_epilogue_clips(epilogue))
		return fm_clip_vec4(
		        v, fm_set_vec4(fm_epilogue_low(epilogue)), fm_set_vec4(fm_epilogue_high(epilogue)));
	return fm_slope_by_vec4(v, slope);
}

#endif
