#include "lib/search/codes.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

/* Sums of at most 4096 doubles are within 4096 * 2^-53 of the truth; this is far more. */
#define ROUND_UP (1 + 1e-10)

/* Sums run in this many lanes: one alone waits for itself. */
#define LANES 8

static double sum_lanes(const double lanes[LANES])
{
	double sum = 0;

	for (size_t j = 0; j < LANES; j++)
		sum += lanes[j];
	return sum;
}

enum fm_status fm_codes_check(const float *embedding, size_t dim, struct fm_error *err)
{
	double square[LANES] = {0};
	size_t i = 0;

	for (; i + LANES <= dim; i += LANES)
		for (size_t j = 0; j < LANES; j++)
			square[j] += (double)embedding[i + j] * embedding[i + j];
	for (; i < dim; i++)
		square[0] += (double)embedding[i] * embedding[i];
	if (!(fabs(sqrt(sum_lanes(square)) - 1) <= 1e-3)) /* NaN and infinities end here too */
		return fm_fail(err, FM_E_INVALID, "embedding: not of unit length");
	return FM_OK;
}

/* A value to its code, and how much is left by all of it and by its high bits. */
static inline int32_t encode(float value, float per_step, double scale, double *rest, double *high_rest)
{
	/* The product may round to just above 127.5: never beyond 127. */
	int32_t code = (int32_t)lrintf(value * per_step);

	code = code > 127 ? 127 : code < -127 ? -127 : code;
	*rest = value - scale * code;
	*high_rest = value - scale * (((code + FM_CODE_ZERO) & -FM_CODE_LOW) - FM_CODE_MIDDLE);
	return code;
}

void fm_codes_make(
        const float *embedding, size_t dim, size_t stride, int8_t *ret_codes, struct fm_codes_info *ret_info)
{
	float peaks[LANES] = {0}, peak = 0;
	double squares[LANES] = {0}, high_squares[LANES] = {0}, rest, high_rest;
	size_t i = 0;

	for (; i + LANES <= dim; i += LANES)
		for (size_t j = 0; j < LANES; j++) {
			float size = fabsf(embedding[i + j]);

			peaks[j] = size > peaks[j] ? size : peaks[j];
		}
	for (; i < dim; i++)
		peak = fmaxf(peak, fabsf(embedding[i]));
	for (size_t j = 0; j < LANES; j++)
		peak = fmaxf(peak, peaks[j]);
	const float scale = peak / 127, per_step = 1 / scale;

	for (i = 0; i + LANES <= dim; i += LANES)
		for (size_t j = 0; j < LANES; j++) {
			ret_codes[i + j] =
			        (int8_t)encode(embedding[i + j], per_step, scale, &rest, &high_rest);
			squares[j] += rest * rest;
			high_squares[j] += high_rest * high_rest;
		}
	for (; i < dim; i++) {
		ret_codes[i] = (int8_t)encode(embedding[i], per_step, scale, &rest, &high_rest);
		squares[0] += rest * rest;
		high_squares[0] += high_rest * high_rest;
	}
	memset(ret_codes + dim, 0, stride - dim);
	ret_info->scale = scale;
	ret_info->residual = nextafterf((float)(sqrt(sum_lanes(squares)) * ROUND_UP), INFINITY);
	ret_info->high_residual = nextafterf((float)(sqrt(sum_lanes(high_squares)) * ROUND_UP), INFINITY);
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
