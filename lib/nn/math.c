#include "lib/nn/math.h"

#include "lib/kernels/exp.h"

#include <math.h>

#include "lib/base/banned.h"

float fm_expf(float x)
{
	float y;

	fm_exp_rows(&y, &x, 1);
	return y;
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
