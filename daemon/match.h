/*
 * Decisions: stated error rates turned into a cosine of the network in use. A person is as near as the
 * nearest of their faces, so each face held against is one more chance of a false match: the rate of one
 * comparison is what leaves all of them together within the rate configured. Threads: pure.
 */
#ifndef FM_DAEMON_MATCH_H
#define FM_DAEMON_MATCH_H

#include "daemon/config.h"
#include "daemon/serving.h"

struct fm_threshold {
	double cosine;                             /* match where cosine >= this */
	double false_match_rate;                   /* of one comparison at that cosine */
	size_t comparisons;                        /* enrolled faces held against, at least 1 */
	double false_positive_identification_rate; /* of a search; 0 in 1:1 */
	bool extrapolated;                         /* rarer than what the calibration measured */
};

/*
 * The rates of `config`. min_similarity (0..1, or negative for none) may tighten them, never loosen; then the
 * rates are those of the tighter cosine. 1:1, against `faces` of one person; together they keep to
 * false_match_rate.
 */
struct fm_threshold fm_match_verification(const struct fm_serving *serving, const struct fm_config *config,
        size_t faces, double min_similarity);
/*
 * 1:N, where all of the gallery's faces together keep to false_positive_identification_rate: grows stricter
 * with them. The 1:1 rate has no say in it.
 */
struct fm_threshold fm_match_identification(const struct fm_serving *serving, const struct fm_config *config,
        const struct fm_index_size *size, double min_similarity);

/* Cosine of two unit-length embeddings of the network in use, within -1 and 1. */
double fm_match_cosine(const struct fm_serving *serving, const float *a, const float *b);
/* What it says to people: fm_calibrate_similarity() of the network in use. */
double fm_match_similarity(const struct fm_serving *serving, double cosine);

#endif
