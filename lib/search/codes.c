#include "lib/search/codes.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

/* Sums of at most 4096 doubles are within 4096 * 2^-53 of the truth; this is far more. */
#define ROUND_UP (1 + 1e-10)

enum fm_status fm_codes_check(const float *embedding, size_t dim, struct fm_error *err)
{
	double square = 0;

	for (size_t i = 0; i < dim; i++)
		square += (double)embedding[i] * embedding[i];
	if (!(fabs(sqrt(square) - 1) <= 1e-3)) /* NaN and infinities end here too */
		return fm_fail(err, FM_E_INVALID, "embedding: not of unit length");
	return FM_OK;
}

void fm_codes_make(
        const float *embedding, size_t dim, size_t stride, int8_t *ret_codes, struct fm_codes_info *ret_info)
{
	float largest = 0;
	double square = 0;

	for (size_t i = 0; i < dim; i++)
		largest = fmaxf(largest, fabsf(embedding[i]));
	float scale = largest / 127;

	for (size_t i = 0; i < dim; i++) {
		/* The division may round to just above 127.5 times the scale's neighbour: never beyond 127.
		 */
		long code = lrintf(embedding[i] / scale);

		code = code > 127 ? 127 : code < -127 ? -127 : code;
		ret_codes[i] = (int8_t)code;
		double rest = embedding[i] - (double)scale * (double)code;

		square += rest * rest;
	}
	memset(ret_codes + dim, 0, stride - dim);
	ret_info->scale = scale;
	ret_info->residual = nextafterf((float)(sqrt(square) * ROUND_UP), INFINITY);
}

double fm_codes_norm(const int8_t *codes, size_t dim, const struct fm_codes_info *info)
{
	int64_t square = 0;

	for (size_t i = 0; i < dim; i++)
		square += codes[i] * codes[i];
	return sqrt((double)square) * info->scale * ROUND_UP;
}

/*
 * gamma_m with m raised by 4: one for the denominator 1 - m u and for flushed denormals (dim * 2^-126), three
 * for storing a bound near 1 as float (2^-24 each way) and the double arithmetic before it.
 */
double fm_codes_slack(size_t dim)
{
	return ((double)((dim + 15) / 16) + 8) * 0x1p-24 * FM_NORM_MAX * FM_NORM_MAX;
}
