/*
 * Which web pages a request may come from. A browser lends its user's reach to any page: a page of another
 * site can make it post to loopback (told by Origin and Sec-Fetch-Site), and a page whose name its owner
 * points at 127.0.0.1 passes for our own (DNS rebinding; told by Host). Threads: pure.
 */
#ifndef FM_DAEMON_ORIGIN_H
#define FM_DAEMON_ORIGIN_H

#include "daemon/config.h"

#include <stdbool.h>

/*
 * Whether Host: names this machine without the help of a name server: an IP address, localhost or a name
 * below it, or one of [server] host_names. A port after it does not matter. NULL, as HTTP/1.0 has it, passes:
 * no browser leaves it out.
 */
bool fm_origin_host_known(const struct fm_config *config, const char *host);

enum fm_origin {
	FM_ORIGIN_OWN,     /* no page, or one of our own */
	FM_ORIGIN_ALLOWED, /* a page of one of [server] cors_origins: the reply tells the browser so */
	FM_ORIGIN_FOREIGN,
};

/* What the headers Origin, Host and Sec-Fetch-Site say (each may be NULL). */
enum fm_origin fm_origin_of(
        const struct fm_config *config, const char *origin, const char *host, const char *fetch_site);

#endif
