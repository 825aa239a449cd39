#include "daemon/match.h"

#include "lib/face/calibrate.h"
#include "lib/kernels/kernels.h"

#include <math.h>

#include "lib/base/banned.h"

/* `rate`: of a false match in any of the comparisons. */
static struct fm_threshold threshold_at(
        const struct fm_serving *serving, double rate, size_t comparisons, double min_similarity)
{
	const struct fm_calibration *calibration = &serving->models->embedding->calibration;
	double rate_of_each = fm_calibrate_rate_of_each(rate, comparisons);
	struct fm_threshold threshold = {
	        .cosine = fm_calibrate_cosine(calibration, rate_of_each),
	        .false_match_rate = rate_of_each,
	        .comparisons = comparisons ? comparisons : 1,
	};

	if (min_similarity >= 0) {
		double wanted = fm_calibrate_similarity_to_cosine(calibration, min_similarity);
		if (wanted > threshold.cosine) {
			threshold.cosine = wanted;
			threshold.false_match_rate = fm_calibrate_fmr(calibration, wanted);
		}
	}
	threshold.extrapolated = threshold.false_match_rate < fm_calibrate_measured_fmr(calibration);
	return threshold;
}

struct fm_threshold fm_match_verification(
        const struct fm_serving *serving, const struct fm_config *config, size_t faces, double min_similarity)
{
	return threshold_at(serving, config->false_match_rate, faces, min_similarity);
}

struct fm_threshold fm_match_identification(const struct fm_serving *serving, const struct fm_config *config,
        const struct fm_index_size *size, double min_similarity)
{
	struct fm_threshold threshold = threshold_at(
	        serving, config->false_positive_identification_rate, size->faces, min_similarity);

	threshold.false_positive_identification_rate =
	        fm_calibrate_rate_of_any(threshold.false_match_rate, threshold.comparisons);
	return threshold;
}

double fm_match_cosine(const struct fm_serving *serving, const float *a, const float *b)
{
	double cosine = fm_kernels_best()->dot_f32(a, b, serving->models->embedding->dim);

	return fmin(1, fmax(-1, cosine));
}

double fm_match_similarity(const struct fm_serving *serving, double cosine)
{
	return fm_calibrate_similarity(&serving->models->embedding->calibration, cosine);
}
