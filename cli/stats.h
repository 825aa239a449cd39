/*
 * Verification statistics over scored pairs: a pair is accepted when its score >= threshold. Ties count as
 * they fall: pairs of equal score are accepted or refused together. Threads: pure.
 */
#ifndef FM_CLI_STATS_H
#define FM_CLI_STATS_H

#include "lib/base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct fm_scored_pair {
	double score; /* finite */
	bool same;    /* genuine; otherwise impostor */
};

struct fm_stats;

/* Sorts a copy of the pairs. Errors: FM_E_INVALID (no pairs, a score that is not finite), FM_E_NOMEM. */
enum fm_status fm_stats_create(
        const struct fm_scored_pair *pairs, size_t count, struct fm_stats **ret_stats, struct fm_error *err);
void fm_stats_free(struct fm_stats *stats);

/*
 * The share of pairs judged rightly at the best threshold. Candidates: the midpoints between neighbouring
 * distinct scores, the lowest score (accepts all) and the next number above the highest (accepts none); of
 * equally good ones the highest, which accepts fewest strangers.
 */
double fm_stats_accuracy(const struct fm_stats *stats, double *ret_threshold);

/*
 * Area under the ROC curve: the chance that a genuine pair scores above an impostor pair, ties half
 * (Mann-Whitney U over the product of the counts). NaN without pairs of both kinds.
 */
double fm_stats_auc(const struct fm_stats *stats);

/*
 * The highest true accept rate at any threshold whose false accept rate is at most `far`. NaN without pairs
 * of both kinds.
 */
double fm_stats_tar_at_far(const struct fm_stats *stats, double far);

/* Sorts values and returns the median (mean of the middle two). count >= 1. */
double fm_stats_median(double *values, size_t count);

#endif
