#include "cli/calibration.h"
#include "cli/compare_all.h"
#include "cli/eval.h"
#include "cli/labelled.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

/* Thresholds are reported at 1e-1 … 1e-6. */
#define EXPONENT_LAST (-6)

struct collection {
	struct fm_labelled labelled;
	size_t *person; /* [labelled.count] */
	size_t people;
};

static void collection_done(struct collection *collection)
{
	fm_labelled_done(&collection->labelled);
	free(collection->person);
}

static size_t count_genuine(const struct collection *collection, size_t *photos_of)
{
	size_t pairs = 0;

	for (size_t i = 0; i < collection->labelled.count; i++)
		pairs += photos_of[collection->person[i]]++;
	return pairs;
}

/*
 * Impostor pairs with a miss are left out: a false match rate is one of comparisons that took place. Genuine
 * pairs with a miss count, as refused at every threshold: what was not found was not accepted.
 */
static enum fm_status count_pairs(const struct fm_eval *eval, const struct collection *collection,
        struct fm_eval_run *run, size_t *ret_genuine_missed, struct fm_error *err)
{
	size_t bytes, count = collection->labelled.count, found = 0;
	fm_autofree struct fm_histogram *histogram = fm_calloc(1, sizeof(*histogram));
	fm_autofree size_t *person = fm_calloc(count, sizeof(*person));
	fm_autofree size_t *photos_of = fm_calloc(collection->people, sizeof(*photos_of));
	fm_autofree float *embeddings = NULL;

	if (fm_size_mul(count, run->dim * sizeof(*embeddings), &bytes))
		embeddings = fm_aligned_alloc(bytes);
	if (!histogram || !person || !photos_of || !embeddings)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu embeddings", count);
	for (size_t i = 0; i < count; i++) {
		if (!fm_eval_embedding(run, i))
			continue;
		memcpy(embeddings + found * run->dim, fm_eval_embedding(run, i),
		        run->dim * sizeof(*embeddings));
		person[found++] = collection->person[i];
	}
	const struct fm_compare_all all = {embeddings, person, found, run->dim};
	enum fm_status status = fm_compare_all_run(&all, eval->threads, histogram, err);
	if (status)
		return status;
	size_t missed = count_genuine(collection, photos_of);
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

static json_t *report_calibration(
        const struct fm_eval *eval, const struct collection *collection, const struct fm_eval_run *run)
{
	char points[FM_CALIBRATION_TEXT_MAX], description[160];

	if (!fm_calibration_points(run->stats, points))
		return json_null();
	snprintf(description, sizeof(description), "%zu people, %zu photos, all impostor pairs, %s pipeline",
	        collection->people, eval->photo_count, fm_precision_name(run->precision));
	return json_pack("{s:s, s:s, s:I}", "points", points, "description", description, "impostor_pairs",
	        (json_int_t)fm_stats_impostors(run->stats));
}

static enum fm_status evaluate(const struct fm_eval *eval, const struct collection *collection,
        struct fm_eval_run *run, struct fm_error *err)
{
	json_t *report = run->report = json_object();
	size_t genuine_missed = 0;

	if (!report)
		return fm_fail(err, FM_E_NOMEM, "no memory for the result");
	enum fm_status status = count_pairs(eval, collection, run, &genuine_missed, err);
	if (status)
		return status;
	json_object_set_new(report, "people", json_integer((json_int_t)collection->people));
	fm_eval_report_photos(eval, run, report);
	json_object_set_new(report, "genuine_pairs", json_integer((json_int_t)fm_stats_genuine(run->stats)));
	json_object_set_new(report, "genuine_pairs_missed", json_integer((json_int_t)genuine_missed));
	json_object_set_new(
	        report, "impostor_pairs", json_integer((json_int_t)fm_stats_impostors(run->stats)));
	fm_eval_report_rates(run->stats, report);
	fm_eval_report_run(eval, run, report);
	json_object_set_new(report, "thresholds", report_thresholds(run->stats));
	json_object_set_new(report, "calibration", report_calibration(eval, collection, run));
	json_object_set_new(report, "roc", fm_eval_report_roc(run->stats, "far", "tar", false));
	return FM_OK;
}

enum fm_status fm_eval_all_pairs(struct fm_eval *eval, struct fm_error *err)
{
	fm_cleanup(collection_done) struct collection collection = {0};

	enum fm_status status = fm_labelled_scan(eval->images_dir, &collection.labelled, err);
	if (status)
		return status;
	collection.person = fm_calloc(collection.labelled.count, sizeof(*collection.person));
	if (!collection.person)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu photos", collection.labelled.count);
	status = fm_labelled_number(&collection.labelled, collection.person, &collection.people, err);
	for (size_t i = 0; !status && i < collection.labelled.count; i++)
		status = fm_eval_add_photo(eval, collection.labelled.photos[i].path, NULL, 0, err);
	if (!status)
		status = fm_eval_embed(eval, err);
	for (size_t i = 0; !status && i < eval->run_count; i++)
		status = evaluate(eval, &collection, &eval->runs[i], err);
	/* No test: pairs that share photos are not independent cases. */
	if (!status && eval->run_count == FM_EVAL_RUNS_MAX)
		status = fm_eval_compare_begin(eval, err);
	eval->title = "Verification, all pairs";
	snprintf(eval->subtitle, sizeof(eval->subtitle), "%zu photos of %zu people", eval->photo_count,
	        collection.people);
	eval->x_label = "False accept rate (FAR)";
	eval->y_label = "False reject rate (1 − TAR)";
	eval->x_name = "FAR";
	eval->y_name = "FRR";
	return status;
}
