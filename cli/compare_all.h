/*
 * Every embedding against every other, by several threads, into a histogram. Tiles of rows stay in the cache
 * while they are compared, so memory holds the embeddings and two histograms a thread, whatever the number of
 * pairs.
 */
#ifndef FM_CLI_COMPARE_ALL_H
#define FM_CLI_COMPARE_ALL_H

#include "cli/histogram.h"

struct fm_compare_all {
	const float *embeddings; /* [count][dim], unit length */
	const size_t *person;    /* [count]: equal numbers are genuine pairs */
	size_t count, dim;
};

/*
 * Counts each of the count * (count - 1) / 2 pairs once into *histogram, on top of what it holds.
 * threads >= 1. The result does not depend on them. Errors: FM_E_NOMEM, or a thread that cannot start.
 */
enum fm_status fm_compare_all_run(const struct fm_compare_all *all, size_t threads,
        struct fm_histogram *histogram, struct fm_error *err);

#endif
