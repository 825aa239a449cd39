#include "daemon/app.h"

#include "daemon/keeper.h"
#include "daemon/log.h"
#include "daemon/reembed.h"
#include "daemon/thread.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "lib/base/banned.h"

/* Under overload: shorter waits are not worth a refusal. */
#define OVERLOAD_WAIT_S 0.01
/* A worker's scratch for large photos is freed when it was not needed for so long. */
#define TIDY_S 60

FM_DEFINE_CLEANUP(struct fm_enrolled *, fm_enrolled_free);
FM_DEFINE_CLEANUP(struct fm_serving *, fm_serving_put);

static size_t cpus_allowed(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (size_t)CPU_COUNT(&set);
}

/* Who exchanges the serving waits for those who enrol, and not for those who come after it. */
static void init_enrolling(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
}

enum fm_status fm_app_create(struct fm_snapshot *first, struct fm_app **ret_app, struct fm_error *err)
{
	struct fm_app *app = fm_calloc(1, sizeof(*app));

	if (!app) {
		fm_snapshot_put(first);
		return fm_fail(err, FM_E_NOMEM, "no memory to start");
	}
	fm_snapshot_slot_init(&app->snapshots, first);
	fm_serving_slot_init(&app->servings);
	init_enrolling(&app->enrolling);
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
	fm_reembed_free(app->reembed);
	fm_keeper_free(app->keeper);
	fm_people_free(app->people);
	fm_serving_slot_done(&app->servings);
	fm_gallery_close(app->gallery);
	pthread_rwlock_destroy(&app->enrolling);
	free(app->workers);
	fm_metrics_free(app->metrics);
	if (app->lock_fd >= 0)
		close(app->lock_fd);
	fm_snapshot_put(app->started);
	fm_snapshot_slot_done(&app->snapshots);
	free(app);
}

static enum fm_status load_models(struct fm_app *app, struct fm_serving **ret_serving, struct fm_error *err)
{
	enum fm_status status = fm_serving_load(app->config, ret_serving, err);

	if (!status && (*ret_serving)->models->embedding->calibration.count < 2)
		fm_log(FM_LOG_WARNING, "the embedding network has no calibration: nobody will ever match",
		        "model", (*ret_serving)->models->embedding->name, NULL);
	if (!status)
		snprintf(app->configured_model, sizeof(app->configured_model), "%s",
		        fm_serving_model(*ret_serving));
	return status;
}

static enum fm_status number_workers(struct fm_app *app, struct fm_error *err)
{
	app->worker_count = app->config->workers ? (size_t)app->config->workers : cpus_allowed();
	app->workers = fm_calloc(app->worker_count, sizeof(app->workers[0]));
	if (!app->workers)
		return fm_fail(err, FM_E_NOMEM, "no memory for the workers");
	for (size_t i = 0; i < app->worker_count; i++)
		app->workers[i] = (struct fm_worker){.app = app, .number = i};
	return FM_OK;
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

static enum fm_status open_gallery(struct fm_app *app, struct fm_error *err)
{
	fm_autofree char *path = NULL;
	fm_autofree char *key_file = NULL;
	enum fm_status status = fm_config_gallery_path(app->config, &path, err);

	if (!status)
		status = fm_config_key_file(app->config, &key_file, err);
	/* The lock file comes second, so that nothing is left beside a file that is no gallery. */
	if (!status)
		status = fm_gallery_open_sealed(path, key_file, &app->gallery, err);
	if (!status)
		status = lock_gallery(app, path, err);
	return status;
}

/* Which model the gallery's faces are searched under; "": it has none that matters. */
static enum fm_status find_active(
        struct fm_app *app, char ret_model[FM_MODEL_TEXT_BYTES], struct fm_error *err)
{
	struct fm_chosen_models chosen;
	int64_t faces = 0;
	enum fm_status status = fm_gallery_models_get(app->gallery, &chosen, err);

