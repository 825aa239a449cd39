/*
 * What the daemon counts, in the text format of Prometheus (exposition format 0.0.4), at GET /metrics: one
 * table of counters and one of histograms (metrics.c); to add one is to add a row. Nothing here tells people
 * apart: no names, ids, embeddings or photos, and labels take their values from fixed lists.
 * Threads: safe; counting is one relaxed atomic addition, and a reader sees each figure as of some moment
 * during its reading.
 */
#ifndef FM_DAEMON_METRICS_H
#define FM_DAEMON_METRICS_H

#include "daemon/reply.h"
#include "lib/base/buf.h"

#include <stdint.h>

struct fm_metrics;
struct fm_route;

enum fm_counter {
	FM_COUNTER_FACES_FOUND,
	FM_COUNTER_VERIFY_MATCH,
	FM_COUNTER_VERIFY_DIFFERENT,
	FM_COUNTER_IDENTIFY_MATCH,
	FM_COUNTER_IDENTIFY_UNKNOWN,
	FM_COUNTER_ENROLLED,
	FM_COUNTER_REFUSED_NO_FACE,
	FM_COUNTER_REFUSED_MULTIPLE_FACES,
	/* One for each reason, in the order of their bits (enum fm_reason). */
	FM_COUNTER_REFUSED_REASON,
	FM_COUNTER_REFUSED_REASON_END = FM_COUNTER_REFUSED_REASON + 7,
	FM_COUNTER_COUNT = FM_COUNTER_REFUSED_REASON_END,
};

enum fm_histogram {
	FM_HISTOGRAM_REQUEST,     /* seconds from the first byte to the end of the reply */
	FM_HISTOGRAM_STAGE_QUEUE, /* seconds from the whole request to a worker */
	FM_HISTOGRAM_STAGE_DECODE,
	FM_HISTOGRAM_STAGE_DETECT,
	FM_HISTOGRAM_STAGE_EMBED,
	FM_HISTOGRAM_STAGE_SEARCH,
	FM_HISTOGRAM_SIMILARITY, /* of the best candidate of an identified face, 0 to 1 */
	FM_HISTOGRAM_MARGIN,     /* by which it leads the second person, 0 to 1 */
	FM_HISTOGRAM_COUNT,
};

/* What others know at the moment of asking. */
struct fm_gauges {
	size_t workers, workers_busy, queue_length, queue_maximum;
	size_t people, faces; /* searchable */
	size_t unsearched;    /* faces that the network in use has no embedding of */
	size_t reembed_running, reembed_done, reembed_total, reembed_skipped;
	const char *isa, *model, *precision;
};

enum fm_status fm_metrics_create(struct fm_metrics **ret_metrics, struct fm_error *err);
void fm_metrics_free(struct fm_metrics *metrics);

void fm_metrics_add(struct fm_metrics *metrics, enum fm_counter counter, uint64_t amount);
/* Values are not negative; seconds are kept to the microsecond, similarities to the millionth. */
void fm_metrics_observe(struct fm_metrics *metrics, enum fm_histogram histogram, double value);
/* An answered request. NULL stands for a path or method that no route has. */
void fm_metrics_request(struct fm_metrics *metrics, const struct fm_route *route, int http_status);
/* A problem that was answered. */
void fm_metrics_problem(struct fm_metrics *metrics, enum fm_problem problem);

/* Everything, with the process's own memory, time and descriptors. FM_E_NOMEM, FM_E_TOO_LARGE. */
enum fm_status fm_metrics_write(const struct fm_metrics *metrics, const struct fm_gauges *gauges,
        struct fm_buf *out, struct fm_error *err);

#endif
