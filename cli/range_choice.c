#include "cli/range_choice.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "lib/base/banned.h"

#define BINS   FM_RANGE_BINS
#define LEVELS 256
/* Ends that are tried lie so many bins apart. */
#define STEP 8
/* Both ends are moved in turn, this often. */
#define ROUNDS 3
/* Of magnitudes: what a signed code of 8 bits has. */
#define MAGNITUDE_LEVELS 128
/* What an empty bin of the quantized histogram counts as, so that its logarithm is finite. */
#define EMPTY 1e-4

/* Bins first..last - 1. */
struct window {
	size_t first, last;
};

static double width_of(const struct fm_range_histogram *histogram)
{
	return ((double)histogram->high - (double)histogram->low) / BINS;
}

static double edge(const struct fm_range_histogram *histogram, double bin)
{
	return (double)histogram->low + bin * width_of(histogram);
}

void fm_range_histogram_add(struct fm_range_histogram *histogram, const float *values, size_t count)
{
	const double width = width_of(histogram), scale = width > 0 ? 1 / width : 0;

	for (size_t i = 0; i < count; i++) {
		const double bin = ((double)values[i] - (double)histogram->low) * scale;

		histogram->counts[bin < 0 ? 0 : bin < BINS ? (size_t)bin : BINS - 1]++;
	}
}

/* ---- what a window costs --------------------------------------------------------------------- */

/*
 * Of the first `count` magnitudes, in `levels` parts as even as can be: each part's sum spread over its bins
 * that are not empty, against the magnitudes with all beyond counted to the last.
 */
static double divergence(const double *magnitudes, size_t bins, size_t count)
{
	double total = 0, inside = 0, sum = 0;

	for (size_t i = 0; i < bins; i++) {
		total += magnitudes[i];
		inside += i < count ? magnitudes[i] : 0;
	}
	for (size_t level = 0; inside > 0 && level < MAGNITUDE_LEVELS; level++) {
		const size_t from = level * count / MAGNITUDE_LEVELS;
		const size_t to = (level + 1) * count / MAGNITUDE_LEVELS;
		double part = 0, filled = 0;

		for (size_t i = from; i < to; i++) {
			part += magnitudes[i];
			filled += magnitudes[i] > 0;
		}
		for (size_t i = from; i < to; i++) {
			const double p = magnitudes[i] + (i + 1 == count ? total - inside : 0);
			const double q = magnitudes[i] > 0 ? part / filled : EMPTY;

			sum += p > 0 ? p / total * log(p / total / (q / inside)) : 0;
		}
	}
	return inside > 0 ? sum : INFINITY;
}

/* The best magnitude to cut at, in bins. */
static size_t cut_by_divergence(const struct fm_range_histogram *histogram, double zero)
{
	double magnitudes[BINS] = {0}, least = INFINITY;
	size_t bins = 0, best = 0;

	for (size_t i = 0; i < BINS; i++) {
		const size_t at = (size_t)fmin(BINS - 1, fabs((double)i + 0.5 - zero));

		magnitudes[at] += (double)histogram->counts[i];
		bins = at + 1 > bins ? at + 1 : bins;
	}
	/* Zeros, of which there may be any number, have a code of their own whatever the range. */
	magnitudes[0] = magnitudes[1];
	for (size_t count = MAGNITUDE_LEVELS; count <= bins; count++) {
		const double found = divergence(magnitudes, bins, count);

		if (found < least) {
			least = found;
			best = count;
		}
	}
	return best ? best : bins;
}

static double squared_error(const struct fm_range_histogram *histogram, struct window window)
{
	const double low = edge(histogram, (double)window.first), high = edge(histogram, (double)window.last);
	const double scale = (high - low) / (LEVELS - 1);
	double sum = 0;

	for (size_t i = 0; i < BINS; i++) {
		const double x = edge(histogram, (double)i + 0.5);
		const double q = fmax(0, fmin(LEVELS - 1, nearbyint((x - low) / scale)));
		const double error = x - (low + q * scale);

		sum += (double)histogram->counts[i] * error * error;
	}
	return sum;
}

/* ---- the search ------------------------------------------------------------------------------ */

/* From the whole range inwards, one end after the other; `zero` stays inside. */
static struct window search(const struct fm_range_histogram *histogram, struct window zero)
{
	struct window best = {0, BINS};
	double least = squared_error(histogram, best);

	for (int round = 0; round < ROUNDS; round++) {
		for (size_t last = BINS; last >= zero.last && last >= best.first + LEVELS; last -= STEP) {
			const double found = squared_error(histogram, (struct window){best.first, last});

			if (found < least) {
				least = found;
				best.last = last;
			}
		}
		for (size_t first = 0; first <= zero.first && first + LEVELS <= best.last; first += STEP) {
			const double found = squared_error(histogram, (struct window){first, best.last});

			if (found < least) {
				least = found;
				best.first = first;
			}
		}
	}
	return best;
}

/* Where `wanted` values lie below, in bins, evenly spread within one; from the top when they lie above. */
static double quantile(const struct fm_range_histogram *histogram, double wanted, bool from_top)
{
	double seen = 0;

	for (size_t i = 0; i < BINS; i++) {
		const double count = (double)histogram->counts[from_top ? BINS - 1 - i : i];

		if (count > 0 && seen + count > wanted) {
			const double bin = (double)i + (wanted - seen) / count;
			return from_top ? BINS - bin : bin;
		}
		seen += count;
	}
	return from_top ? 0 : BINS;
}

void fm_range_choose(const struct fm_range_histogram *histogram, const struct fm_range_rule *rule,
        float *ret_low, float *ret_high)
{
	const double width = width_of(histogram);
	const double at = width > 0 ? fmax(0, fmin(BINS, -(double)histogram->low / width)) : 0;
	const struct window zero = {(size_t)floor(at), (size_t)ceil(at)};
	double first = 0, last = BINS, total = 0;

	for (size_t i = 0; i < BINS; i++)
		total += (double)histogram->counts[i];
	if (rule->method == FM_RANGE_PERCENTILE && total > 0) {
		const double wanted = total * (100 - rule->percentile) / 200;

		first = fmin(quantile(histogram, wanted, false), at);
		last = fmax(quantile(histogram, wanted, true), at);
	} else if (rule->method == FM_RANGE_ENTROPY && width > 0 && total > 0) {
		const double cut = (double)cut_by_divergence(histogram, at);

		first = fmax(0, at - cut);
		last = fmin(BINS, at + cut);
	} else if (rule->method == FM_RANGE_MSE && width > 0 && total > 0) {
		const struct window found = search(histogram, zero);

		first = (double)found.first;
		last = (double)found.last;
	}
	*ret_low = first > 0 ? (float)edge(histogram, first) : histogram->low;
	*ret_high = last < BINS ? (float)edge(histogram, last) : histogram->high;
}
