/*
 * Which range of an activation's values 8 bits should span: from a histogram, by a rule. A wider range cuts
 * fewer values, a narrower one has finer steps. Threads: pure.
 */
#ifndef FM_CLI_RANGE_CHOICE_H
#define FM_CLI_RANGE_CHOICE_H

#include <stddef.h>
#include <stdint.h>

#define FM_RANGE_BINS 2048

enum fm_range_method {
	FM_RANGE_MINMAX,     /* all of it */
	FM_RANGE_PERCENTILE, /* but for (100 - percentile) / 2 percent of the values at each end */
	/*
	 * Magnitudes up to the one where the histogram, in 128 levels, has the least Kullback-Leibler
	 * divergence from the histogram as it is, what lies beyond counted to the last bin. Source: Migacz,
	 * "8-bit Inference with TensorRT", GTC 2017.
	 */
	FM_RANGE_ENTROPY,
	/* The range with the least mean squared error of rounding and cutting. Source: Banner et al. 2019
	 * (arXiv:1810.05723) section 3, from the histogram where they assume a distribution. */
	FM_RANGE_MSE,
};

struct fm_range_rule {
	enum fm_range_method method;
	double percentile; /* above 0, at most 100; FM_RANGE_PERCENTILE only */
};

/* How many values lie in each of FM_RANGE_BINS equal parts of low..high. */
struct fm_range_histogram {
	float low, high; /* finite, low <= high */
	uint64_t counts[FM_RANGE_BINS];
};

/* Values beyond low..high count to the ends; no NaN. */
void fm_range_histogram_add(struct fm_range_histogram *histogram, const float *values, size_t count);

/* low <= *ret_low <= *ret_high <= high. Where 0 is in low..high, it is in the range, too. */
void fm_range_choose(const struct fm_range_histogram *histogram, const struct fm_range_rule *rule,
        float *ret_low, float *ret_high);

#endif
