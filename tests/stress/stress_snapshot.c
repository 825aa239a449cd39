/* Requests that hold snapshots beside reloads: what is held stays whole, and all is freed at the end. */
#include "daemon/snapshot.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/banned.h"

#define READERS 4
#define RELOADS 2000

static struct fm_snapshot_slot slot;
static atomic_bool ending;
static atomic_long torn, looks;

/* Every snapshot says the same number twice. */
static struct fm_snapshot *make(int number)
{
	struct fm_config config;
	struct fm_snapshot *snapshot = NULL;
	char text[16];

	snprintf(text, sizeof(text), "%d", 100 + number % 900);
	if (fm_config_init(&config, NULL) || fm_config_set(&config, "detect", "min_face_px", text, NULL) ||
	        fm_config_set(&config, "models", "dir", text, NULL) ||
	        fm_snapshot_create(&config, &snapshot, NULL))
		exit(EXIT_FAILURE);
	return snapshot;
}

static void *look(void *argument)
{
	(void)argument;
	while (!atomic_load(&ending)) {
		struct fm_snapshot *snapshot = fm_snapshot_get(&slot);
		long said = strtol(snapshot->config.models_dir, NULL, 10);
		if (said != snapshot->config.min_face_px || said != snapshot->pipeline.min_face_px)
			atomic_fetch_add(&torn, 1);
		fm_snapshot_put(snapshot);
		atomic_fetch_add(&looks, 1);
	}
	return NULL;
}

int main(void)
{
	pthread_t readers[READERS];

	fm_snapshot_slot_init(&slot, make(0));
	for (int i = 0; i < READERS; i++) {
		if (pthread_create(&readers[i], NULL, look, NULL))
			return EXIT_FAILURE;
	}
	for (int i = 1; i <= RELOADS; i++)
		fm_snapshot_replace(&slot, make(i));
	while (!atomic_load(&looks))
		sched_yield();
	atomic_store(&ending, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	fm_snapshot_slot_done(&slot);
	if (atomic_load(&torn)) {
		fprintf(stderr, "%ld of %ld looks saw two snapshots at once\n", atomic_load(&torn),
		        atomic_load(&looks));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
