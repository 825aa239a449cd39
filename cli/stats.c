#include "cli/stats.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

struct fm_stats {
	size_t genuine, impostors;     /* refused at every threshold included */
	size_t count;                  /* of scores that a threshold can accept */
	struct fm_score_count *scores; /* falling; equal ones may stand side by side */
};

static int by_falling_score(const void *left, const void *right)
{
	const struct fm_score_count *a = left, *b = right;

	return (a->score < b->score) - (a->score > b->score);
}

/* Adds up, drops what no threshold accepts, sorts. Takes scores over, also on failure. */
static enum fm_status create(
        struct fm_score_count *scores, size_t count, struct fm_stats **ret_stats, struct fm_error *err)
{
	struct fm_stats *stats = fm_calloc(1, sizeof(*stats));

	if (!stats) {
		free(scores);
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu scores", count);
	}
	stats->scores = scores;
	for (size_t i = 0; i < count; i++) {
		if (isnan(scores[i].score) || scores[i].score == INFINITY) {
			fm_stats_free(stats);
			return fm_fail(err, FM_E_INVALID, "pair %zu has no finite score", i + 1);
		}
		stats->genuine += scores[i].genuine;
		stats->impostors += scores[i].impostors;
		if (isfinite(scores[i].score))
			stats->scores[stats->count++] = scores[i];
	}
	if (stats->genuine + stats->impostors == 0) {
		fm_stats_free(stats);
		return fm_fail(err, FM_E_INVALID, "there are no pairs");
	}
	qsort(stats->scores, stats->count, sizeof(*stats->scores), by_falling_score);
	*ret_stats = stats;
	return FM_OK;
}

enum fm_status fm_stats_create(
        const struct fm_scored_pair *pairs, size_t count, struct fm_stats **ret_stats, struct fm_error *err)
{
	struct fm_score_count *scores = fm_calloc(count ? count : 1, sizeof(*scores));

	if (!scores)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu pairs", count);
	for (size_t i = 0; i < count; i++)
		scores[i] = (struct fm_score_count){pairs[i].score, pairs[i].same, !pairs[i].same};
	return create(scores, count, ret_stats, err);
}

enum fm_status fm_stats_create_counted(
        const struct fm_score_count *counts, size_t count, struct fm_stats **ret_stats, struct fm_error *err)
{
	struct fm_score_count *scores = fm_calloc(count ? count : 1, sizeof(*scores));

	if (!scores)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu scores", count);
	if (count)
		memcpy(scores, counts, count * sizeof(*counts));
	return create(scores, count, ret_stats, err);
}

void fm_stats_free(struct fm_stats *stats)
{
	if (!stats)
		return;
	free(stats->scores);
	free(stats);
}

size_t fm_stats_genuine(const struct fm_stats *stats)
{
	return stats->genuine;
}

size_t fm_stats_impostors(const struct fm_stats *stats)
{
	return stats->impostors;
}

/* Walks the ROC curve, from "none is accepted" (zeroed) to "all". */
struct walk {
	size_t next; /* the first score that is not accepted */
	size_t genuine, impostors;
};

/* Lowers the threshold past the next group of equal scores; false when all are accepted already. */
static bool walk_step(const struct fm_stats *stats, struct walk *walk)
{
	size_t i = walk->next;

	if (i == stats->count)
		return false;
	for (; i < stats->count && stats->scores[i].score == stats->scores[walk->next].score; i++) {
		walk->genuine += stats->scores[i].genuine;
		walk->impostors += stats->scores[i].impostors;
	}
	walk->next = i;
	return true;
}

/* The threshold of "none". */
static double above_all(const struct fm_stats *stats)
{
	return stats->count ? nextafter(stats->scores[0].score, INFINITY) : INFINITY;
}

double fm_stats_accuracy(const struct fm_stats *stats, double *ret_threshold)
{
	struct walk walk = {0};
	size_t best = stats->impostors;
	double threshold = above_all(stats);

	while (walk_step(stats, &walk)) {
		size_t right = walk.genuine + (stats->impostors - walk.impostors);
		if (right <= best)
			continue;
		best = right;
		threshold = stats->scores[walk.next - 1].score;
		if (walk.next < stats->count) {
			double lower = stats->scores[walk.next].score;
			double middle = lower + (threshold - lower) / 2;
			/* Neighbouring numbers have no midpoint: stay on the accepted side. */
			threshold = middle > lower ? middle : threshold;
		}
	}
	*ret_threshold = threshold;
	return (double)best / (double)(stats->genuine + stats->impostors);
}