	ret_model[0] = '\0';
	if (!status && !chosen.active[0]) /* an older gallery */
		status = fm_gallery_model_only(app->gallery, chosen.active, err);
	if (!status && chosen.active[0])
		status = fm_gallery_model_faces(app->gallery, chosen.active, &faces, err);
	if (!status && faces)
		snprintf(ret_model, FM_MODEL_TEXT_BYTES, "%s", chosen.active);
	return status;
}

/* What the gallery is told to remember. It may be on a disk that takes no writes: searches need none. */
static void choose(struct fm_app *app, const struct fm_serving *serving)
{
	struct fm_chosen_models chosen;
	struct fm_error err;
	enum fm_status status = fm_gallery_models_get(app->gallery, &chosen, &err);

	if (!status && strcmp(chosen.active, fm_serving_model(serving)) != 0)
		status = fm_gallery_models_choose(
		        app->gallery, fm_serving_model(serving), serving->models->embedding->dim, NULL, &err);
	if (status)
		fm_log(FM_LOG_WARNING, "the gallery does not know its model yet", "reason", err.message,
		        NULL);
}

/* Another network is configured than the faces are stored under: theirs, where it is still there. */
static void load_active(struct fm_app *app, const char *active, struct fm_serving **serving)
{
	struct fm_serving *old;
	struct fm_error err;

	if (fm_serving_load_model(app->config, active, &old, &err)) {
		fm_log(FM_LOG_WARNING,
		        "the network that the gallery's faces are stored under cannot be loaded: POST "
		        "/v1/admin/reembed brings those with a crop over",
		        "model", active, "reason", err.message, NULL);
		return;
	}
	fm_serving_put(*serving);
	*serving = old;
	fm_log(FM_LOG_WARNING,
	        "another embedding network is configured than the gallery's faces are stored under, which "
	        "goes on "
	        "serving: POST /v1/admin/reembed brings them over",
	        "serving", active, "configured", app->configured_model, NULL);
}

/* The networks, loaded and tried while the gallery is read. */
struct networks {
	struct fm_app *app;
	const char *active; /* what the gallery's faces are searched under, or "" */
	pthread_t thread;
	struct fm_serving *serving;
	enum fm_status status;
	struct fm_error err;
};

static void *load_networks(void *context)
{
	struct networks *networks = context;
	struct fm_app *app = networks->app;

	networks->status = load_models(app, &networks->serving, &networks->err);
	if (networks->status)
		return NULL;
	if (networks->active[0] && strcmp(networks->active, app->configured_model) != 0)
		load_active(app, networks->active, &networks->serving);
	networks->status = fm_serving_ready(
	        networks->serving, &app->started->pipeline, app->worker_count, &networks->err);
	return NULL;
}

struct expected {
	struct fm_enrolled *enrolled;
	int64_t faces;
};

static void *expect_faces(void *context)
{
	const struct expected *expected = context;

	fm_index_expect(expected->enrolled->index, (size_t)expected->faces);
	return NULL;
}

static enum fm_status read_faces(
        struct fm_app *app, const char *model, struct fm_enrolled **ret_enrolled, struct fm_error *err)
{
	fm_cleanup(fm_enrolled_freep) struct fm_enrolled *enrolled = NULL;
	struct expected expected;
	pthread_t thread;
	size_t dim;
	enum fm_status status = fm_gallery_model_dim(app->gallery, model, &dim, err);

	if (!status)
		status = fm_gallery_model_faces(app->gallery, model, &expected.faces, err);
	if (!status)
		status = fm_enrolled_create(app->gallery, model, dim, &enrolled, err);
	if (status)
		return status;
	expected.enrolled = enrolled;
	status = fm_thread_create("a thread that gets memory", expect_faces, &expected, &thread, err);
	if (status)
		return status;
	status = fm_enrolled_fill_at_once(enrolled, err);
	pthread_join(thread, NULL);
	if (!status)
		*ret_enrolled = fm_steal(enrolled);
	return status;
}

/* Of which the faces were read, unless its files are gone and the configured network serves. */
static enum fm_status join_index(
        struct fm_app *app, struct fm_serving *serving, struct fm_enrolled **enrolled, struct fm_error *err)
{
	if (*enrolled && strcmp((*enrolled)->model, fm_serving_model(serving)) == 0) {
		fm_serving_take_enrolled(serving, fm_steal(*enrolled));
		return FM_OK;
	}
	enum fm_status status = fm_serving_open_index(serving, app->gallery, err);

