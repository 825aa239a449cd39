#include "cli/mcnemar.h"

#include <criterion/criterion.h>
#include <math.h>

#include "lib/base/banned.h"

/* Cases that only the first judges rightly, that only the second does, that both do, that neither does. */
static struct fm_mcnemar test(size_t first, size_t second, size_t both, size_t neither)
{
	static bool right_first[4096], right_second[4096];
	size_t cases = first + second + both + neither;

	cr_assert_leq(cases, 4096);
	for (size_t i = 0; i < cases; i++) {
		right_first[i] = i < first || (i >= first + second && i < first + second + both);
		right_second[i] = i >= first && i < first + second + both;
	}
	return fm_mcnemar_test(right_first, right_second, cases);
}

static void expect_near(double got, double wanted)
{
	cr_expect(fabs(got - wanted) < 1e-12, "got %.17g, wanted %.17g", got, wanted);
}

Test(mcnemar, small_counts_by_hand)
{
	struct fm_mcnemar result = test(1, 5, 90, 4);

	cr_expect_eq(result.cases, 100);
	cr_expect_eq(result.first_only, 1);
	cr_expect_eq(result.second_only, 5);
	/* Of six fair tosses: (1 + 6) / 64 in each tail, the 6 counting half in mid-p. */
	expect_near(result.exact_p, 14.0 / 64);
	expect_near(result.mid_p, 8.0 / 64);

	result = test(5, 1, 0, 0);
	expect_near(result.exact_p, 14.0 / 64);
	expect_near(result.mid_p, 8.0 / 64);

	result = test(0, 1, 7, 0);
	expect_near(result.exact_p, 1);
	expect_near(result.mid_p, 0.5);

	result = test(0, 8, 0, 0);
	expect_near(result.exact_p, 2.0 / 256);
	expect_near(result.mid_p, 1.0 / 256);
}

Test(mcnemar, an_even_split_shows_nothing)
{
	struct fm_mcnemar result = test(2, 2, 1, 1);

	expect_near(result.exact_p, 1);
	/* Two of four: 6 / 16, counted half. */
	expect_near(result.mid_p, 1 - 3.0 / 16);
	result = test(0, 0, 10, 3);
	expect_near(result.exact_p, 1);
	expect_near(result.mid_p, 1);
}

Test(mcnemar, many_cases_come_near_the_normal_law)
{
	/* z = (600 - 500) / sqrt(1100) = 3.0151: two-sided 0.002569. */
	struct fm_mcnemar result = test(500, 600, 1000, 0);

	cr_expect_float_eq(result.mid_p, 0.002569, 2e-5, "%g", result.mid_p);
	cr_expect_gt(result.exact_p, result.mid_p);
}
