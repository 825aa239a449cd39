/*
 * An evaluation of the photo pipeline, in one precision or in both on the same photos: the mode (pairs, 1:N,
 * all pairs) names photos, has them embedded, and sets each run's report and statistics.
 */
#ifndef FM_CLI_EVAL_H
#define FM_CLI_EVAL_H

#include "cli/embedder.h"
#include "cli/json.h"
#include "cli/mcnemar.h"
#include "cli/photo.h"
#include "cli/stats.h"
#include "lib/base/cleanup.h"

#include <limits.h>

#define FM_EVAL_RUNS_MAX 2

FM_DEFINE_CLEANUP(struct fm_stats *, fm_stats_free);

struct fm_eval_photo {
	char *name; /* as the list gives it */
	char *path; /* under the images */
};

/* One precision. */
struct fm_eval_run {
	enum fm_precision precision;
	char fingerprint[sizeof(((struct fm_model *)NULL)->fingerprint)];
	struct fm_calibration calibration; /* of the manifest; without the description */
	size_t dim;
	double seconds;               /* of embedding */
	struct fm_embedded *embedded; /* [photo_count] */
	json_t *report;
	struct fm_stats *stats; /* of the report; its ROC is what is plotted */
};

struct fm_eval {
	const char *images_dir;
	struct fm_networks networks;
	unsigned precisions; /* bits 1 << enum fm_precision */
	size_t threads;
	size_t photo_count;
	struct fm_eval_photo *photos;
	size_t run_count; /* 0 until fm_eval_embed() */
	struct fm_eval_run runs[FM_EVAL_RUNS_MAX];
	json_t *comparison; /* with two runs, where the mode allows one */
	/* of the plot: what it shows, and its error rates, in full and short */
	const char *title;
	char subtitle[160];
	const char *x_label, *y_label, *x_name, *y_name;
};
void fm_eval_done(struct fm_eval *eval);

/*
 * Adds a photo, which must be there: a wrong --images shows at once, not after hours. list and line say in a
 * message where its name comes from; list may be NULL. The photo's index is the count before.
 */
enum fm_status fm_eval_add_photo(
        struct fm_eval *eval, const char *name, const char *list, size_t line, struct fm_error *err);

/* Fills runs, naming each photo without a face on stderr. There must be photos. */
enum fm_status fm_eval_embed(struct fm_eval *eval, struct fm_error *err);

/* NULL for a miss. */
const float *fm_eval_embedding(const struct fm_eval_run *run, size_t photo);

/* Adds images, misses, unreadable; and images_per_s, seconds, threads, precision, model, missed. */
void fm_eval_report_photos(const struct fm_eval *eval, const struct fm_eval_run *run, json_t *report);
void fm_eval_report_run(const struct fm_eval *eval, const struct fm_eval_run *run, json_t *report);

/* Adds auc, tar_at_far_1e-2, …1e-3 and further powers of ten that the sample supports, far_supported. */
void fm_eval_report_rates(const struct fm_stats *stats, json_t *report);

/* The ROC as an array of threshold, false_accepts and the two rates under these names; tar or its complement.
 */
json_t *fm_eval_report_roc(
        const struct fm_stats *stats, const char *far_name, const char *tar_name, bool complement);

/* Adds "1e-3: value" under name_1e-3 and the like; NaN is null. rate = mantissa * 10^exponent. */
void fm_eval_set_at_rate(json_t *report, const char *name, int mantissa, int exponent, double value);

/* Starts eval->comparison, with how near the two runs' embeddings of the same photos are. */
enum fm_status fm_eval_compare_begin(struct fm_eval *eval, struct fm_error *err);
/* Adds a test: what was decided, and whether each run was right in each case. */
void fm_eval_compare(
        struct fm_eval *eval, const char *decision, const bool *const right[FM_EVAL_RUNS_MAX], size_t cases);

/* The modes. */
enum fm_status fm_eval_pairs(struct fm_eval *eval, const char *pairs_path, struct fm_error *err);
enum fm_status fm_eval_identify(
        struct fm_eval *eval, const char *gallery_path, const char *probes_path, struct fm_error *err);
enum fm_status fm_eval_all_pairs(struct fm_eval *eval, struct fm_error *err);
enum fm_status fm_eval_fusion(struct fm_eval *eval, struct fm_error *err);

#endif
