/*
 * Several photos of a person as one decision: the nearest, the mean of the cosines, both, or a template.
 * People with PHOTOS_MIN photos or more are enrolled; thresholds come from one half of all people, and the
 * error rates are measured on the other, over random halves.
 */
#include "cli/album.h"
#include "cli/eval.h"
#include "cli/held_out.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

#define PHOTOS_MIN 3
#define SPLITS     20

enum fusion { NEAREST, MEAN, BOTH, TEMPLATE, FUSIONS };
static const char *const fusion_names[FUSIONS] = {"nearest", "mean", "nearest_and_mean", "template"};

/* The rates at which thresholds are taken. */
static const double fmrs[] = {1e-2, 1e-3, 1e-4}, fpirs[] = {1e-1, 1e-2};
#define FMRS  FM_ARRAY_SIZE(fmrs)
#define FPIRS FM_ARRAY_SIZE(fpirs)

/* Errors of one fusion, summed over the splits. */
struct errors {
	double fnmr[FMRS], fmr[FMRS], fnir[FPIRS], fpir[FPIRS];
};

/* The faces of one person, but one. */
struct enrolled {
	size_t first, count, without; /* indices of faces */
	double norm;                  /* of the sum of those embeddings */
};

/* One half of the people. */
struct half {
	const struct fm_album_faces *faces;
	size_t enrolled_count;
	struct enrolled *enrolled; /* [faces->count]: more than enough */
	struct fm_scored_pair *pairs[FUSIONS], *searches[FUSIONS];
	size_t pair_count, search_count;
};

static void half_done(struct half *half)
{
	free(half->enrolled);
	for (size_t i = 0; i < FUSIONS; i++) {
		free(half->pairs[i]);
		free(half->searches[i]);
	}
}

static struct enrolled enrol(const struct fm_album_faces *faces, size_t first, size_t count, size_t without)
{
	struct enrolled enrolled = {first, count, without, 0};

	for (size_t d = 0; d < faces->dim; d++) {
		double sum = 0;
		for (size_t i = first; i < first + count; i++)
			sum += i == without ? 0 : (double)faces->embeddings[i * faces->dim + d];
		enrolled.norm += sum * sum;
	}
	enrolled.norm = sqrt(enrolled.norm);
	return enrolled;
}

static void score(const struct fm_album_faces *faces, const struct enrolled *enrolled, size_t probe,
        double ret_scores[FUSIONS])
{
	const struct fm_kernels *kernels = fm_kernels_best();
	double nearest = -INFINITY, sum = 0;

	for (size_t i = enrolled->first; i < enrolled->first + enrolled->count; i++) {
		if (i == enrolled->without)
			continue;
		double cosine = (double)kernels->dot_f32(faces->embeddings + probe * faces->dim,
		        faces->embeddings + i * faces->dim, faces->dim);
		nearest = fmax(nearest, cosine);
		sum += cosine;
	}
	ret_scores[NEAREST] = nearest;
	ret_scores[MEAN] = sum / (double)(enrolled->count - 1);
	ret_scores[BOTH] = (ret_scores[NEAREST] + ret_scores[MEAN]) / 2;
	ret_scores[TEMPLATE] = sum / enrolled->norm;
}

static enum fm_status half_create(const struct fm_album_faces *faces, struct half *half, struct fm_error *err)
{
	size_t count = faces->count, room, bytes;

	half->faces = faces;
	half->enrolled = fm_calloc(count + 1, sizeof(*half->enrolled));
	if (!half->enrolled)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu faces", count);
	for (size_t first = 0, end; first < count; first = end) {
		for (end = first + 1; end < count && faces->person[end] == faces->person[first];)
			end++;
		if (end - first >= PHOTOS_MIN)
			half->enrolled[half->enrolled_count++] = enrol(faces, first, end - first, end - 1);
	}
	if (half->enrolled_count < 2)
		return fm_fail(err, FM_E_INVALID, "too few people with %d photos or more", PHOTOS_MIN);
	if (!fm_size_mul(count, half->enrolled_count, &room) ||
	        !fm_size_mul(room, sizeof(*half->pairs[0]), &bytes))
		return fm_fail(err, FM_E_TOO_LARGE, "%zu faces are too many", count);
	for (size_t i = 0; i < FUSIONS; i++) {
		half->pairs[i] = fm_calloc(room, sizeof(*half->pairs[i]));
		half->searches[i] = fm_calloc(count, sizeof(*half->searches[i]));
		if (!half->pairs[i] || !half->searches[i])
			return fm_fail(err, FM_E_NOMEM, "no memory for %zu pairs", room);
	}
	return FM_OK;
}

/* A face against everybody enrolled; against its own person without itself. */
static void look_for(struct half *half, size_t probe)
{
	double nearest[FUSIONS], mate[FUSIONS], scores[FUSIONS];
	bool mated = false;

	for (size_t f = 0; f < FUSIONS; f++)
		nearest[f] = mate[f] = -INFINITY;
	for (size_t i = 0; i < half->enrolled_count; i++) {
		struct enrolled enrolled = half->enrolled[i];
		bool same = probe >= enrolled.first && probe < enrolled.first + enrolled.count;
		if (same)
			enrolled = enrol(half->faces, enrolled.first, enrolled.count, probe);
		score(half->faces, &enrolled, probe, scores);
		mated |= same;
		for (size_t f = 0; f < FUSIONS; f++) {
			half->pairs[f][half->pair_count] = (struct fm_scored_pair){scores[f], same};
			double *best = same ? &mate[f] : &nearest[f];
			*best = fmax(*best, scores[f]);
		}
		half->pair_count++;
	}
	for (size_t f = 0; f < FUSIONS; f++)
		half->searches[f][half->search_count] =
		        mated ? (struct fm_scored_pair){mate[f] > nearest[f] ? mate[f] : -INFINITY, true}
		              : (struct fm_scored_pair){nearest[f], false};
	half->search_count++;
}

