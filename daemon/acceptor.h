/*
 * A thread that accepts connections on all listening sockets and hands them on, and that looks after what
 * must happen in time. libmicrohttpd could accept by itself, on one socket, without limits for each address,
 * and could not stop without a race (MHD_quiesce_daemon of 0.9.75). Threads: see each function.
 */
#ifndef FM_DAEMON_ACCEPTOR_H
#define FM_DAEMON_ACCEPTOR_H

#include "daemon/listen.h"

struct fm_acceptor;

struct fm_acceptor_options {
	const int *fds; /* [count], taken over, whatever comes back */
	size_t count;
	/* On the acceptor's thread: a new socket (non-blocking, close-on-exec), owned by the callee. */
	void (*accepted)(void *context, int fd, const struct sockaddr *address, socklen_t length);
	/* On the acceptor's thread, about four times a second. */
	void (*tick)(void *context);
	void *context;
};

enum fm_status fm_acceptor_create(
        const struct fm_acceptor_options *options, struct fm_acceptor **ret_acceptor, struct fm_error *err);

/* Closes the listening sockets: no new connections. Ticks go on. Call once, from any thread. */
void fm_acceptor_close(struct fm_acceptor *acceptor);

/* Ends the thread; closes what is open. Takes NULL. */
void fm_acceptor_free(struct fm_acceptor *acceptor);

#endif
