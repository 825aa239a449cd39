#include "cli/bench.h"

#include "cli/progress.h"
#include "cli/stats.h"
#include "cli/tensors.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/cpu/cpu.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/banned.h"

#define RUNS_MIN       5
#define WARM_UP_S      0.2
#define WARM_UP_RUNS   3
#define LAYER_RUNS_MAX 2000

/* Opens when everybody expected has come; fewer are expected when a thread could not be started. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t expected, waiting;
};

struct runner {
	pthread_t thread;
	struct gate *gate;
	double seconds;
	struct fm_session *session;
	struct fm_tensors tensors;
	double *run_ms; /* [FM_BENCH_RUNS_MAX]: pages are only taken as they are written */
	size_t runs;
};

void fm_bench_done(struct fm_bench *bench)
{
	free(bench->layer_ms);
	*bench = (struct fm_bench){0};
}

static enum fm_status runner_init(
        struct runner *runner, const struct fm_net *net, double seconds, size_t samples, struct fm_error *err)
{
	enum fm_status status = fm_tensors_create(net, &runner->tensors, err);

	if (!status)
		status = fm_session_create(net, &runner->session, err);
	if (status)
		return status;
	fm_tensors_fill(&runner->tensors, net);
	runner->seconds = seconds;
	runner->run_ms = fm_calloc(samples, sizeof(*runner->run_ms));
	return runner->run_ms ? FM_OK : fm_fail(err, FM_E_NOMEM, "no memory for %zu times", samples);
}

static void runner_done(struct runner *runner)
{
	fm_session_free(runner->session);
	fm_tensors_done(&runner->tensors);
	free(runner->run_ms);
}

/* Caches, pages, branch predictors and clock speed settle before anything counts. */
static void warm_up(struct runner *runner)
{
	double start_s = fm_clock_s();

	fm_cpu_flush_denormals();
	for (size_t i = 0; i < WARM_UP_RUNS || fm_clock_s() - start_s < WARM_UP_S; i++)
		fm_tensors_run(&runner->tensors, runner->session);
}

static void gate_pass(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->waiting++;
	pthread_cond_broadcast(&gate->changed);
	while (gate->waiting < gate->expected)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

static void gate_expect(struct gate *gate, size_t expected)
{
	pthread_mutex_lock(&gate->lock);
	gate->expected = expected;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

static void *measure(void *argument)
{
	struct runner *runner = argument;

	warm_up(runner);
	gate_pass(runner->gate);
	double start_s = fm_clock_s(), before_s = start_s;
	while (runner->runs < FM_BENCH_RUNS_MAX &&
	        (runner->runs < RUNS_MIN || before_s - start_s < runner->seconds)) {
		fm_tensors_run(&runner->tensors, runner->session);
		double now_s = fm_clock_s();
		runner->run_ms[runner->runs++] = (now_s - before_s) * 1e3;
		before_s = now_s;
	}
	return NULL;
}

static enum fm_status summarise(
        const struct runner *runners, size_t threads, struct fm_bench *ret_bench, struct fm_error *err)
{
	struct fm_bench bench = {.threads = threads};
	fm_autofree double *all = NULL;

	for (size_t i = 0; i < threads; i++)
		bench.runs += runners[i].runs;
	all = fm_calloc(bench.runs, sizeof(*all));
	if (!all)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu times", bench.runs);
	for (size_t i = 0, filled = 0; i < threads; filled += runners[i++].runs)
		memcpy(all + filled, runners[i].run_ms, runners[i].runs * sizeof(*all));
	bench.median_ms = fm_stats_median(all, bench.runs);
	bench.min_ms = all[0]; /* the median sorted them */
	*ret_bench = bench;
	return FM_OK;
}

static enum fm_status run_threads(struct runner *runners, size_t threads, struct fm_error *err)
{
	struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, .expected = threads};
	enum fm_status status = FM_OK;
	size_t started = 0;

	for (; started < threads; started++) {
		runners[started].gate = &gate;
		int errnum = pthread_create(&runners[started].thread, NULL, measure, &runners[started]);
		if (errnum) {
			status = fm_fail_errno(err, errnum, "cannot start thread %zu", started + 1);
			gate_expect(&gate, started);
			break;
		}
	}
	for (size_t i = 0; i < started; i++)
		pthread_join(runners[i].thread, NULL);
	return status;
}

enum fm_status fm_bench_run(const struct fm_net *net, size_t threads, double seconds,
        struct fm_bench *ret_bench, struct fm_error *err)
{
	fm_autofree struct runner *runners = fm_calloc(threads, sizeof(*runners));
	enum fm_status status = FM_OK;

	if (!runners)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu threads", threads);
	for (size_t i = 0; !status && i < threads; i++)
		status = runner_init(&runners[i], net, seconds, FM_BENCH_RUNS_MAX, err);
	if (!status)
		status = run_threads(runners, threads, err);
	if (!status)
		status = summarise(runners, threads, ret_bench, err);
	for (size_t i = 0; i < threads; i++)
		runner_done(&runners[i]);
	return status;
}

/* run_ms becomes [layer][LAYER_RUNS_MAX]. */
static void measure_layers(struct runner *runner, size_t layers, uint64_t *layer_ns)
{
	warm_up(runner);
	for (double start_s = fm_clock_s();
	        runner->runs < LAYER_RUNS_MAX &&
	        (runner->runs < RUNS_MIN || fm_clock_s() - start_s < runner->seconds);
	        runner->runs++) {
		fm_session_run_timed(runner->session, (const float *const *)runner->tensors.inputs,
		        runner->tensors.outputs, layer_ns);
		for (size_t i = 0; i < layers; i++)
			runner->run_ms[i * LAYER_RUNS_MAX + runner->runs] = (double)layer_ns[i] * 1e-6;
	}
}

enum fm_status fm_bench_layers(
        const struct fm_net *net, double seconds, struct fm_bench *bench, struct fm_error *err)
{
	size_t layers = fm_net_layer_count(net), samples;
	fm_autofree uint64_t *layer_ns = fm_calloc(layers, sizeof(*layer_ns));
	fm_autofree double *layer_ms = fm_calloc(layers, sizeof(*layer_ms));
	struct runner runner = {0};
	enum fm_status status;

	if (!layer_ns || !layer_ms || !fm_size_mul(layers, LAYER_RUNS_MAX, &samples))
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu layers", layers);
	status = runner_init(&runner, net, seconds, samples, err);
	if (!status) {
		measure_layers(&runner, layers, layer_ns);
		for (size_t i = 0; i < layers; i++)
			layer_ms[i] = fm_stats_median(runner.run_ms + i * LAYER_RUNS_MAX, runner.runs);
		free(bench->layer_ms);
		bench->layer_ms = fm_steal(layer_ms);
	}
	runner_done(&runner);
	return status;
}
