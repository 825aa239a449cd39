#include "cli/mcnemar.h"

#include <math.h>

#include "lib/base/banned.h"

/* Chance of k successes in n fair trials. */
static double binomial(size_t n, size_t k)
{
	return exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) -
	           (double)n * M_LN2);
}

struct fm_mcnemar fm_mcnemar_test(const bool *right_first, const bool *right_second, size_t cases)
{
	struct fm_mcnemar test = {.cases = cases, .exact_p = 1, .mid_p = 1};
	double below = 0;

	for (size_t i = 0; i < cases; i++) {
		test.first_only += right_first[i] && !right_second[i];
		test.second_only += right_second[i] && !right_first[i];
	}
	size_t different = test.first_only + test.second_only;
	size_t fewer = test.first_only < test.second_only ? test.first_only : test.second_only;
	if (different == 0)
		return test;
	for (size_t k = 0; k < fewer; k++)
		below += binomial(different, k);
	double seen = binomial(different, fewer);
	/* An even split is its own mirror image. */
	bool even = 2 * fewer == different;
	test.exact_p = even ? 1 : fmin(1, 2 * (below + seen));
	test.mid_p = even ? 1 - seen / 2 : fmin(1, 2 * below + seen);
	return test;
}
