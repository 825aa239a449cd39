#include "daemon/match.h"

#include "lib/face/calibrate.h"
#include "lib/kernels/kernels.h"

#include <math.h>

#include "lib/base/banned.h"

static struct fm_threshold threshold_at(const struct fm_app *app, double rate, double min_similarity)
{
	const struct fm_model *model = app->models->embedding;
	struct fm_threshold threshold = {
	        .cosine = fm_calibrate_cosine(model, rate),
	        .false_match_rate = rate,
	};

	if (min_similarity >= 0) {
		double wanted = fm_calibrate_similarity_to_cosine(model, min_similarity);
		if (wanted > threshold.cosine) {
			threshold.cosine = wanted;
			threshold.false_match_rate = fm_calibrate_fmr(model, wanted);
		}
	}
	return threshold;
}

struct fm_threshold fm_match_verification(
        const struct fm_app *app, const struct fm_config *config, double min_similarity)
{
	return threshold_at(app, config->false_match_rate, min_similarity);
}

struct fm_threshold fm_match_identification(
        const struct fm_app *app, const struct fm_config *config, size_t people, double min_similarity)
{
	size_t count = people ? people : 1;
	double rate = fm_calibrate_identification_fmr(
	        config->false_match_rate, config->false_positive_identification_rate, count);
	struct fm_threshold threshold = threshold_at(app, rate, min_similarity);

	/* One false match among `count` independent comparisons, each at the rate. */
	threshold.false_positive_identification_rate =
	        -expm1((double)count * log1p(-threshold.false_match_rate));
	return threshold;
}

double fm_match_cosine(const struct fm_app *app, const float *a, const float *b)
{
	double cosine = fm_kernels_best()->dot_f32(a, b, app->models->embedding->dim);

	return fmin(1, fmax(-1, cosine));
}
