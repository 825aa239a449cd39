/* Many submitters beside the end of the pool: every accepted job runs once, none runs after the stop. */
#include "daemon/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/banned.h"

#define WORKERS    4
#define SUBMITTERS 4
#define ROUNDS     200

struct shared {
	struct fm_pool *pool;
	atomic_long accepted, done, refused;
};

static struct shared shared;

/* Not atomic: two workers on one resource, or work beside tidying, would be a race. */
struct own {
	long jobs, tidied;
};

static void work(void *resource, void *job)
{
	++((struct own *)resource)->jobs;
	atomic_fetch_add((atomic_long *)job, 1);
}

static void tidy(void *resource)
{
	++((struct own *)resource)->tidied;
}

/* Patience is short, so that this happens too; both count what becomes of a job. */
static void refuse(void *job, double waited_s)
{
	(void)waited_s;
	atomic_fetch_add(&shared.refused, 1);
	atomic_fetch_add((atomic_long *)job, 1);
}

static void *submit(void *argument)
{
	(void)argument;
	for (;;) {
		enum fm_status status = fm_pool_submit(shared.pool, &shared.done, NULL);
		if (status == FM_E_CANCELLED)
			return NULL;
		if (status == FM_OK)
			atomic_fetch_add(&shared.accepted, 1);
	}
}

int main(void)
{
	for (int round = 0; round < ROUNDS; round++) {
		struct own counts[WORKERS] = {0};
		long total = 0;
		void *resources[WORKERS];
		pthread_t submitters[SUBMITTERS];
		const struct fm_pool_options options = {.workers = WORKERS,
		        .limits = {.queue_length = 8, .timeout_s = 1e-4, .overload_wait_s = 1e-5},
		        .resources = resources,
		        .work = work,
		        .refuse = refuse,
		        .tidy = tidy,
		        .tidy_s = 1e-5};

		shared = (struct shared){0};
		for (int i = 0; i < WORKERS; i++)
			resources[i] = &counts[i];
		if (fm_pool_create(&options, &shared.pool, NULL))
			return EXIT_FAILURE;
		for (int i = 0; i < SUBMITTERS; i++) {
			if (pthread_create(&submitters[i], NULL, submit, NULL))
				return EXIT_FAILURE;
		}
		while (atomic_load(&shared.done) < 50)
			sched_yield();
		fm_pool_stop(shared.pool);
		long done = atomic_load(&shared.done);
		for (int i = 0; i < SUBMITTERS; i++)
			pthread_join(submitters[i], NULL);
		for (int i = 0; i < WORKERS; i++)
			total += counts[i].jobs;
		if (done != atomic_load(&shared.done) || done != atomic_load(&shared.accepted) ||
		        done != total + atomic_load(&shared.refused)) {
			fprintf(stderr, "round %d: %ld accepted, %ld done at the stop, %ld by workers\n",
			        round, atomic_load(&shared.accepted), done, total);
			return EXIT_FAILURE;
		}
		fm_pool_free(shared.pool);
	}
	return EXIT_SUCCESS;
}
