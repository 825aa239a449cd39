#include "cli/eval.h"
#include "cli/labelled.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/kernels/kernels.h"

#include <math.h>
#include <stdio.h>

#include "lib/base/banned.h"

/* The false positive identification rates reported, as mantissa and exponent. */
static const int fpirs[][2] = {{1, -1}, {1, -2}, {3, -3}};
#define FPIR_COUNT FM_ARRAY_SIZE(fpirs)

static double fpir(size_t i)
{
	return fpirs[i][0] * pow(10, fpirs[i][1]);
}

/* Photos 0..gallery.count - 1 are the gallery's, the probes' follow. */
struct search {
	struct fm_labelled gallery, probes;
	size_t *person; /* [gallery.count] */
	size_t *mate;   /* [probes.count]: whom a probe should be found as, or FM_LABELLED_NOBODY */
	size_t people;  /* in the gallery */
	size_t mated;   /* probes */
	bool *right[FM_EVAL_RUNS_MAX]; /* [probes.count] */
};

static void search_done(struct search *search)
{
	fm_labelled_done(&search->gallery);
	fm_labelled_done(&search->probes);
	free(search->person);
	free(search->mate);
	for (size_t i = 0; i < FM_EVAL_RUNS_MAX; i++)
		free(search->right[i]);
}

static enum fm_status search_read(struct fm_eval *eval, struct search *search, const char *gallery_path,
        const char *probes_path, struct fm_error *err)
{
	enum fm_status status = fm_labelled_read(gallery_path, &search->gallery, err);
	if (!status)
		status = fm_labelled_read(probes_path, &search->probes, err);
	if (status)
		return status;
	const struct fm_labelled *gallery = &search->gallery, *probes = &search->probes;
	search->person = fm_calloc(gallery->count, sizeof(*search->person));
	search->mate = fm_calloc(probes->count, sizeof(*search->mate));
	for (size_t i = 0; i < FM_EVAL_RUNS_MAX; i++)
		search->right[i] = fm_calloc(probes->count, sizeof(*search->right[i]));
	if (!search->person || !search->mate || !search->right[0] || !search->right[1])
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu photos", gallery->count + probes->count);
	status = fm_labelled_number(gallery, search->person, &search->people, err);
	if (!status)
		status = fm_labelled_match(gallery, search->person, probes, search->mate, err);
	for (size_t i = 0; !status && i < gallery->count; i++)
		status = fm_eval_add_photo(
		        eval, gallery->photos[i].path, gallery_path, gallery->photos[i].line, err);
	for (size_t i = 0; !status && i < probes->count; i++) {
		search->mated += search->mate[i] != FM_LABELLED_NOBODY;
		status = fm_eval_add_photo(
		        eval, probes->photos[i].path, probes_path, probes->photos[i].line, err);
	}
	return status;
}

/*
 * A probe's score: its nearest person's cosine, a person being as near as their nearest photo. A mated probe
 * whose nearest person is another (or ties) is refused at every threshold, as is a probe without a face.
 */
static struct fm_scored_pair find(const struct search *search, const struct fm_eval_run *run, size_t probe)
{
	const struct fm_kernels *kernels = fm_kernels_best();
	const float *embedding = fm_eval_embedding(run, search->gallery.count + probe);
	double mate = -INFINITY, other = -INFINITY;

	for (size_t i = 0; embedding && i < search->gallery.count; i++) {
		const float *enrolled = fm_eval_embedding(run, i);
		if (!enrolled)
			continue;
		double *best = search->person[i] == search->mate[probe] ? &mate : &other;
		*best = fmax(*best, (double)kernels->dot_f32(embedding, enrolled, run->dim));
	}
	if (search->mate[probe] == FM_LABELLED_NOBODY)
		return (struct fm_scored_pair){other, false};
	return (struct fm_scored_pair){mate > other ? mate : -INFINITY, true};
}

static size_t people_without_face(const struct search *search, const struct fm_eval_run *run, bool *with_face)
{
	size_t without = search->people;

	for (size_t i = 0; i < search->gallery.count; i++) {
		if (!fm_eval_embedding(run, i) || with_face[search->person[i]])
			continue;
		with_face[search->person[i]] = true;
		without--;
	}
	return without;
}

static enum fm_status evaluate(const struct fm_eval *eval, const struct search *search,
        struct fm_eval_run *run, struct fm_scored_pair *scored, struct fm_error *err)
{
	fm_autofree bool *with_face = fm_calloc(search->people, sizeof(*with_face));
	size_t mated = search->mated, strangers = search->probes.count - mated, first = 0;
	json_t *report = run->report = json_object();

