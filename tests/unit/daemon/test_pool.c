#include "daemon/pool.h"

#include <criterion/criterion.h>

#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "lib/base/banned.h"

/* A job says that it runs, then waits for the gate. */
struct bench {
	sem_t running, gate;
	atomic_int done;
	atomic_int resources_seen[2];
};

static struct bench bench;
static sem_t tidied;

/* Time passes when a test says so. */
static atomic_long clock_ms = 1000;

static double now_s(void)
{
	return (double)atomic_load(&clock_ms) * 1e-3;
}

static void pass_ms(long ms)
{
	atomic_fetch_add(&clock_ms, ms);
}

static void wait_until_idle(struct fm_pool *pool)
{
	for (struct fm_pool_load load; load = fm_pool_load(pool), load.busy || load.queued;)
		usleep(1000);
}

static void work(void *resource, void *job)
{
	(void)job;
	atomic_fetch_add((atomic_int *)resource, 1);
	sem_post(&bench.running);
	sem_wait(&bench.gate);
	atomic_fetch_add(&bench.done, 1);
}

static void refuse(void *job, double waited_s)
{
	cr_expect_gt(waited_s, 0);
	atomic_fetch_add((atomic_int *)job, 1);
}

static struct fm_pool *create(size_t workers, size_t queue_length)
{
	static void *resources[2];
	struct fm_pool *pool = NULL;

	sem_init(&bench.running, 0, 0);
	sem_init(&bench.gate, 0, 0);
	resources[0] = &bench.resources_seen[0];
	resources[1] = &bench.resources_seen[1];
	const struct fm_pool_options options = {.workers = workers,
	        .limits = {.queue_length = queue_length, .timeout_s = INFINITY, .overload_wait_s = INFINITY},
	        .resources = resources,
	        .work = work,
	        .refuse = refuse};
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

/* Notes the order in which jobs run: a job is a pointer to its number. */
static int order[64], order_count;

static void note(void *resource, void *job)
{
	(void)resource;
	sem_post(&bench.running);
	sem_wait(&bench.gate);
	order[order_count++] = *(int *)job;
}

static struct fm_pool *create_noting(size_t queue_length, double timeout_s, double overload_wait_s)
{
	static void *resources[1];
	struct fm_pool *pool = NULL;
	const struct fm_pool_options options = {.workers = 1,
	        .limits = {.queue_length = queue_length,
	                .timeout_s = timeout_s,
	                .overload_wait_s = overload_wait_s},
	        .resources = resources,
	        .work = note,
	        .refuse = refuse,
	        .now_s = now_s};

