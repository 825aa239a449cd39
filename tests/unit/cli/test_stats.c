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
	cr_expect_null(stats);
}

Test(stats, median_of_odd_and_even_counts)
{
	double odd[] = {5, 1, 3}, even[] = {4, 1, 3, 2}, one[] = {7};

	expect_near(fm_stats_median(odd, 3), 3);
	expect_near(fm_stats_median(even, 4), 2.5);
	expect_near(fm_stats_median(one, 1), 7);
}
