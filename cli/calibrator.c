#include "cli/calibrator.h"

#include "cli/album.h"
#include "cli/calibration.h"
#include "cli/held_out.h"
#include "cli/progress.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/face/calibrate.h"

#include <math.h>

#include "lib/base/banned.h"

/* Thresholds are reported at 1e-2 … 1e-6. */
#define EXPONENT_FIRST (-2)
#define EXPONENT_LAST  (-6)

/* Galleries of so many people are tried where the album leaves as many again to calibrate and to search. */
static const size_t galleries[] = {50, 200, 600};

void fm_calibrator_done(struct fm_calibrator *calibrator)
{
	free(calibrator->histogram);
	fm_stats_free(calibrator->stats);
	json_decref(calibrator->report);
	calibrator->histogram = NULL;
	calibrator->stats = NULL;
	calibrator->report = NULL;
}

static json_t *ratio(size_t k, size_t n)
{
	return fm_json_number(n ? (double)k / (double)n : NAN);
}

static json_t *report_thresholds(const struct fm_calibrator *calibrator)
{
	const struct fm_calibration *calibration = &calibrator->calibration;
	json_t *thresholds = json_array();

	for (int exponent = EXPONENT_FIRST; exponent >= EXPONENT_LAST; exponent--) {
		double rate = pow(10, exponent), threshold = fm_calibrate_cosine(calibration, rate);
		struct fm_roc_point point = fm_stats_at_threshold(calibrator->stats, threshold);
		json_array_append_new(thresholds,
		        json_pack("{s:f, s:f, s:b, s:I, s:o, s:o}", "false_match_rate", rate, "threshold",
		                threshold, "extrapolated", rate < fm_calibrate_measured_fmr(calibration),
		                "false_matches", (json_int_t)point.impostors, "measured",
		                fm_json_number(point.far), "false_non_match_rate",
		                fm_json_number(1 - point.tar)));
	}
	return thresholds;
}

static json_t *report_held_out(const struct fm_held_out_pairs *pairs)
{
	json_t *rates = json_array();

	for (size_t i = 0; i < FM_HELD_OUT_FMRS; i++) {
		const struct fm_held_out_rate *rate = &pairs->rates[i];
		json_array_append_new(
		        rates, json_pack("{s:f, s:f, s:b, s:I, s:o, s:o}", "false_match_rate", rate->stated,
		                       "threshold", rate->threshold, "extrapolated", rate->extrapolated,
		                       "false_matches", (json_int_t)rate->accepted, "measured",
		                       ratio(rate->accepted, pairs->impostor_pairs), "false_non_match_rate",
		                       ratio(rate->missed, pairs->genuine_pairs)));
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:o}", "people", (json_int_t)pairs->people, "photos",
	        (json_int_t)pairs->photos, "genuine_pairs", (json_int_t)pairs->genuine_pairs,
	        "impostor_pairs", (json_int_t)pairs->impostor_pairs, "rates", rates);
}

/* Calibrates on the people of FM_PART_CALIBRATED, and reports it. */
static enum fm_status calibrate(struct fm_calibrator *calibrator, const struct fm_album_faces *faces,
        const unsigned char *part_of, struct fm_error *err)
{
	fm_cleanup(fm_album_faces_done) struct fm_album_faces part = {0};
	struct fm_calibration *calibration = &calibrator->calibration;
	json_t *report = calibrator->report;

	enum fm_status status = fm_album_faces_part(faces, part_of, FM_PART_CALIBRATED, &part, err);
	if (!status)
		status = fm_album_compare(&part, calibrator->eval->threads, calibrator->histogram, err);
	if (!status)
		status = fm_calibration_fit(calibrator->histogram, part.people, part.count, calibration, err);
	if (!status)
		status = fm_histogram_stats(calibrator->histogram, 0, &calibrator->stats, err);
	if (status)
		return status;
	const struct fm_calibration_point *begin = &calibration->points[calibration->count - 1];
	json_object_set_new(report, "calibrated_people", json_integer((json_int_t)part.people));
	json_object_set_new(report, "calibrated_photos", json_integer((json_int_t)part.count));
	json_object_set_new(
	        report, "genuine_pairs", json_integer((json_int_t)fm_stats_genuine(calibrator->stats)));
	json_object_set_new(report, "impostor_pairs", json_integer((json_int_t)calibration->impostor_pairs));
	json_object_set_new(report, "tail_begins", fm_json_number(begin->cosine));
	json_object_set_new(report, "tail_pairs",
	        json_integer((json_int_t)fm_stats_at_threshold(calibrator->stats, begin->cosine).impostors));
	json_object_set_new(report, "tail_scale", fm_json_number(calibration->tail_scale));
	json_object_set_new(report, "tail_shape", fm_json_number(calibration->tail_shape));
	json_object_set_new(
	        report, "measured_to_fmr", fm_json_number(fm_calibrate_measured_fmr(calibration)));
	json_object_set_new(report, "thresholds", report_thresholds(calibrator));
	return FM_OK;
}

