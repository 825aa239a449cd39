/*
 * Decisions: stated error rates turned into a cosine of the network in use. Threads: pure.
 */
#ifndef FM_DAEMON_MATCH_H
#define FM_DAEMON_MATCH_H

#include "daemon/app.h"

struct fm_threshold {
	double cosine;                             /* match where cosine >= this */
	double false_match_rate;                   /* of one comparison at that cosine */
	double false_positive_identification_rate; /* of a search; 0 in 1:1 */
};

/*
 * The rates of `config`. min_similarity (0..1, or negative for none) may tighten them, never loosen; then the
 * rates are those of the tighter cosine.
 */
struct fm_threshold fm_match_verification(
        const struct fm_app *app, const struct fm_config *config, double min_similarity);
/* 1:N among `people`: grows stricter with them. */
struct fm_threshold fm_match_identification(
        const struct fm_app *app, const struct fm_config *config, size_t people, double min_similarity);

/* Cosine of two unit-length embeddings of the network in use, within -1 and 1. */
double fm_match_cosine(const struct fm_app *app, const float *a, const float *b);

#endif
