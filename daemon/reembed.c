#include "daemon/reembed.h"

#include "daemon/log.h"
#include "daemon/thread.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/face/align.h"
#include "lib/face/embed.h"
#include "lib/image/decode.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define NICENESS 19
/* A batch is stored after so long at the latest: what a crash costs, and how often others see progress. */
#define BATCH_S 1.0
/* Crops are as large as a network's input. */
#define CROP_PIXELS_MAX 1048576
#define CROP_SIDE_MAX   4096

FM_DEFINE_CLEANUP(struct fm_embed *, fm_embed_free);
FM_DEFINE_CLEANUP(struct fm_serving *, fm_serving_put);

struct fm_reembed {
	struct fm_app *app;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	bool stop;
	bool busy;    /* a job or a rollback */
	bool ending;  /* the job stands as ended in the gallery, or is about to: the thread is soon done */
	bool started; /* the thread is to be joined */
	pthread_t thread;
	char job_id[FM_UUID_TEXT]; /* that the thread works on, or "" */
	bool cancelled;            /* it was */
	struct fm_reembed_progress progress;

	/* The thread's own. */
	struct fm_job job;
	struct fm_serving *target; /* held */
	double due_s;              /* when the rate allows the next face */
};

/* What a thread computes with. */
struct kitchen {
	const struct fm_model *model;
	struct fm_embed *embed;
	struct fm_image aligned;
	float *embeddings; /* [FM_REEMBED_BATCH_MAX][dim] */
};

static void kitchen_done(struct kitchen *kitchen)
{
	fm_embed_free(kitchen->embed);
	fm_image_done(&kitchen->aligned);
	if (kitchen->embeddings)
		fm_wipe(kitchen->embeddings,
		        FM_REEMBED_BATCH_MAX * kitchen->model->dim * sizeof(*kitchen->embeddings));
	free(kitchen->embeddings);
}

static enum fm_status kitchen_open(
        struct kitchen *kitchen, const struct fm_model *model, struct fm_error *err)
{
	kitchen->model = model;
	kitchen->embeddings = fm_calloc(FM_REEMBED_BATCH_MAX, model->dim * sizeof(*kitchen->embeddings));
	if (!kitchen->embeddings)
		return fm_fail(err, FM_E_NOMEM, "no memory for embeddings");
	enum fm_status status = fm_image_create(model->width_px, model->height_px, &kitchen->aligned, err);

	return status ? status : fm_embed_create(model, &kitchen->embed, err);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* True when it is time to end: the daemon stops, or the job was cancelled. */
static bool wait_until(struct fm_reembed *reembed, double until_s)
{
	const struct timespec until = {
	        .tv_sec = (time_t)until_s, .tv_nsec = (long)((until_s - floor(until_s)) * 1e9)};

	pthread_mutex_lock(&reembed->lock);
	while (!reembed->stop && !reembed->cancelled && now_s() < until_s)
		pthread_cond_timedwait(&reembed->changed, &reembed->lock, &until);
	bool stop = reembed->stop || reembed->cancelled;

	pthread_mutex_unlock(&reembed->lock);
	return stop;
}

/* Keeps to [reembed] faces_per_second. True when it is time to end. */
static bool wait_for_turn(struct fm_reembed *reembed)
{
	struct fm_snapshot *snapshot = fm_snapshot_get(&reembed->app->snapshots);
	int64_t rate = snapshot->config.faces_per_second;

	fm_snapshot_put(snapshot);
	bool stop = wait_until(reembed, rate ? reembed->due_s : 0);

	reembed->due_s = fmax(reembed->due_s, now_s()) + (rate ? 1.0 / (double)rate : 0);
	return stop;
}

static void publish_progress(struct fm_reembed *reembed, bool running)
{
	const struct fm_job *job = &reembed->job;

	pthread_mutex_lock(&reembed->lock);
	reembed->progress = (struct fm_reembed_progress){.running = running,
	        .done = job->done,
	        .skipped = job->skipped,
	        .total = job->total > job->done + job->skipped ? job->total : job->done + job->skipped};
	pthread_mutex_unlock(&reembed->lock);
}

struct fm_reembed_progress fm_reembed_progress(struct fm_reembed *reembed)
{
	pthread_mutex_lock(&reembed->lock);
	struct fm_reembed_progress progress = reembed->progress;
	pthread_mutex_unlock(&reembed->lock);
	return progress;
}

/* ---- one face ---- */

/* The crop as another network's input: all templates are the same five points, scaled (align.h). */
static enum fm_status resize(const struct fm_image *crop, struct fm_image *aligned, struct fm_error *err)
{
	double scale = (double)aligned->width_px / crop->width_px;
	const struct fm_similarity transform = {.a = scale};

