/*
 * The widest float vector of the ISA that a file is compiled for, by the compilers' vector extension: for
 * kernels whose elements do not meet, so that one source is right and fast everywhere. Loads and stores are
 * unaligned. Internal to lib/kernels.
 */
#ifndef FM_KERNELS_VECTOR_H
#define FM_KERNELS_VECTOR_H

#include "lib/kernels/epilogue.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define FM_VECTOR_LANES 16
#elif defined(__AVX2__)
#define FM_VECTOR_LANES 8
#else
#define FM_VECTOR_LANES 4
#endif

typedef float fm_vector __attribute__((vector_size(4 * FM_VECTOR_LANES)));
typedef int32_t fm_vector_int __attribute__((vector_size(4 * FM_VECTOR_LANES)));
typedef uint32_t fm_vector_bits __attribute__((vector_size(4 * FM_VECTOR_LANES)));

/* A row's sum has sixteen lanes, however many vectors that are. */
#define FM_SUM_VECTORS (16 / FM_VECTOR_LANES)

FM_INLINE fm_vector fm_vector_load(const float *from)
{
	fm_vector v;

	memcpy(&v, from, sizeof(v));
	return v;
}

FM_INLINE void fm_vector_store(float *to, fm_vector v)
{
	memcpy(to, &v, sizeof(v));
}

/* The first `count` lanes; the others are 0. */
FM_INLINE fm_vector fm_vector_load_part(const float *from, size_t count)
{
	float lanes[FM_VECTOR_LANES] = {0};

	for (size_t i = 0; i < count; i++)
		lanes[i] = from[i];
	return fm_vector_load(lanes);
}

FM_INLINE void fm_vector_store_part(float *to, fm_vector v, size_t count)
{
	float lanes[FM_VECTOR_LANES];

	fm_vector_store(lanes, v);
	for (size_t i = 0; i < count; i++)
		to[i] = lanes[i];
}

FM_INLINE fm_vector fm_vector_all(float x)
{
	return x - (fm_vector){0};
}

/* a > b ? a : b and a < b ? a : b, lane by lane, as vmaxps and vminps define them. */
FM_INLINE fm_vector fm_vector_max(fm_vector a, fm_vector b)
{
#if defined(__AVX512F__)
	return (fm_vector)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
	return (fm_vector)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__x86_64__)
	return (fm_vector)_mm_max_ps((__m128)a, (__m128)b);
#else
	const fm_vector_int greater = a > b;
	return (fm_vector)((greater & (fm_vector_int)a) | (~greater & (fm_vector_int)b));
#endif
}

FM_INLINE fm_vector fm_vector_min(fm_vector a, fm_vector b)
{
#if defined(__AVX512F__)
	return (fm_vector)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
	return (fm_vector)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__x86_64__)
	return (fm_vector)_mm_min_ps((__m128)a, (__m128)b);
#else
	const fm_vector_int less = a < b;
	return (fm_vector)((less & (fm_vector_int)a) | (~less & (fm_vector_int)b));
#endif
}

/* Sixteen lanes to one: l[i] += l[i + 8], then + 4, + 2, + 1. */
FM_INLINE float fm_vector_sum(const fm_vector sum[FM_SUM_VECTORS])
{
	typedef float four __attribute__((vector_size(16)));
	four quarter[4];

	memcpy(quarter, sum, sizeof(quarter));
	const four v = (quarter[0] + quarter[2]) + (quarter[1] + quarter[3]);
	return (v[0] + v[2]) + (v[1] + v[3]);
}

/*
 * e^x for x <= 0, relative error below 2e-7; below -87 as at -87. Source: argument reduction to
 * |r| <= ln(2) / 2 and a polynomial of degree 6, fitted by Lawson's iteration.
 */
FM_INLINE fm_vector fm_vector_exp(fm_vector x)
{
	/* Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits. */
	const fm_vector magic = fm_vector_all(12582912.0f);

	x = fm_vector_max(x, fm_vector_all(-87.0f));
	const fm_vector shifted = x * 1.44269504f + magic;
	const fm_vector n = shifted - magic;
	/* ln(2) in two parts, the first short enough for n times it to be exact. */
	const fm_vector r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
	fm_vector p = r * 1.38368e-3f + 8.37482e-3f;
	p = p * r + 4.166823e-2f;
	p = p * r + 1.666642e-1f;
	p = p * r + 4.9999992e-1f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	return (fm_vector)((fm_vector_bits)p + (((fm_vector_bits)shifted - (fm_vector_bits)magic) << 23));
}

#endif
