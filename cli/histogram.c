#include "cli/histogram.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <math.h>

#include "lib/base/banned.h"

#define BINS_PER_UNIT 32768

size_t fm_histogram_bin(float cosine)
{
	double bin = floor(((double)cosine + 1) * BINS_PER_UNIT);

	return (size_t)fmin(fmax(bin, 0), FM_HISTOGRAM_BINS - 1);
}

double fm_histogram_edge(size_t bin)
{
	return (double)bin / BINS_PER_UNIT - 1;
}

void fm_histogram_add(struct fm_histogram *histogram, const struct fm_histogram *other)
{
	for (size_t i = 0; i < FM_HISTOGRAM_BINS; i++) {
		histogram->genuine[i] += other->genuine[i];
		histogram->impostors[i] += other->impostors[i];
	}
}

enum fm_status fm_histogram_stats(const struct fm_histogram *histogram, size_t genuine_missed,
        struct fm_stats **ret_stats, struct fm_error *err)
{
	fm_autofree struct fm_score_count *counts = fm_calloc(FM_HISTOGRAM_BINS + 1, sizeof(*counts));
	size_t count = 0;

	if (!counts)
		return fm_fail(err, FM_E_NOMEM, "no memory for a histogram");
	for (size_t i = 0; i < FM_HISTOGRAM_BINS; i++)
		if (histogram->genuine[i] || histogram->impostors[i])
			counts[count++] = (struct fm_score_count){
			        fm_histogram_edge(i), histogram->genuine[i], histogram->impostors[i]};
	counts[count++] = (struct fm_score_count){-INFINITY, genuine_missed, 0};
	return fm_stats_create_counted(counts, count, ret_stats, err);
}
