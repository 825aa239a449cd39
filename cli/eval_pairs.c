#include "cli/eval.h"
#include "cli/folds.h"
#include "cli/pairs.h"
#include "lib/base/mem.h"

#include <stdio.h>

#include "lib/base/banned.h"

#define SCORE_OF_A_MISS (-1.0)

static double cosine(const float *a, const float *b, size_t dim)
{
	double sum = 0;

	for (size_t i = 0; i < dim; i++)
		sum += (double)a[i] * b[i];
	return sum;
}

static void score_pairs(
        const struct fm_eval_run *run, const struct fm_pairs *pairs, struct fm_scored_pair *scored)
{
	for (size_t i = 0; i < pairs->count; i++) {
		const float *a = fm_eval_embedding(run, pairs->pairs[i].a);
		const float *b = fm_eval_embedding(run, pairs->pairs[i].b);
		scored[i].score = a && b ? cosine(a, b, run->dim) : SCORE_OF_A_MISS;
		scored[i].same = pairs->pairs[i].same;
	}
}

/* Adds folds, fold_accuracy_mean, fold_accuracy_sd, fold_results. */
static enum fm_status report_folds(const struct fm_pairs *pairs, const struct fm_scored_pair *scored,
        json_t *report, struct fm_error *err)
{
	fm_autofree size_t *fold_of = fm_calloc(pairs->count, sizeof(*fold_of));
	struct fm_fold folds[FM_PAIRS_FOLDS_MAX];
	double mean, deviation;

	if (!fold_of)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu pairs", pairs->count);
	for (size_t i = 0; i < pairs->count; i++)
		fold_of[i] = pairs->pairs[i].fold;
	enum fm_status status = fm_folds_run(scored, fold_of, pairs->count, folds, pairs->fold_count, err);
	if (status)
		return status;
	fm_folds_summary(folds, pairs->fold_count, &mean, &deviation);
	json_object_set_new(report, "folds", json_integer((json_int_t)pairs->fold_count));
	json_object_set_new(report, "fold_accuracy_mean", fm_json_number(mean));
	json_object_set_new(report, "fold_accuracy_sd", fm_json_number(deviation));
	json_t *results = json_array();
	for (size_t i = 0; i < pairs->fold_count; i++)
		json_array_append_new(
		        results, json_pack("{s:o, s:I, s:f, s:f}", "fold", fm_json_text(pairs->fold_names[i]),
		                         "pairs", (json_int_t)folds[i].pairs, "threshold", folds[i].threshold,
		                         "accuracy", folds[i].accuracy));
	json_object_set_new(report, "fold_results", results);
	return FM_OK;
}

/* right[i]: whether pair i is judged rightly at the run's best threshold. */
static enum fm_status evaluate(const struct fm_eval *eval, const struct fm_pairs *pairs,
        struct fm_eval_run *run, bool *right, struct fm_error *err)
{
	fm_autofree struct fm_scored_pair *scored = fm_calloc(pairs->count, sizeof(*scored));
	double threshold;

	run->report = json_object();
	if (!scored || !run->report)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu pairs", pairs->count);
	score_pairs(run, pairs, scored);
	enum fm_status status = fm_stats_create(scored, pairs->count, &run->stats, err);
	if (status)
		return status;
	double accuracy = fm_stats_accuracy(run->stats, &threshold);
	for (size_t i = 0; i < pairs->count; i++)
		right[i] = (scored[i].score >= threshold) == scored[i].same;
	json_object_set_new(run->report, "pairs", json_integer((json_int_t)pairs->count));
	fm_eval_report_photos(eval, run, run->report);
	json_object_set_new(run->report, "accuracy", fm_json_number(accuracy));
	json_object_set_new(run->report, "threshold", fm_json_number(threshold));
	if (pairs->fold_count > 1)
		status = report_folds(pairs, scored, run->report, err);
	fm_eval_report_rates(run->stats, run->report);
	fm_eval_report_run(eval, run, run->report);
	json_object_set_new(run->report, "roc", fm_eval_report_roc(run->stats, "far", "tar", false));
	return status;
}

enum fm_status fm_eval_pairs(struct fm_eval *eval, const char *pairs_path, struct fm_error *err)
{
	fm_cleanup(fm_pairs_done) struct fm_pairs pairs = {0};
	const bool *right_of[FM_EVAL_RUNS_MAX];

	enum fm_status status = fm_pairs_read(pairs_path, &pairs, err);
	for (size_t i = 0; !status && i < pairs.photo_count; i++)
		status = fm_eval_add_photo(eval, pairs.photos[i].path, pairs_path, pairs.photos[i].line, err);
	if (!status)
		status = fm_eval_embed(eval, err);
	if (status)
		return status;
	fm_autofree bool *right = fm_calloc(pairs.count, FM_EVAL_RUNS_MAX * sizeof(*right));
	if (!right)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu pairs", pairs.count);
	for (size_t i = 0; !status && i < eval->run_count; i++) {
		right_of[i] = right + i * pairs.count;
		status = evaluate(eval, &pairs, &eval->runs[i], right + i * pairs.count, err);
	}
	if (!status && eval->run_count == FM_EVAL_RUNS_MAX) {
		status = fm_eval_compare_begin(eval, err);
		if (!status)
			fm_eval_compare(eval, "pairs at each one's best threshold", right_of, pairs.count);
	}
	eval->title = "Verification";
	snprintf(eval->subtitle, sizeof(eval->subtitle), "%zu pairs of %zu photos", pairs.count,
	        eval->photo_count);
	eval->x_label = "False accept rate (FAR)";
	eval->y_label = "False reject rate (1 − TAR)";
	eval->x_name = "FAR";
	eval->y_name = "FRR";
	return status;
}