	sem_init(&bench.running, 0, 0);
	sem_init(&bench.gate, 0, 0);
	cr_assert_eq(fm_pool_create(&options, &pool, NULL), FM_OK);
	return pool;
}

static void submit_numbers(struct fm_pool *pool, int *numbers, int count)
{
	for (int i = 0; i < count; i++) {
		numbers[i] = i;
		cr_assert_eq(fm_pool_submit(pool, &numbers[i], NULL), FM_OK, "%d", i);
		if (i == 0)
			sem_wait(&bench.running);
	}
}

Test(pool, first_come_first_served)
{
	struct fm_pool *pool = create_noting(8, INFINITY, INFINITY);
	int numbers[6];

	submit_numbers(pool, numbers, 6);
	for (int i = 0; i < 6; i++)
		sem_post(&bench.gate);
	fm_pool_free(pool);
	for (int i = 0; i < 6; i++)
		cr_expect_eq(order[i], i);
}

Test(pool, the_newest_first_once_the_queue_ran_full)
{
	struct fm_pool *pool = create_noting(4, INFINITY, INFINITY);
	int numbers[5], extra = 9;

	submit_numbers(pool, numbers, 5);
	cr_expect_eq(fm_pool_submit(pool, &extra, NULL), FM_E_BUSY);
	for (int i = 0; i < 5; i++)
		sem_post(&bench.gate);
	fm_pool_free(pool);
	const int expected[] = {0, 4, 3, 2, 1};
	for (int i = 0; i < 5; i++)
		cr_expect_eq(order[i], expected[i], "%d: %d", i, order[i]);
}

Test(pool, in_turn_again_a_second_later)
{
	struct fm_pool *pool = create_noting(4, INFINITY, INFINITY);
	int numbers[5], again[4], extra = 9;

	submit_numbers(pool, numbers, 5);
	cr_expect_eq(fm_pool_submit(pool, &extra, NULL), FM_E_BUSY);
	for (int i = 0; i < 5; i++)
		sem_post(&bench.gate);
	for (int i = 0; i < 4; i++)
		sem_wait(&bench.running);
	wait_until_idle(pool);
	pass_ms(1100);
	order_count = 0;
	submit_numbers(pool, again, 4);
	for (int i = 0; i < 4; i++)
		sem_post(&bench.gate);
	fm_pool_free(pool);
	for (int i = 0; i < 4; i++)
		cr_expect_eq(order[i], i, "%d: %d", i, order[i]);
}

Test(pool, who_waited_too_long_is_refused)
{
	struct fm_pool *pool = create_noting(8, 0.02, INFINITY);
	atomic_int late[3] = {0};
	int first = 0;

	cr_assert_eq(fm_pool_submit(pool, &first, NULL), FM_OK);
	sem_wait(&bench.running);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(fm_pool_submit(pool, &late[i], NULL), FM_OK);
	pass_ms(40);
	sem_post(&bench.gate);
	fm_pool_free(pool);
	cr_expect_eq(order_count, 1, "%d jobs ran", order_count);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(late[i], 1);
}

static void count_tidying(void *resource)
{
	(void)resource;
	sem_post(&tidied);
}

Test(pool, workers_tidy_idle_or_not)
{
	static atomic_int seen;
	void *resources[] = {&seen};
	struct fm_pool *pool = NULL;
	const struct fm_pool_options options = {.workers = 1,
	        .limits = {.queue_length = 2, .timeout_s = INFINITY, .overload_wait_s = INFINITY},
	        .resources = resources,
	        .work = work,
	        .refuse = refuse,
	        .tidy = count_tidying,
	        .tidy_s = 0.01};
	int job;

	sem_init(&bench.running, 0, 0);
	sem_init(&bench.gate, 0, 0);
	sem_init(&tidied, 0, 0);
	cr_assert_eq(fm_pool_create(&options, &pool, NULL), FM_OK);
	for (int i = 0; i < 2; i++)
		sem_wait(&tidied);
	cr_assert_eq(fm_pool_submit(pool, &job, NULL), FM_OK);
	sem_wait(&bench.running);
	while (sem_trywait(&tidied) == 0)
		;
	usleep(30000);
	cr_expect_neq(sem_trywait(&tidied), 0, "not beside a job");
	cr_assert_eq(fm_pool_submit(pool, &job, NULL), FM_OK);
	sem_post(&bench.gate);
	sem_wait(&bench.running);
	cr_expect_eq(sem_trywait(&tidied), 0, "between two jobs");
	sem_post(&bench.gate);
	fm_pool_free(pool);
	cr_expect_eq(seen, 2);
}

static void run_and_wait(struct fm_pool *pool, int *job, long ms)
{
	cr_assert_eq(fm_pool_submit(pool, job, NULL), FM_OK);
	sem_wait(&bench.running);
	pass_ms(ms);
	sem_post(&bench.gate);
}

/* Jobs of a millisecond make the mean; then one takes long. Without overload nobody minds. */
Test(pool, under_overload_patience_is_short)
{
	for (int full = 0; full < 2; full++) {
		struct fm_pool *pool = create_noting(full ? 3 : 4, INFINITY, 0.02);
		atomic_int waiting[3] = {0};
		int quick = 0, slow = 0, extra = 0;
		order_count = 0;
		for (int i = 0; i < 20; i++)
			run_and_wait(pool, &quick, 1);
		cr_assert_eq(fm_pool_submit(pool, &slow, NULL), FM_OK);
		sem_wait(&bench.running);
		for (int i = 0; i < 3; i++)
			cr_assert_eq(fm_pool_submit(pool, &waiting[i], NULL), FM_OK);
		if (full)
			cr_expect_eq(fm_pool_submit(pool, &extra, NULL), FM_E_BUSY);
		pass_ms(300);
		for (int i = 0; i < 4; i++)
			sem_post(&bench.gate);
		fm_pool_free(pool);
		cr_expect_eq(waiting[0] + waiting[1], full ? 2 : 0, "the oldest");
		cr_expect_eq(waiting[2], 0, "the newest is worked on: no worker idles");
		cr_expect_eq(order_count, full ? 22 : 24, "%d jobs ran", order_count);
	}
}

Test(pool, limits_change_while_jobs_wait)
{
	struct fm_pool *pool = create_noting(2, INFINITY, INFINITY);
	const struct fm_pool_limits longer = {
	        .queue_length = 5, .timeout_s = INFINITY, .overload_wait_s = INFINITY};
	const struct fm_pool_limits shorter = {
	        .queue_length = 1, .timeout_s = INFINITY, .overload_wait_s = INFINITY};
	int numbers[6] = {0, 1, 2, 3, 4, 5};

	submit_numbers(pool, numbers, 3);
	cr_assert_eq(fm_pool_set_limits(pool, &longer, NULL), FM_OK);
	for (int i = 3; i < 6; i++) {
		numbers[i] = i;
		cr_expect_eq(fm_pool_submit(pool, &numbers[i], NULL), FM_OK, "%d", i);
	}
	cr_expect_eq(fm_pool_submit(pool, &numbers[0], NULL), FM_E_BUSY);
	cr_assert_eq(fm_pool_set_limits(pool, &shorter, NULL), FM_OK);
	cr_expect_eq(fm_pool_submit(pool, &numbers[0], NULL), FM_E_BUSY);
	for (int i = 0; i < 6; i++)
		sem_post(&bench.gate);
	fm_pool_free(pool);
	cr_expect_eq(order_count, 6, "what waited stays: %d", order_count);
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
