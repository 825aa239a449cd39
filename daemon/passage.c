#include "daemon/passage.h"

#include "daemon/log.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

/* A refused body is read and dropped up to this many times its limit, so that the client sees the refusal. */
#define DROP_FACTOR 4
/* Seconds that a browser may keep the answer to a preflight. */
#define PREFLIGHT_MAX_AGE_S 600

static double seconds(const struct timespec *time)
{
	return (double)time->tv_sec + (double)time->tv_nsec * 1e-9;
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return seconds(&now);
}

static double seconds_since(const struct timespec *time)
{
	return now_s() - seconds(time);
}

bool fm_passage_init(struct fm_passage *passage, struct fm_traffic *traffic, const char *target)
{
	*passage = (struct fm_passage){.traffic = traffic, .target = strdup(target)};
	passage->snapshot = fm_snapshot_get(&traffic->app->snapshots);
	clock_gettime(CLOCK_MONOTONIC, &passage->start);
	return passage->target != NULL;
}

/* The photo is not kept a moment longer than needed. */
static void drop_body(struct fm_passage *passage)
{
	if (passage->request.body.data)
		fm_wipe(passage->request.body.data, passage->request.body.length);
	fm_buf_done(&passage->request.body);
	atomic_fetch_sub(&passage->traffic->body_bytes, passage->counted_bytes);
	passage->counted_bytes = 0;
}

void fm_passage_done(struct fm_passage *passage)
{
	drop_body(passage);
	fm_request_done(&passage->request);
	fm_exchange_done(&passage->exchange);
	fm_serving_put(passage->exchange.serving);
	fm_snapshot_put(passage->snapshot);
	free(passage->origin);
	free(passage->target);
}

/* ---- replies ---- */

/* What a page of another site may read of the reply (Fetch standard, CORS protocol). */
static void allow_origin(struct fm_passage *passage)
{
	struct fm_reply *reply = &passage->exchange.reply;

	if (passage->snapshot->config.cors_origins[0])
		fm_reply_header(reply, "Vary", "Origin");
	if (!passage->origin)
		return;
	fm_reply_header(reply, "Access-Control-Allow-Origin", "%s", passage->origin);
	fm_reply_header(
	        reply, "Access-Control-Expose-Headers", "Location, Retry-After, Server-Timing, X-Request-Id");
}

void fm_passage_refuse(struct fm_passage *passage, enum fm_problem problem, const struct fm_error *err)
{
	struct fm_reply *reply = &passage->exchange.reply;

	fm_reply_problem(reply, problem, err->message, passage->request.id, NULL);
	if (passage->pass.challenge)
		fm_reply_header(reply, "WWW-Authenticate", "Bearer realm=\"facematchd\"");
	if (problem == FM_PROBLEM_RATE_LIMITED)
		fm_reply_header(reply, "Retry-After", "%u", passage->pass.retry_after_s);
	allow_origin(passage);
	passage->settled = true;
}

static void run(struct fm_passage *passage)
{
	fm_router_run(passage->route, &passage->exchange);
	allow_origin(passage);
}

/* ---- headers ---- */

/* OPTIONS: which methods the path has, and what a page of another site may send there. */
static void answer_options(struct fm_passage *passage, const char *methods, bool preflight)
{
	struct fm_reply *reply = &passage->exchange.reply;

	fm_reply_no_content(reply);
	fm_reply_header(reply, "Allow", "%s", methods);
	if (preflight && passage->origin) {
		fm_reply_header(reply, "Access-Control-Allow-Methods", "%s", methods);
		fm_reply_header(reply, "Access-Control-Allow-Headers",
		        "Authorization, Content-Type, X-Api-Key, X-Request-Id");
		fm_reply_header(reply, "Access-Control-Max-Age", "%d", PREFLIGHT_MAX_AGE_S);
	}
	allow_origin(passage);
	passage->settled = true;
}

/* Route, key, page and rate. May settle the reply without a problem: OPTIONS. */
static enum fm_problem check_who_and_what(
        struct fm_passage *passage, const struct fm_arrival *arrival, struct fm_error *err)
{
	char allowed[FM_ALLOW_BYTES] = "", methods[FM_ALLOW_BYTES + 16];
	bool options = strcmp(passage->method, "OPTIONS") == 0;
	enum fm_problem found =
	        options && strcmp(passage->target, "*") == 0
	                ? FM_PROBLEM_METHOD_NOT_ALLOWED
	                : fm_router_find(passage->method, &passage->request, &passage->route, allowed, err);
	struct fm_error gate_error;
	enum fm_problem problem = fm_gate_check(passage->traffic->gate, passage->snapshot, passage->route,
	        &passage->request, &arrival->visitor, seconds(&passage->start), &passage->pass, &gate_error);

