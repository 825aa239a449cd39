#include "lib/search/codes.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

/* Sums of at most 4096 doubles are within 4096 * 2^-53 of the truth; this is far more. */
#define ROUND_UP (1 + 1e-10)

/*
 * What float arithmetic can take from a residual: each term is off by two roundings of a value below
 * |scale * code|, which over all terms make less than 2 * 2^-24 * 1.01, and the sum of at most 512 terms a
 * lane by 1024 * 2^-24 of itself.
 */
#define RESIDUAL_FACTOR (1 + 1e-4)
#define RESIDUAL_SLACK  2e-7

/* Sums run in this many lanes: one alone waits for itself. */
#define LANES 4

typedef float fm_lanes_f32 __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t fm_lanes_s32 __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef int8_t fm_lanes_s8 __attribute__((vector_size(LANES)));

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

/* What a vector adds: the squares of what its codes leave, by all their bits and by the high ones. */
struct rest {
	fm_lanes_f32 squares, high_squares;
};

static inline fm_lanes_s32 encode(fm_lanes_f32 values, float per_step, float scale, struct rest *rest)
{
	/* To the nearest integer, to even: what is below 2^22 loses its fraction. The product cannot be as
	 * far as 127.5 from 0: that would be a thousand roundings of 127. */
	const float shift = 0x1.8p23f;
	fm_lanes_f32 rounded = (values * per_step + shift) - shift;
	fm_lanes_s32 codes = __builtin_convertvector(rounded, fm_lanes_s32);
	fm_lanes_s32 high = (codes + FM_CODE_ZERO) & -FM_CODE_LOW;
	fm_lanes_f32 left = values - rounded * scale;
	fm_lanes_f32 high_left =
	        values - (__builtin_convertvector(high, fm_lanes_f32) - (float)FM_CODE_MIDDLE) * scale;

	rest->squares += left * left;
	rest->high_squares += high_left * high_left;
	return codes;
}

static float residual_of(fm_lanes_f32 squares)
{
	double sum = 0;

	for (size_t j = 0; j < LANES; j++)
		sum += (double)squares[j];
	return nextafterf((float)(sqrt(sum) * RESIDUAL_FACTOR + RESIDUAL_SLACK), INFINITY);
}

void fm_codes_make(
        const float *embedding, size_t dim, size_t stride, int8_t *ret_codes, struct fm_codes_info *ret_info)
{
	const size_t whole = dim / LANES * LANES;
	fm_lanes_f32 values;
	fm_lanes_s32 sizes, peaks = {0}; /* floats above 0 order as their bits do */
	struct rest rest = {0};
	float peak = 0;

	for (size_t i = 0; i < whole; i += LANES) {
		memcpy(&sizes, embedding + i, sizeof(sizes));
		sizes &= INT32_MAX;
		const fm_lanes_s32 larger = sizes > peaks;
		peaks = (sizes & larger) | (peaks & ~larger);
	}
	memcpy(&values, &peaks, sizeof(values));
	for (size_t j = 0; j < LANES; j++)
		peak = fmaxf(peak, values[j]);
	for (size_t i = whole; i < dim; i++)
		peak = fmaxf(peak, fabsf(embedding[i]));
	const float scale = peak / 127, per_step = 1 / scale;

	for (size_t i = 0; i < whole; i += LANES) {
		memcpy(&values, embedding + i, sizeof(values));
		fm_lanes_s8 codes =
		        __builtin_convertvector(encode(values, per_step, scale, &rest), fm_lanes_s8);
		memcpy(ret_codes + i, &codes, sizeof(codes));
	}
	memset(ret_codes + whole, 0, stride - whole);
	if (whole < dim) {
		struct rest last = {0};

		memset(&values, 0, sizeof(values));
		memcpy(&values, embedding + whole, (dim - whole) * sizeof(values[0]));
		fm_lanes_s32 codes = encode(values, per_step, scale, &last);
		for (size_t j = 0; j < dim - whole; j++) {
			ret_codes[whole + j] = (int8_t)codes[j];
			rest.squares[j] += last.squares[j];
			rest.high_squares[j] += last.high_squares[j];
		}
	}
	ret_info->scale = scale;
	ret_info->residual = residual_of(rest.squares);
	ret_info->high_residual = residual_of(rest.high_squares);
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