/* Every second person is left out, and measured. */
static enum fm_status hold_out(const struct fm_calibrator *calibrator, const struct fm_album_faces *faces,
        const unsigned char *part_of, struct fm_error *err)
{
	struct fm_held_out_pairs pairs;

	enum fm_status status = fm_held_out_verify(faces, part_of, calibrator->eval->threads, &pairs, err);
	if (!status)
		json_object_set_new(calibrator->report, "held_out", report_held_out(&pairs));
	return status;
}

/* What `splits` random halves measured at one stated rate. */
static json_t *report_spread(double stated, double *ratios, size_t splits)
{
	double median = fm_stats_median(ratios, splits); /* which sorts them */

	return json_pack("{s:f, s:f, s:f, s:f}", "false_match_rate", stated, "ratio_lowest", ratios[0],
	        "ratio_median", median, "ratio_highest", ratios[splits - 1]);
}

/* Leaves the halves out, too, where they are too few to calibrate on. */
static enum fm_status split_pairs(const struct fm_calibrator *calibrator, const struct fm_album_faces *faces,
        size_t people, unsigned char *part_of, struct fm_progress *progress, struct fm_error *err)
{
	size_t splits = calibrator->splits;
	fm_autofree double *ratios = fm_calloc(splits, FM_HELD_OUT_FMRS * sizeof(*ratios));
	struct fm_held_out_pairs pairs;
	json_t *verification = json_array();

	json_object_set_new(calibrator->report, "verification", verification);
	if (!ratios || !verification)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu splits", splits);
	for (size_t split = 0; split < splits; split++) {
		fm_held_out_part(people, 0, split, part_of);
		enum fm_status status =
		        fm_held_out_verify(faces, part_of, calibrator->eval->threads, &pairs, err);
		fm_progress_step(progress);
		if (status == FM_E_INVALID)
			return FM_OK;
		if (status)
			return status;
		for (size_t i = 0; i < FM_HELD_OUT_FMRS; i++)
			ratios[i * splits + split] = (double)pairs.rates[i].accepted /
			                             (double)pairs.impostor_pairs / pairs.rates[i].stated;
	}
	for (size_t i = 0; i < FM_HELD_OUT_FMRS; i++)
		json_array_append_new(
		        verification, report_spread(pairs.rates[i].stated, ratios + i * splits, splits));
	return FM_OK;
}

/* One size of gallery and one FPIR, over all splits. */
struct search_sum {
	double stated, threshold, strangers, mates, accepted, missed, lowest, highest;
	size_t extrapolated;
};

static void sum_up(struct search_sum *sum, const struct fm_held_out_search *search, size_t i, bool first)
{
	const struct fm_held_out_rate *rate = &search->rates[i];
	double measured = (double)rate->accepted / (double)search->strangers;

	sum->stated = rate->stated;
	sum->threshold += rate->threshold;
	sum->extrapolated += rate->extrapolated;
	sum->strangers += (double)search->strangers;
	sum->mates += (double)search->mates;
	sum->accepted += (double)rate->accepted;
	sum->missed += (double)rate->missed;
	sum->lowest = first ? measured : fmin(sum->lowest, measured);
	sum->highest = first ? measured : fmax(sum->highest, measured);
}

/* The interval is that of one split's strangers: those of other splits are the same people for the most part.
 */
static json_t *report_search(const struct search_sum *sum, size_t people, double faces, size_t splits)
{
	double count = (double)splits, low, high;

	fm_held_out_interval(sum->accepted / count, sum->strangers / count, &low, &high);
	return json_pack("{s:I, s:f, s:f, s:f, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "enrolled_people",
	        (json_int_t)people, "enrolled_faces", faces / count, "false_positive_identification_rate",
	        sum->stated, "threshold", sum->threshold / count, "extrapolated", sum->extrapolated > 0,
	        "strangers", sum->strangers / count, "measured", sum->accepted / sum->strangers,
	        "interval_low", low, "interval_high", high, "lowest", sum->lowest, "highest", sum->highest,
	        "false_negative_identification_rate", fm_json_number(sum->missed / sum->mates));
}

