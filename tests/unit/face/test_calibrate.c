/* Error rates from cosines and back. */
#include "lib/face/calibrate.h"

#include <criterion/criterion.h>
#include <math.h>

#include "lib/base/banned.h"

static const struct fm_calibration model = {
        .count = 4,
        .points = {{0.0, 0.5}, {0.25, 1e-2}, {0.40, 1e-4}, {0.50, 1e-5}},
};
static const struct fm_calibration unmeasured = {.count = 0};

/* Measured down to 1e-4. */
static const struct fm_calibration tailed = {
        .count = 2,
        .points = {{0.1, 0.1}, {0.2, 1e-2}},
        .tail_scale = 0.04,
        .tail_shape = -0.1,
        .impostor_pairs = 100000,
};

Test(calibrate, gives_back_what_was_measured)
{
	for (size_t i = 0; i < model.count; i++) {
		const struct fm_calibration_point *point = &model.points[i];
		cr_expect_float_eq(
		        fm_calibrate_fmr(&model, point->cosine) / point->false_match_rate, 1, 1e-9);
		cr_expect_float_eq(fm_calibrate_cosine(&model, point->false_match_rate), point->cosine, 1e-9);
	}
}

Test(calibrate, is_linear_in_the_logarithm_and_goes_on_beyond_the_last_point)
{
	cr_expect_float_eq(fm_calibrate_fmr(&model, 0.325) / 1e-3, 1, 1e-9, "half way from 1e-2 to 1e-4");
	cr_expect_float_eq(fm_calibrate_fmr(&model, 0.70) / 1e-7, 1, 1e-9, "a decade each 0.1, as before");
	cr_expect_float_eq(fm_calibrate_cosine(&model, 1e-8), 0.80, 1e-9);
	cr_expect_float_eq(fm_calibrate_cosine(&model, 1e-11), 1.10, 1e-9, "nothing matches");
}

Test(calibrate, rates_stay_within_their_bounds)
{
	cr_expect_float_eq(fm_calibrate_fmr(&model, -1), 1, 1e-12);
	cr_expect_float_eq(fm_calibrate_fmr(&model, 2) / 1e-12, 1, 1e-9);
	cr_expect_leq(fm_calibrate_cosine(&model, 1), 0);
}

Test(calibrate, falls_and_rises_monotonically)
{
	for (double cosine = -1; cosine < 1; cosine += 0.001) {
		cr_assert_leq(fm_calibrate_fmr(&model, cosine + 0.001), fm_calibrate_fmr(&model, cosine));
		cr_assert_geq(fm_calibrate_similarity(&model, cosine + 0.001),
		        fm_calibrate_similarity(&model, cosine));
	}
	/* strictly where the similarity is between its ends */
	for (double cosine = 0; cosine < 0.79; cosine += 0.001)
		cr_assert_gt(fm_calibrate_similarity(&model, cosine + 0.001),
		        fm_calibrate_similarity(&model, cosine));
}

Test(calibrate, goes_there_and_back)
{
	for (double rate = 0.9; rate > 1e-11; rate *= 0.7)
		cr_expect_float_eq(
		        fm_calibrate_fmr(&model, fm_calibrate_cosine(&model, rate)) / rate, 1, 1e-9);
	for (double similarity = 0.05; similarity <= 1; similarity += 0.05)
		cr_expect_float_eq(fm_calibrate_similarity(
		                           &model, fm_calibrate_similarity_to_cosine(&model, similarity)),
		        similarity, 1e-9);
}

Test(calibrate, similarity_is_the_rate_in_other_words)
{
	cr_expect_float_eq(fm_calibrate_similarity(&model, 0.40), 0.5, 1e-9, "1e-4");
	cr_expect_float_eq(fm_calibrate_similarity(&model, 0.60), 0.75, 1e-9, "1e-6");
	cr_expect_eq(fm_calibrate_similarity(&model, 0.95), 1);
	cr_expect_eq(fm_calibrate_similarity(&model, -0.5), 0);
}

Test(calibrate, without_a_measurement_nothing_matches)
{
	cr_expect_eq(fm_calibrate_fmr(&unmeasured, 0.99), 1);
	cr_expect_gt(fm_calibrate_cosine(&unmeasured, 0.5), 1);
	cr_expect_eq(fm_calibrate_similarity(&unmeasured, 1), 0);
	cr_expect_gt(fm_calibrate_similarity_to_cosine(&unmeasured, 0.1), 1);
}