	return status ? status : fm_enrolled_fill_at_once(serving->enrolled, err);
}

static enum fm_status load_networks_and_gallery(struct fm_app *app, struct fm_error *err)
{
	fm_cleanup(fm_enrolled_freep) struct fm_enrolled *enrolled = NULL;
	fm_cleanup(fm_serving_putp) struct fm_serving *serving = NULL;
	char active[FM_MODEL_TEXT_BYTES] = "";
	struct networks networks = {.app = app, .active = active};
	enum fm_status status = open_gallery(app, err);

	if (!status)
		status = find_active(app, active, err);
	if (status)
		return fm_fail_prefix(err, status, "gallery");
	status = fm_thread_create(
	        "a thread that loads networks", load_networks, &networks, &networks.thread, err);
	if (status)
		return status;
	if (active[0])
		status = read_faces(app, active, &enrolled, err);
	pthread_join(networks.thread, NULL);
	serving = networks.serving;
	if (networks.status) {
		*err = networks.err;
		return networks.status;
	}
	/* Where the old network is missing, what the gallery says stays: with its files back it serves again.
	 */
	if (!status && (!active[0] || strcmp(active, fm_serving_model(serving)) == 0))
		choose(app, serving);
	if (!status)
		status = join_index(app, serving, &enrolled, err);
	if (status)
		return fm_fail_prefix(err, status, "gallery");
	fm_serving_exchange(&app->servings, fm_steal(serving));
	return fm_people_create(app->gallery, &app->servings, &app->people, err);
}

void fm_app_count_unsearched(struct fm_app *app)
{
	struct fm_serving *serving = fm_serving_get(&app->servings);
	int64_t count;

	if (!fm_gallery_foreign_faces(app->gallery, fm_serving_model(serving), &count, NULL))
		atomic_store(&app->unsearched_faces, count);
	fm_serving_put(serving);
}

static void tell_unsearched(struct fm_app *app)
{
	struct fm_serving *serving = fm_serving_get(&app->servings);
	char count[24];

	fm_app_count_unsearched(app);
	snprintf(count, sizeof(count), "%" PRId64, atomic_load(&app->unsearched_faces));
	if (atomic_load(&app->unsearched_faces))
		fm_log(FM_LOG_WARNING, "faces enrolled under other models are not searched", "faces", count,
		        "model", fm_serving_model(serving), NULL);
	fm_serving_put(serving);
}

struct fm_pool_limits fm_app_pool_limits(const struct fm_config *config)
{
	return (struct fm_pool_limits){
	        .queue_length = (size_t)config->queue_length,
	        .timeout_s = (double)config->queue_timeout_ms * 1e-3,
	        .overload_wait_s = OVERLOAD_WAIT_S,
	};
}

/* Between a worker's jobs nobody else touches its pipeline. */
static void tidy_worker(void *resource)
{
	const struct fm_worker *worker = resource;
	struct fm_serving *serving = fm_serving_get(&worker->app->servings);

	fm_pipeline_tidy(serving->pipelines[worker->number]);
	fm_serving_put(serving);
}

static enum fm_status start_pool(
        struct fm_app *app, fm_pool_work work, fm_pool_refuse refuse, struct fm_error *err)
{
	fm_autofree void **resources = fm_calloc(app->worker_count, sizeof(*resources));

	if (!resources)
		return fm_fail(err, FM_E_NOMEM, "no memory for the workers");
	for (size_t i = 0; i < app->worker_count; i++)
		resources[i] = &app->workers[i];
	const struct fm_pool_options options = {
	        .workers = app->worker_count,
	        .limits = fm_app_pool_limits(app->config),
	        .resources = resources,
	        .work = work,
	        .refuse = refuse,
	        .tidy = tidy_worker,
	        .tidy_s = TIDY_S,
	};
	return fm_pool_create(&options, &app->pool, err);
}

static void after_round(void *context)
{
	fm_app_count_unsearched(context);
}

enum fm_status fm_app_load(struct fm_app *app, fm_pool_work work, fm_pool_refuse refuse, struct fm_error *err)
{
	enum fm_status status = number_workers(app, err);

	if (!status)
		status = load_networks_and_gallery(app, err);
	if (!status)
		status = start_pool(app, work, refuse, err);
	if (!status)
		status = fm_keeper_create(app->gallery, &app->snapshots, after_round, app, &app->keeper, err);
	if (!status) {
		tell_unsearched(app);
		status = fm_reembed_create(app, &app->reembed, err);
	}
	if (!status)
		atomic_store(&app->ready, true);
	return status;
}