	if (!report || !with_face)
		return fm_fail(err, FM_E_NOMEM, "no memory for the result");
	for (size_t i = 0; i < search->probes.count; i++) {
		scored[i] = find(search, run, i);
		first += scored[i].same && isfinite(scored[i].score);
	}
	enum fm_status status = fm_stats_create(scored, search->probes.count, &run->stats, err);
	if (status)
		return status;
	json_object_set_new(report, "gallery_people", json_integer((json_int_t)search->people));
	json_object_set_new(report, "gallery_images", json_integer((json_int_t)search->gallery.count));
	json_object_set_new(report, "people_without_face",
	        json_integer((json_int_t)people_without_face(search, run, with_face)));
	json_object_set_new(report, "mated_probes", json_integer((json_int_t)mated));
	json_object_set_new(report, "non_mated_probes", json_integer((json_int_t)strangers));
	fm_eval_report_photos(eval, run, report);
	json_object_set_new(report, "rank_1", fm_json_number(mated ? (double)first / (double)mated : NAN));
	for (size_t i = 0; i < FPIR_COUNT; i++) {
		bool supported = mated && fm_stats_supports(run->stats, fpir(i));
		struct fm_roc_point point = fm_stats_at_far(run->stats, fpir(i));
		fm_eval_set_at_rate(
		        report, "fnir_at_fpir", fpirs[i][0], fpirs[i][1], supported ? 1 - point.tar : NAN);
		fm_eval_set_at_rate(report, "threshold_at_fpir", fpirs[i][0], fpirs[i][1],
		        supported ? point.threshold : NAN);
	}
	json_object_set_new(report, "fpir_supported", fm_json_number(fm_stats_far_supported(run->stats)));
	fm_eval_report_run(eval, run, report);
	json_object_set_new(report, "det", fm_eval_report_roc(run->stats, "fpir", "fnir", true));
	return FM_OK;
}

/* One test on the mated probes' nearest person, and one on all probes at each supported FPIR. */
static enum fm_status compare(struct fm_eval *eval, const struct search *search,
        const struct fm_scored_pair *const scored[FM_EVAL_RUNS_MAX], struct fm_error *err)
{
	const bool *const right[FM_EVAL_RUNS_MAX] = {search->right[0], search->right[1]};
	size_t cases = 0, count = search->probes.count;

	enum fm_status status = fm_eval_compare_begin(eval, err);
	if (status)
		return status;
	for (size_t i = 0; i < count; i++) {
		if (search->mate[i] == FM_LABELLED_NOBODY)
			continue;
		for (size_t run = 0; run < FM_EVAL_RUNS_MAX; run++)
			search->right[run][cases] = isfinite(scored[run][i].score);
		cases++;
	}
	fm_eval_compare(eval, "mated probes at rank 1", right, cases);
	for (size_t rate = 0; rate < FPIR_COUNT; rate++) {
		char decision[64];
		if (!fm_stats_supports(eval->runs[0].stats, fpir(rate)))
			continue;
		for (size_t run = 0; run < FM_EVAL_RUNS_MAX; run++) {
			double threshold = fm_stats_at_far(eval->runs[run].stats, fpir(rate)).threshold;
			for (size_t i = 0; i < count; i++)
				search->right[run][i] =
				        (scored[run][i].score >= threshold) == scored[run][i].same;
		}
		snprintf(decision, sizeof(decision), "probes at FPIR %de%d", fpirs[rate][0], fpirs[rate][1]);
		fm_eval_compare(eval, decision, right, count);
	}
	return FM_OK;
}

enum fm_status fm_eval_identify(
        struct fm_eval *eval, const char *gallery_path, const char *probes_path, struct fm_error *err)
{
	fm_cleanup(search_done) struct search search = {0};
	const struct fm_scored_pair *scored_of[FM_EVAL_RUNS_MAX];

	enum fm_status status = search_read(eval, &search, gallery_path, probes_path, err);
	if (!status)
		status = fm_eval_embed(eval, err);
	if (status)
		return status;
	size_t count = search.probes.count;
	fm_autofree struct fm_scored_pair *scored = fm_calloc(count, FM_EVAL_RUNS_MAX * sizeof(*scored));
	if (!scored)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu probes", count);
	for (size_t i = 0; !status && i < eval->run_count; i++) {
		scored_of[i] = scored + i * count;
		status = evaluate(eval, &search, &eval->runs[i], scored + i * count, err);
	}
	if (!status && eval->run_count == FM_EVAL_RUNS_MAX)
		status = compare(eval, &search, scored_of, err);
	eval->title = "Identification";
	snprintf(eval->subtitle, sizeof(eval->subtitle),
	        "%zu people enrolled, %zu mated and %zu other probes", search.people, search.mated,
	        count - search.mated);
	eval->x_label = "False positive identification rate (FPIR)";
	eval->y_label = "False negative identification rate (FNIR)";
	eval->x_name = "FPIR";
	eval->y_name = "FNIR";
	return status;
}
