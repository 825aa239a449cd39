/* Error rates from cosines and back. */
#include "lib/face/calibrate.h"

#include <criterion/criterion.h>
#include <math.h>

#include "lib/base/banned.h"

static const struct fm_model model = {
        .calibration_count = 4,
        .calibration = {{0.0, 0.5}, {0.25, 1e-2}, {0.40, 1e-4}, {0.50, 1e-5}},
};
static const struct fm_model unmeasured = {.calibration_count = 0};

Test(calibrate, gives_back_what_was_measured)
{
	for (size_t i = 0; i < model.calibration_count; i++) {
		const struct fm_calibration_point *point = &model.calibration[i];
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

Test(calibrate, identification_grows_stricter_with_the_gallery)
{
	double rate = 1;

	for (size_t people = 1; people <= 1000000; people *= 10) {
		double each = fm_calibrate_identification_fmr(1e-2, 1e-3, people);
		/* that many comparisons at this rate fail together at the rate asked for */
		cr_expect_float_eq(-expm1((double)people * log1p(-each)) / 1e-3, 1, 1e-6);
		cr_expect_lt(each, rate);
		rate = each;
	}
	cr_expect_eq(fm_calibrate_identification_fmr(1e-5, 1e-2, 10), 1e-5, "never looser than 1:1");
	cr_expect_eq(fm_calibrate_identification_fmr(1e-5, 1e-2, 0), 1e-5, "an empty gallery");
	cr_expect_eq(fm_calibrate_identification_fmr(1, 1, 5), 1);
}
