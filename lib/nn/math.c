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
