#include "daemon/server.h"

#include "daemon/log.h"
#include "daemon/passage.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/base/banned.h"

#define CONNECTION_MEMORY_BYTES (64 * 1024)

struct fm_server {
	struct fm_traffic traffic;
	struct MHD_Daemon *daemon;
	int listen_fd; /* -1 before it is opened; libmicrohttpd closes it once it has it */
	char address[FM_LISTEN_TEXT];
	uint16_t port;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	size_t active; /* requests begun and not completed */
	atomic_bool draining;
};

enum stage { STAGE_HEADERS, STAGE_BODY, STAGE_QUEUED, STAGE_ANSWERED };

/* A request of libmicrohttpd's. */
struct call {
	struct fm_server *server;
	struct MHD_Connection *connection;
	enum stage stage;
	struct fm_passage passage;
};

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* ---- life of a call ---- */

static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
	struct fm_server *server = context;
	struct call *call = fm_calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->server = server;
	call->connection = connection;
	if (!fm_passage_init(&call->passage, &server->traffic, target)) {
		fm_passage_done(&call->passage);
		free(call);
		return NULL;
	}
	pthread_mutex_lock(&server->lock);
	server->active++;
	pthread_mutex_unlock(&server->lock);
	return call;
}

static void on_completed(
        void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode how)
{
	struct fm_server *server = context;
	struct call *call = *state;

	(void)connection;
	if (!call)
		return;
	fm_passage_account(
	        &call->passage, call->stage == STAGE_ANSWERED, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	fm_passage_done(&call->passage);
	free(call);
	*state = NULL;
	pthread_mutex_lock(&server->lock);
	if (--server->active == 0)
		pthread_cond_broadcast(&server->idle);
	pthread_mutex_unlock(&server->lock);
}

/* ---- steps ---- */

static enum MHD_Result send_reply(struct call *call)
{
	struct fm_passage *passage = &call->passage;
	struct fm_reply *reply = &passage->exchange.reply;
	struct MHD_Response *response =
	        MHD_create_response_from_buffer(reply->length, reply->body, MHD_RESPMEM_MUST_FREE);
	bool complete = response != NULL;

	call->stage = STAGE_ANSWERED;
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
	if (passage->misframed || atomic_load(&call->server->draining))
		complete &= MHD_add_response_header(response, "Connection", "close");

	enum MHD_Result result = MHD_NO;
	if (complete)
		result = MHD_queue_response(call->connection, (unsigned)reply->http_status, response);
	MHD_destroy_response(response);
	return result;
}

void fm_server_work(void *pipeline, void *job)
{
	struct call *call = job;

	fm_passage_work(&call->passage, pipeline);
	call->stage = STAGE_ANSWERED;
	MHD_resume_connection(call->connection);
}

static enum MHD_Result queue(struct call *call)
{
	struct fm_error err;

	call->stage = STAGE_QUEUED;
	clock_gettime(CLOCK_MONOTONIC, &call->passage.queued);
	MHD_suspend_connection(call->connection);
	enum fm_status status = fm_pool_submit(call->server->traffic.app->pool, call, &err);
	if (status) {
		fm_passage_refuse(&call->passage, fm_problem_of(status), &err);
		call->stage = STAGE_ANSWERED;
		MHD_resume_connection(call->connection);
	}
	return MHD_YES;
}

static enum MHD_Result take_step(struct call *call, enum fm_step step)
{
	switch (step) {
	case FM_STEP_READ: return MHD_YES;
	case FM_STEP_REPLY: return send_reply(call);
	case FM_STEP_QUEUE: return queue(call);
	case FM_STEP_CUT: return MHD_NO;
	}
	return MHD_NO;
}

/* ---- what arrives ---- */

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

static enum MHD_Result on_headers(struct call *call, const char *method)
{
	struct MHD_Connection *connection = call->connection;
	const union MHD_ConnectionInfo *client =
	        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct fm_arrival arrival = {
	        .method = method,
	        .content_type = header(connection, "Content-Type"),
	        .content_length = header(connection, "Content-Length"),
	        .request_id = header(connection, "X-Request-Id"),
	        .preflight = header(connection, "Access-Control-Request-Method"),
	        .expects = header(connection, "Expect") != NULL,
	        .misframed = !is_framed_once(connection),
	        .visitor = {.address = client ? client->client_addr : NULL,
	                .authorization = header(connection, "Authorization"),
	                .api_key = header(connection, "X-Api-Key"),
	                .host = header(connection, "Host"),
	                .origin = header(connection, "Origin"),
	                .fetch_site = header(connection, "Sec-Fetch-Site")},
	};

	call->stage = STAGE_BODY;
	return take_step(call, fm_passage_headers(&call->passage, &arrival));
}

static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *url,
        const char *method, const char *version, const char *upload, size_t *upload_length, void **state)
{
	struct call *call = *state;

	(void)context, (void)connection, (void)url, (void)version;
	if (!call)
		return MHD_NO;
	switch (call->stage) {
	case STAGE_HEADERS: return on_headers(call, method);
	case STAGE_BODY:
		if (*upload_length) {
			size_t length = *upload_length;
			*upload_length = 0;
			return take_step(call, fm_passage_body(&call->passage, upload, length));
		}
		return take_step(call, fm_passage_complete(&call->passage));
	case STAGE_QUEUED: return MHD_YES;
	case STAGE_ANSWERED: return send_reply(call);
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
	const struct fm_config *config = server->traffic.app->config;
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
	server->traffic.app = app;
	server->listen_fd = -1;
	pthread_mutex_init(&server->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&server->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);

	enum fm_status status = fm_gate_create(&server->traffic.gate, err);
	if (!status)
		status = fm_listen_open(address, &server->listen_fd, err);
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
	struct fm_snapshot *snapshot = fm_snapshot_get(&server->traffic.app->snapshots);
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
	fm_gate_free(server->traffic.gate);
	pthread_cond_destroy(&server->idle);
	pthread_mutex_destroy(&server->lock);
	free(server);
}
