#include "cli/cli.h"
#include "cli/gallery_maker.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/cpu/cpu.h"
#include "lib/search/index.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "lib/base/banned.h"

#define THREADS_MAX 64
#define PROBES_MAX  256
#define FACES_MAX   100000000
#define RUNS_MIN    5
#define RUNS_MAX    10000 /* of one thread */
#define REMOVALS    50
#define FIRST_PROBE ((uint64_t)1 << 40) /* numbers of probes: none is a face */

struct bench {
	struct fm_gallery_maker maker;
	struct fm_index *index;
	long faces, dim, threads, probes, top;
	double seconds;
	atomic_ulong fetched;
	double add_us, remove_ms, bytes_per_face;
};

static void bench_done(struct bench *bench)
{
	fm_index_free(bench->index);
	fm_gallery_maker_done(&bench->maker);
}

/* Stands for the database: makes the embeddings again. */
static enum fm_status fetch(void *context, const int64_t *face_keys, size_t count, float *ret_embeddings,
        bool *ret_found, struct fm_error *err)
{
	struct bench *bench = context;

	(void)err;
	for (size_t i = 0; i < count; i++) {
		fm_gallery_maker_make(
		        &bench->maker, (uint64_t)face_keys[i], ret_embeddings + i * bench->maker.dim);
		ret_found[i] = true;
	}
	atomic_fetch_add(&bench->fetched, count);
	return FM_OK;
}

static double resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long size = 0, resident = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	fclose(file);
	return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* One face a person, so that the ranking has as much to do as it can. */
static enum fm_status fill(struct bench *bench, struct fm_error *err)
{
	fm_autofree float *embedding = fm_calloc((size_t)bench->dim, sizeof(*embedding));
	struct fm_progress progress;
	double add_s = 0, before = resident_bytes();
	enum fm_status status = FM_OK;

	if (!embedding)
		return fm_fail(err, FM_E_NOMEM, "no memory for an embedding");
	fm_progress_begin(&progress, "faces", (size_t)bench->faces);
	fm_index_begin(bench->index);
	for (long i = 1; status == FM_OK && i <= bench->faces; i++) {
		fm_gallery_maker_make(&bench->maker, (uint64_t)i, embedding);
		double start = fm_clock_s();
		status = fm_index_add(bench->index, 1, i, i, embedding, err);
		add_s += fm_clock_s() - start;
		fm_progress_step(&progress);
	}
	fm_index_commit(bench->index);
	fm_progress_end(&progress);
	bench->add_us = add_s / (double)bench->faces * 1e6;
	bench->bytes_per_face = (resident_bytes() - before) / (double)bench->faces;
	return status;
}

/* One thread's searches, and how long each took. */
struct searcher {
	pthread_t thread;
	struct bench *bench;
	uint64_t number;
	double *ms;
	size_t runs;
	enum fm_status status;
	struct fm_error err;
};

static void *search(void *argument)
{
	struct searcher *searcher = argument;
	struct bench *bench = searcher->bench;
	const size_t count = (size_t)bench->probes, dim = (size_t)bench->dim, top = (size_t)bench->top;
	fm_autofree float *probes = fm_calloc(count * dim, sizeof(*probes));
	fm_autofree struct fm_index_hit *hits = fm_calloc(count * top, sizeof(*hits));
	fm_autofree size_t *counts = fm_calloc(count, sizeof(*counts));
	uint64_t number = FIRST_PROBE * (searcher->number + 1);
	const double end = fm_clock_s() + bench->seconds;

	fm_cpu_flush_denormals();
	if (!probes || !hits || !counts)
		searcher->status = fm_fail(&searcher->err, FM_E_NOMEM, "no memory for a search");
	/* The first one warms up. */
	for (bool warm = false; searcher->status == FM_OK && searcher->runs < RUNS_MAX; warm = true) {
		struct fm_index_size size;

		if (searcher->runs >= RUNS_MIN && fm_clock_s() >= end)
			break;
		for (size_t p = 0; p < count; p++)
			fm_gallery_maker_make(&bench->maker, number++, probes + p * dim);
		double start = fm_clock_s();
		searcher->status = fm_index_search(
		        bench->index, 1, probes, count, top, hits, counts, &size, &searcher->err);
		if (warm)
			searcher->ms[searcher->runs++] = (fm_clock_s() - start) * 1e3;
	}
	return NULL;
}

static int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void searchers_done(struct searcher **searchers)
{
	for (size_t i = 0; *searchers && i < THREADS_MAX; i++)
		free((*searchers)[i].ms);
	free(*searchers);
}

/* *ret_ms holds all threads' times, in order, for the caller to free. */
static enum fm_status measure(struct bench *bench, double **ret_ms, size_t *ret_runs, struct fm_error *err)
{
	fm_cleanup(searchers_done) struct searcher *searchers = fm_calloc(THREADS_MAX, sizeof(*searchers));
	fm_autofree double *ms = fm_calloc((size_t)bench->threads * RUNS_MAX, sizeof(*ms));
	size_t runs = 0, started = 0;
	enum fm_status status = FM_OK;

