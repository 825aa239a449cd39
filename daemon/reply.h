/*
 * Replies: JSON bodies, headers, and problems (RFC 9457). The tables from status to problem and from problem
 * to HTTP are here and nowhere else. Threads: a reply has one owner.
 */
#ifndef FM_DAEMON_REPLY_H
#define FM_DAEMON_REPLY_H

#include "lib/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The codes of API.md, one to one. */
enum fm_problem {
	FM_PROBLEM_NONE = 0,
	FM_PROBLEM_BAD_REQUEST,
	FM_PROBLEM_BAD_JSON,
	FM_PROBLEM_BAD_BASE64,
	FM_PROBLEM_BAD_MULTIPART,
	FM_PROBLEM_BAD_IMAGE,
	FM_PROBLEM_TRUNCATED_IMAGE,
	FM_PROBLEM_UNAUTHORIZED,
	FM_PROBLEM_FORBIDDEN,
	FM_PROBLEM_NOT_FOUND,
	FM_PROBLEM_METHOD_NOT_ALLOWED,
	FM_PROBLEM_CONFLICT,
	FM_PROBLEM_BODY_TOO_LARGE,
	FM_PROBLEM_IMAGE_TOO_LARGE,
	FM_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
	FM_PROBLEM_MISDIRECTED,
	FM_PROBLEM_NO_FACE,
	FM_PROBLEM_MULTIPLE_FACES,
	FM_PROBLEM_LOW_QUALITY,
	FM_PROBLEM_RATE_LIMITED,
	FM_PROBLEM_HEADERS_TOO_LARGE,
	FM_PROBLEM_INTERNAL,
	FM_PROBLEM_OVERLOADED,
	FM_PROBLEM_STARTING,
	FM_PROBLEM_STORAGE_FAILED,
	FM_PROBLEM_STORAGE_FULL,
	FM_PROBLEM_COUNT,
};

const char *fm_problem_code(enum fm_problem problem); /* "no_face" */
int fm_problem_http_status(enum fm_problem problem);  /* 422 */

/* What a failure means to the client: of a request or the gallery, and of reading a photo. */
enum fm_problem fm_problem_of(enum fm_status status);
enum fm_problem fm_problem_of_photo(enum fm_status status);

#define FM_REPLY_HEADERS_MAX  12
#define FM_REPLY_HEADER_BYTES 256

struct fm_reply {
	int http_status;
	enum fm_problem problem;  /* what fm_reply_problem() was given */
	const char *content_type; /* static, or NULL without a body */
	char *body;               /* owned */
	size_t length;
	bool is_file; /* then the body is what `file` holds, `length` bytes from its start */
	int file;     /* owned */
	size_t header_count;
	struct fm_reply_header {
		const char *name; /* static */
		char value[FM_REPLY_HEADER_BYTES];
	} headers[FM_REPLY_HEADERS_MAX];
};
void fm_reply_done(struct fm_reply *reply);

/* Adds a header. Beyond FM_REPLY_HEADERS_MAX it is dropped; a longer value is cut. */
void fm_reply_header(struct fm_reply *reply, const char *name, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/*
 * Sets status and body. Takes the reference to `body`; NULL stands for a body that could not be built for
 * want of memory. Numbers carry nine significant digits: a float comes back with the same bits.
 */
enum fm_status fm_reply_json(struct fm_reply *reply, int http_status, json_t *body, struct fm_error *err);

/* A body that is no JSON. Takes the text (malloc), whose length is `length`; the type is static. */
void fm_reply_text(
        struct fm_reply *reply, int http_status, const char *content_type, char *text, size_t length);

/* A body that is sent from a file, whose descriptor is taken. FM_E_IO. */
enum fm_status fm_reply_file(
        struct fm_reply *reply, int http_status, const char *content_type, int file, struct fm_error *err);

/* 204: done, nothing to say. */
void fm_reply_no_content(struct fm_reply *reply);

/*
 * A problem body; replaces what the reply was. `more` holds further members (RFC 9457 section 3.2) or is
 * NULL; its reference is taken. Cannot fail: without memory the body is left out.
 */
void fm_reply_problem(struct fm_reply *reply, enum fm_problem problem, const char *detail,
        const char *request_id, json_t *more);

#endif