	return fm_align_sample(crop, &transform, aligned, err);
}

/* NULL, or why there is no embedding. */
static const char *embed_crop(
        struct kitchen *kitchen, const uint8_t *jpeg, size_t bytes, float *ret_embedding)
{
	const struct fm_image_limits limits = {.pixels_max = CROP_PIXELS_MAX, .side_max_px = CROP_SIDE_MAX};
	fm_cleanup(fm_image_done) struct fm_image crop = {0};
	bool truncated = false;
	double square = 0;

	if (fm_image_decode(jpeg, bytes, &limits, 1, &crop, &truncated, NULL) || truncated ||
	        crop.width_px != crop.height_px || resize(&crop, &kitchen->aligned, NULL))
		return "damaged_crop";
	fm_embed_run(kitchen->embed, &kitchen->aligned, ret_embedding);
	for (size_t i = 0; i < kitchen->model->dim; i++)
		square += (double)ret_embedding[i] * (double)ret_embedding[i];
	return fabs(square - 1) < 1e-3 ? NULL : "damaged_crop";
}

static enum fm_status embed_face(struct fm_reembed *reembed, struct kitchen *kitchen,
        struct fm_reembed_face *face, float *embedding, struct fm_error *err)
{
	fm_autofree uint8_t *jpeg = NULL;
	size_t bytes = 0;
	enum fm_status status =
	        fm_gallery_crop_get_by_key(reembed->app->gallery, face->key, &jpeg, &bytes, err);

	face->embedding = NULL;
	if (status == FM_E_NOT_FOUND || status == FM_E_CORRUPT) {
		face->reason = status == FM_E_NOT_FOUND ? "no_crop" : "damaged_crop";
		return FM_OK;
	}
	if (status)
		return status;
	face->reason = embed_crop(kitchen, jpeg, bytes, embedding);
	if (!face->reason)
		face->embedding = embedding;
	fm_wipe(jpeg, bytes);
	return FM_OK;
}

/* ---- all faces ---- */

/* The next faces, as many as BATCH_S allows; *ret_count 0: all are done. FM_E_CANCELLED: it is time to end.
 */
static enum fm_status run_batch(struct fm_reembed *reembed, struct kitchen *kitchen, bool limited,
        size_t *ret_count, struct fm_error *err)
{
	struct fm_reembed_face faces[FM_REEMBED_BATCH_MAX];
	const double begin_s = now_s();
	size_t found, count = 0;
	bool stop = false;
	enum fm_status status =
	        fm_gallery_reembed_next(reembed->app->gallery, &reembed->job, faces, &found, err);

	while (!status && count < found && !stop && (count == 0 || now_s() - begin_s < BATCH_S)) {
		stop = limited ? wait_for_turn(reembed) : wait_until(reembed, 0);
		if (stop)
			break;
		status = embed_face(reembed, kitchen, &faces[count],
		        kitchen->embeddings + count * kitchen->model->dim, err);
		count++;
	}
	if (!status && count)
		status = fm_gallery_reembed_store(
		        reembed->app->gallery, &reembed->job, faces, count, kitchen->model->dim, err);
	if (status)
		return status;
	if (stop)
		return fm_fail(err, FM_E_CANCELLED, "the daemon stops, or the job was cancelled");
	publish_progress(reembed, true);
	*ret_count = found;
	return FM_OK;
}

static enum fm_status run_batches(
        struct fm_reembed *reembed, struct kitchen *kitchen, bool limited, struct fm_error *err)
{
	size_t count = 1;
	enum fm_status status = FM_OK;

	while (!status && count)
		status = run_batch(reembed, kitchen, limited, &count, err);
	return status;
}

/* A gallery that nobody would be found in is no progress. */
static enum fm_status check_result(struct fm_reembed *reembed, struct fm_error *err)
{
	int64_t faces = 0;
	enum fm_status status =
	        fm_gallery_model_faces(reembed->app->gallery, reembed->job.model, &faces, err);

	if (!status && !faces && reembed->job.skipped)
		return fm_fail(err, FM_E_NOT_FOUND,
		        "none of the faces has a crop that another network could look at ([gallery] "
		        "keep_crops): enrol anew");
	return status;
}

/* Before the gallery says that the job has ended: who reads that there finds the thread about to end, too. */
static void announce_end(struct fm_reembed *reembed)
{
	pthread_mutex_lock(&reembed->lock);
	reembed->ending = true;
	pthread_mutex_unlock(&reembed->lock);
}

/* Fills the target's index, then lets it serve; `kitchen` NULL: without a look at who came meanwhile. */
static enum fm_status take_over(struct fm_reembed *reembed, struct fm_serving *target,
        struct kitchen *kitchen, const char *job_id, struct fm_error *err)
{
	struct fm_app *app = reembed->app;
	enum fm_status status = fm_people_prepare(app->people, target, err);

