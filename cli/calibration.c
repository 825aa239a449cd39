#include "cli/calibration.h"

#include "lib/base/size.h"
#include "lib/face/calibrate.h"

#include <math.h>

#include "lib/base/banned.h"

/* As a manifest has them. */
#define UNIT 1e-4

static const double point_rates[] = {5e-1, 1e-1, FM_CALIBRATION_TAIL};

/* The lowest cosine whose share of impostors at or above it is at most this, rounded up. */
static double cosine_of_rate(const struct fm_histogram *histogram, double impostors, double rate)
{
	size_t bin = FM_HISTOGRAM_BINS;
	double above = 0;

	while (bin > 0 && above + (double)histogram->impostors[bin - 1] <= rate * impostors)
		above += (double)histogram->impostors[--bin];
	return ceil(fm_histogram_edge(bin) / UNIT - 1e-6) * UNIT;
}

/* The middle of a bin: where its cosines are on average. */
static double middle(size_t bin)
{
	return (fm_histogram_edge(bin) + fm_histogram_edge(bin + 1)) / 2;
}

/*
 * With excesses x over the threshold, the highest first: a0 = mean of x, a1 = mean of x * (share of higher
 * ones); shape = 2 - a0 / (a0 - 2 a1), scale = 2 a0 a1 / (a0 - 2 a1).
 */
static enum fm_status fit_tail(
        const struct fm_histogram *histogram, struct fm_calibration *calibration, struct fm_error *err)
{
	double begin = calibration->points[calibration->count - 1].cosine, higher = 0, a0 = 0, a1 = 0;

	for (size_t bin = FM_HISTOGRAM_BINS; bin > 0 && fm_histogram_edge(bin - 1) >= begin; bin--) {
		double count = (double)histogram->impostors[bin - 1], excess = middle(bin - 1) - begin;
		a0 += count * excess;
		a1 += excess * (count * higher + count * (count - 1) / 2);
		higher += count;
	}
	if (higher < 2)
		return fm_fail(err, FM_E_INVALID, "no two impostor pairs are nearer than %.4f", begin);
	a0 /= higher;
	a1 /= higher * (higher - 1);
	calibration->tail_shape = round((2 - a0 / (a0 - 2 * a1)) / UNIT) * UNIT;
	calibration->tail_scale = round(2 * a0 * a1 / (a0 - 2 * a1) / UNIT) * UNIT;
	/* Written so that NaN is refused too. */
	if (!(calibration->tail_shape >= -1 && calibration->tail_shape <= 0.5 &&
	            calibration->tail_scale >= UNIT && calibration->tail_scale <= 1))
		return fm_fail(err, FM_E_INVALID,
		        "the cosines of different people have no tail that could be calibrated (beyond %.4f: "
		        "scale %g, shape %g): are the same people in folders of different names?",
		        begin, calibration->tail_scale, calibration->tail_shape);
	return FM_OK;
}

static enum fm_status refuse_too_little(size_t people, double impostors, struct fm_error *err)
{
	if (impostors < FM_CALIBRATE_SUPPORT)
		return fm_fail(err, FM_E_INVALID,
		        "too little data: %zu people give %.0f impostor pairs, which support no rate; a "
		        "calibration takes photos of %d people and %d pairs, such as one photo each of 142 "
		        "people",
		        people, impostors, FM_CALIBRATION_PEOPLE_MIN, FM_CALIBRATION_PAIRS_MIN);
	return fm_fail(err, FM_E_INVALID,
	        "too little data: %.0f impostor pairs of %zu people support a false match rate of %.1e and "
	        "no "
	        "rarer; a calibration takes photos of %d people and %d pairs, such as one photo each of 142 "
	        "people, which support 1e-3 (1e-4: 450 people)",
	        impostors, people, FM_CALIBRATE_SUPPORT / impostors, FM_CALIBRATION_PEOPLE_MIN,
	        FM_CALIBRATION_PAIRS_MIN);
}

enum fm_status fm_calibration_fit(const struct fm_histogram *histogram, size_t people, size_t photos,
        struct fm_calibration *ret_calibration, struct fm_error *err)
{
	struct fm_calibration calibration = {.people = people, .photos = photos};

	for (size_t bin = 0; bin < FM_HISTOGRAM_BINS; bin++)
		calibration.impostor_pairs += histogram->impostors[bin];
	if (people < FM_CALIBRATION_PEOPLE_MIN || calibration.impostor_pairs < FM_CALIBRATION_PAIRS_MIN)
		return refuse_too_little(people, (double)calibration.impostor_pairs, err);
	for (size_t i = 0; i < FM_ARRAY_SIZE(point_rates); i++) {
		struct fm_calibration_point point = {
		        cosine_of_rate(histogram, (double)calibration.impostor_pairs, point_rates[i]),
		        point_rates[i]};
		if (i > 0 && point.cosine <= calibration.points[i - 1].cosine)
			return fm_fail(err, FM_E_INVALID,
			        "the cosines of different people do not differ (%.4f): these are not photos "
			        "of "
			        "different people",
			        point.cosine);
		calibration.points[calibration.count++] = point;
	}
	enum fm_status status = fit_tail(histogram, &calibration, err);
	if (status)
		return status;
	*ret_calibration = calibration;
	return FM_OK;
}

void fm_calibration_print(FILE *out, const struct fm_calibration *calibration, const char *description)
{
	fprintf(out,
	        "[calibration]\n"
	        "# Measured down to a false match rate of %.1e; rarer rates are extrapolated from the tail.\n"
	        "points = ",
	        fm_calibrate_measured_fmr(calibration));
	for (size_t i = 0; i < calibration->count; i++)
		fprintf(out, "%s%.4f:%.0e", i ? ", " : "", calibration->points[i].cosine,
		        calibration->points[i].false_match_rate);
	fprintf(out,
	        "\n# Beyond the last point a generalized Pareto distribution, fitted to %.0f pairs.\n"
	        "tail_scale = %.4f\ntail_shape = %.4f\ndescription = %s\npeople = %zu\nphotos = %zu\n"
	        "impostor_pairs = %zu\n",
	        calibration->points[calibration->count - 1].false_match_rate *
	                (double)calibration->impostor_pairs,
	        calibration->tail_scale, calibration->tail_shape, description, calibration->people,
	        calibration->photos, calibration->impostor_pairs);
}
