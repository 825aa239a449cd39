#include "cli/stats.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

struct fm_stats {
	size_t count, genuine, impostors;
	struct fm_scored_pair *pairs; /* falling score */
};

static int by_falling_score(const void *left, const void *right)
{
	const struct fm_scored_pair *a = left, *b = right;

	return (a->score < b->score) - (a->score > b->score);
}

enum fm_status fm_stats_create(
        const struct fm_scored_pair *pairs, size_t count, struct fm_stats **ret_stats, struct fm_error *err)
{
	if (count == 0)
		return fm_fail(err, FM_E_INVALID, "there are no pairs");

	struct fm_stats *stats = fm_calloc(1, sizeof(*stats));
	if (stats)
		stats->pairs = fm_calloc(count, sizeof(*pairs));
	if (!stats || !stats->pairs) {
		fm_stats_free(stats);
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu pairs", count);
	}
	memcpy(stats->pairs, pairs, count * sizeof(*pairs));
	stats->count = count;
	for (size_t i = 0; i < count; i++) {
		if (!isfinite(pairs[i].score)) {
			fm_stats_free(stats);
			return fm_fail(err, FM_E_INVALID, "pair %zu has no finite score", i + 1);
		}
		stats->genuine += pairs[i].same;
	}
	stats->impostors = count - stats->genuine;
	qsort(stats->pairs, count, sizeof(*pairs), by_falling_score);
	*ret_stats = stats;
	return FM_OK;
}

void fm_stats_free(struct fm_stats *stats)
{
	if (!stats)
		return;
	free(stats->pairs);
	free(stats);
}

/* One point of the ROC curve: what a threshold accepts. Starts zeroed, at "none". */
struct roc_point {
	size_t next; /* the first pair that is not accepted */
	size_t genuine, impostors;
};

/* Lowers the threshold past the next group of equal scores; false when all pairs are accepted already. */
static bool roc_step(const struct fm_stats *stats, struct roc_point *point)
{
	size_t i = point->next;

	if (i == stats->count)
		return false;
	for (; i < stats->count && stats->pairs[i].score == stats->pairs[point->next].score; i++) {
		point->genuine += stats->pairs[i].same;
		point->impostors += !stats->pairs[i].same;
	}
	point->next = i;
	return true;
}

double fm_stats_accuracy(const struct fm_stats *stats, double *ret_threshold)
{
	struct roc_point point = {0};
	size_t best = stats->impostors;
	double threshold = nextafter(stats->pairs[0].score, INFINITY);

	while (roc_step(stats, &point)) {
		size_t right = point.genuine + (stats->impostors - point.impostors);
		if (right <= best)
			continue;
		best = right;
		threshold = stats->pairs[point.next - 1].score;
		if (point.next < stats->count) {
			double lower = stats->pairs[point.next].score;
			double middle = lower + (threshold - lower) / 2;
			/* Neighbouring numbers have no midpoint: stay on the accepted side. */
			threshold = middle > lower ? middle : threshold;
		}
	}
	*ret_threshold = threshold;
	return (double)best / (double)stats->count;
}

double fm_stats_auc(const struct fm_stats *stats)
{
	struct roc_point point = {0};
	double below = 0;

	if (!stats->genuine || !stats->impostors)
		return NAN;
	for (struct roc_point before = point; roc_step(stats, &point); before = point) {
		double genuine = (double)(point.genuine - before.genuine);
		double tied = (double)(point.impostors - before.impostors);
		below += genuine * ((double)(stats->impostors - point.impostors) + tied / 2);
	}
	return below / ((double)stats->genuine * (double)stats->impostors);
}

double fm_stats_tar_at_far(const struct fm_stats *stats, double far)
{
	struct roc_point point = {0};
	size_t accepted = 0;

	if (!stats->genuine || !stats->impostors)
		return NAN;
	while (roc_step(stats, &point) && (double)point.impostors / (double)stats->impostors <= far)
		accepted = point.genuine;
	return (double)accepted / (double)stats->genuine;
}

static int by_rising_value(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

double fm_stats_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), by_rising_value);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}