	if (passage->pass.origin == FM_ORIGIN_ALLOWED)
		passage->origin = strdup(arrival->visitor.origin);
	if (problem) {
		*err = gate_error;
		return problem;
	}
	if (found != FM_PROBLEM_METHOD_NOT_ALLOWED)
		return found;
	snprintf(methods, sizeof(methods), "%s%sOPTIONS", allowed, allowed[0] ? ", " : "");
	if (options) {
		answer_options(passage, methods, arrival->preflight != NULL);
		return FM_PROBLEM_NONE;
	}
	fm_reply_header(&passage->exchange.reply, "Allow", "%s", methods);
	return found;
}

/* What can be refused before the body is read. */
static enum fm_problem check_headers(struct fm_passage *passage, const struct fm_arrival *arrival,
        size_t *ret_declared, struct fm_error *err)
{
	struct fm_request *request = &passage->request;

	if (arrival->header_bytes > (size_t)passage->snapshot->config.header_max_bytes) {
		fm_fail(err, FM_E_TOO_LARGE, "the headers have %zu bytes; %" PRId64 " are allowed",
		        arrival->header_bytes, passage->snapshot->config.header_max_bytes);
		return FM_PROBLEM_HEADERS_TOO_LARGE;
	}
	*ret_declared = arrival->content_length ? strtoull(arrival->content_length, NULL, 10) : 0;
	if (arrival->content_type) {
		request->content_type = strdup(arrival->content_type);
		if (!request->content_type)
			return fm_problem_of(fm_fail(err, FM_E_NOMEM, "no memory for the request"));
	}
	enum fm_status status = fm_request_set_target(request, passage->target, err);
	if (status)
		return fm_problem_of(status);
	enum fm_problem problem = check_who_and_what(passage, arrival, err);
	if (problem || passage->settled)
		return problem;
	if (!(passage->route->flags & FM_ROUTE_PHOTO))
		request->body.maximum = FM_SMALL_BODY_BYTES;
	if (!(passage->route->flags & FM_ROUTE_ANYTIME) && !atomic_load(&passage->traffic->app->ready)) {
		fm_fail(err, FM_E_BUSY, "models and gallery are being loaded");
		return FM_PROBLEM_STARTING;
	}
	if (*ret_declared > request->body.maximum) {
		fm_fail(err, FM_E_TOO_LARGE, "a body of %zu bytes is declared; %zu are allowed",
		        *ret_declared, request->body.maximum);
		return FM_PROBLEM_BODY_TOO_LARGE;
	}
	return FM_PROBLEM_NONE;
}

enum fm_step fm_passage_headers(struct fm_passage *passage, const struct fm_arrival *arrival)
{
	const struct fm_config *config = &passage->snapshot->config;
	struct fm_error err;
	size_t declared = 0;

	snprintf(passage->method, sizeof(passage->method), "%s", arrival->method);
	fm_request_init(&passage->request, arrival->request_id, (size_t)config->body_max_bytes);
	passage->exchange.app = passage->traffic->app;
	passage->exchange.config = config;
	passage->exchange.request = &passage->request;
	passage->exchange.key_id = passage->pass.key_id;
	enum fm_problem problem = check_headers(passage, arrival, &declared, &err);
	passage->misframed = arrival->misframed;
	if (passage->misframed) {
		fm_fail(&err, FM_E_INVALID, "a body has one Content-Length, or Transfer-Encoding: chunked");
		problem = FM_PROBLEM_BAD_REQUEST;
	}
	if (problem)
		fm_passage_refuse(passage, problem, &err);
	/*
	 * A refusal goes out at once where the client waits for it (Expect), announces too much or does not
	 * say how much; else after the body was dropped, since a client that is still sending may miss a
	 * reply and a closed connection.
	 */
	bool at_once = passage->misframed || arrival->expects || declared > passage->request.body.maximum;
	return passage->settled && at_once ? FM_STEP_REPLY : FM_STEP_READ;
}

/* ---- body ---- */

enum fm_step fm_passage_body(struct fm_passage *passage, const char *bytes, size_t length)
{
	const struct fm_config *config = &passage->snapshot->config;
	struct fm_request *request = &passage->request;
	enum fm_problem problem = FM_PROBLEM_NONE;
	struct fm_error err;

	passage->received_bytes += length;
	if (passage->received_bytes / DROP_FACTOR > request->body.maximum)
		return FM_STEP_CUT;
	if (passage->settled)
		return FM_STEP_READ;

