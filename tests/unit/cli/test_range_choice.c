/* Ranges of known distributions: what each rule makes of them. */
#include "cli/range_choice.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "lib/base/banned.h"

/* The histogram of 10^9 values with this density. */
static struct fm_range_histogram *histogram_of(double (*density)(double), double low, double high)
{
	struct fm_range_histogram *histogram = calloc(1, sizeof(*histogram));
	const double width = (high - low) / FM_RANGE_BINS;

	histogram->low = (float)low;
	histogram->high = (float)high;
	for (size_t i = 0; i < FM_RANGE_BINS; i++)
		histogram->counts[i] =
		        (uint64_t)llrint(1e9 * width * density(low + ((double)i + 0.5) * width));
	return histogram;
}

static double uniform(double x)
{
	return fabs(x) <= 1 ? 0.5 : 0;
}

static double gaussian(double x)
{
	return exp(-x * x / 2) / sqrt(2 * M_PI);
}

static double laplacian(double x)
{
	return exp(-fabs(x)) / 2;
}

static double rectified(double x)
{
	return x >= 0 ? 2 * gaussian(x) : 0;
}

static void expect_range(struct fm_range_histogram *histogram, enum fm_range_method method, double percentile,
        double low, double high, double tolerance)
{
	const struct fm_range_rule rule = {.method = method, .percentile = percentile};
	float got_low, got_high;

	fm_range_choose(histogram, &rule, &got_low, &got_high);
	cr_expect(fabs((double)got_low - low) <= tolerance && fabs((double)got_high - high) <= tolerance,
	        "method %d: %g..%g, not %g..%g", method, (double)got_low, (double)got_high, low, high);
	free(histogram);
}

Test(range_choice, smallest_and_largest)
{
	expect_range(histogram_of(gaussian, -7, 5), FM_RANGE_MINMAX, 0, -7, 5, 0);
}

Test(range_choice, percentiles_leave_half_of_the_rest_at_each_end)
{
	expect_range(histogram_of(uniform, -1, 1), FM_RANGE_PERCENTILE, 98, -0.98, 0.98, 1e-4);
	expect_range(histogram_of(gaussian, -10, 10), FM_RANGE_PERCENTILE, 99, -2.5758, 2.5758, 1e-3);
	expect_range(histogram_of(gaussian, -10, 10), FM_RANGE_PERCENTILE, 99.9, -3.2905, 3.2905, 1e-3);
	expect_range(histogram_of(uniform, -1, 1), FM_RANGE_PERCENTILE, 100, -1, 1, 0);
	/* Nothing below 0 to leave out, and 0 stays. */
	expect_range(histogram_of(rectified, 0, 10), FM_RANGE_PERCENTILE, 99, 0.0063, 2.8070, 7e-3);
}

/* Banner et al. 2019: where 8 bits of a Gaussian and of a Laplacian are to be cut. */
Test(range_choice, the_least_squared_error_cuts_where_theory_says)
{
	expect_range(histogram_of(gaussian, -8, 8), FM_RANGE_MSE, 0, -3.92, 3.92, 0.1);
	expect_range(histogram_of(laplacian, -24, 24), FM_RANGE_MSE, 0, -9.89, 9.89, 0.35);
	expect_range(histogram_of(uniform, -1, 1), FM_RANGE_MSE, 0, -1, 1, 0.01);
	expect_range(histogram_of(rectified, 0, 8), FM_RANGE_MSE, 0, 0, 4.1, 0.2);
}

Test(range_choice, entropy_cuts_what_is_far_from_the_rest)
{
	struct fm_range_histogram *histogram = histogram_of(gaussian, -20, 20);

	histogram->counts[0] = 3;
	histogram->counts[FM_RANGE_BINS - 1] = 2;
	expect_range(histogram, FM_RANGE_ENTROPY, 0, -4.5, 4.5, 1.5);
	/* All levels equally full: nothing is far. */
	expect_range(histogram_of(uniform, -1, 1), FM_RANGE_ENTROPY, 0, -1, 1, 1e-3);
	expect_range(histogram_of(rectified, 0, 10), FM_RANGE_ENTROPY, 0, 0, 4.5, 2.5);
}

Test(range_choice, constants_and_nothing_at_all)
{
	for (int method = FM_RANGE_MINMAX; method <= FM_RANGE_MSE; method++) {
		struct fm_range_histogram *constant = calloc(1, sizeof(*constant)), *none;

		fm_range_histogram_add(constant, (float[]){0, 0}, 2);
		expect_range(constant, method, 99, 0, 0, 0);
		none = calloc(1, sizeof(*none));
		none->low = -1;
		none->high = 2;
		expect_range(none, method, 100, -1, 2, 0);
	}
}

Test(range_choice, values_fall_into_their_bins)
{
	struct fm_range_histogram *histogram = calloc(1, sizeof(*histogram));

	histogram->low = -1;
	histogram->high = 1;
	fm_range_histogram_add(histogram, (float[]){-2, -1, 0, 0.5f, 1, 3}, 6);
	cr_expect_eq(histogram->counts[0], 2);
	cr_expect_eq(histogram->counts[FM_RANGE_BINS / 2], 1);
	cr_expect_eq(histogram->counts[FM_RANGE_BINS * 3 / 4], 1);
	cr_expect_eq(histogram->counts[FM_RANGE_BINS - 1], 2);
	free(histogram);
}
