#include "daemon/pool.h"

#include "daemon/thread.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/cpu/cpu.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/banned.h"

/* Under overload, who has waited for so many jobs of the usual length is refused. */
#define OVERLOAD_JOBS 2
/* Overload is over when nobody was refused for so long. */
#define OVERLOAD_LASTS_S 1.0
/* Jobs that the usual length is an average of, roughly. */
#define AVERAGE_OVER 32

struct worker {
	struct fm_pool *pool;
	void *resource;
	double tidied_s; /* when it last did, by the machine's clock */
	pthread_t thread;
};

struct waiting {
	void *job;
	double since_s;
};

struct fm_pool {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	fm_pool_work work;
	fm_pool_refuse refuse;
	double (*now_s)(void);
	fm_pool_tidy tidy;
	double tidy_s;
	struct fm_pool_limits limits;
	bool ending;
	double overload_end_s;          /* until then the queue is under overload */
	double job_s;                   /* moving average of what a job takes */
	size_t capacity, first, queued; /* a ring */
	struct waiting *queue;
	size_t started; /* workers that run */
	size_t busy;
	struct worker *workers;
};

static double monotonic_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static bool is_overloaded(const struct fm_pool *pool, double at_s)
{
	return at_s < pool->overload_end_s;
}

/* How long one may wait now. */
static double patience_s(const struct fm_pool *pool, double at_s)
{
	double limit_s = pool->limits.timeout_s;

	/* The newest is worked on in any case: refusing all would leave the worker idle. */
	if (is_overloaded(pool, at_s) && pool->queued > 1) {
		double wait_s = fmax(pool->limits.overload_wait_s, OVERLOAD_JOBS * pool->job_s);
		limit_s = fmin(limit_s, wait_s);
	}
	return limit_s;
}

/* Takes the oldest out where it has waited too long, else who is next. *ret_late_s: 0, or how long it has
 * waited. */
static void *pick(struct fm_pool *pool, double *ret_late_s)
{
	struct waiting *oldest = &pool->queue[pool->first], *picked = oldest;
	double at_s = pool->now_s(), waited_s = at_s - oldest->since_s;
	bool overloaded = is_overloaded(pool, at_s);

	*ret_late_s = waited_s > patience_s(pool, at_s) ? waited_s : 0;
	if (overloaded && *ret_late_s > 0)
		pool->overload_end_s = at_s + OVERLOAD_LASTS_S;
	if (overloaded && !(*ret_late_s > 0))
		picked = &pool->queue[(pool->first + pool->queued - 1) % pool->capacity];
	else
		pool->first = (pool->first + 1) % pool->capacity;
	pool->queued--;
	return picked->job;
}

static void tidy_if_due(struct worker *worker)
{
	struct fm_pool *pool = worker->pool;
	double at_s = monotonic_s();

	if (!pool->tidy || at_s < worker->tidied_s + pool->tidy_s)
		return;
	worker->tidied_s = at_s;
	pthread_mutex_unlock(&pool->lock);
	pool->tidy(worker->resource);
	pthread_mutex_lock(&pool->lock);
}

/* Under the lock, and with it afterwards; there may be nothing to do yet. */
static void wait_for_work(struct worker *worker)
{
	struct fm_pool *pool = worker->pool;
	double due_s = worker->tidied_s + pool->tidy_s;
	struct timespec until = {.tv_sec = (time_t)due_s, .tv_nsec = (long)(fmod(due_s, 1) * 1e9)};

	if (pool->tidy)
		pthread_cond_timedwait(&pool->filled, &pool->lock, &until);
	else
		pthread_cond_wait(&pool->filled, &pool->lock);
}

/*
 * NULL: the end. A worker that asks has finished what it had, which took `job_s`; negative: it had nothing.
 */