/* Thresholds from `stated` at the rates, what they miss and accept in `measured` added to the sums. */
static enum fm_status add_errors(const struct fm_scored_pair *stated, size_t stated_count,
        const struct fm_scored_pair *measured, size_t measured_count, const double *rates, size_t count,
        double *missed, double *accepted, struct fm_error *err)
{
	fm_cleanup(fm_stats_freep) struct fm_stats *from = NULL;
	fm_cleanup(fm_stats_freep) struct fm_stats *on = NULL;

	enum fm_status status = fm_stats_create(stated, stated_count, &from, err);
	if (!status)
		status = fm_stats_create(measured, measured_count, &on, err);
	for (size_t i = 0; !status && i < count; i++) {
		struct fm_roc_point point =
		        fm_stats_at_threshold(on, fm_stats_at_far(from, rates[i]).threshold);
		missed[i] += (1 - point.tar) / SPLITS;
		accepted[i] += point.far / SPLITS;
	}
	return status;
}

static enum fm_status run_split(const struct fm_album_faces *faces, const unsigned char *part_of,
        struct errors errors[FUSIONS], size_t enrolled[2], struct fm_error *err)
{
	fm_cleanup(fm_album_faces_done) struct fm_album_faces from = {0};
	fm_cleanup(fm_album_faces_done) struct fm_album_faces on = {0};
	fm_cleanup(half_done) struct half stated = {0};
	fm_cleanup(half_done) struct half measured = {0};

	enum fm_status status = fm_album_faces_part(faces, part_of, FM_PART_CALIBRATED, &from, err);
	if (!status)
		status = fm_album_faces_part(faces, part_of, FM_PART_MEASURED, &on, err);
	if (!status)
		status = half_create(&from, &stated, err);
	if (!status)
		status = half_create(&on, &measured, err);
	if (status)
		return status;
	for (size_t i = 0; i < from.count; i++)
		look_for(&stated, i);
	for (size_t i = 0; i < on.count; i++)
		look_for(&measured, i);
	for (size_t f = 0; !status && f < FUSIONS; f++) {
		status = add_errors(stated.pairs[f], stated.pair_count, measured.pairs[f],
		        measured.pair_count, fmrs, FMRS, errors[f].fnmr, errors[f].fmr, err);
		if (!status)
			status = add_errors(stated.searches[f], stated.search_count, measured.searches[f],
			        measured.search_count, fpirs, FPIRS, errors[f].fnir, errors[f].fpir, err);
	}
	enrolled[0] += measured.enrolled_count;
	enrolled[1] += measured.search_count;
	return status;
}

static json_t *report_errors(const struct errors *errors)
{
	json_t *report = json_object();

	for (size_t i = 0; i < FMRS; i++) {
		int exponent = (int)lround(log10(fmrs[i]));
		fm_eval_set_at_rate(report, "fnmr_at_fmr", 1, exponent, errors->fnmr[i]);
		fm_eval_set_at_rate(report, "measured_fmr_at", 1, exponent, errors->fmr[i]);
	}
	for (size_t i = 0; i < FPIRS; i++) {
		int exponent = (int)lround(log10(fpirs[i]));
		fm_eval_set_at_rate(report, "fnir_at_fpir", 1, exponent, errors->fnir[i]);
		fm_eval_set_at_rate(report, "measured_fpir_at", 1, exponent, errors->fpir[i]);
	}
	return report;
}

static enum fm_status evaluate(const struct fm_eval *eval, const struct fm_album *album,
        struct fm_eval_run *run, struct fm_error *err)
{
	fm_cleanup(fm_album_faces_done) struct fm_album_faces faces = {0};
	fm_autofree unsigned char *part_of = fm_calloc(album->people, sizeof(*part_of));
	struct errors errors[FUSIONS] = {0};
	size_t enrolled[2] = {0};

	run->report = json_object();
	if (!part_of || !run->report)
		return fm_fail(err, FM_E_NOMEM, "no memory for the result");
	enum fm_status status = fm_album_faces(album, run, &faces, err);
	for (size_t split = 0; !status && split < SPLITS; split++) {
		fm_held_out_part(album->people, 0, split, part_of);
		status = run_split(&faces, part_of, errors, enrolled, err);
	}
	if (status)
		return status;
	json_object_set_new(run->report, "people", json_integer((json_int_t)album->people));
	fm_eval_report_photos(eval, run, run->report);
	json_object_set_new(run->report, "splits", json_integer(SPLITS));
	json_object_set_new(run->report, "enrolled_people", fm_json_number((double)enrolled[0] / SPLITS));
	json_object_set_new(run->report, "searches", fm_json_number((double)enrolled[1] / SPLITS));
	json_t *fusions = json_object();
	for (size_t f = 0; f < FUSIONS; f++)
		json_object_set_new(fusions, fusion_names[f], report_errors(&errors[f]));
	json_object_set_new(run->report, "fusions", fusions);
	fm_eval_report_run(eval, run, run->report);
	return FM_OK;
}

enum fm_status fm_eval_fusion(struct fm_eval *eval, struct fm_error *err)
{
	fm_cleanup(fm_album_done) struct fm_album album = {0};

	enum fm_status status = fm_album_evaluate(eval, evaluate, &album, err);
	if (!status && eval->run_count == FM_EVAL_RUNS_MAX)
		status = fm_eval_compare_begin(eval, err);
	return status;
}