	passage->counted_bytes += length;
	if (atomic_fetch_add(&passage->traffic->body_bytes, length) + length >
	        (size_t)config->bodies_max_bytes) {
		fm_fail(&err, FM_E_BUSY, "too many request bodies are being received");
		problem = FM_PROBLEM_OVERLOADED;
	} else {
		enum fm_status status = fm_buf_append(&request->body, bytes, length, &err);
		if (status == FM_E_TOO_LARGE)
			fm_fail(&err, status, "the body has more than the %zu bytes allowed",
			        request->body.maximum);
		problem = fm_problem_of(status);
	}
	if (problem) {
		size_t maximum = request->body.maximum;
		drop_body(passage);
		request->body.maximum = maximum; /* bounds what is still dropped */
		fm_passage_refuse(passage, problem, &err);
	}
	return FM_STEP_READ;
}

enum fm_step fm_passage_complete(struct fm_passage *passage)
{
	if (passage->settled)
		return FM_STEP_REPLY;
	if (!(passage->route->flags & FM_ROUTE_INLINE))
		return FM_STEP_QUEUE;
	passage->exchange.serving = fm_serving_get(&passage->traffic->app->servings);
	run(passage);
	return FM_STEP_REPLY;
}

/* ---- work ---- */

void fm_passage_work(struct fm_passage *passage, size_t worker)
{
	struct fm_exchange *exchange = &passage->exchange;
	struct fm_app *app = passage->traffic->app;
	const bool enrolls = passage->route->flags & FM_ROUTE_ENROLLS;
	struct fm_error err;

	passage->queue_s = seconds_since(&passage->queued);
	fm_metrics_observe(app->metrics, FM_HISTOGRAM_STAGE_QUEUE, passage->queue_s);
	if (enrolls)
		pthread_rwlock_rdlock(&app->enrolling);
	exchange->serving = fm_serving_get(&app->servings);
	exchange->pipeline = exchange->serving->pipelines[worker];
	if (fm_pipeline_set_options(exchange->pipeline, &passage->snapshot->pipeline, &err))
		fm_passage_refuse(passage, FM_PROBLEM_INTERNAL, &err);
	else
		run(passage);
	if (enrolls)
		pthread_rwlock_unlock(&app->enrolling);
}

/* ---- accounts ---- */

static void log_request(const struct fm_passage *passage, bool answered, bool whole)
{
	const struct fm_exchange *exchange = &passage->exchange;
	char status[16] = "none", milliseconds[32], bytes[24], queue[32], decode[32], detect[32], embed[32],
	     search[32];
	bool quiet = passage->route && (passage->route->flags & FM_ROUTE_INLINE);

	if (answered && exchange->reply.http_status)
		snprintf(status, sizeof(status), "%d", exchange->reply.http_status);
	snprintf(milliseconds, sizeof(milliseconds), "%.1f", seconds_since(&passage->start) * 1000);
	snprintf(bytes, sizeof(bytes), "%zu", passage->received_bytes);
	snprintf(queue, sizeof(queue), "%.1f", passage->queue_s * 1000);
	snprintf(decode, sizeof(decode), "%.1f", exchange->decode_ms);
	snprintf(detect, sizeof(detect), "%.1f", exchange->detect_ms);
	snprintf(embed, sizeof(embed), "%.1f", exchange->embed_ms);
	snprintf(search, sizeof(search), "%.3f", exchange->search_ms);
	/* Without the query: it holds names. A photo's stages come last. */
	fm_log(quiet ? FM_LOG_DEBUG : FM_LOG_INFO, "request", "method", passage->method, "path",
	        passage->request.path ? passage->request.path : "", "status", status, "ms", milliseconds,
	        "body_bytes", bytes, "id", passage->request.id, "key",
	        passage->pass.key_id[0] ? passage->pass.key_id : "none", "end", whole ? "ok" : "cut",
	        exchange->photo_work ? "queue_ms" : NULL, queue, "decode_ms", decode, "detect_ms", detect,
	        "embed_ms", embed, "search_ms", search, NULL);
}

void fm_passage_account(const struct fm_passage *passage, bool answered, bool whole)
{
	struct fm_metrics *metrics = passage->traffic->app->metrics;
	const struct fm_reply *reply = &passage->exchange.reply;

	if (answered && reply->http_status) {
		fm_metrics_request(metrics, passage->route, reply->http_status);
		fm_metrics_observe(metrics, FM_HISTOGRAM_REQUEST, seconds_since(&passage->start));
	}
	if (answered && reply->http_status && reply->problem)
		fm_metrics_problem(metrics, reply->problem);
	/* Last: who has seen the line finds the request counted. */
	log_request(passage, answered, whole);
}
