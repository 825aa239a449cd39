/*
 * Where the daemon serves: parsing addresses, the rule about them, listening sockets, those of systemd
 * included. Threads: pure.
 */
#ifndef FM_DAEMON_LISTEN_H
#define FM_DAEMON_LISTEN_H

#include "lib/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct fm_listen_address {
	struct sockaddr_storage address;
	socklen_t length;
};

#define FM_LISTEN_TEXT 128
#define FM_LISTEN_MAX  8

/*
 * "127.0.0.1:8660", "[::1]:8660", "localhost:8660"; port 0 means any free one. Numbers only besides
 * localhost: what is served must not hang on a name server. "unix:/run/facematchd/http": a Unix socket.
 * FM_E_INVALID.
 */
enum fm_status fm_listen_parse(const char *text, struct fm_listen_address *ret_address, struct fm_error *err);

/* Several, separated by commas or blanks; at least one. */
enum fm_status fm_listen_parse_list(const char *text, struct fm_listen_address ret_addresses[FM_LISTEN_MAX],
        size_t *ret_count, struct fm_error *err);

/* 127.0.0.0/8, ::1, the former written as IPv6, and Unix sockets: nobody beyond this machine gets there. */
bool fm_listen_is_local(const struct fm_listen_address *address);

/* Without keys anybody who reaches the port may do everything: FM_E_INVALID on any address that is not local.
 */
enum fm_status fm_listen_check(const struct fm_listen_address *address, struct fm_error *err);

/*
 * A listening socket (close-on-exec, non-blocking). A Unix socket gets `mode` and, unless empty, `group`
 * before anybody can connect; one that a dead process left behind is replaced.
 */
enum fm_status fm_listen_open(const struct fm_listen_address *address, mode_t mode, const char *group,
        int *ret_fd, struct fm_error *err);

/* "0660" -> 0660. FM_E_INVALID. */
enum fm_status fm_listen_parse_mode(const char *text, mode_t *ret_mode, struct fm_error *err);

/* The sockets that systemd has opened (socket activation), made non-blocking; count 0 without. */
enum fm_status fm_listen_inherit(int ret_fds[FM_LISTEN_MAX], size_t *ret_count, struct fm_error *err);

/* What the socket is bound to, and as text: "127.0.0.1:40123", "unix:/run/facematchd/http". Port 0: no IP. */
enum fm_status fm_listen_address_of(int fd, struct fm_listen_address *ret_address, struct fm_error *err);
enum fm_status fm_listen_describe(
        int fd, char ret_text[FM_LISTEN_TEXT], uint16_t *ret_port, struct fm_error *err);

#endif
