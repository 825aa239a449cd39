#include "lib/face/calibrate.h"

#include <math.h>

#include "lib/base/banned.h"

#define LN_RATE_MIN   (-12 * M_LN10) /* 1e-12 */
#define SIMILARITY_AT (8 * M_LN10)   /* similarity 1 is FMR 1e-8 */

/* A tail nearer to shape 0 is computed as its limit. */
#define SHAPE_NONE 1e-6

/* A cosine that no comparison reaches: the answer where nothing was measured. */
#define COSINE_NEVER 2.0

/* Between two measured points, or beyond the outer ones: a straight line in (cosine, ln FMR). */
struct segment {
	double cosine, ln_rate, slope; /* slope: of ln FMR, below zero */
};

/* The segment between points i and i + 1. */
static struct segment segment_at(const struct fm_calibration *calibration, size_t i)
{
	const struct fm_calibration_point *low = &calibration->points[i], *high = low + 1;
	double ln_low = log(low->false_match_rate), ln_high = log(high->false_match_rate);

	return (struct segment){low->cosine, ln_low, (ln_high - ln_low) / (high->cosine - low->cosine)};
}

static struct segment segment_of_cosine(const struct fm_calibration *calibration, double cosine)
{
	size_t i = 0;

	while (i + 2 < calibration->count && cosine >= calibration->points[i + 1].cosine)
		i++;
	return segment_at(calibration, i);
}

static struct segment segment_of_ln_rate(const struct fm_calibration *calibration, double ln_rate)
{
	size_t i = 0;

	while (i + 2 < calibration->count && ln_rate <= log(calibration->points[i + 1].false_match_rate))
		i++;
	return segment_at(calibration, i);
}

static const struct fm_calibration_point *last_point(const struct fm_calibration *calibration)
{
	return &calibration->points[calibration->count - 1];
}

/* The cosine of a rate in the fitted tail; `decline` is ln(q / FMR) >= 0. */
static double pareto_cosine(const struct fm_calibration *calibration, double decline)
{
	double shape = calibration->tail_shape;
	double scales = fabs(shape) < SHAPE_NONE ? decline : expm1(shape * decline) / shape;

	return last_point(calibration)->cosine + calibration->tail_scale * scales;
}

/* Where the tail goes over into its extrapolation: the tangent at the lowest measured rate. */
static struct segment tangent(const struct fm_calibration *calibration)
{
	double ln_measured = log(fm_calibrate_measured_fmr(calibration));
	double decline = fmax(0, log(last_point(calibration)->false_match_rate) - ln_measured);
	double scale_there = calibration->tail_scale * exp(calibration->tail_shape * decline);

	return (struct segment){pareto_cosine(calibration, decline),
	        log(last_point(calibration)->false_match_rate) - decline, -1 / scale_there};
}

static double tail_ln_rate(const struct fm_calibration *calibration, double cosine)
{
	const struct fm_calibration_point *begin = last_point(calibration);
	double shape = calibration->tail_shape, scales = (cosine - begin->cosine) / calibration->tail_scale;

	if (shape < 0) {
		struct segment beyond = tangent(calibration);
		if (cosine > beyond.cosine)
			return beyond.ln_rate + beyond.slope * (cosine - beyond.cosine);
	}
	return log(begin->false_match_rate) -
	       (fabs(shape) < SHAPE_NONE ? scales : log1p(shape * scales) / shape);
}

static double tail_cosine(const struct fm_calibration *calibration, double ln_rate)
{
	if (calibration->tail_shape < 0) {
		struct segment beyond = tangent(calibration);
		if (ln_rate < beyond.ln_rate)
			return beyond.cosine + (ln_rate - beyond.ln_rate) / beyond.slope;
	}
	return pareto_cosine(calibration, log(last_point(calibration)->false_match_rate) - ln_rate);
}

static double ln_rate_of_cosine(const struct fm_calibration *calibration, double cosine)
{
	double ln_rate;

	if (calibration->count < 2)
		return 0;
	if (calibration->tail_scale > 0 && cosine > last_point(calibration)->cosine) {
		ln_rate = tail_ln_rate(calibration, cosine);
	} else {
		struct segment segment = segment_of_cosine(calibration, cosine);
		ln_rate = segment.ln_rate + segment.slope * (cosine - segment.cosine);
	}
	return fmin(0, fmax(LN_RATE_MIN, ln_rate));
}

static double cosine_of_ln_rate(const struct fm_calibration *calibration, double ln_rate)
{
	if (calibration->count < 2)
		return COSINE_NEVER;
	if (calibration->tail_scale > 0 && ln_rate < log(last_point(calibration)->false_match_rate))
		return tail_cosine(calibration, ln_rate);
	struct segment segment = segment_of_ln_rate(calibration, ln_rate);
	return segment.cosine + (ln_rate - segment.ln_rate) / segment.slope;
}

double fm_calibrate_fmr(const struct fm_calibration *calibration, double cosine)
{
	return exp(ln_rate_of_cosine(calibration, cosine));
}

double fm_calibrate_cosine(const struct fm_calibration *calibration, double false_match_rate)
{
	return cosine_of_ln_rate(calibration, fmin(0, fmax(LN_RATE_MIN, log(false_match_rate))));
}

double fm_calibrate_measured_fmr(const struct fm_calibration *calibration)
{
	if (calibration->count < 2)
		return 1;
	if (calibration->tail_scale > 0)
		return fmin(last_point(calibration)->false_match_rate,
		        (double)FM_CALIBRATE_SUPPORT / (double)calibration->impostor_pairs);
	return last_point(calibration)->false_match_rate;
}

double fm_calibrate_similarity(const struct fm_calibration *calibration, double cosine)
{
	return fmin(1, fmax(0, -ln_rate_of_cosine(calibration, cosine) / SIMILARITY_AT));
}

double fm_calibrate_similarity_to_cosine(const struct fm_calibration *calibration, double similarity)
{
	return cosine_of_ln_rate(calibration, -SIMILARITY_AT * fmin(1, fmax(0, similarity)));
}

/* Both through logarithms, so that the digits of small rates are kept. */
double fm_calibrate_rate_of_each(double rate, size_t comparisons)
{
	return rate < 1 ? -expm1(log1p(-rate) / (double)(comparisons ? comparisons : 1)) : 1;
}

double fm_calibrate_rate_of_any(double rate, size_t comparisons)
{
	return rate < 1 ? -expm1(log1p(-rate) * (double)(comparisons ? comparisons : 1)) : 1;
}
