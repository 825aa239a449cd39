/*
 * A fixed set of worker threads, each with its own pipeline, behind a bounded queue. Threads: safe.
 *
 * First come, first served, as long as the queue holds everybody: a burst waits, and a fixed number of
 * clients that each wait for their replies get them in turn. When the queue has run full, more comes than can
 * be done, and waiting helps nobody: until nobody has been refused for a second the newest is served first,
 * and who has waited for twice as long as a job takes is refused. So what is served under overload is served
 * about as quickly as without, instead of everything late (Nichols and Jacobson, "Controlling Queue Delay",
 * ACM Queue 10(5), 2012, on standing queues; Maurer, "Fail at Scale", ACM Queue 13(8), 2015, on both measures
 * together).
 */
#ifndef FM_DAEMON_POOL_H
#define FM_DAEMON_POOL_H

#include "lib/base/status.h"

#include <stddef.h>

struct fm_pool;

/* Runs on a worker. `resource` is the worker's own. */
typedef void (*fm_pool_work)(void *resource, void *job);
/* Runs on a worker, now and then, between its jobs. */
typedef void (*fm_pool_tidy)(void *resource);
/* Runs on a worker, in place of work: the job has waited too long. */
typedef void (*fm_pool_refuse)(void *job, double waited_s);

struct fm_pool_limits {
	size_t queue_length;    /* at least 1 */
	double timeout_s;       /* who has waited longer is refused */
	double overload_wait_s; /* the same under overload, unless twice a job's mean is longer */
};

struct fm_pool_options {
	size_t workers;
	struct fm_pool_limits limits;
	void *const *resources; /* [workers]: one for each, owned by the caller */
	fm_pool_work work;
	fm_pool_refuse refuse;
	fm_pool_tidy tidy;     /* or NULL */
	double tidy_s;         /* how often each worker tidies, whether or not it has work */
	double (*now_s)(void); /* the clock; NULL: the monotonic one of the machine */
};

/* FM_E_NOMEM, FM_E_IO where threads cannot be started. Workers have denormals flushed and signals blocked. */
enum fm_status fm_pool_create(
        const struct fm_pool_options *options, struct fm_pool **ret_pool, struct fm_error *err);

/* Other limits from now on; what waits stays. FM_E_NOMEM changes nothing. */
enum fm_status fm_pool_set_limits(
        struct fm_pool *pool, const struct fm_pool_limits *limits, struct fm_error *err);

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
