/*
 * Accuracy by folds, as on LFW: each fold is judged at the threshold that is best on all the others, so that
 * no pair helps to choose its own threshold. Source: Huang et al. 2007 (Labeled Faces in the Wild),
 * section 4. Threads: pure.
 */
#ifndef FM_CLI_FOLDS_H
#define FM_CLI_FOLDS_H

#include "cli/stats.h"

struct fm_fold {
	size_t pairs;
	double threshold; /* fm_stats_accuracy()'s on the other folds */
	double accuracy;  /* on this one */
};

/*
 * fold_of[i] < fold_count is the fold of pairs[i]. Fills ret_folds[fold_count]. Errors: FM_E_INVALID (fewer
 * than two folds, one without pairs, a score that fm_stats_create() refuses), FM_E_NOMEM.
 */
enum fm_status fm_folds_run(const struct fm_scored_pair *pairs, const size_t *fold_of, size_t count,
        struct fm_fold *ret_folds, size_t fold_count, struct fm_error *err);

/* Mean of the folds' accuracies and their standard deviation (divisor fold_count - 1). fold_count >= 2. */
void fm_folds_summary(
        const struct fm_fold *folds, size_t fold_count, double *ret_mean, double *ret_deviation);

#endif
