#include "daemon/server.h"

#include "daemon/log.h"
#include "daemon/router.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/base/banned.h"

#define CONNECTION_MEMORY_BYTES (64 * 1024)
/* A refused body is read and dropped up to this many times its limit, so that the client sees the refusal. */
#define DROP_FACTOR 4

struct fm_server {
	struct fm_app *app;
	struct MHD_Daemon *daemon;
	int listen_fd; /* -1 before it is opened; libmicrohttpd closes it once it has it */
	char address[FM_LISTEN_TEXT];
	uint16_t port;
	_Atomic size_t body_bytes; /* of all requests */
	pthread_mutex_t lock;
	pthread_cond_t idle;
	size_t active; /* requests begun and not completed */
	atomic_bool draining;
};

enum stage { STAGE_HEADERS, STAGE_BODY, STAGE_QUEUED, STAGE_ANSWERED };

/* A request on its way. Owned by the I/O thread of its connection, in STAGE_QUEUED by a worker. */
struct passage {
	struct fm_server *server;
	struct MHD_Connection *connection;
	enum stage stage;
	char *target;
	char method[16];
	struct timespec start, queued;
	double queue_s; /* from queued to a worker */
	const struct fm_route *route;
	struct fm_snapshot *snapshot;
	struct fm_request request;
	struct fm_exchange exchange;
	enum fm_problem refused; /* found before the body ends; the rest of the body is dropped */
	struct fm_error refused_error;
	bool misframed; /* nobody knows where this request ends and the next begins */
	char allow[FM_ALLOW_BYTES];
	size_t received_bytes, counted_bytes; /* counted: in server->body_bytes */
};

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) * 1e-9;
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* ---- life of a passage ---- */

static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
	struct fm_server *server = context;
	struct passage *passage = fm_calloc(1, sizeof(*passage));

	if (!passage)
		return NULL;
	passage->server = server;
	passage->connection = connection;
	passage->target = strdup(target);
	passage->snapshot = fm_snapshot_get(&server->app->snapshots);
	clock_gettime(CLOCK_MONOTONIC, &passage->start);
	pthread_mutex_lock(&server->lock);
	server->active++;
	pthread_mutex_unlock(&server->lock);
	return passage;
}

/* The photo is not kept a moment longer than needed. */
static void drop_body(struct passage *passage)
{
	if (passage->request.body.data)
		fm_wipe(passage->request.body.data, passage->request.body.length);
	fm_request_done(&passage->request);
	atomic_fetch_sub(&passage->server->body_bytes, passage->counted_bytes);
	passage->counted_bytes = 0;
}

static void log_request(const struct passage *passage, enum MHD_RequestTerminationCode how)
{
	const struct fm_exchange *exchange = &passage->exchange;
	char status[16] = "none", milliseconds[32], bytes[24], queue[32], decode[32], detect[32], embed[32],
	     search[32];
	bool quiet = passage->route && (passage->route->flags & FM_ROUTE_INLINE);

	if (passage->stage == STAGE_ANSWERED && exchange->reply.http_status)
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
	        "body_bytes", bytes, "id", passage->request.id, "end",
	        how == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "ok" : "cut",
	        exchange->photo_work ? "queue_ms" : NULL, queue, "decode_ms", decode, "detect_ms", detect,
	        "embed_ms", embed, "search_ms", search, NULL);
}

static void count_request(const struct passage *passage)
{
	struct fm_metrics *metrics = passage->server->app->metrics;
	const struct fm_reply *reply = &passage->exchange.reply;

	if (passage->stage != STAGE_ANSWERED || !reply->http_status)
		return;
	fm_metrics_request(metrics, passage->route, reply->http_status);
	fm_metrics_observe(metrics, FM_HISTOGRAM_REQUEST, seconds_since(&passage->start));
	if (reply->problem)
		fm_metrics_problem(metrics, reply->problem);
}

static void on_completed(
        void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode how)
{
	struct fm_server *server = context;
	struct passage *passage = *state;

	(void)connection;
	if (!passage)
		return;
	log_request(passage, how);
	count_request(passage);
	drop_body(passage);
	fm_exchange_done(&passage->exchange);
	fm_snapshot_put(passage->snapshot);
	free(passage->target);
	free(passage);
	*state = NULL;
	pthread_mutex_lock(&server->lock);
	if (--server->active == 0)
		pthread_cond_broadcast(&server->idle);
	pthread_mutex_unlock(&server->lock);
}

