/*
 * HTTP: libmicrohttpd's epoll threads move bytes; a complete request goes to the worker pool while its
 * connection sleeps, and wakes with the reply. The only file that knows microhttpd.h is server.c.
 *
 * Bounds: bodies ([limits] body_max_bytes, refused before they are read where their length is declared), all
 * bodies together ([limits] bodies_max_bytes), headers (libmicrohttpd: 64 KiB a connection), connections, and
 * time ([server] idle_timeout_s between bytes, request_timeout_s from the first byte to a worker).
 */
#ifndef FM_DAEMON_SERVER_H
#define FM_DAEMON_SERVER_H

#include "daemon/app.h"
#include "daemon/listen.h"

struct fm_server;

/* Opens the port and serves: until the app is ready, "starting". `app` outlives the server. */
enum fm_status fm_server_start(struct fm_app *app, const struct fm_listen_address *address,
        struct fm_server **ret_server, struct fm_error *err);

/* "127.0.0.1:40123", and its port. */
const char *fm_server_address(const struct fm_server *server);
uint16_t fm_server_port(const struct fm_server *server);

/* What the app's workers do with a job: fm_app_load(app, fm_server_work, …). */
void fm_server_work(void *pipeline, void *job);

/* Takes no new connections and waits, at most [server] shutdown_timeout_s, until all requests are answered.
 */
void fm_server_drain(struct fm_server *server);

/* Closes everything. Drained before, and the app's workers stopped (fm_app_stop). */
void fm_server_free(struct fm_server *server);

#endif
