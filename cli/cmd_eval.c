#include "cli/cli.h"
#include "cli/embedder.h"
#include "cli/json.h"
#include "cli/pairs.h"
#include "cli/photo.h"
#include "cli/progress.h"
#include "cli/stats.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "lib/base/banned.h"

#define SCORE_OF_A_MISS (-1.0)

FM_DEFINE_CLEANUP(struct fm_stats *, fm_stats_free);

struct evaluation {
	struct fm_pairs pairs;
	char **paths; /* [pairs.photo_count] */
	struct fm_embedded *embedded;
	size_t threads;
	double embed_s;
};

static void evaluation_done(struct evaluation *evaluation)
{
	fm_embedded_free(evaluation->embedded, evaluation->pairs.photo_count);
	for (size_t i = 0; evaluation->paths && i < evaluation->pairs.photo_count; i++)
		free(evaluation->paths[i]);
	free(evaluation->paths);
	fm_pairs_done(&evaluation->pairs);
}

static size_t usable_cpus(void)
{
	cpu_set_t set;
	size_t cpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;

	return cpus < FM_EMBEDDER_THREADS_MAX ? cpus : FM_EMBEDDER_THREADS_MAX;
}

/* Every photo must be there before hours go into the first ones: a wrong --images shows at once. */
static enum fm_status find_photos(
        struct evaluation *evaluation, const char *pairs_path, const char *images_dir, struct fm_error *err)
{
	const struct fm_pairs *pairs = &evaluation->pairs;

	evaluation->paths = fm_calloc(pairs->photo_count, sizeof(*evaluation->paths));
	if (!evaluation->paths)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu paths", pairs->photo_count);
	for (size_t i = 0; i < pairs->photo_count; i++) {
		const struct fm_pair_photo *photo = &pairs->photos[i];
		if (asprintf(&evaluation->paths[i], "%s/%s", images_dir, photo->path) < 0) {
			evaluation->paths[i] = NULL;
			return fm_fail(err, FM_E_NOMEM, "no memory for %zu paths", pairs->photo_count);
		}
		if (access(evaluation->paths[i], R_OK) < 0)
			return fm_fail_errno(err, errno, "%s: line %zu: cannot read %s (is --images right?)",
			        pairs_path, photo->line, evaluation->paths[i]);
	}
	return FM_OK;
}

static double cosine(const float *a, const float *b, size_t dim)
{
	double sum = 0;

	for (size_t i = 0; i < dim; i++)
		sum += (double)a[i] * b[i];
	return sum;
}

static enum fm_status score_pairs(
        const struct evaluation *evaluation, size_t dim, struct fm_stats **ret_stats, struct fm_error *err)
{
	const struct fm_pairs *pairs = &evaluation->pairs;
	fm_autofree struct fm_scored_pair *scored = fm_calloc(pairs->count, sizeof(*scored));

	if (!scored)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu pairs", pairs->count);
	for (size_t i = 0; i < pairs->count; i++) {
		const float *a = evaluation->embedded[pairs->pairs[i].a].embedding;
		const float *b = evaluation->embedded[pairs->pairs[i].b].embedding;
		scored[i].score = a && b ? cosine(a, b, dim) : SCORE_OF_A_MISS;
		scored[i].same = pairs->pairs[i].same;
	}
	return fm_stats_create(scored, pairs->count, ret_stats, err);
}

static json_t *report(
        const struct evaluation *evaluation, const struct fm_stats *stats, const struct fm_models *models)
{
	const struct fm_pairs *pairs = &evaluation->pairs;
	double threshold, accuracy = fm_stats_accuracy(stats, &threshold);
	size_t misses = 0, unreadable = 0;
	json_t *missed = json_array();

	for (size_t i = 0; i < pairs->photo_count; i++) {
		if (evaluation->embedded[i].state == FM_EMBEDDED_FACE)
			continue;
		misses++;
		unreadable += evaluation->embedded[i].state == FM_EMBEDDED_UNREADABLE;
		json_array_append_new(missed, fm_json_text(pairs->photos[i].path));
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:o, s:o, s:f, s:f, s:I, s:s, s:s, s:o}",
	        "pairs", (json_int_t)pairs->count, "images", (json_int_t)pairs->photo_count, "misses",
	        (json_int_t)misses, "unreadable", (json_int_t)unreadable, "accuracy", accuracy, "threshold",
	        threshold, "auc", fm_json_number(fm_stats_auc(stats)), "tar_at_far_1e-2",
	        fm_json_number(fm_stats_tar_at_far(stats, 1e-2)), "tar_at_far_1e-3",
	        fm_json_number(fm_stats_tar_at_far(stats, 1e-3)), "images_per_s",
	        (double)pairs->photo_count / evaluation->embed_s, "seconds", evaluation->embed_s, "threads",
	        (json_int_t)evaluation->threads, "precision",
	        fm_precision_name(fm_net_precision(models->embedding->net)), "model",
	        models->embedding->fingerprint, "missed", missed);
}

