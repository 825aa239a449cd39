/*
 * Another network for a gallery that is in use: which model searches are answered under, and the job that
 * computes the embeddings of another one. Its place in the gallery is in the job's row, so that it goes on
 * after a crash; what it computed stands beside the old embeddings until the switch, and after it.
 *
 * A job is kind "reembed" (or "seal": another key, see fm_gallery_reseal()), state running, done, failed or
 * cancelled. Threads: as gallery.h.
 */
#ifndef FM_GALLERY_JOBS_H
#define FM_GALLERY_JOBS_H

#include "lib/gallery/gallery.h"

#define FM_MODEL_TEXT_BYTES 513

/* The models that were chosen, "name@fingerprint", or "": none yet, nowhere to go back to. */
struct fm_chosen_models {
	char active[FM_MODEL_TEXT_BYTES];
	char previous[FM_MODEL_TEXT_BYTES];
};
enum fm_status fm_gallery_models_get(
        struct fm_gallery *gallery, struct fm_chosen_models *ret_chosen, struct fm_error *err);
/*
 * Makes `model` the active one; the one that was becomes the previous one, where they differ. A running job
 * `job_id` is done with it, unless NULL. FM_E_CONFLICT: that job does not run (any more).
 */
enum fm_status fm_gallery_models_choose(
        struct fm_gallery *gallery, const char *model, size_t dim, const char *job_id, struct fm_error *err);
/*
 * Forgets the embeddings of every other network than `model`, the active one, where a face has one of that:
 * in batches, out of the files too when it returns, with an audit record for each network. There is no
 * previous model then. Where it fails in the middle, calling it again does the rest. *ret_forgotten: of so
 * many faces; *ret_kept: faces that have no embedding of `model` keep what they have. FM_E_CONFLICT: nothing
 * to forget, or `model` is not the active one.
 */
enum fm_status fm_gallery_forget_others(struct fm_gallery *gallery, const char *model, const char *actor,
        int64_t *ret_forgotten, int64_t *ret_kept, struct fm_error *err);
/* How many faces have an embedding under a model. */
enum fm_status fm_gallery_model_faces(
        struct fm_gallery *gallery, const char *model, int64_t *ret_count, struct fm_error *err);
/* Its dimensions. FM_E_NOT_FOUND: the gallery does not know it. */
enum fm_status fm_gallery_model_dim(
        struct fm_gallery *gallery, const char *model, size_t *ret_dim, struct fm_error *err);
/* The one model that faces have embeddings under; "" where it is none or several. */
enum fm_status fm_gallery_model_only(
        struct fm_gallery *gallery, char ret_model[FM_MODEL_TEXT_BYTES], struct fm_error *err);

struct fm_job {
	int64_t key, position;
	char id[FM_UUID_TEXT];
	char kind[16], state[16];
	char model[FM_MODEL_TEXT_BYTES]; /* whose embeddings are computed, or "" */
	int64_t done, total, skipped;
	char *error; /* or NULL */
	char created_at[32], updated_at[32];
};
void fm_job_done(struct fm_job *job);

/* Newest first, at most `limit` (1 to 1000); each fm_job_done(), then free(). */
enum fm_status fm_gallery_job_list(struct fm_gallery *gallery, size_t limit, struct fm_job **ret_jobs,
        size_t *ret_count, struct fm_error *err);
enum fm_status fm_gallery_job_get(
        struct fm_gallery *gallery, const char *id, struct fm_job *ret_job, struct fm_error *err);
/* Ends a running one, as "failed" or "cancelled"; `error` may be NULL. FM_E_CONFLICT: it does not run. */
enum fm_status fm_gallery_job_end(struct fm_gallery *gallery, const char *id, const char *state,
        const char *error, struct fm_error *err);

/* Faces that a job could not do. */
struct fm_job_skip {
	int64_t face_key; /* the cursor */
	char face_id[FM_UUID_TEXT], person_id[FM_UUID_TEXT];
	char *collection, *reason;
};
void fm_job_skip_done(struct fm_job_skip *skip);
/* In key order after the key `after`, at most `limit` (1 to 1000); each done(), then free(). */
enum fm_status fm_gallery_job_skips(struct fm_gallery *gallery, const char *id, int64_t after, size_t limit,
        struct fm_job_skip **ret_skips, size_t *ret_count, struct fm_error *err);

/* A job that gives every face an embedding under `model`. FM_E_CONFLICT: one runs already. */
enum fm_status fm_gallery_reembed_begin(struct fm_gallery *gallery, const char *model, size_t dim,
        struct fm_job *ret_job, struct fm_error *err);
/* The one that runs; FM_E_NOT_FOUND: none does. */
enum fm_status fm_gallery_reembed_running(
        struct fm_gallery *gallery, struct fm_job *ret_job, struct fm_error *err);

#define FM_REEMBED_BATCH_MAX 64
struct fm_reembed_face {
	int64_t key, collection_key, person_key;
	char id[FM_UUID_TEXT];
	const float *embedding; /* [dim], unit length; NULL: skipped */
	const char *reason;     /* why */
	bool stored;            /* set by the store: it was there and had none */
};
/* The next faces after job->position, at most FM_REEMBED_BATCH_MAX; none: all are done. */
enum fm_status fm_gallery_reembed_next(struct fm_gallery *gallery, const struct fm_job *job,
        struct fm_reembed_face *ret_faces, size_t *ret_count, struct fm_error *err);
/*
 * Stores `count` of them, in one transaction with the job's position, and tells the observer of each; faces
 * that were deleted meanwhile are left out. Updates *job. FM_E_CANCELLED: the job does not run any more.
 */
enum fm_status fm_gallery_reembed_store(struct fm_gallery *gallery, struct fm_job *job,
        struct fm_reembed_face *faces, size_t count, size_t dim, struct fm_error *err);

#endif
