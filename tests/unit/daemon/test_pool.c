#include "daemon/pool.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "lib/base/banned.h"

/* A job says that it runs, then waits for the gate. */
struct bench {
	sem_t running, gate;
	atomic_int done;
	atomic_int resources_seen[2];
};

static struct bench bench;

static void work(void *resource, void *job)
{
	(void)job;
	atomic_fetch_add((atomic_int *)resource, 1);
	sem_post(&bench.running);
	sem_wait(&bench.gate);
	atomic_fetch_add(&bench.done, 1);
}

static struct fm_pool *create(size_t workers, size_t queue_length)
{
	static void *resources[2];
	struct fm_pool *pool = NULL;

	sem_init(&bench.running, 0, 0);
	sem_init(&bench.gate, 0, 0);
	resources[0] = &bench.resources_seen[0];
	resources[1] = &bench.resources_seen[1];
	const struct fm_pool_options options = {
	        .workers = workers, .queue_length = queue_length, .resources = resources, .work = work};
	cr_assert_eq(fm_pool_create(&options, &pool, NULL), FM_OK);
	return pool;
}

Test(pool, full_queue_is_busy_at_once)
{
	struct fm_pool *pool = create(1, 2);
	int job;

	cr_assert_eq(fm_pool_submit(pool, &job, NULL), FM_OK);
	sem_wait(&bench.running); /* the worker holds it: the queue is empty again */
	cr_expect_eq(fm_pool_submit(pool, &job, NULL), FM_OK);
	cr_expect_eq(fm_pool_submit(pool, &job, NULL), FM_OK);
	cr_expect_eq(fm_pool_submit(pool, &job, NULL), FM_E_BUSY);
	sem_post(&bench.gate);
	sem_wait(&bench.running);
	cr_expect_eq(fm_pool_submit(pool, &job, NULL), FM_OK, "there is room again");
	for (int i = 0; i < 3; i++)
		sem_post(&bench.gate);
	fm_pool_free(pool);
	cr_expect_eq(bench.done, 4, "what was queued is finished: %d", bench.done);
}

Test(pool, each_worker_has_its_own_resource)
{
	struct fm_pool *pool = create(2, 2);
	int job;

	for (int i = 0; i < 2; i++)
		cr_assert_eq(fm_pool_submit(pool, &job, NULL), FM_OK);
	for (int i = 0; i < 2; i++)
		sem_wait(&bench.running); /* both run at the same time */
	cr_expect_eq(bench.resources_seen[0], 1);
	cr_expect_eq(bench.resources_seen[1], 1);
	for (int i = 0; i < 2; i++)
		sem_post(&bench.gate);
	fm_pool_free(pool);
}

static void *stop(void *pool)
{
	fm_pool_stop(pool);
	return NULL;
}

Test(pool, stop_finishes_and_then_refuses)
{
	struct fm_pool *pool = create(1, 4);
	pthread_t stopper;
	int job;

	for (int i = 0; i < 3; i++)
		cr_assert_eq(fm_pool_submit(pool, &job, NULL), FM_OK);
	sem_wait(&bench.running);
	cr_assert_eq(pthread_create(&stopper, NULL, stop, pool), 0);
	for (int i = 0; i < 3; i++)
		sem_post(&bench.gate);
	pthread_join(stopper, NULL);
	cr_expect_eq(bench.done, 3);
	cr_expect_eq(fm_pool_submit(pool, &job, NULL), FM_E_CANCELLED);
	fm_pool_free(pool);
}

Test(pool, null_is_free)
{
	fm_pool_free(NULL);
}