	if (status)
		return status;
	if (kitchen)
		status = run_batches(reembed, kitchen, false, err);
	pthread_rwlock_wrlock(&app->enrolling);
	if (!status && kitchen)
		status = run_batches(reembed, kitchen, false, err);
	if (!status && job_id)
		announce_end(reembed);
	if (!status)
		status = fm_gallery_models_choose(
		        app->gallery, fm_serving_model(target), target->models->embedding->dim, job_id, err);
	if (!status) {
		atomic_fetch_add(&target->holders, 1); /* the slot's */
		fm_people_publish(app->people);
	} else {
		fm_people_abandon(app->people);
	}
	pthread_rwlock_unlock(&app->enrolling);
	fm_app_count_unsearched(app);
	return status;
}

static enum fm_status bring_over(struct fm_reembed *reembed, struct fm_error *err)
{
	fm_cleanup(kitchen_done) struct kitchen kitchen = {0};
	fm_cleanup(fm_serving_putp) struct fm_serving *current = fm_serving_get(&reembed->app->servings);
	struct fm_serving *target = reembed->target;
	enum fm_status status = kitchen_open(&kitchen, target->models->embedding, err);

	if (!status)
		status = run_batches(reembed, &kitchen, true, err);
	if (!status)
		status = check_result(reembed, err);
	if (status)
		return status;
	if (target != current)
		return take_over(reembed, target, &kitchen, reembed->job.id, err);
	/* It serves already, and was told of each face. */
	announce_end(reembed);
	status = fm_gallery_models_choose(reembed->app->gallery, fm_serving_model(target),
	        target->models->embedding->dim, reembed->job.id, err);
	fm_app_count_unsearched(reembed->app);
	return status;
}

static void tell_end(struct fm_reembed *reembed, enum fm_status status, const struct fm_error *reason)
{
	const struct fm_job *job = &reembed->job;
	char done[24], skipped[24];
	struct fm_error err;

	announce_end(reembed);
	snprintf(done, sizeof(done), "%" PRId64, job->done);
	snprintf(skipped, sizeof(skipped), "%" PRId64, job->skipped);
	if (!status) {
		fm_log(FM_LOG_INFO, "all faces are brought over, the new network serves", "model", job->model,
		        "faces", done, "skipped", skipped, NULL);
		return;
	}
	if (status == FM_E_CANCELLED || status == FM_E_CONFLICT) {
		fm_log(FM_LOG_INFO, "bringing faces over is interrupted", "model", job->model, "faces", done,
		        "reason", reason->message, NULL);
		return;
	}
	fm_log(FM_LOG_ERROR, "faces cannot be brought over", "model", job->model, "faces", done, "reason",
	        reason->message, NULL);
	/* On a disk that takes no writes it stays as it is, and goes on at the next start. */
	if (fm_gallery_job_end(reembed->app->gallery, job->id, "failed", reason->message, &err))
		fm_log(FM_LOG_ERROR, "the job cannot be ended", "reason", err.message, NULL);
}

static void *run(void *context)
{
	struct fm_reembed *reembed = context;
	struct fm_error err = {0};

	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
	tell_end(reembed, bring_over(reembed, &err), &err);
	publish_progress(reembed, false);
	fm_serving_put(reembed->target);
	reembed->target = NULL;
	fm_job_done(&reembed->job);
	pthread_mutex_lock(&reembed->lock);
	reembed->job_id[0] = '\0';
	reembed->busy = reembed->ending = reembed->cancelled = false;
	pthread_cond_broadcast(&reembed->changed);
	pthread_mutex_unlock(&reembed->lock);
	return NULL;
}

/* ---- beginning and ending ---- */

/* Who has seen a job end may begin the next one: for its thread's last steps this waits. */
enum fm_status fm_reembed_claim(struct fm_reembed *reembed, struct fm_error *err)
{
	pthread_mutex_lock(&reembed->lock);
	while (reembed->ending)
		pthread_cond_wait(&reembed->changed, &reembed->lock);
	bool busy = reembed->busy;
	reembed->busy = true;
	pthread_mutex_unlock(&reembed->lock);
	if (busy)
		return fm_fail(err, FM_E_CONFLICT, "a job runs: GET /v1/admin/jobs tells how far it is");
	if (reembed->started) /* it has ended */
		pthread_join(reembed->thread, NULL);
	reembed->started = false;
	return FM_OK;
}

void fm_reembed_unclaim(struct fm_reembed *reembed)
{
	pthread_mutex_lock(&reembed->lock);
	reembed->busy = false;
	pthread_mutex_unlock(&reembed->lock);
}

/* Loads the network that is configured, unless it serves already. */
static enum fm_status load_target(
        struct fm_reembed *reembed, struct fm_serving **ret_target, struct fm_error *err)
{
	struct fm_app *app = reembed->app;
	fm_cleanup(fm_serving_putp) struct fm_serving *target = fm_serving_get(&app->servings);