static void *take(struct worker *worker, double job_s)
{
	struct fm_pool *pool = worker->pool;
	double late_s = 0;
	void *job = NULL;

	pthread_mutex_lock(&pool->lock);
	pool->busy--;
	if (job_s >= 0)
		pool->job_s = pool->job_s > 0 ? pool->job_s + (job_s - pool->job_s) / AVERAGE_OVER : job_s;
	for (;;) {
		tidy_if_due(worker);
		while (!pool->queued && !pool->ending) {
			wait_for_work(worker);
			tidy_if_due(worker);
		}
		if (!pool->queued)
			break;
		job = pick(pool, &late_s);
		if (!(late_s > 0))
			break;
		pthread_mutex_unlock(&pool->lock);
		pool->refuse(job, late_s);
		job = NULL;
		pthread_mutex_lock(&pool->lock);
	}
	pool->busy += job != NULL;
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	struct fm_pool *pool = worker->pool;
	double job_s = -1;

	fm_cpu_flush_denormals();
	for (void *job; (job = take(worker, job_s));) {
		double begin_s = pool->now_s();
		pool->work(worker->resource, job);
		job_s = pool->now_s() - begin_s;
	}
	return NULL;
}

static enum fm_status start_workers(
        struct fm_pool *pool, const struct fm_pool_options *options, struct fm_error *err)
{
	enum fm_status status = FM_OK;

	for (size_t i = 0; !status && i < options->workers; i++) {
		struct worker *worker = &pool->workers[i];
		*worker = (struct worker){
		        .pool = pool, .resource = options->resources[i], .tidied_s = monotonic_s()};
		status = fm_thread_create("a worker", worker_main, worker, &worker->thread, err);
		pool->started += !status;
	}
	return status;
}

enum fm_status fm_pool_create(
        const struct fm_pool_options *options, struct fm_pool **ret_pool, struct fm_error *err)
{
	struct fm_pool *pool = fm_calloc(1, sizeof(*pool));
	pthread_condattr_t attributes;

	if (!pool)
		return fm_fail(err, FM_E_NOMEM, "no memory for the workers");
	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->filled, &attributes);
	pthread_condattr_destroy(&attributes);
	pool->work = options->work;
	pool->busy = options->workers; /* until they ask for work */
	pool->refuse = options->refuse;
	pool->now_s = options->now_s ? options->now_s : monotonic_s;
	pool->tidy = options->tidy;
	pool->tidy_s = options->tidy_s;
	pool->limits = options->limits;
	pool->capacity = options->limits.queue_length;
	pool->queue = fm_calloc(pool->capacity, sizeof(pool->queue[0]));
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

enum fm_status fm_pool_set_limits(
        struct fm_pool *pool, const struct fm_pool_limits *limits, struct fm_error *err)
{
	struct waiting *queue = NULL, *old = NULL;

	pthread_mutex_lock(&pool->lock);
	if (limits->queue_length > pool->capacity) {
		queue = fm_calloc(limits->queue_length, sizeof(*queue));
		if (!queue) {
			pthread_mutex_unlock(&pool->lock);
			return fm_fail(err, FM_E_NOMEM, "no memory for a longer queue");
		}
		for (size_t i = 0; i < pool->queued; i++)
			queue[i] = pool->queue[(pool->first + i) % pool->capacity];
		old = pool->queue;
		pool->queue = queue;
		pool->capacity = limits->queue_length;
		pool->first = 0;
	}
	pool->limits = *limits;
	pthread_mutex_unlock(&pool->lock);
	free(old);
	return FM_OK;
}

enum fm_status fm_pool_submit(struct fm_pool *pool, void *job, struct fm_error *err)
{
	bool full, ending;

	pthread_mutex_lock(&pool->lock);
	size_t length = pool->limits.queue_length;
	ending = pool->ending;
	full = pool->queued >= length;
	if (full)
		pool->overload_end_s = pool->now_s() + OVERLOAD_LASTS_S;
	if (!full && !ending) {
		pool->queue[(pool->first + pool->queued++) % pool->capacity] =
		        (struct waiting){.job = job, .since_s = pool->now_s()};
		pthread_cond_signal(&pool->filled);
	}
	pthread_mutex_unlock(&pool->lock);
	if (ending)
		return fm_fail(err, FM_E_CANCELLED, "the daemon is shutting down");
	if (full)
		return fm_fail(err, FM_E_BUSY, "all workers are busy and %zu requests wait", length);
	return FM_OK;
}

struct fm_pool_load fm_pool_load(struct fm_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	struct fm_pool_load load = {
	        .workers = pool->started,
	        .busy = pool->busy,
	        .queued = pool->queued,
	        .queue_length = pool->limits.queue_length,
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
