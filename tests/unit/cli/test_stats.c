#include "cli/stats.h"
#include "lib/base/size.h"

#include <criterion/criterion.h>
#include <math.h>

#include "lib/base/banned.h"

static struct fm_stats *create(const struct fm_scored_pair *pairs, size_t count)
{
	struct fm_stats *stats = NULL;
	struct fm_error err;

	cr_assert_eq(fm_stats_create(pairs, count, &stats, &err), FM_OK);
	return stats;
}

static void expect_near(double got, double wanted)
{
	cr_expect(fabs(got - wanted) < 1e-12, "got %.17g, wanted %.17g", got, wanted);
}

/* Genuine 0.9 0.8 0.4, impostors 0.5 0.2 0.1: by hand 5 of 6 right, between 0.5 and 0.8. */
static const struct fm_scored_pair mixed[] = {
        {0.4, true}, {0.1, false}, {0.9, true}, {0.5, false}, {0.8, true}, {0.2, false}};

Test(stats, accuracy_is_that_of_the_best_midpoint)
{
	struct fm_stats *stats = create(mixed, FM_ARRAY_SIZE(mixed));
	double threshold;

	/* Between 0.8 and 0.5 one genuine is lost, between 0.4 and 0.2 one stranger passes: the higher
	 * counts. */
	expect_near(fm_stats_accuracy(stats, &threshold), 5.0 / 6.0);
	expect_near(threshold, 0.65);
	fm_stats_free(stats);
}

Test(stats, auc_counts_ordered_pairs)
{
	struct fm_stats *stats = create(mixed, FM_ARRAY_SIZE(mixed));

	/* Of the nine genuine-impostor pairs only 0.4 against 0.5 is in the wrong order. */
	expect_near(fm_stats_auc(stats), 8.0 / 9.0);
	fm_stats_free(stats);
}

Test(stats, tar_at_far_takes_the_best_threshold_within_the_rate)
{
	struct fm_stats *stats = create(mixed, FM_ARRAY_SIZE(mixed));

	expect_near(fm_stats_tar_at_far(stats, 0), 2.0 / 3.0);
	expect_near(fm_stats_tar_at_far(stats, 0.3), 2.0 / 3.0);
	expect_near(fm_stats_tar_at_far(stats, 1.0 / 3.0), 1);
	fm_stats_free(stats);
}

Test(stats, ties_are_judged_together)
{
	static const struct fm_scored_pair tied[] = {{0.5, true}, {0.5, false}, {0.5, true}, {0.1, false}};
	struct fm_stats *stats = create(tied, FM_ARRAY_SIZE(tied));
	double threshold;

	/* Two genuine against 0.5 (half each) and against 0.1 (whole): 3 of 4. */
	expect_near(fm_stats_auc(stats), 0.75);
	expect_near(fm_stats_accuracy(stats, &threshold), 0.75);
	expect_near(threshold, 0.3);
	/* Accepting a genuine pair means accepting its tied stranger. */
	expect_near(fm_stats_tar_at_far(stats, 0.49), 0);
	expect_near(fm_stats_tar_at_far(stats, 0.5), 1);
	fm_stats_free(stats);
}

Test(stats, separable_pairs_are_perfect)
{
	static const struct fm_scored_pair clean[] = {{0.75, true}, {0.25, false}, {-1, false}};
	struct fm_stats *stats = create(clean, FM_ARRAY_SIZE(clean));
	double threshold;

	expect_near(fm_stats_accuracy(stats, &threshold), 1);
	expect_near(threshold, 0.5);
	expect_near(fm_stats_auc(stats), 1);
	expect_near(fm_stats_tar_at_far(stats, 1e-3), 1);
	fm_stats_free(stats);
}

Test(stats, thresholds_beyond_both_ends_are_candidates)
{
	static const struct fm_scored_pair strangers[] = {{0.9, false}, {0.8, false}, {0.1, true}};
	static const struct fm_scored_pair friends[] = {{0.9, true}, {0.1, true}};
	struct fm_stats *stats = create(strangers, FM_ARRAY_SIZE(strangers));
	double threshold;

	expect_near(fm_stats_accuracy(stats, &threshold), 2.0 / 3.0);
	cr_expect_gt(threshold, 0.9);
	expect_near(threshold, 0.9);
	fm_stats_free(stats);

	stats = create(friends, FM_ARRAY_SIZE(friends));
	expect_near(fm_stats_accuracy(stats, &threshold), 1);
	expect_near(threshold, 0.1);
	cr_expect(isnan(fm_stats_auc(stats)), "one kind of pair has no ROC");
	cr_expect(isnan(fm_stats_tar_at_far(stats, 0.01)));
	fm_stats_free(stats);
}

Test(stats, neighbouring_numbers_keep_their_order)
{
	const double high = 0.5, low = nextafter(high, 0);
	const struct fm_scored_pair pairs[] = {{high, true}, {low, false}};
	struct fm_stats *stats = create(pairs, FM_ARRAY_SIZE(pairs));
	double threshold;

	expect_near(fm_stats_accuracy(stats, &threshold), 1);
	cr_expect(threshold > low && threshold <= high);
	fm_stats_free(stats);
}

Test(stats, refuses_what_cannot_be_ranked)
{
	const struct fm_scored_pair pairs[] = {{0.5, true}, {NAN, false}};
	struct fm_stats *stats = NULL;
	struct fm_error err;

	cr_expect_eq(fm_stats_create(pairs, 0, &stats, &err), FM_E_INVALID);
	cr_expect_eq(fm_stats_create(pairs, 2, &stats, &err), FM_E_INVALID);
	cr_expect_eq(
	        fm_stats_create(&(struct fm_scored_pair){INFINITY, true}, 1, &stats, &err), FM_E_INVALID);
	cr_expect_null(stats);
}

