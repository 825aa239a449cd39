/*
 * Verification statistics over scored pairs: a pair is accepted when its score >= threshold. Ties count as
 * they fall: pairs of equal score are accepted or refused together. An identification is such a pair too: a
 * probe with the person it should be found as, or with the nearest person when it should find nobody; its
 * FPIR is then the false accept rate, and its FNIR 1 less the true accept rate.
 *
 * What a sample supports: a false accept rate is supported by it when at least FM_STATS_SUPPORT impostors are
 * expected at it, far * impostors >= 3. (Rule of three: with none among n seen, the rate may still be 3 / n
 * at 95 % confidence; Hanley and Lippman-Hand 1983.)
 * Threads: pure.
 */
#ifndef FM_CLI_STATS_H
#define FM_CLI_STATS_H

#include "lib/base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct fm_scored_pair {
	double score; /* finite, or -INFINITY: refused at every threshold */
	bool same;    /* genuine; otherwise impostor */
};

/* Pairs of equal score. */
struct fm_score_count {
	double score;
	size_t genuine, impostors;
};

/* What a threshold accepts. */
struct fm_roc_point {
	double threshold; /* the lowest score accepted; the next number above the highest where none is */
	size_t genuine, impostors;
	double tar, far; /* NaN without pairs of the kind */
};

struct fm_stats;

/* Sorts a copy of the pairs. Errors: FM_E_INVALID (no pairs, a score that is not allowed), FM_E_NOMEM. */
enum fm_status fm_stats_create(
        const struct fm_scored_pair *pairs, size_t count, struct fm_stats **ret_stats, struct fm_error *err);
/* The same from pairs counted already, in any order. */
enum fm_status fm_stats_create_counted(
        const struct fm_score_count *counts, size_t count, struct fm_stats **ret_stats, struct fm_error *err);
void fm_stats_free(struct fm_stats *stats);

size_t fm_stats_genuine(const struct fm_stats *stats);
size_t fm_stats_impostors(const struct fm_stats *stats);

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

/* The point of that rate: the most that is accepted with a false accept rate of at most `far`. */
struct fm_roc_point fm_stats_at_far(const struct fm_stats *stats, double far);

/* What a threshold accepts, whatever it is. */
struct fm_roc_point fm_stats_at_threshold(const struct fm_stats *stats, double threshold);

#define FM_STATS_SUPPORT 3
/* The lowest rate supported; NaN where not even 1 is. */
double fm_stats_far_supported(const struct fm_stats *stats);
bool fm_stats_supports(const struct fm_stats *stats, double far);

/*
 * The ROC curve, falling false accept rate: the points of FM_ROC_PER_DECADE rates a decade (the powers of ten
 * among them) from 1 to the lowest that the sample supports, each once. Returns how many; 0 without pairs of
 * both kinds.
 */
#define FM_ROC_PER_DECADE 10
#define FM_ROC_POINTS_MAX (20 * FM_ROC_PER_DECADE + 1)
size_t fm_stats_roc(const struct fm_stats *stats, struct fm_roc_point ret_points[FM_ROC_POINTS_MAX]);

/* Sorts values and returns the median (mean of the middle two). count >= 1. */
double fm_stats_median(double *values, size_t count);

#endif
