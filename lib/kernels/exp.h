/* e^x for the ISA that a file is compiled for; the contract is in transformer.h. Internal to lib/kernels and
 * lib/nn/math.c. */
#ifndef FM_KERNELS_EXP_H
#define FM_KERNELS_EXP_H

#include "lib/kernels/epilogue.h"

#include <stdint.h>
#include <string.h>

/* As many as the widest vector has doubles. */
#if defined(__AVX512F__)
#define FM_EXP_LANES 8
#elif defined(__AVX2__)
#define FM_EXP_LANES 4
#else
#define FM_EXP_LANES 2
#endif

typedef float fm_exp_floats __attribute__((vector_size(4 * FM_EXP_LANES)));
typedef int32_t fm_exp_mask __attribute__((vector_size(4 * FM_EXP_LANES)));
typedef double fm_exp_doubles __attribute__((vector_size(8 * FM_EXP_LANES)));
typedef uint64_t fm_exp_bits __attribute__((vector_size(8 * FM_EXP_LANES)));

FM_INLINE fm_exp_floats fm_exp_select(fm_exp_mask mask, fm_exp_floats a, fm_exp_floats b)
{
	return (fm_exp_floats)((mask & (fm_exp_mask)a) | (~mask & (fm_exp_mask)b));
}

FM_INLINE fm_exp_floats fm_exp_vector(fm_exp_floats x)
{
	const fm_exp_doubles wide = __builtin_convertvector(x, fm_exp_doubles);

	/* Adding 1.5 * 2^52 rounds to the nearest integer and leaves it in the low bits. */
	const fm_exp_doubles magic = 6755399441055744.0 - (fm_exp_doubles){0};
	const fm_exp_doubles shifted = wide * 1.4426950408889634 + magic;
	const fm_exp_doubles n = shifted - magic;
	const fm_exp_doubles r = wide - n * 0.69314718055994530942;

	/* The remainder after r^8 / 8! is below 2e-10 for |r| <= 0.3466. */
	fm_exp_doubles p = r * (1.0 / 40320.0) + 1.0 / 5040.0;
	p = p * r + 1.0 / 720.0;
	p = p * r + 1.0 / 120.0;
	p = p * r + 1.0 / 24.0;
	p = p * r + 1.0 / 6.0;
	p = p * r + 0.5;
	p = p * r + 1.0;
	p = p * r + 1.0;

	/* 2^n, -126 <= n <= 128, by its exponent bits. */
	const fm_exp_doubles power =
	        (fm_exp_doubles)(((fm_exp_bits)shifted - (fm_exp_bits)magic + 1023) << 52);
	const fm_exp_floats y = __builtin_convertvector(p * power, fm_exp_floats);

	/* ln(FLT_MAX) and ln(FLT_MIN), rounded towards each other. */
	const fm_exp_mask above = x >= 88.7228394f, below = x < -87.3365402f, not_a_number = x != x;
	const fm_exp_floats high = fm_exp_select(above, INFINITY - (fm_exp_floats){0}, y);
	return fm_exp_select(not_a_number, x, (fm_exp_floats)(~below & (fm_exp_mask)high));
}

FM_INLINE void fm_exp_rows(float *out, const float *in, size_t count)
{
	fm_exp_floats x = {0};
	size_t i = 0;

	for (; i + FM_EXP_LANES <= count; i += FM_EXP_LANES) {
		memcpy(&x, in + i, sizeof(x));
		x = fm_exp_vector(x);
		memcpy(out + i, &x, sizeof(x));
	}
	if (i < count) {
		memcpy(&x, in + i, (count - i) * sizeof(*in));
		x = fm_exp_vector(x);
		memcpy(out + i, &x, (count - i) * sizeof(*out));
	}
}

void fm_exp_f32_scalar(float *out, const float *in, size_t count);
void fm_exp_f32_avx2(float *out, const float *in, size_t count);
void fm_exp_f32_avx512vnni(float *out, const float *in, size_t count);

#endif
