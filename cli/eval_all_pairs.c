#include "cli/album.h"
#include "cli/eval.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/face/calibrate.h"

#include <math.h>
#include <stdio.h>

#include "lib/base/banned.h"

/* Thresholds are reported at 1e-1 … 1e-6. */
#define EXPONENT_LAST (-6)

/*
 * Impostor pairs with a miss are left out: a false match rate is one of comparisons that took place. Genuine
 * pairs with a miss count, as refused at every threshold: what was not found was not accepted.
 */
static enum fm_status count_pairs(const struct fm_eval *eval, const struct fm_album *album,
        struct fm_eval_run *run, size_t *ret_genuine_missed, struct fm_error *err)
{
	fm_cleanup(fm_album_faces_done) struct fm_album_faces faces = {0};
	fm_autofree struct fm_histogram *histogram = fm_calloc(1, sizeof(*histogram));
	size_t missed = fm_album_genuine_pairs(album);

	if (!histogram)
		return fm_fail(err, FM_E_NOMEM, "no memory for a histogram");
	enum fm_status status = fm_album_faces(album, run, &faces, err);
	if (!status)
		status = fm_album_compare(&faces, eval->threads, histogram, err);
	if (status)
		return status;
	for (size_t i = 0; i < FM_HISTOGRAM_BINS; i++)
		missed -= histogram->genuine[i];
	*ret_genuine_missed = missed;
	return fm_histogram_stats(histogram, missed, &run->stats, err);
}

static json_t *report_thresholds(const struct fm_stats *stats)
{
	json_t *thresholds = json_array();

	for (int exponent = -1; exponent >= EXPONENT_LAST; exponent--) {
		struct fm_roc_point point = fm_stats_at_far(stats, pow(10, exponent));
		json_array_append_new(
		        thresholds, json_pack("{s:f, s:o, s:o, s:I, s:b}", "far", pow(10, exponent),
		                            "threshold", fm_json_number(point.threshold), "tar",
		                            fm_json_number(fm_stats_impostors(stats) ? point.tar : NAN),
		                            "false_accepts", (json_int_t)point.impostors, "supported",
		                            fm_stats_supports(stats, pow(10, exponent))));
	}
	return thresholds;
}

/* What the manifest's calibration says, against these photos; null without one. */
static json_t *report_stated(const struct fm_eval_run *run)
{
	if (run->calibration.count == 0)
		return json_null();
	json_t *stated = json_array();
	for (int exponent = -1; exponent >= EXPONENT_LAST; exponent--) {
		double rate = pow(10, exponent), threshold = fm_calibrate_cosine(&run->calibration, rate);
		struct fm_roc_point point = fm_stats_at_threshold(run->stats, threshold);
		json_array_append_new(
		        stated, json_pack("{s:f, s:f, s:b, s:I, s:o, s:o}", "false_match_rate", rate,
		                        "threshold", threshold, "extrapolated",
		                        rate < fm_calibrate_measured_fmr(&run->calibration), "false_matches",
		                        (json_int_t)point.impostors, "measured", fm_json_number(point.far),
		                        "true_match_rate", fm_json_number(point.tar)));
	}
	return stated;
}

static enum fm_status evaluate(const struct fm_eval *eval, const struct fm_album *album,
        struct fm_eval_run *run, struct fm_error *err)
{
	json_t *report = run->report = json_object();
	size_t genuine_missed = 0;

	if (!report)
		return fm_fail(err, FM_E_NOMEM, "no memory for the result");
	enum fm_status status = count_pairs(eval, album, run, &genuine_missed, err);
	if (status)
		return status;
	json_object_set_new(report, "people", json_integer((json_int_t)album->people));
	fm_eval_report_photos(eval, run, report);
	json_object_set_new(report, "genuine_pairs", json_integer((json_int_t)fm_stats_genuine(run->stats)));
	json_object_set_new(report, "genuine_pairs_missed", json_integer((json_int_t)genuine_missed));
	json_object_set_new(
	        report, "impostor_pairs", json_integer((json_int_t)fm_stats_impostors(run->stats)));
	fm_eval_report_rates(run->stats, report);
	fm_eval_report_run(eval, run, report);
	json_object_set_new(report, "thresholds", report_thresholds(run->stats));
	json_object_set_new(report, "stated_rates", report_stated(run));
	json_object_set_new(report, "roc", fm_eval_report_roc(run->stats, "far", "tar", false));
	return FM_OK;
}

enum fm_status fm_eval_all_pairs(struct fm_eval *eval, struct fm_error *err)
{
	fm_cleanup(fm_album_done) struct fm_album album = {0};

	enum fm_status status = fm_album_evaluate(eval, evaluate, &album, err);
	/* No test: pairs that share photos are not independent cases. */
	if (!status && eval->run_count == FM_EVAL_RUNS_MAX)
		status = fm_eval_compare_begin(eval, err);
	eval->title = "Verification, all pairs";
	snprintf(eval->subtitle, sizeof(eval->subtitle), "%zu photos of %zu people", eval->photo_count,
	        album.people);
	eval->x_label = "False accept rate (FAR)";
	eval->y_label = "False reject rate (1 − TAR)";
	eval->x_name = "FAR";
	eval->y_name = "FRR";
	return status;
}
