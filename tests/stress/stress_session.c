/*
 * One network, one session for each thread: under ThreadSanitizer, that running writes to nothing shared;
 * anywhere, that every thread gets the same bits.
 */
#include "lib/nn/session.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, RUNS = 200, OUTPUTS_MAX = 4, ELEMENTS_MAX = 4096 };

struct worker {
	const struct fm_net *net;
	float outputs[OUTPUTS_MAX][ELEMENTS_MAX];
	int failed;
};

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct fm_session *session;
	float input[ELEMENTS_MAX], *outputs[OUTPUTS_MAX];
	const float *const inputs[] = {input};

	for (size_t i = 0; i < ELEMENTS_MAX; i++)
		input[i] = (float)(i % 23) - 11.0f;
	for (size_t i = 0; i < OUTPUTS_MAX; i++)
		outputs[i] = worker->outputs[i];
	for (int run = 0; run < RUNS; run++) {
		if (fm_session_create(worker->net, &session, NULL)) {
			worker->failed = 1;
			return NULL;
		}
		fm_session_run(session, inputs, outputs);
		fm_session_free(session);
	}
	return NULL;
}

static int stress(const char *path, enum fm_precision precision)
{
	static struct worker workers[THREADS];
	const struct fm_net_options options = {.precision = precision};
	pthread_t threads[THREADS];
	struct fm_net *net;
	struct fm_error err;
	int failed = 0;

	if (fm_net_load(path, &options, &net, &err)) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	memset(workers, 0, sizeof(workers));
	for (int i = 0; i < THREADS; i++) {
		workers[i].net = net;
		if (pthread_create(&threads[i], NULL, work, &workers[i]))
			abort();
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++)
		if (workers[i].failed ||
		        memcmp(workers[i].outputs, workers[0].outputs, sizeof(workers[0].outputs)))
			failed = 1;
	fm_net_free(net);
	if (failed)
		fprintf(stderr, "%s: threads disagree in %s\n", path, fm_precision_name(precision));
	return failed;
}

int main(void)
{
	int failed = 0;

	for (int precision = 0; precision < 2; precision++)
		for (int i = 0; i < 3; i++) {
			char path[64];

			snprintf(path, sizeof(path), "tests/fuzz/corpus/onnx/specimen-%d.onnx", i);
			failed |= stress(path, (enum fm_precision)precision);
		}
	return failed;
}
