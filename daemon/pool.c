#include "daemon/pool.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/cpu/cpu.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/base/banned.h"

struct worker {
	struct fm_pool *pool;
	void *resource;
	pthread_t thread;
};

struct fm_pool {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	fm_pool_work work;
	bool ending;
	size_t queue_length, first, queued; /* a ring */
	void **queue;
	size_t started; /* workers that run */
	size_t busy;
	struct worker *workers;
};

/* NULL: the end. A worker that asks has finished what it had. */
static void *take(struct fm_pool *pool)
{
	void *job = NULL;

	pthread_mutex_lock(&pool->lock);
	pool->busy--;
	while (!pool->queued && !pool->ending)
		pthread_cond_wait(&pool->filled, &pool->lock);
	if (pool->queued) {
		job = pool->queue[pool->first];
		pool->first = (pool->first + 1) % pool->queue_length;
		pool->queued--;
		pool->busy++;
	}
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;

	fm_cpu_flush_denormals();
	for (void *job; (job = take(worker->pool));)
		worker->pool->work(worker->resource, job);
	return NULL;
}

static enum fm_status start_workers(
        struct fm_pool *pool, const struct fm_pool_options *options, struct fm_error *err)
{
	sigset_t all, before;
	int error = 0;

	/* Signals belong to the main thread; a new thread inherits the mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (size_t i = 0; !error && i < options->workers; i++) {
		pool->workers[i] = (struct worker){.pool = pool, .resource = options->resources[i]};
		error = pthread_create(&pool->workers[i].thread, NULL, worker_main, &pool->workers[i]);
		pool->started += !error;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return fm_fail_errno(err, error, "cannot start %zu workers", options->workers);
	return FM_OK;
}

enum fm_status fm_pool_create(
        const struct fm_pool_options *options, struct fm_pool **ret_pool, struct fm_error *err)
{
	struct fm_pool *pool = fm_calloc(1, sizeof(*pool));

	if (!pool)
		return fm_fail(err, FM_E_NOMEM, "no memory for the workers");
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->filled, NULL);
	pool->work = options->work;
	pool->busy = options->workers; /* until they ask for work */
	pool->queue_length = options->queue_length;
	pool->queue = fm_calloc(options->queue_length, sizeof(pool->queue[0]));
	pool->workers = fm_calloc(options->workers, sizeof(pool->workers[0]));
	enum fm_status status = pool->queue && pool->workers
	                                ? start_workers(pool, options, err)
	                                : fm_fail(err, FM_E_NOMEM, "no memory for the workers");
	if (status) {
		fm_pool_free(pool);
		return status;
	}
	*ret_pool = pool;
	return FM_OK;
}

enum fm_status fm_pool_submit(struct fm_pool *pool, void *job, struct fm_error *err)
{
	bool full, ending;

	pthread_mutex_lock(&pool->lock);
	ending = pool->ending;
	full = pool->queued == pool->queue_length;
	if (!full && !ending) {
		pool->queue[(pool->first + pool->queued++) % pool->queue_length] = job;
		pthread_cond_signal(&pool->filled);
	}
	pthread_mutex_unlock(&pool->lock);
	if (ending)
		return fm_fail(err, FM_E_CANCELLED, "the daemon is shutting down");
	if (full)
		return fm_fail(
		        err, FM_E_BUSY, "all workers are busy and %zu requests wait", pool->queue_length);
	return FM_OK;
}

struct fm_pool_load fm_pool_load(struct fm_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	struct fm_pool_load load = {
	        .workers = pool->started,
	        .busy = pool->busy,
	        .queued = pool->queued,
	        .queue_length = pool->queue_length,
	};
	pthread_mutex_unlock(&pool->lock);
	return load;
}

void fm_pool_stop(struct fm_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->filled);
	pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < pool->started; i++)
		pthread_join(pool->workers[i].thread, NULL);
	pool->started = 0;
}

void fm_pool_free(struct fm_pool *pool)
{
	if (!pool)
		return;
	fm_pool_stop(pool);
	pthread_cond_destroy(&pool->filled);
	pthread_mutex_destroy(&pool->lock);
	free(pool->queue);
	free(pool->workers);
	free(pool);
}
