#include "daemon/server.h"

#include "daemon/acceptor.h"
#include "daemon/connections.h"
#include "daemon/listeners.h"
#include "daemon/log.h"
#include "daemon/passage.h"
#include "daemon/tls.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <math.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/banned.h"

/* What libmicrohttpd needs of a connection's memory besides the headers: its structures, the reply's headers.
 */
#define CONNECTION_OVERHEAD_BYTES 4096
/* A client that takes its reply slower than this is cut off, after [server] body_timeout_s of grace. */
#define REPLY_BYTES_PER_S 16384
/* Descriptors besides connections: gallery, networks, log. */
#define OTHER_DESCRIPTORS 256

enum { PLAIN, SECURE, KINDS };

struct fm_server {
	struct fm_traffic traffic;
	struct fm_connections *connections;
	struct fm_acceptor *acceptor;
	size_t io_threads;
	struct MHD_Daemon **daemons[KINDS]; /* [io_threads] each; NULL where nobody needs the kind */
	size_t turn[KINDS];                 /* whose connection the next is; the acceptor's */
	struct fm_listeners listeners;
	char address[FM_LISTEN_MAX * (FM_LISTEN_TEXT + 16)];
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
	int fd;
	enum stage stage;
	struct fm_passage passage;
};

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static int fd_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

static void set_deadline(struct call *call, double in_s)
{
	fm_connections_deadline(call->server->connections, call->fd, fm_connections_now_s() + in_s);
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
	call->fd = fd_of(connection);
	if (!fm_passage_init(&call->passage, &server->traffic, target)) {
		fm_passage_done(&call->passage);
		free(call);
		return NULL;
	}
	set_deadline(call, (double)call->passage.snapshot->config.header_timeout_s);
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
	/* The next request: silence, and then its headers. */
	const struct fm_config *config = &call->passage.snapshot->config;
	set_deadline(call, (double)(config->idle_timeout_s + config->header_timeout_s));
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
	        reply->is_file
	                ? MHD_create_response_from_fd64(reply->length, reply->file)
	                : MHD_create_response_from_buffer(reply->length, reply->body, MHD_RESPMEM_MUST_FREE);
	bool complete = response != NULL;

	call->stage = STAGE_ANSWERED;
	if (!response)
		return MHD_NO;
	set_deadline(call,
	        (double)passage->snapshot->config.body_timeout_s + (double)reply->length / REPLY_BYTES_PER_S);
	reply->body = NULL; /* the response's now, as the file is */
	reply->is_file = false;
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

void fm_server_work(void *worker, void *job)
{
	const struct fm_worker *self = worker;
	struct call *call = job;

	fm_passage_work(&call->passage, self->number);
	call->stage = STAGE_ANSWERED;
	MHD_resume_connection(call->connection);
}

void fm_server_refuse(void *job, double waited_s)
{
	struct call *call = job;
	struct fm_error err;

	fm_fail(&err, FM_E_BUSY, "no worker was free for %.2f seconds", waited_s);
	fm_passage_refuse(&call->passage, FM_PROBLEM_OVERLOADED, &err);
	call->stage = STAGE_ANSWERED;
	MHD_resume_connection(call->connection);
}

static enum MHD_Result queue(struct call *call)
{
	struct fm_error err;

	call->stage = STAGE_QUEUED;
	set_deadline(call, INFINITY);
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
	const union MHD_ConnectionInfo *head =
	        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	const struct fm_arrival arrival = {
	        .header_bytes = head ? head->header_size : 0,
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
	set_deadline(call, (double)call->passage.snapshot->config.body_timeout_s);
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

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
        enum MHD_ConnectionNotificationCode what)
{
	struct fm_server *server = context;

	(void)socket_context;
	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		fm_connections_release(server->connections, fd_of(connection));
		return;
	}
	/* Other than what the daemon was started with only after a reload. */
	struct fm_snapshot *snapshot = fm_snapshot_get(&server->traffic.app->snapshots);
	MHD_set_connection_option(
	        connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)snapshot->config.idle_timeout_s);
	fm_snapshot_put(snapshot);
	fm_connections_started(server->connections, fd_of(connection));
}

