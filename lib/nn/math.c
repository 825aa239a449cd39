#include "lib/nn/math.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/banned.h"

float fm_expf(float x)
{
	/* ln(FLT_MAX) and ln(FLT_MIN), rounded towards each other. */
	if (!(x < 88.7228394f))
		return x != x ? x : INFINITY;
	if (x < -87.3365402f)
		return 0.0f;

	/* Adding 1.5 * 2^52 rounds to the nearest integer and leaves it in the low bits. */
	const double magic = 6755399441055744.0;
	const double shifted = (double)x * 1.4426950408889634 + magic;
	const double n = shifted - magic;
	const double r = (double)x - n * 0.69314718055994530942;

	/* The remainder after r^8 / 8! is below 2e-10 for |r| <= 0.3466. */
	double p = 1.0 / 40320.0;
	p = p * r + 1.0 / 5040.0;
	p = p * r + 1.0 / 720.0;
	p = p * r + 1.0 / 120.0;
	p = p * r + 1.0 / 24.0;
	p = p * r + 1.0 / 6.0;
	p = p * r + 0.5;
	p = p * r + 1.0;
	p = p * r + 1.0;

	/* 2^n, -126 <= n <= 128, by its exponent bits. */
	const uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52;
	double power;
	memcpy(&power, &bits, sizeof(power));
	return (float)(p * power);
}

float fm_erff(float x)
{
	const double a = fabs((double)x), t = 1.0 / (1.0 + 0.3275911 * a);
	double p = 1.061405429;

	p = p * t - 1.453152027;
	p = p * t + 1.421413741;
	p = p * t - 0.284496736;
	p = p * t + 0.254829592;
	const double y = 1.0 - p * t * (double)fm_expf((float)(-a * a));
	return x != x ? x : (float)(x < 0.0f ? -y : y);
}

/* Remainders after r^13 / 13! and r^12 / 12! are below 3e-14 for |r| <= pi/4. */
static double sine(double r)
{
	const double s = r * r;
	double p = 1.0 / 6227020800.0;

	p = p * s - 1.0 / 39916800.0;
	p = p * s + 1.0 / 362880.0;
	p = p * s - 1.0 / 5040.0;
	p = p * s + 1.0 / 120.0;
	p = p * s - 1.0 / 6.0;
	return p * s * r + r;
}

static double cosine(double r)
{
	const double s = r * r;
	double p = 1.0 / 479001600.0;

	p = p * s - 1.0 / 3628800.0;
	p = p * s + 1.0 / 40320.0;
	p = p * s - 1.0 / 720.0;
	p = p * s + 1.0 / 24.0;
	p = p * s - 0.5;
	return p * s + 1.0;
}

/* sin(x + quarters * pi/2) */
static float sine_from(float x, int quarters)
{
	const double half_pi = 1.57079632679489661923;

	if (!(fabsf(x) < INFINITY))
		return x - x;
	const double folded = fmod((double)x, 4.0 * half_pi); /* exact, for this 2 pi */
	const double n = nearbyint(folded / half_pi);
	const double r = folded - n * half_pi;

	switch (((int)n + quarters) & 3) {
	case 0: return (float)sine(r);
	case 1: return (float)cosine(r);
	case 2: return (float)-sine(r);
	default: return (float)-cosine(r);
	}
}

float fm_sinf(float x)
{
	return sine_from(x, 0);
}

float fm_cosf(float x)
{
	return sine_from(x, 1);
}
