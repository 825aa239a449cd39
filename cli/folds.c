#include "cli/folds.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <math.h>

#include "lib/base/banned.h"

FM_DEFINE_CLEANUP(struct fm_stats *, fm_stats_free);

/* others: room for all pairs. */
static enum fm_status run_fold(const struct fm_scored_pair *pairs, const size_t *fold_of, size_t count,
        size_t fold, struct fm_scored_pair *others, struct fm_fold *ret_fold, struct fm_error *err)
{
	fm_cleanup(fm_stats_freep) struct fm_stats *stats = NULL;
	struct fm_fold result = {0};
	size_t other_count = 0, right = 0;

	for (size_t i = 0; i < count; i++)
		if (fold_of[i] != fold)
			others[other_count++] = pairs[i];
	enum fm_status status = fm_stats_create(others, other_count, &stats, err);
	if (status)
		return status;
	fm_stats_accuracy(stats, &result.threshold);
	for (size_t i = 0; i < count; i++) {
		if (fold_of[i] != fold)
			continue;
		result.pairs++;
		right += (pairs[i].score >= result.threshold) == pairs[i].same;
	}
	if (result.pairs == 0)
		return fm_fail(err, FM_E_INVALID, "fold %zu has no pairs", fold + 1);
	result.accuracy = (double)right / (double)result.pairs;
	*ret_fold = result;
	return FM_OK;
}

enum fm_status fm_folds_run(const struct fm_scored_pair *pairs, const size_t *fold_of, size_t count,
        struct fm_fold *ret_folds, size_t fold_count, struct fm_error *err)
{
	if (fold_count < 2)
		return fm_fail(err, FM_E_INVALID, "there must be two folds at least");

	fm_autofree struct fm_scored_pair *others = fm_calloc(count ? count : 1, sizeof(*others));
	if (!others)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu pairs", count);
	for (size_t fold = 0; fold < fold_count; fold++) {
		enum fm_status status = run_fold(pairs, fold_of, count, fold, others, &ret_folds[fold], err);
		if (status)
			return status;
	}
	return FM_OK;
}

void fm_folds_summary(const struct fm_fold *folds, size_t fold_count, double *ret_mean, double *ret_deviation)
{
	double mean = 0, squares = 0;

	for (size_t i = 0; i < fold_count; i++)
		mean += folds[i].accuracy / (double)fold_count;
	for (size_t i = 0; i < fold_count; i++)
		squares += (folds[i].accuracy - mean) * (folds[i].accuracy - mean);
	*ret_mean = mean;
	*ret_deviation = sqrt(squares / (double)(fold_count - 1));
}
