/*
 * An HTTP client for tests of the daemon: libcurl for what a client should send, a raw socket for what it
 * should not.
 */
#ifndef FM_TESTS_SUPPORT_HTTP_CLIENT_H
#define FM_TESTS_SUPPORT_HTTP_CLIENT_H

#include "tests/support/daemon_harness.h"

#include <jansson.h>
#include <stddef.h>

struct test_reply {
	long status; /* 0: no reply at all */
	char *headers, *body;
	size_t length;
	json_t *json; /* of the body, or NULL */
};
void test_reply_done(struct test_reply *reply);
/* A header's value, cut at 255 bytes, or "". Not kept beyond the next call. */
const char *test_reply_header(const struct test_reply *reply, const char *name);

/* From now on every reply is appended to a file, a JSON object a line, for tests/contract/check.py. */
void test_record_replies(const char *path);

struct test_part {
	const char *name, *filename, *type; /* filename and type may be NULL */
	const void *bytes;
	size_t length;
};

/* `path` with query. Body and type may be NULL. */
struct test_reply test_http(const struct test_daemon *daemon, const char *method, const char *path,
        const char *content_type, const void *body, size_t length);
/* With further headers ("X-Api-Key: k"), NULL-terminated, and a body of JSON, or none (NULL). */
struct test_reply test_with_headers(const struct test_daemon *daemon, const char *method, const char *path,
        const char *const *headers, const char *json);
struct test_reply test_get(const struct test_daemon *daemon, const char *path);
struct test_reply test_delete(const struct test_daemon *daemon, const char *path);
struct test_reply test_json(
        const struct test_daemon *daemon, const char *method, const char *path, const char *json);
struct test_reply test_photo(
        const struct test_daemon *daemon, const char *path, const void *photo, size_t length);
struct test_reply test_form(
        const struct test_daemon *daemon, const char *path, const struct test_part *parts, size_t count);
/* Chunked, in pieces of `piece` bytes. */
struct test_reply test_chunked(const struct test_daemon *daemon, const char *path, const char *content_type,
        const void *body, size_t length, size_t piece);

/* A connected socket, and what comes back on it until it closes or until the text is among it, where that is
 * not NULL: a connection that stays open needs one. free() the text. */
int test_connect(const struct test_daemon *daemon);
void test_send(int fd, const void *bytes, size_t length);
char *test_receive(int fd, const char *wanted);
/* The same; aborts the test when it does not come. */
void test_expect_until(int fd, const char *wanted, const char *what);
/* Begins to post a photo of so many bytes and returns when the daemon has said "100 Continue": from then on
 * it has the request and waits for the body, which the caller sends. */
void test_begin_photo(int fd, const char *path, const char *type, size_t length);

/*
 * Checks a problem: status, media type, and every member of the body; X-Request-Id is the body's request_id.
 * Frees the reply.
 */
void test_expect_problem(struct test_reply reply, long status, const char *code, const char *what);
/* Checks the status and frees the reply. */
void test_expect_status(struct test_reply reply, long status, const char *what);
/* The same, and hands the body's JSON over; json_decref() it. */
json_t *test_take_json(struct test_reply reply, long status, const char *what);

#endif
