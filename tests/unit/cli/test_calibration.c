/* Calibrations fitted to samples whose tail is known. */
#include "cli/calibration.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/face/calibrate.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

/* n impostors whose cosines are the quantiles of a generalized Pareto distribution beyond `begin`. */
static struct fm_histogram *sample(size_t n, double begin, double scale, double shape)
{
	struct fm_histogram *histogram = fm_calloc(1, sizeof(*histogram));

	cr_assert_not_null(histogram);
	for (size_t i = 0; i < n; i++) {
		double decline = -log(((double)i + 0.5) / (double)n);
		double scales = shape == 0 ? decline : expm1(shape * decline) / shape;
		histogram->impostors[fm_histogram_bin((float)(begin + scale * scales))]++;
	}
	return histogram;
}

static void expect_tail(double scale, double shape)
{
	/* A part of such a tail is such a tail, with the scale that it has there. */
	fm_autofree struct fm_histogram *histogram = sample(400000, -0.2, scale, shape);
	struct fm_calibration calibration;
	struct fm_error err;

	cr_assert_eq(fm_calibration_fit(histogram, 600, 900, &calibration, &err), FM_OK, "%s", err.message);
	cr_expect_eq(calibration.count, 3);
	cr_expect_eq(calibration.people, 600);
	cr_expect_eq(calibration.photos, 900);
	cr_expect_eq(calibration.impostor_pairs, 400000);
	cr_expect_float_eq(calibration.tail_shape, shape, 0.01, "%g: %g", shape, calibration.tail_shape);
	double there = scale * pow(FM_CALIBRATION_TAIL, -shape);
	cr_expect_float_eq(calibration.tail_scale / there, 1, 0.02, "%g: %g", there, calibration.tail_scale);
	for (double rate = 0.5; rate > 3e-5; rate /= 3) {
		double decline = -log(rate), scales = shape == 0 ? decline : expm1(shape * decline) / shape;
		if (rate < FM_CALIBRATION_TAIL)
			cr_expect_float_eq(fm_calibrate_fmr(&calibration, -0.2 + scale * scales) / rate, 1,
			        0.05, "shape %g, rate %g", shape, rate);
	}
}

Test(calibration, finds_the_tail_that_is_there)
{
	expect_tail(0.05, 0);
	expect_tail(0.06, -0.1);
	expect_tail(0.12, -0.4);
	expect_tail(0.03, 0.1);
}

Test(calibration, points_keep_to_their_rates)
{
	fm_autofree struct fm_histogram *histogram = sample(100000, -0.2, 0.06, -0.1);
	static const double rates[] = {5e-1, 1e-1, FM_CALIBRATION_TAIL};
	struct fm_calibration calibration;

	cr_assert_eq(fm_calibration_fit(histogram, 600, 900, &calibration, NULL), FM_OK);
	for (size_t i = 0; i < 3; i++) {
		const struct fm_calibration_point *point = &calibration.points[i];
		double above = 0;
		cr_expect_eq(point->false_match_rate, rates[i]);
		for (size_t bin = 0; bin < FM_HISTOGRAM_BINS; bin++)
			if (fm_histogram_edge(bin) >= point->cosine)
				above += (double)histogram->impostors[bin];
		cr_expect_leq(above / 1e5, rates[i]);
		cr_expect_gt(above / 1e5, rates[i] * 0.99);
	}
}

static void expect_refusal(struct fm_histogram *histogram, size_t people, const char *says)
{
	struct fm_calibration calibration = {.count = 7};
	struct fm_error err = {0};

	cr_expect_eq(fm_calibration_fit(histogram, people, 900, &calibration, &err), FM_E_INVALID);
	cr_expect_not_null(strstr(err.message, says), "\"%s\" is not in \"%s\"", says, err.message);
	cr_expect_eq(calibration.count, 7, "untouched");
	free(histogram);
}

Test(calibration, refuses_too_little_and_says_what_it_supports)
{
	expect_refusal(sample(5, -0.2, 0.05, 0), 4, "support no rate");
	expect_refusal(sample(2000, -0.2, 0.05, 0), 64,
	        "2000 impostor pairs of 64 people support a false match rate "
	        "of 5.0e-03");
	expect_refusal(sample(50000, -0.2, 0.05, 0), 49, "too little data");
}

Test(calibration, refuses_what_is_no_sample_of_different_people)
{
	struct fm_histogram *same = fm_calloc(1, sizeof(*same));

	cr_assert_not_null(same);
	same->impostors[fm_histogram_bin(0.3F)] = 20000;
	expect_refusal(same, 100, "do not differ");
	/* The same people under two names: a tenth of a hundredth of the pairs beyond all others. */
	struct fm_histogram *twice = sample(50000, -0.2, 0.03, 0);
	twice->impostors[fm_histogram_bin(0.95F)] += 200;
	expect_refusal(twice, 400, "folders of different names");
}

Test(calibration, prints_a_section_that_says_what_is_measured)
{
	fm_autofree struct fm_histogram *histogram = sample(100000, -0.2, 0.06, -0.1);
	struct fm_calibration calibration;
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	cr_assert_eq(fm_calibration_fit(histogram, 600, 900, &calibration, NULL), FM_OK);
	fm_calibration_print(out, &calibration, "on nobody");
	fclose(out);
	cr_expect_eq(strncmp(text, "[calibration]\n", 14), 0);
	cr_expect_not_null(strstr(text, "Measured down to a false match rate of 1.0e-04"), "%s", text);
	cr_expect_not_null(strstr(text, "fitted to 3000 pairs"), "%s", text);
	cr_expect_not_null(strstr(text, "\ndescription = on nobody\npeople = 600\nphotos = 900\n"
	                                "impostor_pairs = 100000\n"),
	        "%s", text);
	free(text);
}