/* ---- replies ---- */

static enum MHD_Result send_reply(struct passage *passage)
{
	struct fm_reply *reply = &passage->exchange.reply;
	struct MHD_Response *response =
	        MHD_create_response_from_buffer(reply->length, reply->body, MHD_RESPMEM_MUST_FREE);
	bool complete = response != NULL;

	passage->stage = STAGE_ANSWERED;
	if (!response)
		return MHD_NO;
	reply->body = NULL; /* the response's now */
	complete &= MHD_add_response_header(response, "X-Request-Id", passage->request.id);
	complete &= MHD_add_response_header(response, "Cache-Control", "no-store");
	if (reply->content_type)
		complete &= MHD_add_response_header(response, "Content-Type", reply->content_type);
	for (size_t i = 0; i < reply->header_count; i++)
		complete &=
		        MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
	if (passage->misframed || atomic_load(&passage->server->draining))
		complete &= MHD_add_response_header(response, "Connection", "close");

	enum MHD_Result result = MHD_NO;
	if (complete)
		result = MHD_queue_response(passage->connection, (unsigned)reply->http_status, response);
	MHD_destroy_response(response);
	return result;
}

static void answer_problem(struct passage *passage, enum fm_problem problem, const struct fm_error *err)
{
	fm_reply_problem(&passage->exchange.reply, problem, err->message, passage->request.id, NULL);
	if (problem == FM_PROBLEM_METHOD_NOT_ALLOWED)
		fm_reply_header(&passage->exchange.reply, "Allow", "%s", passage->allow);
}

/* ---- headers ---- */

struct framing {
	int lengths, encodings;
	bool unknown_encoding;
};

static enum MHD_Result count_framing(
        void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct framing *framing = context;

	(void)kind;
	if (strcasecmp(key, "Content-Length") == 0)
		framing->lengths++;
	if (strcasecmp(key, "Transfer-Encoding") == 0) {
		framing->encodings++;
		framing->unknown_encoding |= !value || strcasecmp(value, "chunked") != 0;
	}
	return MHD_YES;
}

/*
 * Where the body ends must be beyond doubt: a proxy in front that reads it otherwise takes the rest for
 * another client's request (RFC 9112 section 6.3). libmicrohttpd takes the first header that it finds.
 */
static bool is_framed_once(struct MHD_Connection *connection)
{
	struct framing framing = {0};

	MHD_get_connection_values(connection, MHD_HEADER_KIND, count_framing, &framing);
	return framing.lengths + framing.encodings <= 1 && !framing.unknown_encoding;
}

/* What can be refused before the body is read. */
static enum fm_problem check_headers(struct passage *passage, size_t *ret_declared, struct fm_error *err)
{
	struct fm_app *app = passage->server->app;
	struct fm_request *request = &passage->request;
	const char *content_type = header(passage->connection, "Content-Type");
	const char *length = header(passage->connection, "Content-Length");
	const char *site = header(passage->connection, "Sec-Fetch-Site");