	if (strcmp(fm_serving_model(target), app->configured_model) == 0) {
		*ret_target = fm_steal(target);
		return FM_OK;
	}
	fm_serving_put(fm_steal(target));
	enum fm_status status = fm_serving_load(app->config, &target, err);

	if (!status && strcmp(fm_serving_model(target), app->configured_model) != 0)
		return fm_fail(err, FM_E_CONFLICT,
		        "the network's files have changed since the daemon started: restart it");
	if (!status)
		status = fm_serving_ready(target, &app->started->pipeline, app->worker_count, err);
	if (!status)
		*ret_target = fm_steal(target);
	return status;
}

/* Takes target and job. */
static enum fm_status start_thread(
        struct fm_reembed *reembed, struct fm_serving *target, struct fm_job *job, struct fm_error *err)
{
	reembed->target = target;
	reembed->job = *job;
	*job = (struct fm_job){0};
	publish_progress(reembed, true);
	pthread_mutex_lock(&reembed->lock);
	snprintf(reembed->job_id, sizeof(reembed->job_id), "%s", reembed->job.id);
	pthread_mutex_unlock(&reembed->lock);
	enum fm_status status =
	        fm_thread_create("a thread that embeds the faces anew", run, reembed, &reembed->thread, err);

	if (status) {
		publish_progress(reembed, false);
		pthread_mutex_lock(&reembed->lock);
		reembed->job_id[0] = '\0';
		pthread_mutex_unlock(&reembed->lock);
		fm_serving_put(target);
		fm_job_done(&reembed->job);
		return status;
	}
	reembed->started = true;
	return FM_OK;
}

static enum fm_status start(struct fm_reembed *reembed, struct fm_job *ret_job, struct fm_error *err)
{
	struct fm_gallery *gallery = reembed->app->gallery;
	fm_cleanup(fm_serving_putp) struct fm_serving *target = NULL;
	fm_cleanup(fm_job_done) struct fm_job job = {0};
	struct fm_chosen_models chosen;
	int64_t missing = 0;
	enum fm_status status =
	        fm_gallery_foreign_faces(gallery, reembed->app->configured_model, &missing, err);

	if (!status)
		status = fm_gallery_models_get(gallery, &chosen, err);
	if (!status && !missing && strcmp(chosen.active, reembed->app->configured_model) == 0)
		return fm_fail(err, FM_E_CONFLICT,
		        "nothing to do: every face has an embedding of %s, which serves",
		        reembed->app->configured_model);
	if (!status)
		status = load_target(reembed, &target, err);
	if (!status)
		status = fm_gallery_reembed_begin(
		        gallery, fm_serving_model(target), target->models->embedding->dim, &job, err);
	if (!status)
		status = fm_gallery_job_get(gallery, job.id, ret_job, err);
	if (!status)
		status = start_thread(reembed, fm_steal(target), &job, err);
	return status;
}

enum fm_status fm_reembed_start(struct fm_reembed *reembed, struct fm_job *ret_job, struct fm_error *err)
{
	enum fm_status status = fm_reembed_claim(reembed, err);

	if (status)
		return status;
	status = start(reembed, ret_job, err);
	if (status)
		fm_reembed_unclaim(reembed);
	else
		fm_log(FM_LOG_INFO, "bringing faces over to another network", "model", ret_job->model, "job",
		        ret_job->id, NULL);
	return status;
}

enum fm_status fm_reembed_cancel(struct fm_reembed *reembed, const char *job_id, struct fm_error *err)
{
	enum fm_status status = fm_gallery_job_end(reembed->app->gallery, job_id, "cancelled", NULL, err);

