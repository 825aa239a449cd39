/* The sockets that the daemon listens on: of [server] listen, or those of systemd. Threads: one owner. */
#ifndef FM_DAEMON_LISTENERS_H
#define FM_DAEMON_LISTENERS_H

#include "daemon/listen.h"
#include "daemon/snapshot.h"

struct fm_listeners {
	size_t count;
	struct {
		int fd; /* -1: handed on */
		bool is_unix;
		bool ours; /* a Unix socket's file is removed at the end */
		uint16_t port;
		char text[FM_LISTEN_TEXT];
	} at[FM_LISTEN_MAX];
};

/*
 * Opens them; systemd's come first, and then nothing else is opened. FM_E_INVALID: an address is served
 * without keys that may not be. Whatever comes back, fm_listeners_done() it.
 */
enum fm_status fm_listeners_open(
        struct fm_listeners *listeners, const struct fm_snapshot *snapshot, struct fm_error *err);
void fm_listeners_done(struct fm_listeners *listeners);

#endif
