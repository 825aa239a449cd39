#include "cli/eval.h"
#include "lib/base/size.h"

#include <math.h>
#include <stdio.h>

#include "lib/base/banned.h"

/* The powers of ten at which a true accept rate is always said, and how far they go on where supported. */
#define EXPONENT_ALWAYS (-3)
#define EXPONENT_LAST   (-12)

void fm_eval_report_photos(const struct fm_eval *eval, const struct fm_eval_run *run, json_t *report)
{
	size_t misses = 0, unreadable = 0;

	for (size_t i = 0; i < eval->photo_count; i++) {
		misses += run->embedded[i].state != FM_EMBEDDED_FACE;
		unreadable += run->embedded[i].state == FM_EMBEDDED_UNREADABLE;
	}
	json_object_set_new(report, "images", json_integer((json_int_t)eval->photo_count));
	json_object_set_new(report, "misses", json_integer((json_int_t)misses));
	json_object_set_new(report, "unreadable", json_integer((json_int_t)unreadable));
}

void fm_eval_report_run(const struct fm_eval *eval, const struct fm_eval_run *run, json_t *report)
{
	json_t *missed = json_array();

	for (size_t i = 0; i < eval->photo_count; i++)
		if (run->embedded[i].state != FM_EMBEDDED_FACE)
			json_array_append_new(missed, fm_json_text(eval->photos[i].name));
	json_object_set_new(report, "images_per_s", fm_json_number((double)eval->photo_count / run->seconds));
	json_object_set_new(report, "seconds", fm_json_number(run->seconds));
	json_object_set_new(report, "threads", json_integer((json_int_t)eval->threads));
	json_object_set_new(report, "precision", json_string(fm_precision_name(run->precision)));
	json_object_set_new(report, "model", fm_json_text(run->fingerprint));
	json_object_set_new(report, "missed", missed);
}

void fm_eval_set_at_rate(json_t *report, const char *name, int mantissa, int exponent, double value)
{
	char key[64];

	snprintf(key, sizeof(key), "%s_%de%d", name, mantissa, exponent);
	json_object_set_new(report, key, fm_json_number(value));
}

void fm_eval_report_rates(const struct fm_stats *stats, json_t *report)
{
	json_object_set_new(report, "auc", fm_json_number(fm_stats_auc(stats)));
	for (int exponent = -2; exponent >= EXPONENT_LAST; exponent--) {
		double far = pow(10, exponent);
		if (exponent >= EXPONENT_ALWAYS || fm_stats_supports(stats, far))
			fm_eval_set_at_rate(
			        report, "tar_at_far", 1, exponent, fm_stats_tar_at_far(stats, far));
	}
	json_object_set_new(report, "far_supported", fm_json_number(fm_stats_far_supported(stats)));
}

json_t *fm_eval_report_roc(
        const struct fm_stats *stats, const char *far_name, const char *tar_name, bool complement)
{
	struct fm_roc_point points[FM_ROC_POINTS_MAX];
	size_t count = fm_stats_roc(stats, points);
	json_t *roc = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(roc,
		        json_pack("{s:o, s:I, s:f, s:f}", "threshold", fm_json_number(points[i].threshold),
		                "false_accepts", (json_int_t)points[i].impostors, far_name, points[i].far,
		                tar_name, complement ? 1 - points[i].tar : points[i].tar));
	return roc;
}

enum fm_status fm_eval_compare_begin(struct fm_eval *eval, struct fm_error *err)
{
	const struct fm_eval_run *first = &eval->runs[0], *second = &eval->runs[1];
	double sum = 0, lowest = 1;
	size_t count = 0;

	for (size_t photo = 0; photo < eval->photo_count; photo++) {
		const float *a = fm_eval_embedding(first, photo), *b = fm_eval_embedding(second, photo);
		double cosine = 0;
		if (!a || !b || first->dim != second->dim)
			continue;
		for (size_t i = 0; i < first->dim; i++)
			cosine += (double)a[i] * b[i];
		sum += cosine;
		lowest = fmin(lowest, cosine);
		count++;
	}
	eval->comparison = json_pack("{s:o, s:o, s:[]}", "embedding_cosine_mean",
	        fm_json_number(count ? sum / (double)count : NAN), "embedding_cosine_min",
	        fm_json_number(count ? lowest : NAN), "tests");
	return eval->comparison ? FM_OK : fm_fail(err, FM_E_NOMEM, "no memory for the result");
}

void fm_eval_compare(
        struct fm_eval *eval, const char *decision, const bool *const right[FM_EVAL_RUNS_MAX], size_t cases)
{
	struct fm_mcnemar test = fm_mcnemar_test(right[0], right[1], cases);
	char only[FM_EVAL_RUNS_MAX][32];

	for (size_t i = 0; i < FM_EVAL_RUNS_MAX; i++)
		snprintf(only[i], sizeof(only[i]), "%s_only", fm_precision_name(eval->runs[i].precision));
	json_array_append_new(json_object_get(eval->comparison, "tests"),
	        json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:f}", "decision", decision, "cases",
	                (json_int_t)cases, only[0], (json_int_t)test.first_only, only[1],
	                (json_int_t)test.second_only, "difference",
	                ((double)test.second_only - (double)test.first_only) / (double)(cases ? cases : 1),
	                "mcnemar_exact_p", test.exact_p, "mcnemar_mid_p", test.mid_p));
}