	*ret_declared = length ? strtoull(length, NULL, 10) : 0;
	if (content_type) {
		request->content_type = strdup(content_type);
		if (!request->content_type) {
			fm_fail(err, FM_E_NOMEM, "no memory for the request");
			return FM_PROBLEM_OVERLOADED;
		}
	}
	enum fm_status status = passage->target ? fm_request_set_target(request, passage->target, err)
	                                        : fm_fail(err, FM_E_NOMEM, "no memory for the request");
	if (status)
		return fm_problem_of(status);
	enum fm_problem problem =
	        fm_router_find(passage->method, request, &passage->route, passage->allow, err);
	if (problem)
		return problem;
	if (!(passage->route->flags & FM_ROUTE_PHOTO))
		request->body.maximum = FM_SMALL_BODY_BYTES;
	/* Any web page can make a browser on this machine post to loopback: Fetch Metadata tells it apart. */
	if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0) {
		fm_fail(err, FM_E_INVALID, "requests from other sites' pages are refused");
		return FM_PROBLEM_FORBIDDEN;
	}
	if (!(passage->route->flags & FM_ROUTE_ANYTIME) && !atomic_load(&app->ready)) {
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

static enum MHD_Result on_headers(struct passage *passage, const char *method)
{
	struct fm_app *app = passage->server->app;
	size_t declared;

	snprintf(passage->method, sizeof(passage->method), "%s", method);
	fm_request_init(&passage->request, header(passage->connection, "X-Request-Id"),
	        (size_t)passage->snapshot->config.body_max_bytes);
	passage->exchange.app = app;
	passage->exchange.config = &passage->snapshot->config;
	passage->exchange.request = &passage->request;
	passage->refused = check_headers(passage, &declared, &passage->refused_error);
	passage->misframed = !is_framed_once(passage->connection);
	if (passage->misframed) {
		fm_fail(&passage->refused_error, FM_E_INVALID,
		        "a body has one Content-Length, or Transfer-Encoding: chunked");
		passage->refused = FM_PROBLEM_BAD_REQUEST;
	}
	passage->stage = STAGE_BODY;
	/*
	 * A refusal goes out at once where the client waits for it (Expect), announces too much or does not
	 * say how much; else after the body was dropped, since a client that is still sending may miss a
	 * reply and a closed connection.
	 */
	if (passage->refused && (passage->misframed || declared > passage->request.body.maximum ||
	                                header(passage->connection, "Expect"))) {
		answer_problem(passage, passage->refused, &passage->refused_error);
		return send_reply(passage);
	}
	return MHD_YES;
}

/* ---- body ---- */

static void refuse(struct passage *passage, enum fm_problem problem, const struct fm_error *err)
{
	passage->refused = problem;
	passage->refused_error = *err;
	fm_buf_done(&passage->request.body);
	atomic_fetch_sub(&passage->server->body_bytes, passage->counted_bytes);
	passage->counted_bytes = 0;
}

static enum MHD_Result on_body(struct passage *passage, const char *bytes, size_t length)
{
	const struct fm_config *config = &passage->snapshot->config;
	struct fm_request *request = &passage->request;
	struct fm_error err;

	passage->received_bytes += length;
	if (seconds_since(&passage->start) > (double)config->request_timeout_s ||
	        passage->received_bytes / DROP_FACTOR > request->body.maximum)
		return MHD_NO;
	if (passage->refused)
		return MHD_YES;

	passage->counted_bytes += length;
	if (atomic_fetch_add(&passage->server->body_bytes, length) + length >
	        (size_t)config->bodies_max_bytes) {
		fm_fail(&err, FM_E_BUSY, "too many request bodies are being received");
		refuse(passage, FM_PROBLEM_OVERLOADED, &err);
		return MHD_YES;
	}
	enum fm_status status = fm_buf_append(&request->body, bytes, length, &err);
	if (status) {
		if (status == FM_E_TOO_LARGE)
			fm_fail(&err, status, "the body has more than the %zu bytes allowed",
			        request->body.maximum);
		refuse(passage, fm_problem_of(status), &err);
	}
	return MHD_YES;
}

/* ---- work ---- */

void fm_server_work(void *pipeline, void *job)
{
	struct passage *passage = job;
	const struct fm_config *config = &passage->snapshot->config;
	struct fm_error err;

	passage->exchange.pipeline = pipeline;
	passage->queue_s = seconds_since(&passage->queued);
	fm_metrics_observe(passage->server->app->metrics, FM_HISTOGRAM_STAGE_QUEUE, passage->queue_s);
	if (seconds_since(&passage->start) > (double)config->request_timeout_s) {
		fm_fail(&err, FM_E_BUSY, "no worker was free for %" PRId64 " seconds",
		        config->request_timeout_s);
		answer_problem(passage, FM_PROBLEM_OVERLOADED, &err);
	} else if (fm_pipeline_set_options(pipeline, &passage->snapshot->pipeline, &err)) {
		answer_problem(passage, FM_PROBLEM_INTERNAL, &err);
	} else {
		fm_router_run(passage->route, &passage->exchange);
	}
	passage->stage = STAGE_ANSWERED;
	MHD_resume_connection(passage->connection);
}

static enum MHD_Result on_complete(struct passage *passage)
{
	struct fm_error err;

	if (passage->refused) {
		answer_problem(passage, passage->refused, &passage->refused_error);
		return send_reply(passage);
	}
	if (passage->route->flags & FM_ROUTE_INLINE) {
		fm_router_run(passage->route, &passage->exchange);
		return send_reply(passage);
	}
	passage->stage = STAGE_QUEUED;
	clock_gettime(CLOCK_MONOTONIC, &passage->queued);
	MHD_suspend_connection(passage->connection);
	enum fm_status status = fm_pool_submit(passage->server->app->pool, passage, &err);
	if (status) {
		answer_problem(passage, fm_problem_of(status), &err);
		passage->stage = STAGE_ANSWERED;
		MHD_resume_connection(passage->connection);
	}
	return MHD_YES;
}

static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *url,
        const char *method, const char *version, const char *upload, size_t *upload_length, void **state)
{
	struct passage *passage = *state;

	(void)context, (void)connection, (void)url, (void)version;
	if (!passage)
		return MHD_NO;
	switch (passage->stage) {
	case STAGE_HEADERS: return on_headers(passage, method);
	case STAGE_BODY:
		if (*upload_length) {
			size_t length = *upload_length;
			*upload_length = 0;
			return on_body(passage, upload, length);
		}
		return on_complete(passage);
	case STAGE_QUEUED: return MHD_YES;
	case STAGE_ANSWERED: return send_reply(passage);
	}
	return MHD_NO;
}

