/*
 * A request: target, query, and the body in the three ways a photo may come. Nothing here knows HTTP's
 * wire. Threads: a request has one owner at a time.
 */
#ifndef FM_DAEMON_REQUEST_H
#define FM_DAEMON_REQUEST_H

#include "daemon/multipart.h"
#include "daemon/reply.h"
#include "daemon/text.h"
#include "lib/base/buf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define FM_REQUEST_ID_BYTES       65
#define FM_REQUEST_QUERY_MAX      32
#define FM_REQUEST_PARAMETERS_MAX 2
#define FM_REQUEST_IMAGES_MAX     2

struct fm_query {
	char *key, *value;
};

struct fm_request {
	char id[FM_REQUEST_ID_BYTES];
	char *path; /* as sent, without the query */
	size_t query_count;
	struct fm_query query[FM_REQUEST_QUERY_MAX];
	size_t parameter_count;
	char *parameters[FM_REQUEST_PARAMETERS_MAX]; /* of the route's pattern, decoded */
	char *content_type;                          /* or NULL */
	struct fm_buf body;

	/* Filled by the first look into the body. */
	bool body_read;
	enum fm_problem body_problem;
	struct fm_error body_error;
	enum fm_body_kind { FM_BODY_NONE, FM_BODY_RAW, FM_BODY_MULTIPART, FM_BODY_JSON } body_kind;
	size_t part_count;
	struct fm_part parts[FM_MULTIPART_PARTS_MAX];
	json_t *json;
	size_t decoded_count;
	char *decoded[FM_REQUEST_IMAGES_MAX + 1]; /* base64 images, part texts */
};

/* Zeroes, and takes a client's X-Request-Id where it is 1 to 64 letters, digits, '.', '_' or '-'. */
void fm_request_init(struct fm_request *request, const char *client_id, size_t body_max_bytes);
void fm_request_done(struct fm_request *request);

/* Splits "/path?query". FM_E_INVALID: malformed escapes, not UTF-8, a key twice, too many keys. */
enum fm_status fm_request_set_target(struct fm_request *request, const char *target, struct fm_error *err);

/* A query value, or NULL. Lives as long as the request. */
const char *fm_request_query(const struct fm_request *request, const char *key);

/* Numbers from the query; the fallback where the key is absent. FM_E_INVALID: no number, or out of range. */
enum fm_status fm_request_integer(const struct fm_request *request, const char *key, long low, long high,
        long fallback, long *ret_value, struct fm_error *err);
enum fm_status fm_request_real(const struct fm_request *request, const char *key, double low, double high,
        double fallback, double *ret_value, struct fm_error *err);

/*
 * The photo called `name` ("image", "image1", "image2"): a multipart part, a JSON member in base64 (a
 * "data:…;base64," prefix is skipped), or, for "image", the raw body. The slice lives as long as the
 * request. BAD_REQUEST where there is none, and the body's own problems.
 */
enum fm_problem fm_request_image(
        struct fm_request *request, const char *name, struct fm_slice *ret_image, struct fm_error *err);

/*
 * A text from the query, a JSON member or a multipart part, in this order; NULL where there is none. Lives
 * as long as the request.
 */
enum fm_problem fm_request_text(
        struct fm_request *request, const char *key, const char **ret_text, struct fm_error *err);

/* The body as a JSON object (borrowed), for endpoints that take nothing else. */
enum fm_problem fm_request_json(struct fm_request *request, json_t **ret_object, struct fm_error *err);

#endif