Test(stats, counted_pairs_are_the_same_pairs)
{
	static const struct fm_score_count counts[] = {{0.1, 0, 1}, {0.5, 1, 1}, {0.5, 1, 0}};
	struct fm_stats *stats = NULL;
	double threshold;

	cr_assert_eq(fm_stats_create_counted(counts, FM_ARRAY_SIZE(counts), &stats, NULL), FM_OK);
	cr_expect_eq(fm_stats_genuine(stats), 2);
	cr_expect_eq(fm_stats_impostors(stats), 2);
	expect_near(fm_stats_auc(stats), 0.75);
	expect_near(fm_stats_accuracy(stats, &threshold), 0.75);
	expect_near(threshold, 0.3);
	expect_near(fm_stats_tar_at_far(stats, 0.49), 0);
	fm_stats_free(stats);
}

Test(stats, what_is_refused_always_counts_but_is_never_accepted)
{
	static const struct fm_scored_pair pairs[] = {
	        {0.9, true}, {-INFINITY, true}, {0.5, false}, {-INFINITY, false}};
	struct fm_stats *stats = create(pairs, FM_ARRAY_SIZE(pairs));
	double threshold;

	expect_near(fm_stats_tar_at_far(stats, 1), 0.5);
	expect_near(fm_stats_at_far(stats, 1).far, 0.5);
	expect_near(fm_stats_accuracy(stats, &threshold), 0.75);
	expect_near(threshold, 0.7);
	/* 0.9 is above both strangers, the other genuine pair below one and tied with one. */
	expect_near(fm_stats_auc(stats), 2.5 / 4);
	fm_stats_free(stats);
}

Test(stats, a_rate_needs_three_expected_impostors)
{
	struct fm_scored_pair pairs[31];

	for (size_t i = 0; i < FM_ARRAY_SIZE(pairs); i++)
		pairs[i] = (struct fm_scored_pair){(double)i / 100, i == 29};
	struct fm_stats *stats = create(pairs, FM_ARRAY_SIZE(pairs));
	cr_expect(fm_stats_supports(stats, 0.1), "3 of 30");
	cr_expect_not(fm_stats_supports(stats, 0.0999));
	expect_near(fm_stats_far_supported(stats), 0.1);
	fm_stats_free(stats);
	stats = create(pairs, 2);
	cr_expect(isnan(fm_stats_far_supported(stats)), "two impostors support no rate");
	cr_expect_not(fm_stats_supports(stats, 1));
	fm_stats_free(stats);
}

/* Thirty strangers at 0.00, 0.01 … 0.28, 0.30, and genuine pairs at 0.29, 0.275 and 0.05. */
Test(stats, roc_points_fall_to_the_lowest_supported_rate)
{
	struct fm_scored_pair pairs[33] = {{0.29, true}, {0.275, true}, {0.055, true}};
	struct fm_roc_point points[FM_ROC_POINTS_MAX];

	for (size_t i = 3; i < FM_ARRAY_SIZE(pairs); i++)
		pairs[i] = (struct fm_scored_pair){i == 32 ? 0.3 : (double)(i - 3) / 100, false};
	struct fm_stats *stats = create(pairs, FM_ARRAY_SIZE(pairs));
	size_t count = fm_stats_roc(stats, points);
	cr_assert_eq(count, 10, "eleven rates, of which 10^-0.9 and 10^-1 are three of 30 both: %zu", count);
	cr_expect_eq(points[0].impostors, 30);
	expect_near(points[0].tar, 1);
	/* 10^-0.3 = 0.501 of 30: fifteen, down to the one at 0.15. */
	cr_expect_eq(points[3].impostors, 15);
	expect_near(points[3].threshold, 0.15);
	expect_near(points[3].tar, 2.0 / 3);
	expect_near(points[9].far, 0.1);
	expect_near(points[9].threshold, 0.27);
	cr_expect_eq(points[9].genuine, 2);
	expect_near(fm_stats_at_far(stats, 0.05).threshold, 0.29);
	cr_expect_eq(fm_stats_at_far(stats, 0.05).genuine, 1);
	cr_expect_eq(fm_stats_at_far(stats, 0).genuine, 0);
	cr_expect_gt(fm_stats_at_far(stats, 0).threshold, 0.3);
	fm_stats_free(stats);
}

Test(stats, median_of_odd_and_even_counts)
{
	double odd[] = {5, 1, 3}, even[] = {4, 1, 3, 2}, one[] = {7};

	expect_near(fm_stats_median(odd, 3), 3);
	expect_near(fm_stats_median(even, 4), 2.5);
	expect_near(fm_stats_median(one, 1), 7);
}

Test(stats, what_a_threshold_accepts)
{
	struct fm_stats *stats = create(mixed, FM_ARRAY_SIZE(mixed));
	struct fm_roc_point point = fm_stats_at_threshold(stats, 0.5);

	cr_expect_eq(point.threshold, 0.5);
	cr_expect_eq(point.genuine, 2);
	cr_expect_eq(point.impostors, 1);
	cr_expect_eq(fm_stats_at_threshold(stats, 0.51).impostors, 0);
	cr_expect_eq(fm_stats_at_threshold(stats, -1).impostors, 3);
	cr_expect_eq(fm_stats_at_threshold(stats, 2).genuine, 0);
	fm_stats_free(stats);
}
