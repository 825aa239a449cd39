/*
 * SSE has no fused multiply-add, so one is made of double arithmetic, two lanes a vector: the product of two
 * floats is exact in double, and a sum of doubles that is rounded to odd keeps what the second rounding, to
 * float, must know. Slow, and several times faster than fmaf of a C library that must do the same. One
 * accumulator per output, k ascending, as everywhere; 16 columns at once hide the chain's latency.
 *
 * Packed: panels of 4 columns, f32 [k][4]; columns past the end are 0.
 * Source: Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved algorithms using
 * rounding to odd"; the sum's error: Knuth, The Art of Computer Programming 2, 4.2.2.
 */
#include "lib/kernels/gemm_f32.h"
#include "lib/kernels/vec4.h"

#include "lib/base/banned.h"

#define LANES       FM_LANES_VEC4
#define VECTORS_MAX 4

size_t fm_gemm_f32_packed_bytes_sse41(size_t n, size_t k)
{
	return (n + LANES - 1) / LANES * LANES * k * sizeof(float);
}

void fm_gemm_f32_pack_sse41(void *packed, const float *weights, size_t n, size_t k)
{
	for (size_t j = 0; j < n; j++) {
		float *column = (float *)packed + j / LANES * LANES * k + j % LANES;

		for (size_t t = 0; t < k; t++)
			column[t * LANES] = weights[j * k + t];
	}
}

/* x + y, where the last bit is 1 if anything was lost. Infinities stay: their error is no number. */
FM_INLINE __m128d add_to_odd(__m128d x, __m128d y)
{
	const __m128d sum = _mm_add_pd(x, y), rest = _mm_sub_pd(sum, x);
	const __m128d error = _mm_add_pd(_mm_sub_pd(x, _mm_sub_pd(sum, rest)), _mm_sub_pd(y, rest));
	const __m128d size = _mm_andnot_pd(_mm_set1_pd(-0.0), error);
	const __m128i bits = _mm_castpd_si128(sum);
	/* 1 where inexact, and 1 where the sum is too large in magnitude: it is the upper neighbour then. */
	const __m128i lost = _mm_srli_epi64(_mm_castpd_si128(_mm_cmplt_pd(_mm_setzero_pd(), size)), 63);
	const __m128i above = _mm_srli_epi64(_mm_castpd_si128(_mm_xor_pd(sum, error)), 63);

	return _mm_castsi128_pd(_mm_or_si128(_mm_sub_epi64(bits, _mm_and_si128(above, lost)), lost));
}

/* x * w + sum, rounded once. */
FM_INLINE __m128 multiply_add(__m128d x, __m128 w, __m128 sum)
{
	const __m128d low = add_to_odd(_mm_mul_pd(x, _mm_cvtps_pd(w)), _mm_cvtps_pd(sum));
	const __m128d high = add_to_odd(
	        _mm_mul_pd(x, _mm_cvtps_pd(_mm_movehl_ps(w, w))), _mm_cvtps_pd(_mm_movehl_ps(sum, sum)));

	return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
}

/* One row and up to VECTORS_MAX panels; `channel` is the first column, `columns` how many there are. */
FM_INLINE void multiply_row(float *out, const float *a, const float *panel, const float *residual, size_t k,
        size_t channel, size_t columns, size_t vectors, const struct fm_epilogue *epilogue)
{
	__m128 sum[VECTORS_MAX];

	FM_UNROLL
	for (size_t v = 0; v < vectors; v++)
		sum[v] = _mm_setzero_ps();
	for (size_t t = 0; t < k; t++) {
		const __m128d x = _mm_set1_pd((double)a[t]);

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++)
			sum[v] = multiply_add(x, _mm_load_ps(panel + (v * k + t) * LANES), sum[v]);
	}
	FM_UNROLL
	for (size_t v = 0; v < vectors; v++) {
		const size_t lanes = columns - v * LANES;
		const fm_vec4 bias = fm_bias_vec4(epilogue, channel + v * LANES, lanes);
		const fm_vec4 slope = fm_slope_vec4(epilogue, channel + v * LANES, lanes);

		fm_store_vec4(out + v * LANES,
		        fm_finish_vec4(epilogue, sum[v], bias, slope,
		                residual != NULL ? residual + v * LANES : NULL, lanes),
		        lanes);
	}
}

void fm_gemm_f32_run_sse41(float *out, size_t out_stride, const float *a, size_t a_stride, size_t m,
        const void *packed, size_t n, size_t k, const struct fm_epilogue *epilogue)
{
	for (size_t j = 0; j < n;) {
		const size_t vectors = n - j > (VECTORS_MAX - 1) * LANES ? VECTORS_MAX : 1;
		const float *panel = (const float *)packed + j * k;

		for (size_t i = 0; i < m; i++) {
			const float *residual = epilogue->residual;

			if (residual != NULL)
				residual += i * epilogue->residual_stride + j;
			if (vectors == VECTORS_MAX)
				multiply_row(out + i * out_stride + j, a + i * a_stride, panel, residual, k,
				        j, n - j, VECTORS_MAX, epilogue);
			else
				multiply_row(out + i * out_stride + j, a + i * a_stride, panel, residual, k,
				        j, n - j, 1, epilogue);
		}
		j += vectors * LANES;
	}
}
