/*
 * McNemar's test on paired decisions: whether one of two systems is right more often on the same cases.
 * Threads: pure.
 */
#ifndef FM_CLI_MCNEMAR_H
#define FM_CLI_MCNEMAR_H

#include <stdbool.h>
#include <stddef.h>

struct fm_mcnemar {
	size_t cases;
	size_t first_only, second_only; /* cases that it alone judges rightly: what the test rests on */
	double exact_p; /* two-sided, conditional binomial: keeps its level, and is wary on few cases */
	double mid_p;   /* the outcomes as likely as the one seen count half: nearer to the level */
};

/*
 * right_first[i], right_second[i]: whether each judged case i rightly. Under the hypothesis of no difference
 * first_only is binomial over the cases judged differently, with chance 1/2. Without any both p are 1.
 * Source: Fagerland, Lydersen, Laake 2013 (BMC Medical Research Methodology 13:91).
 */
struct fm_mcnemar fm_mcnemar_test(const bool *right_first, const bool *right_second, size_t cases);

#endif
