#include "lib/face/calibrate.h"

#include <math.h>

#include "lib/base/banned.h"

#define LOG_RATE_MIN  (-12.0) /* 1e-12 */
#define SIMILARITY_AT 8.0     /* similarity 1 is FMR 1e-8 */

/* A cosine that no comparison reaches: the answer where nothing was measured. */
#define COSINE_NEVER 2.0

/* The segment of the calibration for a cosine or for a rate: [i, i + 1], the outer ones going on for ever. */
static size_t segment_of_cosine(const struct fm_model *model, double cosine)
{
	size_t i = 0;

	while (i + 2 < model->calibration_count && cosine >= model->calibration[i + 1].cosine)
		i++;
	return i;
}

static size_t segment_of_log_rate(const struct fm_model *model, double log_rate)
{
	size_t i = 0;

	while (i + 2 < model->calibration_count &&
	        log_rate <= log10(model->calibration[i + 1].false_match_rate))
		i++;
	return i;
}

static double log_rate_of_cosine(const struct fm_model *model, double cosine)
{
	if (model->calibration_count < 2)
		return 0;
	const struct fm_calibration_point *low = &model->calibration[segment_of_cosine(model, cosine)];
	const struct fm_calibration_point *high = low + 1;
	double low_log = log10(low->false_match_rate), high_log = log10(high->false_match_rate);
	double part = (cosine - low->cosine) / (high->cosine - low->cosine);
	double log_rate = low_log + part * (high_log - low_log);

	return fmin(0, fmax(LOG_RATE_MIN, log_rate));
}

static double cosine_of_log_rate(const struct fm_model *model, double log_rate)
{
	if (model->calibration_count < 2)
		return COSINE_NEVER;
	const struct fm_calibration_point *low = &model->calibration[segment_of_log_rate(model, log_rate)];
	const struct fm_calibration_point *high = low + 1;
	double low_log = log10(low->false_match_rate), high_log = log10(high->false_match_rate);
	double part = (log_rate - low_log) / (high_log - low_log);

	return low->cosine + part * (high->cosine - low->cosine);
}

double fm_calibrate_fmr(const struct fm_model *embedding, double cosine)
{
	return pow(10, log_rate_of_cosine(embedding, cosine));
}

double fm_calibrate_cosine(const struct fm_model *embedding, double false_match_rate)
{
	double log_rate = fmin(0, fmax(LOG_RATE_MIN, log10(false_match_rate)));

	return cosine_of_log_rate(embedding, log_rate);
}

double fm_calibrate_similarity(const struct fm_model *embedding, double cosine)
{
	return fmin(1, fmax(0, -log_rate_of_cosine(embedding, cosine) / SIMILARITY_AT));
}

double fm_calibrate_similarity_to_cosine(const struct fm_model *embedding, double similarity)
{
	return cosine_of_log_rate(embedding, -SIMILARITY_AT * fmin(1, fmax(0, similarity)));
}

double fm_calibrate_identification_fmr(double false_match_rate, double fpir, size_t people)
{
	if (people < 1)
		return false_match_rate;
	/* 1 - (1 - fpir)^(1/people) without losing the digits that matter */
	double shared = fpir < 1 ? -expm1(log1p(-fpir) / (double)people) : 1;

	return fmin(false_match_rate, shared);
}
