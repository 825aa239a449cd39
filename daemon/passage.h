/*
 * One request's way from its headers to its reply, whatever moves the bytes. server.c tells what has arrived
 * and does what the returned step says. Threads: a passage has one owner at a time: the I/O thread of its
 * connection, or the worker that it was queued to.
 */
#ifndef FM_DAEMON_PASSAGE_H
#define FM_DAEMON_PASSAGE_H

#include "daemon/app.h"
#include "daemon/gate.h"
#include "daemon/router.h"

#include <time.h>

/* What all passages share. */
struct fm_traffic {
	struct fm_app *app;
	struct fm_gate *gate;
	_Atomic size_t body_bytes; /* of all requests */
};

struct fm_passage {
	struct fm_traffic *traffic;
	char *target;
	char method[16];
	struct timespec start, queued;
	double queue_s; /* from queued to a worker */
	const struct fm_route *route;
	struct fm_snapshot *snapshot;
	struct fm_request request;
	struct fm_exchange exchange;
	struct fm_pass pass;
	char *origin;                         /* of the page that the reply is for, where that is allowed */
	bool settled;                         /* the reply is there; what comes of the body is dropped */
	bool misframed;                       /* nobody knows where this request ends and the next begins */
	size_t received_bytes, counted_bytes; /* counted: in traffic->body_bytes */
};

/* What the headers say; NULL where absent. Lives during the call. */
struct fm_arrival {
	const char *method, *content_type, *content_length, *request_id;
	const char *preflight; /* Access-Control-Request-Method */
	size_t header_bytes;
	bool expects;   /* the client waits for a word before it sends the body */
	bool misframed; /* more than one length or encoding, or an unknown one */
	struct fm_visitor visitor;
};

enum fm_step {
	FM_STEP_READ,  /* go on reading */
	FM_STEP_REPLY, /* send exchange.reply */
	FM_STEP_QUEUE, /* let a worker call fm_passage_work() */
	FM_STEP_CUT,   /* close the connection */
};

/* `target` as sent, "/path?query". False: no memory. */
bool fm_passage_init(struct fm_passage *passage, struct fm_traffic *traffic, const char *target);
void fm_passage_done(struct fm_passage *passage);

enum fm_step fm_passage_headers(struct fm_passage *passage, const struct fm_arrival *arrival);
enum fm_step fm_passage_body(struct fm_passage *passage, const char *bytes, size_t length);
/* The body is complete. */
enum fm_step fm_passage_complete(struct fm_passage *passage);

/* On a worker, by its number, after `queued` was set: the reply is there when it returns. */
void fm_passage_work(struct fm_passage *passage, size_t worker);
/* Makes a problem the reply. */
void fm_passage_refuse(struct fm_passage *passage, enum fm_problem problem, const struct fm_error *err);

/* Its line in the log and its place in the figures, at its end. */
void fm_passage_account(const struct fm_passage *passage, bool answered, bool whole);

#endif
