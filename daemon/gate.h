/*
 * Who may pass: keys and their roles, the pages that a browser may ask for, and how often. Decided on a
 * request's headers, before its body is read. Threads: safe.
 *
 * Failures are counted for each address (an IPv6 one by its /64). An address that has used up [auth]
 * failures_per_minute is answered 429, and its keys are not looked at any more, until a token has come back;
 * on loopback and Unix sockets, where a proxy may stand for everybody, a good key passes all the same.
 */
#ifndef FM_DAEMON_GATE_H
#define FM_DAEMON_GATE_H

#include "daemon/origin.h"
#include "daemon/router.h"
#include "daemon/snapshot.h"

#include <sys/socket.h>

struct fm_gate;
enum fm_status fm_gate_create(struct fm_gate **ret_gate, struct fm_error *err);
void fm_gate_free(struct fm_gate *gate);

/* Headers of a request, NULL where absent, and where it came from. */
struct fm_visitor {
	const struct sockaddr *address; /* NULL or AF_UNIX: a Unix socket */
	const char *authorization, *api_key, *host, *origin, *fetch_site;
};

struct fm_pass {
	enum fm_origin origin;
	char key_id[FM_KEY_ID]; /* "" without a key */
	bool challenge;         /* 401: the reply wants WWW-Authenticate */
	unsigned retry_after_s; /* 429 */
};

/*
 * NONE, or MISDIRECTED, FORBIDDEN, UNAUTHORIZED, RATE_LIMITED. `now_s` is monotonic. `route` is NULL for a
 * preflight, which carries no key: then only the page counts.
 */
enum fm_problem fm_gate_check(struct fm_gate *gate, const struct fm_snapshot *snapshot,
        const struct fm_route *route, const struct fm_request *request, const struct fm_visitor *visitor,
        double now_s, struct fm_pass *ret_pass, struct fm_error *err);

#endif
