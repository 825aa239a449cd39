#include "daemon/app.h"

#include "daemon/keeper.h"
#include "daemon/log.h"
#include "daemon/people.h"
#include "daemon/selftest.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/cpu/cpu.h"
#include "lib/face/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>

#include "lib/base/banned.h"

/* Under overload: shorter waits are not worth a refusal. */
#define OVERLOAD_WAIT_S 0.01

static size_t cpus_allowed(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (size_t)CPU_COUNT(&set);
}

enum fm_status fm_app_create(struct fm_snapshot *first, struct fm_app **ret_app, struct fm_error *err)
{
	struct fm_app *app = fm_calloc(1, sizeof(*app));

	if (!app) {
		fm_snapshot_put(first);
		return fm_fail(err, FM_E_NOMEM, "no memory to start");
	}
	fm_snapshot_slot_init(&app->snapshots, first);
	app->started = fm_snapshot_get(&app->snapshots);
	app->config = &first->config;
	app->lock_fd = -1;
	atomic_flag_clear(&app->backing_up);
	enum fm_status status = fm_metrics_create(&app->metrics, err);
	if (status) {
		fm_app_free(app);
		return status;
	}
	*ret_app = app;
	return FM_OK;
}

void fm_app_stop(struct fm_app *app)
{
	if (app->pool)
		fm_pool_stop(app->pool);
}

void fm_app_free(struct fm_app *app)
{
	if (!app)
		return;
	fm_pool_free(app->pool);
	for (size_t i = 0; app->pipelines && i < app->worker_count; i++)
		fm_pipeline_free(app->pipelines[i]);
	free(app->pipelines);
	fm_keeper_free(app->keeper);
	fm_index_free(app->index);
	fm_gallery_close(app->gallery);
	fm_models_free(app->models);
	fm_metrics_free(app->metrics);
	if (app->lock_fd >= 0)
		close(app->lock_fd);
	fm_snapshot_put(app->started);
	fm_snapshot_slot_done(&app->snapshots);
	free(app);
}

const char *fm_app_model(const struct fm_app *app)
{
	return app->models->embedding->fingerprint;
}

static enum fm_status load_models(struct fm_app *app, struct fm_error *err)
{
	const struct fm_config *config = app->config;
	struct fm_models_options options = {
	        .detection = config->detection,
	        .landmarks = config->landmarks,
	        .embedding = config->embedding,
	};
	fm_autofree char *models_dir = NULL;
	fm_autofree char *manifests_dir = NULL;
	enum fm_status status = fm_models_find(
	        config->models_dir[0] ? config->models_dir : NULL, &models_dir, &manifests_dir, err);

	if (!status)
		status = fm_precision_parse(config->precision, &options.precision, err);
	if (status)
		return status;
	options.models_dir = models_dir;
	options.manifests_dir = config->manifests_dir[0] ? config->manifests_dir : manifests_dir;
	status = fm_models_load(&options, &app->models, err);
	if (!status && app->models->embedding->calibration.count < 2)
		fm_log(FM_LOG_WARNING, "the embedding network has no calibration: nobody will ever match",
		        "model", app->models->embedding->name, NULL);
	return status;
}

static enum fm_status create_pipelines(struct fm_app *app, struct fm_error *err)
{
	const struct fm_config *config = app->config;
	enum fm_status status = FM_OK;

	app->worker_count = config->workers ? (size_t)config->workers : cpus_allowed();
	app->pipelines = fm_calloc(app->worker_count, sizeof(app->pipelines[0]));
	if (!app->pipelines)
		return fm_fail(err, FM_E_NOMEM, "no memory for the workers");
	for (size_t i = 0; !status && i < app->worker_count; i++)
		status = fm_pipeline_create(app->models, &app->started->pipeline, &app->pipelines[i], err);
	return status;
}

/* Two daemons on one gallery would each miss what the other changes: their indexes are in memory. */
static enum fm_status lock_gallery(struct fm_app *app, const char *gallery_path, struct fm_error *err)
{
	fm_autofree char *path = NULL;

