/*
 * Requests with good, wrong and no keys beside reloads that change the keys, and connections that come, go
 * and are reaped: the tables of the gate and of connections hold.
 */
#include "daemon/connections.h"
#include "daemon/gate.h"
#include "daemon/log.h"

#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define ASKERS  4
#define RELOADS 300
/* SHA-256 of "test". */
#define LINE "sha256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 role=identify\n"

static struct fm_snapshot_slot slot;
static struct fm_gate *gate;
static struct fm_connections *connections;
static atomic_bool ending;
static atomic_long passed, refused, wrong;

static struct fm_snapshot *make(void)
{
	struct fm_config config;
	struct fm_snapshot *snapshot = NULL;

	if (fm_config_init(&config, NULL) ||
	        fm_config_set(&config, "limits", "requests_per_second", "100000", NULL) ||
	        fm_snapshot_create(&config, &snapshot, NULL))
		exit(EXIT_FAILURE);
	fm_keyring_free(snapshot->keys);
	if (fm_keyring_parse(LINE, "keys", &snapshot->keys, NULL))
		exit(EXIT_FAILURE);
	return snapshot;
}

static void ask(unsigned turn, const char *key)
{
	static const struct fm_route route = {.method = "GET",
	        .pattern = "/v1/info",
	        .flags = FM_ROUTE_NO_COLLECTION,
	        .role = FM_ROLE_IDENTIFY};
	struct sockaddr_in address = {
	        .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000000 + turn % 3000)};
	const struct fm_visitor visitor = {.address = (struct sockaddr *)&address, .api_key = key};
	struct fm_request request = {0};
	struct fm_snapshot *snapshot = fm_snapshot_get(&slot);
	struct fm_pass pass;
	struct fm_error err;

	enum fm_problem problem = fm_gate_check(
	        gate, snapshot, &route, &request, &visitor, fm_connections_now_s(), &pass, &err);
	bool good = key && strcmp(key, "test") == 0;
	atomic_fetch_add(problem ? &refused : &passed, 1);
	/* A good key may be refused where its address has guessed; a wrong one never passes. */
	if ((!good && !problem) || (good && problem && problem != FM_PROBLEM_RATE_LIMITED))
		atomic_fetch_add(&wrong, 1);
	fm_snapshot_put(snapshot);
}

static void connect_and_leave(int fd, unsigned turn)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000000 + turn % 7)};

	/* Numbers without descriptors: nothing is started, so that nothing is shut down. */
	if (fm_connections_admit(connections, fd, (struct sockaddr *)&address, 1000, 1000,
	            fm_connections_now_s() + turn % 2, NULL))
		return;
	fm_connections_deadline(connections, fd, INFINITY);
	fm_connections_release(connections, fd);
}

static void *asker_main(void *argument)
{
	int number = (int)(intptr_t)argument;
	static const char *const keys[] = {"test", "guess", NULL};

	for (unsigned turn = 0; !atomic_load(&ending); turn++) {
		ask(turn, keys[turn % 3]);
		connect_and_leave(100 + number * 50 + (int)(turn % 50), turn);
	}
	return NULL;
}

int main(void)
{
	pthread_t askers[ASKERS];

	fm_log_set_level(FM_LOG_ERROR); /* wrong keys are warned of */
	if (fm_gate_create(&gate, NULL) || fm_connections_create(&connections, NULL))
		return EXIT_FAILURE;
	fm_snapshot_slot_init(&slot, make());
	for (intptr_t i = 0; i < ASKERS; i++) {
		if (pthread_create(&askers[i], NULL, asker_main, (void *)i))
			return EXIT_FAILURE;
	}
	for (int i = 0; i < RELOADS; i++) {
		fm_snapshot_replace(&slot, make());
		fm_connections_reap(connections, fm_connections_now_s());
	}
	while (!atomic_load(&passed) || !atomic_load(&refused))
		fm_connections_count(connections);
	atomic_store(&ending, true);
	for (int i = 0; i < ASKERS; i++)
		pthread_join(askers[i], NULL);
	long left = (long)fm_connections_count(connections);
	fm_snapshot_slot_done(&slot);
	fm_gate_free(gate);
	fm_connections_free(connections);
	if (atomic_load(&wrong) || left) {
		fprintf(stderr, "%ld wrong answers, %ld connections left\n", atomic_load(&wrong), left);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
