#include "cli/folds.h"
#include "lib/base/size.h"

#include <criterion/criterion.h>
#include <math.h>

#include "lib/base/banned.h"

static void expect_near(double got, double wanted)
{
	cr_expect(fabs(got - wanted) < 1e-12, "got %.17g, wanted %.17g", got, wanted);
}

/* Fold 0 parts at 0.5, fold 1 at 0.3, fold 2 at 0.5 with one pair on the wrong side. */
static const struct fm_scored_pair pairs[] = {{0.6, true}, {0.4, false}, {0.38, true}, {0.2, false},
        {0.7, true}, {0.45, true}, {0.1, false}, {0.64, false}};
static const size_t fold_of[] = {0, 0, 1, 1, 2, 2, 2, 2};

Test(folds, each_is_judged_at_the_threshold_of_the_others)
{
	struct fm_fold folds[3];
	double mean, deviation;

	cr_assert_eq(fm_folds_run(pairs, fold_of, FM_ARRAY_SIZE(pairs), folds, 3, NULL), FM_OK);
	/* Folds 1 and 2, falling: .7+ .64- .45+ .38+ .2- .1-: best below .38, midpoint .29; 0.4 passes. */
	expect_near(folds[0].threshold, 0.29);
	expect_near(folds[0].accuracy, 0.5);
	cr_expect_eq(folds[0].pairs, 2);
	/* Folds 0 and 2: .7+ .64- .6+ .45+ .4- .1-: below .45, midpoint .425; 0.38 is refused. */
	expect_near(folds[1].threshold, 0.425);
	expect_near(folds[1].accuracy, 0.5);
	/* Folds 0 and 1: .6+ .4- .38+ .2-: .5 and .29 are equally good, the higher counts. */
	expect_near(folds[2].threshold, 0.5);
	expect_near(folds[2].accuracy, 0.5);
	cr_expect_eq(folds[2].pairs, 4);
	fm_folds_summary(folds, 3, &mean, &deviation);
	expect_near(mean, 0.5);
	expect_near(deviation, 0);
}

Test(folds, mean_and_standard_deviation)
{
	static const struct fm_fold folds[] = {{1, 0, 0.9}, {1, 0, 1}, {1, 0, 0.8}, {1, 0, 0.9}};
	double mean, deviation;

	fm_folds_summary(folds, FM_ARRAY_SIZE(folds), &mean, &deviation);
	expect_near(mean, 0.9);
	expect_near(deviation, sqrt(0.02 / 3));
}

Test(folds, refuses_what_cannot_be_folded)
{
	static const size_t all_in_first[FM_ARRAY_SIZE(pairs)] = {0};
	struct fm_fold folds[3];
	struct fm_error err;

	cr_expect_eq(fm_folds_run(pairs, all_in_first, FM_ARRAY_SIZE(pairs), folds, 1, &err), FM_E_INVALID);
	cr_expect_eq(fm_folds_run(pairs, all_in_first, FM_ARRAY_SIZE(pairs), folds, 2, &err), FM_E_INVALID);
	cr_expect_eq(fm_folds_run(pairs, fold_of, 7, folds, 4, &err), FM_E_INVALID);
	cr_expect_str_eq(err.message, "fold 4 has no pairs");
}
