/*
 * A running facematchd, asked over HTTP: the only file that knows libcurl is remote.c. Replies are bounded
 * (FM_REMOTE_REPLY_MAX) unless they go to a file. Where the daemon is too busy (503, 429) a request is tried
 * again as its Retry-After asks, FM_REMOTE_TRIES times in all.
 * Threads: a struct fm_remote belongs to one thread.
 */
#ifndef FM_CLI_REMOTE_H
#define FM_CLI_REMOTE_H

#include "cli/cli.h"

#include <jansson.h>

#define FM_REMOTE_URL       "http://127.0.0.1:8660"
#define FM_REMOTE_REPLY_MAX ((size_t)256 << 20)
#define FM_REMOTE_TRIES     8

/* Where it is and who asks; the strings outlive the remote. */
struct fm_remote_options {
	const char *url;      /* FM_REMOTE_URL */
	const char *socket;   /* of a Unix socket, or NULL */
	const char *key_file; /* a file with the key, or NULL: none, unless $FACEMATCH_KEY holds one */
	const char *ca_file;  /* certificates to trust in place of the system's, or NULL */
};

/* Rows for a command's options: --url, --socket, --key-file, --ca-file. */
#define FM_REMOTE_OPTION_ROWS(options)                                                                       \
	{"url", FM_OPTION_TEXT, &(options)->url, "URL", "the daemon (default: " FM_REMOTE_URL ")"},          \
	        {"socket", FM_OPTION_TEXT, &(options)->socket, "PATH", "its Unix socket, if it has one"},    \
	        {"key-file", FM_OPTION_TEXT, &(options)->key_file, "FILE",                                   \
	                "a file with the key to show (default: $FACEMATCH_KEY, or none)"},                   \
	{                                                                                                    \
		"ca-file", FM_OPTION_TEXT, &(options)->ca_file, "FILE",                                      \
		        "certificates that vouch for an https URL (default: the system's)"                   \
	}

struct fm_remote;

/* Errors: FM_E_INVALID (no http or https URL, a key with other characters than keys have), file errors. */
enum fm_status fm_remote_create(
        const struct fm_remote_options *options, struct fm_remote **ret_remote, struct fm_error *err);
void fm_remote_free(struct fm_remote *remote);

struct fm_remote_request {
	const char *method; /* "GET" */
	const char *path;   /* "/v1/enroll" */
	/* Pairs of name and value, unescaped, up to a NULL name; a pair without value is left out. */
	const char *const (*query)[2];
	const char *content_type; /* or NULL */
	const void *body;
	size_t length;
	const char *output; /* a new file for a reply of 2xx, or NULL: into memory */
};

struct fm_remote_reply {
	long http_status;
	char *body; /* NUL-terminated; "" where it went to a file */
	size_t length;
	json_t *json;   /* of the body, or NULL */
	char next[128]; /* the header X-Next-Cursor, or "" */
};
void fm_remote_reply_done(struct fm_remote_reply *reply);

/* What a problem reply (RFC 9457) says; "" where it says nothing. */
const char *fm_remote_code(const struct fm_remote_reply *reply);
const char *fm_remote_detail(const struct fm_remote_reply *reply);

/*
 * Sends the request and waits for its reply, whatever its status. Errors: FM_E_IO (no reply: the message says
 * why and what to look at; or the file cannot be written), FM_E_TOO_LARGE, FM_E_NOMEM.
 */
enum fm_status fm_remote_send(struct fm_remote *remote, const struct fm_remote_request *request,
        struct fm_remote_reply *ret_reply, struct fm_error *err);

/* The same, and any status but 2xx is FM_E_IO, with what the daemon said. */
enum fm_status fm_remote_expect(struct fm_remote *remote, const struct fm_remote_request *request,
        struct fm_remote_reply *ret_reply, struct fm_error *err);

#endif
