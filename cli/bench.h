/* Timing a network: several threads, one session each, started together after a warm-up. */
#ifndef FM_CLI_BENCH_H
#define FM_CLI_BENCH_H

#include "lib/nn/net.h"

#include <stddef.h>

#define FM_BENCH_THREADS_MAX 256
#define FM_BENCH_RUNS_MAX    1000000 /* of one thread */

struct fm_bench {
	size_t threads, runs; /* runs of all threads together */
	double median_ms, min_ms;
	double *layer_ms; /* [fm_net_layer_count] medians, or NULL; owned */
};
void fm_bench_done(struct fm_bench *bench);

/* At least five runs a thread, and as many as fit into the time. Errors: FM_E_NOMEM, those of sessions. */
enum fm_status fm_bench_run(const struct fm_net *net, size_t threads, double seconds,
        struct fm_bench *ret_bench, struct fm_error *err);

/* Adds layer_ms, from runs of their own in one thread: taking the times costs time. */
enum fm_status fm_bench_layers(
        const struct fm_net *net, double seconds, struct fm_bench *bench, struct fm_error *err);

#endif