	if (status)
		return status;
	pthread_mutex_lock(&reembed->lock);
	if (strcmp(reembed->job_id, job_id) == 0) {
		reembed->ending = reembed->cancelled = true;
		pthread_cond_broadcast(&reembed->changed);
	}
	pthread_mutex_unlock(&reembed->lock);
	return FM_OK;
}

void fm_reembed_job(struct fm_reembed *reembed, char ret_job_id[FM_UUID_TEXT])
{
	pthread_mutex_lock(&reembed->lock);
	snprintf(ret_job_id, FM_UUID_TEXT, "%s", reembed->job_id);
	pthread_mutex_unlock(&reembed->lock);
}

static enum fm_status rollback(struct fm_reembed *reembed, struct fm_error *err)
{
	struct fm_app *app = reembed->app;
	fm_cleanup(fm_serving_putp) struct fm_serving *target = NULL;
	struct fm_chosen_models chosen;
	int64_t faces = 0;
	enum fm_status status = fm_gallery_models_get(app->gallery, &chosen, err);

	if (!status && chosen.previous[0])
		status = fm_gallery_model_faces(app->gallery, chosen.previous, &faces, err);
	if (status)
		return status;
	if (!faces)
		return fm_fail(err, FM_E_CONFLICT,
		        "there is no previous network to go back to, or its embeddings were forgotten");
	status = fm_serving_load_model(app->config, chosen.previous, &target, err);
	if (status == FM_E_NOT_FOUND || status == FM_E_CORRUPT || status == FM_E_INVALID)
		return fm_fail_prefix(err, FM_E_CONFLICT, "the previous network cannot be loaded");
	if (!status)
		status = fm_serving_ready(target, &app->started->pipeline, app->worker_count, err);
	if (!status)
		status = take_over(reembed, target, NULL, NULL, err);
	if (!status)
		fm_log(FM_LOG_WARNING, "rolled back: the previous network serves again", "model",
		        chosen.previous, NULL);
	return status;
}

enum fm_status fm_reembed_rollback(struct fm_reembed *reembed, struct fm_error *err)
{
	enum fm_status status = fm_reembed_claim(reembed, err);

	if (status)
		return status;
	status = rollback(reembed, err);
	fm_reembed_unclaim(reembed);
	return status;
}

/* The job that was running when the daemon ended, if it is still about the configured network. */
static enum fm_status resume(struct fm_reembed *reembed, struct fm_error *err)
{
	struct fm_gallery *gallery = reembed->app->gallery;
	fm_cleanup(fm_serving_putp) struct fm_serving *target = NULL;
	fm_cleanup(fm_job_done) struct fm_job job = {0};
	char position[24];
	enum fm_status status = fm_gallery_reembed_running(gallery, &job, err);

	if (status)
		return status == FM_E_NOT_FOUND ? FM_OK : status;
	if (strcmp(job.model, reembed->app->configured_model) != 0) {
		fm_log(FM_LOG_WARNING, "a job for another network than the configured one is cancelled",
		        "model", job.model, "configured", reembed->app->configured_model, NULL);
		if (fm_gallery_job_end(gallery, job.id, "cancelled", "another network was configured", err))
			fm_log(FM_LOG_WARNING, "the job cannot be ended", "reason", err->message, NULL);
		return FM_OK;
	}
	snprintf(position, sizeof(position), "%" PRId64, job.done);
	fm_log(FM_LOG_INFO, "going on with bringing faces over", "model", job.model, "done", position, NULL);
	status = load_target(reembed, &target, err);
	if (status)
		return status;
	reembed->busy = true;
	status = start_thread(reembed, fm_steal(target), &job, err);
	return status;
}

enum fm_status fm_reembed_create(struct fm_app *app, struct fm_reembed **ret_reembed, struct fm_error *err)
{
	struct fm_reembed *reembed = fm_calloc(1, sizeof(*reembed));
	pthread_condattr_t attributes;

	if (!reembed)
		return fm_fail(err, FM_E_NOMEM, "no memory to start");
	reembed->app = app;
	pthread_mutex_init(&reembed->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&reembed->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	enum fm_status status = resume(reembed, err);

	if (status)
		fm_reembed_free(reembed);
	else
		*ret_reembed = reembed;
	return status;
}

void fm_reembed_free(struct fm_reembed *reembed)
{
	if (!reembed)
		return;
	pthread_mutex_lock(&reembed->lock);
	reembed->stop = true;
	pthread_cond_broadcast(&reembed->changed);
	pthread_mutex_unlock(&reembed->lock);
	if (reembed->started)
		pthread_join(reembed->thread, NULL);
	pthread_cond_destroy(&reembed->changed);
	pthread_mutex_destroy(&reembed->lock);
	free(reembed);
}
