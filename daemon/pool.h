/*
 * A fixed set of worker threads, each with its own pipeline, behind a bounded queue. Threads: safe.
 */
#ifndef FM_DAEMON_POOL_H
#define FM_DAEMON_POOL_H

#include "lib/base/status.h"

#include <stddef.h>

struct fm_pool;

/* Runs on a worker. `resource` is the worker's own. */
typedef void (*fm_pool_work)(void *resource, void *job);

struct fm_pool_options {
	size_t workers, queue_length;
	void *const *resources; /* [workers]: one for each, owned by the caller */
	fm_pool_work work;
};

/* FM_E_NOMEM, FM_E_IO where threads cannot be started. Workers have denormals flushed and signals blocked. */
enum fm_status fm_pool_create(
        const struct fm_pool_options *options, struct fm_pool **ret_pool, struct fm_error *err);

/* Queues a job. Never waits: FM_E_BUSY when the queue is full, FM_E_CANCELLED after fm_pool_stop(). */
enum fm_status fm_pool_submit(struct fm_pool *pool, void *job, struct fm_error *err);

struct fm_pool_load {
	size_t workers, busy;
	size_t queued, queue_length;
};
struct fm_pool_load fm_pool_load(struct fm_pool *pool);

/* Finishes what is queued and running, then ends the workers. Call once, or leave it to fm_pool_free(). */
void fm_pool_stop(struct fm_pool *pool);

/* Stops, where that is not done; nobody may submit any more. */
void fm_pool_free(struct fm_pool *pool);

#endif
