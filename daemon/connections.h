/*
 * The connections that are open: how many in all and from one address, and until when each may take for what
 * it is at. A client that sends a byte now and then is never silent; therefore there are deadlines, and not
 * only libmicrohttpd's timeout between bytes. Threads: safe.
 */
#ifndef FM_DAEMON_CONNECTIONS_H
#define FM_DAEMON_CONNECTIONS_H

#include "lib/base/status.h"

#include <stddef.h>
#include <sys/socket.h>

struct fm_connections;
enum fm_status fm_connections_create(struct fm_connections **ret_connections, struct fm_error *err);
void fm_connections_free(struct fm_connections *connections);

/*
 * Takes a socket in that has just been accepted. FM_E_BUSY: there are `maximum` already, or, of one IP
 * address, `address_maximum`; FM_E_NOMEM.
 */
enum fm_status fm_connections_admit(struct fm_connections *connections, int fd,
        const struct sockaddr *address, size_t maximum, size_t address_maximum, double deadline_s,
        struct fm_error *err);

/* It is libmicrohttpd's now, which will say when it closes it. */
void fm_connections_started(struct fm_connections *connections, int fd);

/* Other deadlines; INFINITY for none. Times are monotonic seconds. */
void fm_connections_deadline(struct fm_connections *connections, int fd, double deadline_s);

/* Call before the descriptor is closed. */
void fm_connections_release(struct fm_connections *connections, int fd);

/*
 * Ends those that are past their deadlines, so that their owner sees the end and closes them; returns how
 * many. And those whose client has gone in the middle of a request: libmicrohttpd 0.9.75 misses an end that
 * comes together with the last bytes, and would keep the connection until its deadline. Call a few times a
 * second.
 */
size_t fm_connections_reap(struct fm_connections *connections, double now_s);

size_t fm_connections_count(struct fm_connections *connections);

/* Monotonic seconds. */
double fm_connections_now_s(void);

#endif
