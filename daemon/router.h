/*
 * Which handler answers a request: one table of routes (routes.c). Threads: pure.
 */
#ifndef FM_DAEMON_ROUTER_H
#define FM_DAEMON_ROUTER_H

#include "daemon/reply.h"
#include "daemon/request.h"
#include "lib/auth/keyring.h"

struct fm_app;
struct fm_config;
struct fm_pipeline;
struct fm_serving;

/* All that a handler gets, and the reply it fills. */
struct fm_exchange {
	struct fm_app *app;
	const struct fm_config *config; /* this request's: a reload does not change it */
	struct fm_serving *serving;     /* this request's, held; NULL before models and gallery are loaded */
	struct fm_pipeline *pipeline;   /* this worker's; NULL on routes that are FM_ROUTE_INLINE */
	struct fm_request *request;
	const char *key_id; /* "" where nobody showed a key */
	struct fm_reply reply;
	json_t *problem_more; /* further members of the problem body, owned */
	bool photo_work;      /* then the reply gets Server-Timing: */
	double decode_ms, detect_ms, embed_ms, search_ms;
};
void fm_exchange_done(struct fm_exchange *exchange);

/*
 * FM_PROBLEM_NONE with exchange->reply set, or a problem with its detail in err->message.
 */
typedef enum fm_problem (*fm_handler)(struct fm_exchange *exchange, struct fm_error *err);

enum fm_route_flags {
	FM_ROUTE_INLINE =
	        1 << 0, /* never waits or computes: answered on the I/O thread, whatever the queue */
	FM_ROUTE_ANYTIME = 1 << 1, /* answered before models and gallery are loaded */
	FM_ROUTE_PHOTO = 1 << 2, /* takes bodies up to [limits] body_max_bytes; others FM_SMALL_BODY_BYTES */
	FM_ROUTE_ENROLLS = 1 << 5, /* stores embeddings: waits while the network in use is exchanged */
	/*
	 * What a key that is bound to collections may do follows from ?collection=, and on routes for admins,
	 * which reach all of them, nothing, unless:
	 */
	FM_ROUTE_NO_COLLECTION = 1 << 3,    /* concerns none; not for admins' routes */
	FM_ROUTE_NAMES_COLLECTION = 1 << 4, /* the path's parameter is its name */
};

#define FM_SMALL_BODY_BYTES (128 * 1024)

struct fm_route {
	const char *method;  /* "GET" answers HEAD too */
	const char *pattern; /* "/v1/people/{}/faces": each {} is one segment, decoded into parameters */
	fm_handler handler;
	unsigned flags;
	enum fm_role role; /* that a key must have at least, where keys are asked for */
};
extern const struct fm_route fm_routes[];
extern const size_t fm_route_count;

#define FM_ALLOW_BYTES 64

/*
 * Finds the route of a method and request->path, and fills request->parameters.
 * NOT_FOUND; METHOD_NOT_ALLOWED with the methods there are in ret_allow ("GET, HEAD, POST");
 * BAD_REQUEST where the path holds malformed escapes.
 */
enum fm_problem fm_router_find(const char *method, struct fm_request *request,
        const struct fm_route **ret_route, char ret_allow[FM_ALLOW_BYTES], struct fm_error *err);

/* Runs the handler and makes its problem, if any, the reply. */
void fm_router_run(const struct fm_route *route, struct fm_exchange *exchange);

#endif