	if (!searchers || !ms)
		return fm_fail(err, FM_E_NOMEM, "no memory for the measurement");
	for (; status == FM_OK && started < (size_t)bench->threads; started += status == FM_OK) {
		struct searcher *searcher = &searchers[started];

		*searcher = (struct searcher){.bench = bench, .number = started};
		searcher->ms = fm_calloc(RUNS_MAX, sizeof(*searcher->ms));
		if (!searcher->ms || pthread_create(&searcher->thread, NULL, search, searcher) != 0)
			status = fm_fail(err, FM_E_NOMEM, "no memory for thread %zu", started + 1);
	}
	for (size_t i = 0; i < started; i++) {
		pthread_join(searchers[i].thread, NULL);
		if (status == FM_OK && searchers[i].status != FM_OK) {
			*err = searchers[i].err;
			status = searchers[i].status;
		}
		for (size_t k = 0; k < searchers[i].runs; k++)
			ms[runs++] = searchers[i].ms[k];
	}
	if (status != FM_OK)
		return status;
	qsort(ms, runs, sizeof(*ms), compare_doubles);
	*ret_ms = fm_steal(ms);
	*ret_runs = runs;
	return FM_OK;
}

static void measure_removals(struct bench *bench)
{
	double ms[REMOVALS];
	size_t count = 0;

	for (; count < REMOVALS && (long)count < bench->faces; count++) {
		double start = fm_clock_s();

		/* Spread over the gallery. */
		fm_index_remove_person(
		        bench->index, 1 + (int64_t)((double)bench->faces / REMOVALS * (double)count));
		ms[count] = (fm_clock_s() - start) * 1e3;
	}
	qsort(ms, count, sizeof(ms[0]), compare_doubles);
	bench->remove_ms = ms[count / 2];
}

static enum fm_status run(struct bench *bench, const char *like, bool as_json, struct fm_error *err)
{
	fm_autofree double *ms = NULL;
	size_t runs = 0;
	enum fm_status status = FM_OK;

	bench->maker.dim = (size_t)bench->dim;
	if (like)
		status = fm_gallery_maker_read(like, (size_t)bench->dim, &bench->maker, err);
	if (!status)
		status = fm_index_create((size_t)bench->dim, fetch, bench, &bench->index, err);
	if (!status)
		status = fill(bench, err);
	if (!status)
		status = measure(bench, &ms, &runs, err);
	if (status)
		return status;
	const double searched = (double)(runs + (size_t)bench->threads) * (double)bench->probes;
	const double fetched = (double)atomic_load(&bench->fetched) / searched;

	measure_removals(bench);
	json_t *json = json_pack(
	        "{s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "faces",
	        (json_int_t)bench->faces, "dim", (json_int_t)bench->dim, "threads",
	        (json_int_t)bench->threads, "probes", (json_int_t)bench->probes, "top",
	        (json_int_t)bench->top, "data", like ? "real embeddings perturbed" : "random unit vectors",
	        "isa", fm_isa_name(fm_isa_best()), "runs", (json_int_t)runs, "median_ms", ms[runs / 2],
	        "min_ms", ms[0], "median_ms_per_probe", ms[runs / 2] / (double)bench->probes,
	        "fetched_per_probe", fetched, "bytes_per_face", bench->bytes_per_face, "add_us",
	        bench->add_us, "remove_ms", bench->remove_ms);

	return fm_json_print(json, as_json, err);
}

static int bench_search_run(struct fm_call *call)
{
	fm_cleanup(bench_done) struct bench bench = {
	        .faces = 100000, .dim = 512, .threads = 1, .probes = 1, .top = 10, .seconds = 2};
	const char *like = NULL;
	bool as_json = false;
	const struct fm_option options[] = {
	        {"faces", FM_OPTION_COUNT, &bench.faces, "N", "size of the gallery (default: 100000)",
	                .low = 1, .high = FACES_MAX},
	        {"dim", FM_OPTION_COUNT, &bench.dim, "D", "dimensions (default: 512)", .low = 1,
	                .high = FM_INDEX_DIM_MAX},
	        {"threads", FM_OPTION_COUNT, &bench.threads, "T", "searches at once (default: 1)", .low = 1,
	                .high = THREADS_MAX},
	        {"probes", FM_OPTION_COUNT, &bench.probes, "P", "probes a search (default: 1)", .low = 1,
	                .high = PROBES_MAX},
	        {"top", FM_OPTION_COUNT, &bench.top, "K", "people in an answer (default: 10)", .low = 1,
	                .high = 1000},
	        {"like", FM_OPTION_TEXT, &like, "FILE",
	                "perturb the embeddings in FILE (from facematchctl embed) instead of random ones"},
	        {"seconds", FM_OPTION_SECONDS, &bench.seconds, "S", "how long to measure (default: 2)",
	                .low = 0.01, .high = 3600},
	        {"json", FM_OPTION_FLAG, &as_json, NULL, "print one line of JSON"},
	};
	struct fm_error err;
	int result;

	if (!fm_options_parse(call, options, FM_ARRAY_SIZE(options), 0, 0, &result))
		return result;
	if (run(&bench, like, as_json, &err)) {
		fm_complain("%s", err.message);
		return FM_EXIT_FAILURE;
	}
	return FM_EXIT_OK;
}

const struct fm_command fm_cmd_bench_search = {
        .name = "bench search",
        .operands = "",
        .summary = "time the search of a gallery on this machine",
        .description =
                "Fills the daemon's index with a made-up gallery, one face a person, and prints the median "
                "and\n"
                "the fastest time of one search in each thread (of P probes together), the resident memory "
                "a\n"
                "face, how many embeddings a probe fetched for the exact answer, and the time to add a face "
                "and\n"
                "to remove a person. Embeddings are random unit vectors, the hardest to tell apart, or real "
                "ones\n"
                "with noise of half their length; probes are made alike. Fetching is making them again, "
                "which\n"
                "takes about as long as reading them from the database.\n"
                "FACEMATCH_ISA in the environment (scalar, sse41, avx2, …) lowers the instruction set.",
        .example = "  facematchctl bench search --faces 1000000 --dim 512 --threads 1 --json",
        .run = bench_search_run,
};