double fm_stats_auc(const struct fm_stats *stats)
{
	struct walk walk = {0};
	double below = 0;

	if (!stats->genuine || !stats->impostors)
		return NAN;
	for (struct walk before = walk; walk_step(stats, &walk); before = walk) {
		double genuine = (double)(walk.genuine - before.genuine);
		double tied = (double)(walk.impostors - before.impostors);
		below += genuine * ((double)(stats->impostors - walk.impostors) + tied / 2);
	}
	/* What is refused at every threshold is tied at the bottom. */
	below += (double)(stats->genuine - walk.genuine) * (double)(stats->impostors - walk.impostors) / 2;
	return below / ((double)stats->genuine * (double)stats->impostors);
}

static struct fm_roc_point roc_point(const struct fm_stats *stats, const struct walk *walk)
{
	return (struct fm_roc_point){
	        .threshold = walk->next ? stats->scores[walk->next - 1].score : above_all(stats),
	        .genuine = walk->genuine,
	        .impostors = walk->impostors,
	        .tar = stats->genuine ? (double)walk->genuine / (double)stats->genuine : NAN,
	        .far = stats->impostors ? (double)walk->impostors / (double)stats->impostors : NAN,
	};
}

static bool keeps_to(const struct fm_stats *stats, const struct walk *walk, double far)
{
	return stats->impostors == 0 || (double)walk->impostors / (double)stats->impostors <= far;
}

struct fm_roc_point fm_stats_at_far(const struct fm_stats *stats, double far)
{
	struct walk walk = {0}, within = {0};

	while (walk_step(stats, &walk) && keeps_to(stats, &walk, far))
		within = walk;
	return roc_point(stats, &within);
}

struct fm_roc_point fm_stats_at_threshold(const struct fm_stats *stats, double threshold)
{
	struct walk walk = {0}, within = {0};

	while (walk_step(stats, &walk) && stats->scores[walk.next - 1].score >= threshold)
		within = walk;
	struct fm_roc_point point = roc_point(stats, &within);
	point.threshold = threshold;
	return point;
}

double fm_stats_tar_at_far(const struct fm_stats *stats, double far)
{
	return stats->impostors ? fm_stats_at_far(stats, far).tar : NAN;
}

double fm_stats_far_supported(const struct fm_stats *stats)
{
	return stats->impostors >= FM_STATS_SUPPORT ? (double)FM_STATS_SUPPORT / (double)stats->impostors
	                                            : NAN;
}

bool fm_stats_supports(const struct fm_stats *stats, double far)
{
	return fm_stats_far_supported(stats) <= far; /* false of NaN */
}

static double far_of_step(size_t step)
{
	return pow(10, -(double)step / FM_ROC_PER_DECADE);
}

size_t fm_stats_roc(const struct fm_stats *stats, struct fm_roc_point ret_points[FM_ROC_POINTS_MAX])
{
	struct walk walk = {0}, within = {0};
	size_t steps = 0, count = 0;

	if (!stats->genuine || !stats->impostors)
		return 0;
	while (steps + 1 < FM_ROC_POINTS_MAX && fm_stats_supports(stats, far_of_step(steps + 1)))
		steps++;
	/* A falling threshold: rates rise, and the points are turned round at the end. */
	bool more = walk_step(stats, &walk);
	for (size_t step = steps + 1; step-- > 0;) {
		for (; more && keeps_to(stats, &walk, far_of_step(step)); more = walk_step(stats, &walk))
			within = walk;
		struct fm_roc_point point = roc_point(stats, &within);
		if (count == 0 || point.threshold != ret_points[count - 1].threshold)
			ret_points[count++] = point;
	}
	for (size_t i = 0; i < count / 2; i++) {
		struct fm_roc_point swapped = ret_points[i];
		ret_points[i] = ret_points[count - 1 - i];
		ret_points[count - 1 - i] = swapped;
	}
	return count;
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
