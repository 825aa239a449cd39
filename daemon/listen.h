/*
 * Where the daemon serves: parsing ADDRESS:PORT, the rule about addresses, the listening socket.
 * Threads: pure.
 */
#ifndef FM_DAEMON_LISTEN_H
#define FM_DAEMON_LISTEN_H

#include "lib/base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct fm_listen_address {
	struct sockaddr_storage address;
	socklen_t length;
};

#define FM_LISTEN_TEXT 80

/*
 * "127.0.0.1:8660", "[::1]:8660", "localhost:8660"; port 0 means any free one. Numbers only besides
 * localhost: what is served must not hang on a name server. FM_E_INVALID.
 */
enum fm_status fm_listen_parse(const char *text, struct fm_listen_address *ret_address, struct fm_error *err);

/* 127.0.0.0/8, ::1, and the former written as IPv6. */
bool fm_listen_is_loopback(const struct fm_listen_address *address);

/* Without keys anybody who reaches the port may do everything: FM_E_INVALID on any address but loopback. */
enum fm_status fm_listen_check(const struct fm_listen_address *address, struct fm_error *err);

/* A listening socket (close-on-exec, non-blocking). */
enum fm_status fm_listen_open(const struct fm_listen_address *address, int *ret_fd, struct fm_error *err);

/* What the socket is bound to: "127.0.0.1:40123". */
enum fm_status fm_listen_describe(
        int fd, char ret_text[FM_LISTEN_TEXT], uint16_t *ret_port, struct fm_error *err);

#endif
