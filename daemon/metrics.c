#include "daemon/metrics.h"

#include "daemon/router.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/face/pipeline.h"

#include <dirent.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/banned.h"

_Static_assert(FM_COUNTER_REFUSED_REASON_END - FM_COUNTER_REFUSED_REASON == FM_REASON_COUNT,
        "each reason has its counter");

/* Rows of one name stand together: the help of the first is theirs. `labels` is NULL where there are none. */
static const struct counter_row {
	const char *name, *labels, *help;
} counter_rows[FM_COUNTER_COUNT] = {
        [FM_COUNTER_FACES_FOUND] = {"facematchd_faces_found_total", NULL, "Faces found in photos."},
        [FM_COUNTER_VERIFY_MATCH] = {"facematchd_decisions_total", "operation=\"verify\",decision=\"match\"",
                "Decisions, by operation: of two photos, or of each face looked up."},
        [FM_COUNTER_VERIFY_DIFFERENT] = {"facematchd_decisions_total",
                "operation=\"verify\",decision=\"different\"", NULL},
        [FM_COUNTER_IDENTIFY_MATCH] = {"facematchd_decisions_total",
                "operation=\"identify\",decision=\"match\"", NULL},
        [FM_COUNTER_IDENTIFY_UNKNOWN] = {"facematchd_decisions_total",
                "operation=\"identify\",decision=\"unknown\"", NULL},
        [FM_COUNTER_ENROLLED] = {"facematchd_faces_enrolled_total", NULL, "Faces enrolled."},
        [FM_COUNTER_REFUSED_NO_FACE] = {"facematchd_enrolments_refused_total", "reason=\"no_face\"",
                "Photos refused for enrolment; a face may have several reasons."},
        [FM_COUNTER_REFUSED_MULTIPLE_FACES] = {"facematchd_enrolments_refused_total",
                "reason=\"multiple_faces\"", NULL},
        [FM_COUNTER_REFUSED_REASON + 0] = {"facematchd_enrolments_refused_total", "reason=\"small_face\"",
                NULL},
        [FM_COUNTER_REFUSED_REASON + 1] = {"facematchd_enrolments_refused_total", "reason=\"low_sharpness\"",
                NULL},
        [FM_COUNTER_REFUSED_REASON + 2] = {"facematchd_enrolments_refused_total", "reason=\"low_brightness\"",
                NULL},
        [FM_COUNTER_REFUSED_REASON + 3] = {"facematchd_enrolments_refused_total",
                "reason=\"high_brightness\"", NULL},
        [FM_COUNTER_REFUSED_REASON + 4] = {"facematchd_enrolments_refused_total", "reason=\"extreme_pose\"",
                NULL},
        [FM_COUNTER_REFUSED_REASON + 5] = {"facematchd_enrolments_refused_total", "reason=\"low_confidence\"",
                NULL},
        [FM_COUNTER_REFUSED_REASON + 6] = {"facematchd_enrolments_refused_total", "reason=\"cut_by_border\"",
                NULL},
};

