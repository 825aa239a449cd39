/*
 * HTTP: libmicrohttpd's epoll threads move bytes; a complete request goes to the worker pool while its
 * connection sleeps, and wakes with the reply. The only file that knows microhttpd.h is server.c; what a
 * request is and what becomes of it is passage.c's.
 *
 * Bounds: headers ([limits] header_max_bytes), bodies (body_max_bytes, refused before they are read where
 * their length is declared), all bodies together (bodies_max_bytes), connections in all and of one address,
 * and time: of silence, for a request's headers, for its body ([server]), for a worker ([workers]
 * queue_timeout_ms).
 */
#ifndef FM_DAEMON_SERVER_H
#define FM_DAEMON_SERVER_H

#include "daemon/app.h"

#include <stdint.h>

struct fm_server;

/*
 * Opens the sockets, or takes those of systemd (socket activation), and serves: until the app is ready,
 * "starting". `app` outlives the server.
 */
enum fm_status fm_server_start(struct fm_app *app, struct fm_server **ret_server, struct fm_error *err);

/* "http://127.0.0.1:40123, unix:/run/facematchd/http", and the first port; 0: none. */
const char *fm_server_address(const struct fm_server *server);
uint16_t fm_server_port(const struct fm_server *server);

/* What the app's workers do with a job: fm_app_load(app, fm_server_work, fm_server_refuse, …). */
void fm_server_work(void *worker, void *job);
void fm_server_refuse(void *job, double waited_s);

/* Takes no new connections and waits, at most [server] shutdown_timeout_s, until all requests are answered.
 */
void fm_server_drain(struct fm_server *server);

/* Closes everything. Drained before, and the app's workers stopped (fm_app_stop). */
void fm_server_free(struct fm_server *server);

#endif