/* One I/O thread of its own. */
static struct MHD_Daemon *start_daemon(struct fm_server *server, bool secure)
{
	const struct fm_config *config = server->traffic.app->config;
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC |
	                 MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (secure ? MHD_USE_TLS : 0);
	struct MHD_OptionItem options[] = {
	        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_log, server},
	        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, server},
	        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server},
	        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
	        {MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	                (intptr_t)(config->header_max_bytes + CONNECTION_OVERHEAD_BYTES), NULL},
	        {MHD_OPTION_CONNECTION_LIMIT, UINT16_MAX, NULL}, /* connections.h counts */
	        /* Connections with a time of their own are looked through at every event. */
	        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)config->idle_timeout_s, NULL},
	        {secure ? MHD_OPTION_HTTPS_CERT_CALLBACK2 : MHD_OPTION_END, 0,
	                (void *)fm_tls_retrieve_function()},
	        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)fm_tls_priorities},
	        {MHD_OPTION_END, 0, NULL},
	};

	return MHD_start_daemon(
	        flags, 0, NULL, NULL, on_access, server, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

static enum fm_status start_daemons(struct fm_server *server, int kind, struct fm_error *err)
{
	server->daemons[kind] = fm_calloc(server->io_threads, sizeof(server->daemons[kind][0]));
	if (!server->daemons[kind])
		return fm_fail(err, FM_E_NOMEM, "no memory for the HTTP server");
	for (size_t i = 0; i < server->io_threads; i++) {
		server->daemons[kind][i] = start_daemon(server, kind == SECURE);
		if (!server->daemons[kind][i])
			return fm_fail(err, FM_E_IO, "cannot start an HTTP thread%s",
			        kind == SECURE ? " with TLS" : "");
	}
	return FM_OK;
}

/* ---- connections ---- */

/* IP speaks TLS where there is a certificate; a Unix socket does not leave the machine. */
static int kind_of(const struct fm_server *server, sa_family_t family)
{
	return server->traffic.app->started->certificate && family != AF_UNIX ? SECURE : PLAIN;
}

/* One that is refused is told so, if its first bytes can be text and it is there to read. */
static void turn_away(int fd, int kind)
{
	static const char text[] =
	        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
	        "Content-Length: 0\r\n\r\n";

	if (kind == PLAIN && send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		fm_log(FM_LOG_DEBUG, "a client left before it was refused", NULL);
	shutdown(fd, SHUT_WR);
	close(fd);
}

static void on_accepted(void *context, int fd, const struct sockaddr *address, socklen_t length)
{
	struct fm_server *server = context;
	struct fm_snapshot *snapshot = fm_snapshot_get(&server->traffic.app->snapshots);
	const struct fm_config *config = &snapshot->config;
	int kind = kind_of(server, address->sa_family), on = 1;
	struct fm_error err;
	enum fm_status status = fm_connections_admit(server->connections, fd, address,
	        (size_t)config->connections_max, (size_t)config->connections_per_address_max,
	        fm_connections_now_s() + (double)config->header_timeout_s, &err);

	fm_snapshot_put(snapshot);
	if (status) {
		fm_log(FM_LOG_DEBUG, "a connection is refused", "because", err.message, NULL);
		turn_away(fd, kind);
		return;
	}
	if (address->sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	size_t turn = server->turn[kind]++ % server->io_threads;
	/* Closes it where it fails. */
	if (MHD_add_connection(server->daemons[kind][turn], fd, address, length) != MHD_YES)
		fm_connections_release(server->connections, fd);
}

static void on_tick(void *context)
{
	struct fm_server *server = context;
	size_t reaped = fm_connections_reap(server->connections, fm_connections_now_s());
	char count[24];

	if (!reaped)
		return;
	snprintf(count, sizeof(count), "%zu", reaped);
	fm_log(FM_LOG_DEBUG, "connections that took too long are closed", "count", count, NULL);
}

/* ---- listening ---- */

/* Names the listeners, and starts what they need. */
static enum fm_status start_kinds(struct fm_server *server, struct fm_error *err)
{
	enum fm_status status = FM_OK;
	size_t used = 0;

	for (size_t i = 0; !status && i < server->listeners.count; i++) {
		bool is_unix = server->listeners.at[i].is_unix;
		int kind = kind_of(server, is_unix ? AF_UNIX : AF_INET);
		const char *scheme = is_unix ? "" : kind == SECURE ? "https://" : "http://";
		used += (size_t)snprintf(server->address + used, sizeof(server->address) - used, "%s%s%s",
		        i ? ", " : "", scheme, server->listeners.at[i].text);
		server->port = server->port ? server->port : server->listeners.at[i].port;
		if (!server->daemons[kind])
			status = start_daemons(server, kind, err);
	}
	return status;
}

/* The usual soft limit of 1024 is for programs that use select(2). */
static void raise_descriptor_limit(const struct fm_config *config)
{
	rlim_t wanted = (rlim_t)config->connections_max + OTHER_DESCRIPTORS;
	struct rlimit limit;
	char text[24];

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)limit.rlim_cur);
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted)
		fm_log(FM_LOG_WARNING, "fewer descriptors than [server] connections_max wants", "limit", text,
		        NULL);
}

enum fm_status fm_server_start(struct fm_app *app, struct fm_server **ret_server, struct fm_error *err)
{
	struct fm_server *server = fm_calloc(1, sizeof(*server));
	pthread_condattr_t monotonic;
	int fds[FM_LISTEN_MAX];

	if (!server)
		return fm_fail(err, FM_E_NOMEM, "no memory for the HTTP server");
	server->traffic.app = app;
	server->io_threads = (size_t)app->config->io_threads;
	pthread_mutex_init(&server->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&server->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);

	raise_descriptor_limit(app->config);
	fm_tls_serve_from(&app->snapshots);
	enum fm_status status = fm_gate_create(&server->traffic.gate, err);
	if (!status)
		status = fm_connections_create(&server->connections, err);
	if (!status)
		status = fm_listeners_open(&server->listeners, app->started, err);
	if (!status)
		status = start_kinds(server, err);
	if (!status) {
		for (size_t i = 0; i < server->listeners.count; i++)
			fds[i] = server->listeners.at[i].fd;
		const struct fm_acceptor_options options = {.fds = fds,
		        .count = server->listeners.count,
		        .accepted = on_accepted,
		        .tick = on_tick,
		        .context = server};
		for (size_t i = 0; i < server->listeners.count; i++)
			server->listeners.at[i].fd = -1;
		status = fm_acceptor_create(&options, &server->acceptor, err);
	}
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
	fm_acceptor_close(server->acceptor);
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
	fm_acceptor_free(server->acceptor);
	for (int kind = 0; kind < KINDS; kind++) {
		for (size_t i = 0; server->daemons[kind] && i < server->io_threads; i++) {
			if (server->daemons[kind][i])
				MHD_stop_daemon(server->daemons[kind][i]);
		}
		free(server->daemons[kind]);
	}
	fm_listeners_done(&server->listeners);
	fm_connections_free(server->connections);
	fm_gate_free(server->traffic.gate);
	pthread_cond_destroy(&server->idle);
	pthread_mutex_destroy(&server->lock);
	free(server);
}
