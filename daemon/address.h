/* Addresses of clients. NULL and anything that is not IP stand for a Unix socket. Threads: pure. */
#ifndef FM_DAEMON_ADDRESS_H
#define FM_DAEMON_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

bool fm_address_is_ip(const struct sockaddr *address);

/* Loopback and Unix sockets: whoever is behind may be a proxy that stands for many. */
bool fm_address_is_local(const struct sockaddr *address);

/* Who is counted as one: an IPv4 address, also written as IPv6; of IPv6 the /64, which is one subscriber's.
 */
#define FM_ADDRESS_NAME_BYTES 16
void fm_address_name(const struct sockaddr *address, uint8_t ret_name[FM_ADDRESS_NAME_BYTES]);

/* "127.0.0.1", "fe80::1", "unix". */
#define FM_ADDRESS_TEXT 48
void fm_address_format(const struct sockaddr *address, char ret_text[FM_ADDRESS_TEXT]);

#endif