#define BOUNDS_MAX 16
static const double seconds_bounds[] = {
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
/* 0.5 is the threshold of 1:1 (docs/API.md), so that the share above it can be read off. */
static const double similarity_bounds[] = {0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95};

#define SECONDS    seconds_bounds, FM_ARRAY_SIZE(seconds_bounds)
#define SIMILARITY similarity_bounds, FM_ARRAY_SIZE(similarity_bounds)
#define STAGE      "facematchd_stage_seconds"

static const struct histogram_row {
	const char *name, *labels, *help;
	const double *bounds;
	size_t bound_count;
} histogram_rows[FM_HISTOGRAM_COUNT] = {
        [FM_HISTOGRAM_REQUEST] = {"facematchd_request_seconds", NULL,
                "Time from a request's first byte to the end of its reply, in seconds.", SECONDS},
        [FM_HISTOGRAM_STAGE_QUEUE] = {STAGE, "stage=\"queue\"",
                "Time that a request spent waiting for a worker and in each stage of the work, in seconds.",
                SECONDS},
        [FM_HISTOGRAM_STAGE_DECODE] = {STAGE, "stage=\"decode\"", NULL, SECONDS},
        [FM_HISTOGRAM_STAGE_DETECT] = {STAGE, "stage=\"detect\"", NULL, SECONDS},
        [FM_HISTOGRAM_STAGE_EMBED] = {STAGE, "stage=\"embed\"", NULL, SECONDS},
        [FM_HISTOGRAM_STAGE_SEARCH] = {STAGE, "stage=\"search\"", NULL, SECONDS},
        [FM_HISTOGRAM_SIMILARITY] = {"facematchd_similarity", NULL,
                "Similarity of the best candidate of each face looked up.", SIMILARITY},
        [FM_HISTOGRAM_MARGIN] = {"facematchd_runner_up_margin", NULL,
                "By how much similarity the best candidate leads the second person.", SIMILARITY},
};

#define SUM_UNITS 1e6
/* The HTTP statuses that are answered: every problem's and these. Others are counted under the last. */
static const int plain_statuses[] = {200, 201, 202, 204, 206, 304};
#define STATUS_MAX (FM_ARRAY_SIZE(plain_statuses) + FM_PROBLEM_COUNT)

struct histogram {
	_Atomic uint64_t buckets[BOUNDS_MAX + 1]; /* not cumulative; the last has no bound */
	_Atomic uint64_t sum_units;
};

struct fm_metrics {
	double start_s; /* since the epoch */
	_Atomic uint64_t counters[FM_COUNTER_COUNT];
	struct histogram histograms[FM_HISTOGRAM_COUNT];
	_Atomic uint64_t problems[FM_PROBLEM_COUNT];
	size_t status_count;
	int statuses[STATUS_MAX];
	_Atomic uint64_t requests[]; /* [fm_route_count + 1][status_count]; the last row has no route */
};

/* Problems share statuses; each is listed once. */
static size_t list_statuses(int ret_statuses[STATUS_MAX])
{
	size_t count = FM_ARRAY_SIZE(plain_statuses);

	for (size_t i = 0; i < count; i++)
		ret_statuses[i] = plain_statuses[i];
	for (int p = FM_PROBLEM_NONE + 1; p < FM_PROBLEM_COUNT; p++) {
		int status = fm_problem_http_status((enum fm_problem)p);
		size_t i = 0;
		while (i < count && ret_statuses[i] != status)
			i++;
		if (i == count)
			ret_statuses[count++] = status;
	}
	return count;
}

enum fm_status fm_metrics_create(struct fm_metrics **ret_metrics, struct fm_error *err)
{
	int statuses[STATUS_MAX];
	size_t status_count = list_statuses(statuses);
	struct fm_metrics *metrics = fm_calloc(
	        1, sizeof(*metrics) + (fm_route_count + 1) * status_count * sizeof(metrics->requests[0]));
	struct timespec now;

	if (!metrics)
		return fm_fail(err, FM_E_NOMEM, "no memory for the metrics");
	clock_gettime(CLOCK_REALTIME, &now);
	metrics->start_s = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
	metrics->status_count = status_count;
	for (size_t i = 0; i < status_count; i++)
		metrics->statuses[i] = statuses[i];
	*ret_metrics = metrics;
	return FM_OK;
}

void fm_metrics_free(struct fm_metrics *metrics)
{
	free(metrics);
}

static void add(_Atomic uint64_t *figure, uint64_t amount)
{
	atomic_fetch_add_explicit(figure, amount, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *figure)
{
	return atomic_load_explicit(figure, memory_order_relaxed);
}

void fm_metrics_add(struct fm_metrics *metrics, enum fm_counter counter, uint64_t amount)
{
	add(&metrics->counters[counter], amount);
}

void fm_metrics_observe(struct fm_metrics *metrics, enum fm_histogram which, double value)
{
	const struct histogram_row *row = &histogram_rows[which];
	struct histogram *histogram = &metrics->histograms[which];
	size_t bucket = 0;

	while (bucket < row->bound_count && value > row->bounds[bucket])
		bucket++;
	add(&histogram->buckets[bucket], 1);
	add(&histogram->sum_units, (uint64_t)llround(fmax(value, 0) * SUM_UNITS));
}

void fm_metrics_request(struct fm_metrics *metrics, const struct fm_route *route, int http_status)
{
	size_t r = route ? (size_t)(route - fm_routes) : fm_route_count, s = 0;

	while (s + 1 < metrics->status_count && metrics->statuses[s] != http_status)
		s++;
	add(&metrics->requests[r * metrics->status_count + s], 1);
}

void fm_metrics_problem(struct fm_metrics *metrics, enum fm_problem problem)
{
	add(&metrics->problems[problem], 1);
}

/* ---- writing ---- */

/* The first failure stays; what comes after it writes nothing. */
struct writer {
	struct fm_buf *out;
	enum fm_status status;
	struct fm_error *err;
};

#define WRITE(writer, ...)                                                                                   \
	do {                                                                                                 \
		if (!(writer)->status)                                                                       \
			(writer)->status = fm_buf_printf((writer)->out, (writer)->err, __VA_ARGS__);         \
	} while (0)

static void write_head(struct writer *writer, const char *name, const char *type, const char *help)
{
	WRITE(writer, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_gauge(
        struct writer *writer, const char *name, const char *type, const char *help, double value)
{
	write_head(writer, name, type, help);
	WRITE(writer, "%s %.15g\n", name, value);
}

static void write_counters(struct writer *writer, const struct fm_metrics *metrics)
{
	for (size_t i = 0; i < FM_COUNTER_COUNT; i++) {
		const struct counter_row *row = &counter_rows[i];
		if (row->help)
			write_head(writer, row->name, "counter", row->help);
		WRITE(writer, "%s%s%s%s %llu\n", row->name, row->labels ? "{" : "",
		        row->labels ? row->labels : "", row->labels ? "}" : "",
		        (unsigned long long)get(&metrics->counters[i]));
	}
}

static void write_histogram(
        struct writer *writer, const struct histogram_row *row, const struct histogram *histogram)
{
	const char *labels = row->labels ? row->labels : "", *comma = row->labels ? "," : "";
	unsigned long long below = 0;

	if (row->help)
		write_head(writer, row->name, "histogram", row->help);
	for (size_t i = 0; i <= row->bound_count; i++) {
		below += get(&histogram->buckets[i]);
		if (i < row->bound_count)
			WRITE(writer, "%s_bucket{%s%sle=\"%g\"} %llu\n", row->name, labels, comma,
			        row->bounds[i], below);
		else
			WRITE(writer, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", row->name, labels, comma, below);
	}
	const char *open = row->labels ? "{" : "", *close = row->labels ? "}" : "";
	WRITE(writer, "%s_sum%s%s%s %.6f\n", row->name, open, labels, close,
	        (double)get(&histogram->sum_units) / SUM_UNITS);
	WRITE(writer, "%s_count%s%s%s %llu\n", row->name, open, labels, close, below);
}

static void write_requests(struct writer *writer, const struct fm_metrics *metrics)
{
	write_head(writer, "facematchd_requests_total", "counter",
	        "Requests answered, by route and HTTP status.");
	for (size_t r = 0; r <= fm_route_count; r++) {
		for (size_t s = 0; s < metrics->status_count; s++) {
			uint64_t count = get(&metrics->requests[r * metrics->status_count + s]);
			if (!count)
				continue;
			WRITE(writer,
			        "facematchd_requests_total{method=\"%s\",route=\"%s\",status=\"%d\"} %llu\n",
			        r < fm_route_count ? fm_routes[r].method : "",
			        r < fm_route_count ? fm_routes[r].pattern : "", metrics->statuses[s],
			        (unsigned long long)count);
		}
	}
	write_head(writer, "facematchd_problems_total", "counter", "Problems answered, by code.");
	for (int p = FM_PROBLEM_NONE + 1; p < FM_PROBLEM_COUNT; p++)
		WRITE(writer, "facematchd_problems_total{code=\"%s\"} %llu\n",
		        fm_problem_code((enum fm_problem)p), (unsigned long long)get(&metrics->problems[p]));
}

/* Resident pages, from statm(5); 0 where it cannot be read. */
static double resident_bytes(void)
{
	unsigned long long size, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%llu %llu", &size, &resident) != 2)
		resident = 0;
	fclose(file);
	return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	double count = 0;

	if (!directory)
		return 0;
	while (readdir(directory))
		count++;
	closedir(directory);
	return count - 3; /* ".", ".." and the directory's own */
}

static void write_process(struct writer *writer, const struct fm_metrics *metrics)
{
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	write_gauge(writer, "process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes());
	write_gauge(writer, "process_cpu_seconds_total", "counter", "Time spent on all CPUs.",
	        (double)cpu.tv_sec + (double)cpu.tv_nsec * 1e-9);
	write_gauge(writer, "process_open_fds", "gauge", "Open file descriptors.", open_descriptors());
	write_gauge(
	        writer, "process_start_time_seconds", "gauge", "Start, since the epoch.", metrics->start_s);
}

static void write_gauges(struct writer *writer, const struct fm_gauges *gauges)
{
	write_head(writer, "facematchd_build_info", "gauge", "What runs here; the value is always 1.");
	WRITE(writer, "facematchd_build_info{version=\"%s\",isa=\"%s\",model=\"%s\",precision=\"%s\"} 1\n",
	        FM_VERSION, gauges->isa, gauges->model, gauges->precision);
	write_gauge(writer, "facematchd_workers", "gauge", "Worker threads.", (double)gauges->workers);
	write_gauge(writer, "facematchd_workers_busy", "gauge", "Worker threads at work.",
	        (double)gauges->workers_busy);
	write_gauge(writer, "facematchd_queue_requests", "gauge", "Requests that wait for a worker.",
	        (double)gauges->queue_length);
	write_gauge(writer, "facematchd_queue_capacity", "gauge", "Requests that may wait.",
	        (double)gauges->queue_maximum);
	write_gauge(writer, "facematchd_gallery_people", "gauge", "People who can be found.",
	        (double)gauges->people);
	write_gauge(writer, "facematchd_gallery_faces", "gauge", "Faces that are compared with.",
	        (double)gauges->faces);
	write_gauge(writer, "facematchd_gallery_unsearched_faces", "gauge",
	        "Faces without an embedding of the network in use.", (double)gauges->unsearched);
	write_gauge(writer, "facematchd_reembed_running", "gauge",
	        "1 while faces are brought over to another network.", (double)gauges->reembed_running);
	write_gauge(writer, "facematchd_reembed_faces", "gauge", "Faces that the last such job is about.",
	        (double)gauges->reembed_total);
	write_gauge(writer, "facematchd_reembed_faces_done", "gauge", "Faces that it has brought over.",
	        (double)gauges->reembed_done);
	write_gauge(writer, "facematchd_reembed_faces_skipped", "gauge", "Faces that it could not.",
	        (double)gauges->reembed_skipped);
}

enum fm_status fm_metrics_write(const struct fm_metrics *metrics, const struct fm_gauges *gauges,
        struct fm_buf *out, struct fm_error *err)
{
	struct writer writer = {.out = out, .err = err};

	write_gauges(&writer, gauges);
	write_requests(&writer, metrics);
	write_counters(&writer, metrics);
	for (size_t i = 0; i < FM_HISTOGRAM_COUNT; i++)
		write_histogram(&writer, &histogram_rows[i], &metrics->histograms[i]);
	write_process(&writer, metrics);
	return writer.status;
}