Test(calibrate, a_tail_is_a_generalized_pareto_distribution_where_it_was_measured)
{
	cr_expect_float_eq(fm_calibrate_measured_fmr(&tailed), 1e-4, 1e-12);
	for (double cosine = 0.2; cosine < 0.3476; cosine += 0.01) {
		double wanted = 1e-2 * pow(1 - 0.1 * (cosine - 0.2) / 0.04, 10);
		cr_expect_float_eq(fm_calibrate_fmr(&tailed, cosine) / wanted, 1, 1e-9, "%g", cosine);
	}
	/* Below the tail there are points, as without one. */
	cr_expect_float_eq(fm_calibrate_fmr(&tailed, 0.15) / pow(10, -1.5), 1, 1e-9);
	cr_expect_float_eq(fm_calibrate_cosine(&tailed, 1e-2), 0.2, 1e-9);
}

Test(calibrate, beyond_what_was_measured_the_tail_never_ends)
{
	/* The fitted tail would end at 0.2 + 0.04 / 0.1 = 0.6. */
	double joint = fm_calibrate_cosine(&tailed, 1e-4);
	double slope = 10 * 0.1 / 0.04 / (1 - 0.1 * (joint - 0.2) / 0.04); /* of -ln FMR there */

	cr_expect_float_eq(fm_calibrate_fmr(&tailed, joint + 0.1) / (1e-4 * exp(-slope * 0.1)), 1, 1e-9);
	cr_expect_gt(fm_calibrate_fmr(&tailed, 0.59), 1e-2 * pow(1 - 0.1 * 0.39 / 0.04, 10),
	        "more careful than the fit");
	cr_expect_gt(fm_calibrate_cosine(&tailed, 1e-11), 0.6);
	for (double cosine = 0; cosine < 1; cosine += 0.001)
		cr_assert_leq(fm_calibrate_fmr(&tailed, cosine + 0.001), fm_calibrate_fmr(&tailed, cosine));
	for (double rate = 0.9; rate > 1e-11; rate *= 0.7)
		cr_expect_float_eq(
		        fm_calibrate_fmr(&tailed, fm_calibrate_cosine(&tailed, rate)) / rate, 1, 1e-9);
}

Test(calibrate, tails_of_shape_zero_and_above_go_on_as_they_are)
{
	struct fm_calibration exponential = tailed, heavy = tailed;

	exponential.tail_shape = 0;
	heavy.tail_shape = 0.2;
	for (double cosine = 0.25; cosine < 0.6; cosine += 0.05) {
		double wanted = 1e-2 * exp(-(cosine - 0.2) / 0.04);
		cr_expect_float_eq(fm_calibrate_fmr(&exponential, cosine) / wanted, 1, 1e-9);
		wanted = 1e-2 * pow(1 + 0.2 * (cosine - 0.2) / 0.04, -5);
		cr_expect_float_eq(fm_calibrate_fmr(&heavy, cosine) / wanted, 1, 1e-9);
	}
	for (double rate = 0.9; rate > 1e-11; rate *= 0.7) {
		cr_expect_float_eq(
		        fm_calibrate_fmr(&exponential, fm_calibrate_cosine(&exponential, rate)) / rate, 1,
		        1e-9);
		cr_expect_float_eq(
		        fm_calibrate_fmr(&heavy, fm_calibrate_cosine(&heavy, rate)) / rate, 1, 1e-9);
	}
}

Test(calibrate, what_was_measured)
{
	cr_expect_eq(fm_calibrate_measured_fmr(&model), 1e-5, "points: the last");
	cr_expect_eq(fm_calibrate_measured_fmr(&unmeasured), 1);
	struct fm_calibration small = tailed;
	small.impostor_pairs = 100; /* not even the points */
	cr_expect_eq(fm_calibrate_measured_fmr(&small), 1e-2);
}

Test(calibrate, each_comparison_and_any_of_them)
{
	double last = 1;

	for (size_t comparisons = 1; comparisons <= 1000000; comparisons *= 10) {
		double each = fm_calibrate_rate_of_each(1e-3, comparisons);
		cr_expect_float_eq(-expm1((double)comparisons * log1p(-each)) / 1e-3, 1, 1e-6);
		cr_expect_float_eq(fm_calibrate_rate_of_any(each, comparisons) / 1e-3, 1, 1e-6);
		cr_expect_lt(each, last);
		last = each;
	}
	cr_expect_float_eq(fm_calibrate_rate_of_each(1e-2, 0), 1e-2, 1e-15, "an empty gallery");
	cr_expect_eq(fm_calibrate_rate_of_each(1, 5), 1);
	cr_expect_eq(fm_calibrate_rate_of_any(1, 5), 1);
}