	if (asprintf(&path, "%s.lock", gallery_path) < 0) {
		path = NULL;
		return fm_fail(err, FM_E_NOMEM, "no memory to start");
	}
	app->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (app->lock_fd < 0)
		return fm_fail_errno(err, errno, "cannot open %s", path);
	if (flock(app->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return fm_fail(err, FM_E_BUSY, "another facematchd serves %s", gallery_path);
		return fm_fail_errno(err, errno, "cannot lock %s", path);
	}
	return FM_OK;
}

static enum fm_status add_to_index(void *context, const struct fm_embedding_owner *owners,
        const float *embeddings, size_t count, size_t dim, struct fm_error *err)
{
	struct fm_app *app = context;
	enum fm_status status = FM_OK;

	if (dim != app->models->embedding->dim)
		return fm_fail(err, FM_E_CORRUPT, "face %" PRId64 " has %zu dimensions, its model has %zu",
		        owners[0].face_key, dim, app->models->embedding->dim);
	fm_index_begin(app->index);
	for (size_t i = 0; !status && i < count; i++)
		status = fm_index_add(app->index, owners[i].collection_key, owners[i].person_key,
		        owners[i].face_key, embeddings + i * dim, err);
	fm_index_commit(app->index);
	return status;
}

/* The index holds codes; the embeddings that decide a search come from the gallery. */
static enum fm_status fetch_embeddings(void *context, const int64_t *face_keys, size_t count,
        float *ret_embeddings, bool *ret_found, struct fm_error *err)
{
	struct fm_app *app = context;

	return fm_gallery_face_embeddings(app->gallery, fm_app_model(app), app->models->embedding->dim,
	        face_keys, count, ret_embeddings, ret_found, err);
}

static enum fm_status load_gallery(struct fm_app *app, struct fm_error *err)
{
	fm_autofree char *path = NULL;
	int64_t foreign = 0;
	fm_autofree char *key_file = NULL;
	enum fm_status status = fm_config_gallery_path(app->config, &path, err);

	if (!status)
		status = fm_config_key_file(app->config, &key_file, err);
	/* The lock file comes second, so that nothing is left beside a file that is no gallery. */
	if (!status)
		status = fm_gallery_open_sealed(path, key_file, &app->gallery, err);
	if (!status)
		status = lock_gallery(app, path, err);
	if (!status)
		status =
		        fm_index_create(app->models->embedding->dim, fetch_embeddings, app, &app->index, err);
	if (!status)
		status = fm_gallery_embedding_load(app->gallery, fm_app_model(app), add_to_index, app, err);
	if (!status)
		status = fm_gallery_foreign_faces(app->gallery, fm_app_model(app), &foreign, err);
	if (status)
		return fm_fail_prefix(err, status, "gallery");
	fm_people_follow(app);
	if (foreign) {
		char count[24];
		snprintf(count, sizeof(count), "%" PRId64, foreign);
		fm_log(FM_LOG_WARNING, "faces enrolled under other models are not searched", "faces", count,
		        "model", fm_app_model(app), NULL);
	}
	return FM_OK;
}

struct fm_pool_limits fm_app_pool_limits(const struct fm_config *config)
{
	return (struct fm_pool_limits){
	        .queue_length = (size_t)config->queue_length,
	        .timeout_s = (double)config->queue_timeout_ms * 1e-3,
	        .overload_wait_s = OVERLOAD_WAIT_S,
	};
}

enum fm_status fm_app_load(struct fm_app *app, fm_pool_work work, fm_pool_refuse refuse, struct fm_error *err)
{
	enum fm_status status = load_models(app, err);

	if (!status)
		status = create_pipelines(app, err);
	if (!status)
		status = load_gallery(app, err);
	if (!status)
		status = fm_selftest_run(app->models, app->pipelines[0], err);
	if (!status) {
		const struct fm_pool_options options = {
		        .workers = app->worker_count,
		        .limits = fm_app_pool_limits(app->config),
		        .resources = (void *const *)app->pipelines,
		        .work = work,
		        .refuse = refuse,
		};
		status = fm_pool_create(&options, &app->pool, err);
	}
	if (!status)
		status = fm_keeper_create(app->gallery, &app->keeper, err);
	if (!status)
		atomic_store(&app->ready, true);
	return status;
}
