/*
 * All that a handler may touch: configuration, models, gallery, index, and who is ready.
 *
 * fm_app_create() is quick, so that the port answers "starting" meanwhile; fm_app_load() reads models and
 * gallery, runs a self-test, starts the workers and makes the daemon ready. After it everything but the
 * gallery, the current serving and the current snapshot is immutable. people.h keeps the gallery and the
 * serving's index in step. Threads: safe after load.
 */
#ifndef FM_DAEMON_APP_H
#define FM_DAEMON_APP_H

#include "daemon/metrics.h"
#include "daemon/people.h"
#include "daemon/pool.h"
#include "daemon/serving.h"
#include "daemon/snapshot.h"
#include "lib/gallery/gallery.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct fm_keeper;
struct fm_reembed;

/* What a worker of the pool has: its resource there. */
struct fm_worker {
	struct fm_app *app;
	size_t number;
};

struct fm_app {
	/* As at the start: for what only a restart changes. Requests have their own: struct fm_exchange. */
	const struct fm_config *config;
	struct fm_snapshot *started; /* holds it */
	struct fm_snapshot_slot snapshots;
	struct fm_metrics *metrics; /* counts from the first request on */
	struct fm_serving_slot servings;
	/* Held by who enrols, from the network to the gallery, and for writing while the serving is
	 * exchanged: no face is stored under a network that serves no more. */
	pthread_rwlock_t enrolling;
	char configured_model[96]; /* what [models] names, "name@fingerprint"; the one that serves may differ
	                            */
	struct fm_gallery *gallery;
	struct fm_people *people;
	struct fm_keeper *keeper;
	struct fm_reembed *reembed;
	struct fm_pool *pool;
	size_t worker_count;
	struct fm_worker *workers;        /* [worker_count] */
	int lock_fd;                      /* keeps a second daemon off the gallery */
	_Atomic int64_t unsearched_faces; /* that the network in use has no embedding of, when last counted */
	atomic_bool ready;
	atomic_flag backing_up;
};

/* Takes the caller's hold of the first snapshot. */
enum fm_status fm_app_create(struct fm_snapshot *first, struct fm_app **ret_app, struct fm_error *err);

/* `work` is what a worker does with a job, and `refuse` with one that is late; its resource is a struct
 * fm_worker. */
enum fm_status fm_app_load(
        struct fm_app *app, fm_pool_work work, fm_pool_refuse refuse, struct fm_error *err);

/* What a configuration says about the queue. */
struct fm_pool_limits fm_app_pool_limits(const struct fm_config *config);

/* Finishes queued and running work; what is submitted later is refused. Does nothing before a load. */
void fm_app_stop(struct fm_app *app);

/* Nobody may submit any more. */
void fm_app_free(struct fm_app *app);

/* Counts app->unsearched_faces anew. */
void fm_app_count_unsearched(struct fm_app *app);

#endif