static void complain_of_misses(const struct evaluation *evaluation)
{
	for (size_t i = 0; i < evaluation->pairs.photo_count; i++) {
		const struct fm_embedded *embedded = &evaluation->embedded[i];
		if (embedded->state == FM_EMBEDDED_UNREADABLE)
			fm_complain(
			        "a miss: %s", embedded->message ? embedded->message : evaluation->paths[i]);
		else if (embedded->state == FM_EMBEDDED_NO_FACE)
			fm_complain("a miss: %s: no face found", evaluation->paths[i]);
	}
}

static enum fm_status evaluate(struct evaluation *evaluation, const struct fm_models *models,
        json_t **ret_report, struct fm_error *err)
{
	fm_cleanup(fm_stats_freep) struct fm_stats *stats = NULL;
	double start_s = fm_clock_s();

	if (evaluation->threads > evaluation->pairs.photo_count)
		evaluation->threads = evaluation->pairs.photo_count;
	enum fm_status status = fm_embedder_run(models, evaluation->paths, evaluation->pairs.photo_count,
	        evaluation->threads, &evaluation->embedded, err);
	if (status)
		return status;
	evaluation->embed_s = fm_clock_s() - start_s;
	complain_of_misses(evaluation);
	status = score_pairs(evaluation, models->embedding->dim, &stats, err);
	if (status)
		return status;
	*ret_report = report(evaluation, stats, models);
	return *ret_report ? FM_OK : fm_fail(err, FM_E_NOMEM, "no memory for the result");
}

static int eval_run(struct fm_call *call)
{
	const char *models_dir = call->models_dir, *images_dir = NULL, *pairs_path = NULL, *json_path = NULL;
	enum fm_precision precision = FM_INT8;
	long threads = (long)usable_cpus();
	const struct fm_option options[] = {
	        {"images", FM_OPTION_TEXT, &images_dir, "DIR", "where the photos are", .required = true},
	        {"pairs", FM_OPTION_TEXT, &pairs_path, "FILE", "CSV with the header a,b,same",
	                .required = true},
	        FM_OPTION_PRECISION_ROW(&precision),
	        {"json", FM_OPTION_TEXT, &json_path, "FILE", "write the result there too; - is stdout alone"},
	        {"threads", FM_OPTION_COUNT, &threads, "N", "photos worked on at once (default: all cores)",
	                .low = 1, .high = FM_EMBEDDER_THREADS_MAX},
	        FM_OPTION_MODELS_ROW(&models_dir),
	};
	fm_cleanup(evaluation_done) struct evaluation evaluation = {0};
	fm_cleanup(fm_models_freep) struct fm_models *models = NULL;
	json_t *result = NULL;
	struct fm_error err;
	int exit_status;

	if (!fm_options_parse(call, options, FM_ARRAY_SIZE(options), 0, 0, &exit_status))
		return exit_status;
	evaluation.threads = (size_t)threads;
	enum fm_status status = fm_pairs_read(pairs_path, &evaluation.pairs, &err);
	if (!status)
		status = find_photos(&evaluation, pairs_path, images_dir, &err);
	if (!status)
		status = fm_photo_models_load(models_dir, precision, &models, &err);
	if (!status)
		status = evaluate(&evaluation, models, &result, &err);
	if (!status && json_path)
		status = fm_json_write(json_path, result, &err);
	if (!status && !(json_path && strcmp(json_path, "-") == 0))
		fm_json_print_table(result);
	json_decref(result);
	if (status)
		fm_complain("%s", err.message);
	return status ? FM_EXIT_FAILURE : FM_EXIT_OK;
}

const struct fm_command fm_cmd_eval = {
        .name = "eval",
        .operands = "",
        .summary = "accuracy on labelled pairs of photos",
        .description = "Embeds every photo that the pairs name, once, and reports how well the cosine tells "
                       "pairs of the\n"
                       "same person from others: accuracy at the best threshold, area under the ROC curve, "
                       "true accept\n"
                       "rates at false accept rates of 1e-2 and 1e-3, and photos a second.\n"
                       "The pairs are a CSV file with the header a,b,same: two paths relative to --images, "
                       "and 1 or 0.\n"
                       "The person meant is the face nearest to the photo's centre. A photo without a face, "
                       "or one that\n"
                       "cannot be decoded, is a miss: its pairs score a cosine of -1.",
        .example = "  facematchctl eval --images lfw --pairs pairs.csv --precision int8 --json result.json",
        .run = eval_run,
};
