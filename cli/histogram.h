/*
 * How many pairs have which cosine, in fine bins: what a comparison of all with all leaves behind, in memory
 * that does not grow with the photos. Threads: one owner.
 */
#ifndef FM_CLI_HISTOGRAM_H
#define FM_CLI_HISTOGRAM_H

#include "cli/stats.h"

#include <stdint.h>

/* Bins of 2^-15 (0.00003) over -1..1; 1 has the last, and what rounding puts beyond goes to the ends. */
#define FM_HISTOGRAM_BINS 65537

struct fm_histogram {
	uint64_t genuine[FM_HISTOGRAM_BINS], impostors[FM_HISTOGRAM_BINS];
};

/* The bin of a cosine, which must be no NaN; and a bin's lower edge, the threshold that accepts it. */
size_t fm_histogram_bin(float cosine);
double fm_histogram_edge(size_t bin);

void fm_histogram_add(struct fm_histogram *histogram, const struct fm_histogram *other);

/*
 * Statistics at the bins' lower edges, with as many more genuine pairs that are refused at every threshold.
 * Errors: FM_E_INVALID (no pairs), FM_E_NOMEM.
 */
enum fm_status fm_histogram_stats(const struct fm_histogram *histogram, size_t genuine_missed,
        struct fm_stats **ret_stats, struct fm_error *err);

#endif