/* Leaves a size out where the rest of the people is too few to calibrate on. */
static enum fm_status split_searches(const struct fm_calibrator *calibrator,
        const struct fm_album_faces *faces, size_t people, size_t enrolled, unsigned char *part_of,
        struct fm_progress *progress, struct fm_error *err)
{
	json_t *identification = json_object_get(calibrator->report, "identification");
	struct search_sum sums[FM_HELD_OUT_FPIRS] = {0};
	struct fm_held_out_search search;
	double enrolled_faces = 0;

	for (size_t split = 0; split < calibrator->splits; split++) {
		fm_held_out_part(people, enrolled, split, part_of);
		enum fm_status status =
		        fm_held_out_identify(faces, part_of, calibrator->eval->threads, &search, err);
		fm_progress_step(progress);
		if (status == FM_E_INVALID)
			return FM_OK;
		if (status)
			return status;
		enrolled_faces += (double)search.enrolled_faces;
		for (size_t i = 0; i < FM_HELD_OUT_FPIRS; i++)
			sum_up(&sums[i], &search, i, split == 0);
	}
	for (size_t i = 0; i < FM_HELD_OUT_FPIRS; i++)
		json_array_append_new(identification,
		        report_search(&sums[i], enrolled, enrolled_faces, calibrator->splits));
	return FM_OK;
}

static bool fits(size_t people, size_t enrolled)
{
	return people >= enrolled + 2 * FM_CALIBRATION_PEOPLE_MIN;
}

static enum fm_status split(const struct fm_calibrator *calibrator, const struct fm_album_faces *faces,
        size_t people, unsigned char *part_of, struct fm_error *err)
{
	struct fm_progress progress;
	size_t steps = calibrator->splits;

	for (size_t i = 0; i < FM_ARRAY_SIZE(galleries); i++)
		steps += fits(people, galleries[i]) ? calibrator->splits : 0;
	json_object_set_new(calibrator->report, "splits", json_integer((json_int_t)calibrator->splits));
	fm_progress_begin(&progress, "splits", steps);
	enum fm_status status = split_pairs(calibrator, faces, people, part_of, &progress, err);
	json_object_set_new(calibrator->report, "identification", json_array());
	for (size_t i = 0; !status && i < FM_ARRAY_SIZE(galleries); i++)
		if (fits(people, galleries[i]))
			status = split_searches(
			        calibrator, faces, people, galleries[i], part_of, &progress, err);
	fm_progress_end(&progress);
	return status;
}

enum fm_status fm_calibrator_run(struct fm_calibrator *calibrator, struct fm_error *err)
{
	struct fm_eval *eval = calibrator->eval;
	fm_cleanup(fm_album_done) struct fm_album album = {0};
	fm_cleanup(fm_album_faces_done) struct fm_album_faces faces = {0};

	enum fm_status status = fm_album_read(eval, &album, err);
	if (status)
		return status;
	if (eval->photo_count > FM_CALIBRATOR_PHOTOS_MAX)
		return fm_fail(err, FM_E_TOO_LARGE, "%s: %zu photos; at most %d are calibrated on",
		        eval->images_dir, eval->photo_count, FM_CALIBRATOR_PHOTOS_MAX);
	fm_autofree unsigned char *part_of = fm_calloc(album.people, sizeof(*part_of));
	calibrator->histogram = fm_calloc(1, sizeof(*calibrator->histogram));
	calibrator->report = json_object();
	if (!part_of || !calibrator->histogram || !calibrator->report)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu people", album.people);
	status = fm_eval_embed(eval, err);
	if (!status)
		status = fm_album_faces(&album, &eval->runs[0], &faces, err);
	if (status)
		return status;
	for (size_t i = 0; i < album.people; i++)
		part_of[i] = calibrator->hold_out && i % 2 ? FM_PART_MEASURED : FM_PART_CALIBRATED;
	json_object_set_new(calibrator->report, "people", json_integer((json_int_t)album.people));
	fm_eval_report_photos(eval, &eval->runs[0], calibrator->report);
	status = calibrate(calibrator, &faces, part_of, err);
	if (!status && calibrator->hold_out)
		status = hold_out(calibrator, &faces, part_of, err);
	if (!status && calibrator->splits)
		status = split(calibrator, &faces, album.people, part_of, err);
	if (!status)
		fm_eval_report_run(eval, &eval->runs[0], calibrator->report);
	return status;
}