/* ---- lifecycle ---- */

static void on_log(void *context, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *context, const char *format, va_list ap)
{
	char text[512];

	(void)context;
	vsnprintf(text, sizeof(text), format, ap);
	text[strcspn(text, "\n")] = '\0';
	fm_log(FM_LOG_DEBUG, "libmicrohttpd", "text", text, NULL);
}

static enum fm_status start_daemon(struct fm_server *server, struct fm_error *err)
{
	const struct fm_config *config = server->app->config;
	struct MHD_OptionItem options[] = {
	        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_log, server},
	        {MHD_OPTION_LISTEN_SOCKET, server->listen_fd, NULL},
	        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, server},
	        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server},
	        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY_BYTES, NULL},
	        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)config->connections_max, NULL},
	        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)config->idle_timeout_s, NULL},
	        {config->io_threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END,
	                (intptr_t)config->io_threads, NULL},
	        {MHD_OPTION_END, 0, NULL},
	};

	server->daemon =
	        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
	                0, NULL, NULL, on_access, server, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
	if (!server->daemon)
		return fm_fail(err, FM_E_IO, "cannot start the HTTP server on %s", server->address);
	return FM_OK;
}

enum fm_status fm_server_start(struct fm_app *app, const struct fm_listen_address *address,
        struct fm_server **ret_server, struct fm_error *err)
{
	struct fm_server *server = fm_calloc(1, sizeof(*server));
	pthread_condattr_t monotonic;

	if (!server)
		return fm_fail(err, FM_E_NOMEM, "no memory for the HTTP server");
	server->app = app;
	server->listen_fd = -1;
	pthread_mutex_init(&server->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&server->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);

	enum fm_status status = fm_listen_open(address, &server->listen_fd, err);
	if (!status)
		status = fm_listen_describe(server->listen_fd, server->address, &server->port, err);
	if (!status)
		status = start_daemon(server, err);
	if (status) {
		fm_server_free(server);
		return status;
	}
	*ret_server = server;
	return FM_OK;
}

const char *fm_server_address(const struct fm_server *server)
{
	return server->address;
}

uint16_t fm_server_port(const struct fm_server *server)
{
	return server->port;
}

void fm_server_drain(struct fm_server *server)
{
	struct fm_snapshot *snapshot = fm_snapshot_get(&server->app->snapshots);
	struct timespec until;
	int waited = 0;

	atomic_store(&server->draining, true);
	/*
	 * Not MHD_quiesce_daemon(): with several I/O threads it and they may both take the socket out of an
	 * epoll set, and libmicrohttpd 0.9.75 aborts where it is gone already. A socket that is shut down
	 * refuses connections all the same; the threads are woken by it until they end, which is soon.
	 */
	shutdown(server->listen_fd, SHUT_RD);

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += snapshot->config.shutdown_timeout_s;
	fm_snapshot_put(snapshot);
	pthread_mutex_lock(&server->lock);
	while (server->active && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&server->idle, &server->lock, &until);
	pthread_mutex_unlock(&server->lock);
	if (waited == ETIMEDOUT)
		fm_log(FM_LOG_WARNING, "closing requests that did not end in time", NULL);
}

void fm_server_free(struct fm_server *server)
{
	if (!server)
		return;
	if (server->daemon)
		MHD_stop_daemon(server->daemon); /* closes the socket */
	else if (server->listen_fd >= 0)
		close(server->listen_fd);
	pthread_cond_destroy(&server->idle);
	pthread_mutex_destroy(&server->lock);
	free(server);
}
