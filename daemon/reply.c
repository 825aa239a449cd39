#include "daemon/reply.h"

#include "daemon/text.h"
#include "lib/base/size.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define RETRY_AFTER_S 1

static const struct {
	int http_status;
	const char *code, *title;
} problems[FM_PROBLEM_COUNT] = {
        [FM_PROBLEM_NONE] = {200, "none", "No problem"},
        [FM_PROBLEM_BAD_REQUEST] = {400, "bad_request", "Bad request"},
        [FM_PROBLEM_BAD_JSON] = {400, "bad_json", "Malformed JSON"},
        [FM_PROBLEM_BAD_BASE64] = {400, "bad_base64", "Malformed base64"},
        [FM_PROBLEM_BAD_MULTIPART] = {400, "bad_multipart", "Malformed multipart body"},
        [FM_PROBLEM_BAD_IMAGE] = {400, "bad_image", "Unreadable image"},
        [FM_PROBLEM_TRUNCATED_IMAGE] = {400, "truncated_image", "Image ends early"},
        [FM_PROBLEM_UNAUTHORIZED] = {401, "unauthorized", "A key is wanted"},
        [FM_PROBLEM_FORBIDDEN] = {403, "forbidden", "Forbidden"},
        [FM_PROBLEM_NOT_FOUND] = {404, "not_found", "Not found"},
        [FM_PROBLEM_METHOD_NOT_ALLOWED] = {405, "method_not_allowed", "Method not allowed"},
        [FM_PROBLEM_CONFLICT] = {409, "conflict", "Conflict"},
        [FM_PROBLEM_BODY_TOO_LARGE] = {413, "body_too_large", "Request body too large"},
        [FM_PROBLEM_IMAGE_TOO_LARGE] = {413, "image_too_large", "Image has too many pixels"},
        [FM_PROBLEM_UNSUPPORTED_MEDIA_TYPE] = {415, "unsupported_media_type", "Unsupported media type"},
        [FM_PROBLEM_MISDIRECTED] = {421, "misdirected", "Not a name of this daemon"},
        [FM_PROBLEM_NO_FACE] = {422, "no_face", "No face found"},
        [FM_PROBLEM_MULTIPLE_FACES] = {422, "multiple_faces", "More than one face found"},
        [FM_PROBLEM_LOW_QUALITY] = {422, "low_quality", "Face not good enough to enrol"},
        [FM_PROBLEM_RATE_LIMITED] = {429, "rate_limited", "Too many requests"},
        [FM_PROBLEM_HEADERS_TOO_LARGE] = {431, "headers_too_large", "Request headers too large"},
        [FM_PROBLEM_INTERNAL] = {500, "internal", "Internal error"},
        [FM_PROBLEM_OVERLOADED] = {503, "overloaded", "Too busy"},
        [FM_PROBLEM_STARTING] = {503, "starting", "Still starting"},
        [FM_PROBLEM_STORAGE_FAILED] = {503, "storage_failed", "Storage does not work"},
        [FM_PROBLEM_STORAGE_FULL] = {507, "storage_full", "Storage full"},
};

/* By -status: what a failure means in a request or the gallery, and what in a photo. */
static const struct {
	enum fm_problem plain, photo;
} meanings[] = {
        [-FM_OK] = {FM_PROBLEM_NONE, FM_PROBLEM_NONE},
        [-FM_E_INVALID] = {FM_PROBLEM_BAD_REQUEST, FM_PROBLEM_BAD_IMAGE},
        [-FM_E_NOMEM] = {FM_PROBLEM_OVERLOADED, FM_PROBLEM_OVERLOADED},
        [-FM_E_IO] = {FM_PROBLEM_STORAGE_FAILED, FM_PROBLEM_INTERNAL},
        [-FM_E_NOT_FOUND] = {FM_PROBLEM_NOT_FOUND, FM_PROBLEM_INTERNAL},
        [-FM_E_CONFLICT] = {FM_PROBLEM_CONFLICT, FM_PROBLEM_INTERNAL},
        [-FM_E_TOO_LARGE] = {FM_PROBLEM_BODY_TOO_LARGE, FM_PROBLEM_IMAGE_TOO_LARGE},
        [-FM_E_UNSUPPORTED] = {FM_PROBLEM_UNSUPPORTED_MEDIA_TYPE, FM_PROBLEM_UNSUPPORTED_MEDIA_TYPE},
        [-FM_E_CORRUPT] = {FM_PROBLEM_INTERNAL, FM_PROBLEM_BAD_IMAGE},
        [-FM_E_TRUNCATED] = {FM_PROBLEM_INTERNAL, FM_PROBLEM_TRUNCATED_IMAGE},
        [-FM_E_NO_FACE] = {FM_PROBLEM_NO_FACE, FM_PROBLEM_NO_FACE},
        [-FM_E_MULTIPLE_FACES] = {FM_PROBLEM_MULTIPLE_FACES, FM_PROBLEM_MULTIPLE_FACES},
        [-FM_E_LOW_QUALITY] = {FM_PROBLEM_LOW_QUALITY, FM_PROBLEM_LOW_QUALITY},
        [-FM_E_BUSY] = {FM_PROBLEM_OVERLOADED, FM_PROBLEM_OVERLOADED},
        [-FM_E_STORAGE_FULL] = {FM_PROBLEM_STORAGE_FULL, FM_PROBLEM_STORAGE_FULL},
        [-FM_E_CANCELLED] = {FM_PROBLEM_OVERLOADED, FM_PROBLEM_OVERLOADED},
        [-FM_E_INTERNAL] = {FM_PROBLEM_INTERNAL, FM_PROBLEM_INTERNAL},
};

const char *fm_problem_code(enum fm_problem problem)
{
	return problems[problem].code;
}

int fm_problem_http_status(enum fm_problem problem)
{
	return problems[problem].http_status;
}

static size_t meaning_index(enum fm_status status)
{
	size_t index = (size_t) - (int)status;

	return index < FM_ARRAY_SIZE(meanings) ? index : (size_t)-FM_E_INTERNAL;
}

enum fm_problem fm_problem_of(enum fm_status status)
{
	return meanings[meaning_index(status)].plain;
}

enum fm_problem fm_problem_of_photo(enum fm_status status)
{
	return meanings[meaning_index(status)].photo;
}

static void drop_body(struct fm_reply *reply)
{
	free(reply->body);
	if (reply->is_file)
		close(reply->file);
	reply->body = NULL;
	reply->is_file = false;
}

void fm_reply_done(struct fm_reply *reply)
{
	drop_body(reply);
	*reply = (struct fm_reply){0};
}

void fm_reply_header(struct fm_reply *reply, const char *name, const char *format, ...)
{
	va_list ap;

	if (reply->header_count == FM_REPLY_HEADERS_MAX)
		return;
	struct fm_reply_header *header = &reply->headers[reply->header_count++];
	header->name = name;
	va_start(ap, format);
	vsnprintf(header->value, sizeof(header->value), format, ap);
	va_end(ap);
}

void fm_reply_text(
        struct fm_reply *reply, int http_status, const char *content_type, char *text, size_t length)
{
	drop_body(reply);
	reply->http_status = http_status;
	reply->content_type = text ? content_type : NULL;
	reply->body = text;
	reply->length = length;
}

static void set_body(struct fm_reply *reply, int http_status, const char *content_type, char *body)
{
	fm_reply_text(reply, http_status, content_type, body, body ? strlen(body) : 0);
}

static char *dump(json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;

	json_decref(body);
	return text;
}

enum fm_status fm_reply_json(struct fm_reply *reply, int http_status, json_t *body, struct fm_error *err)
{
	char *text = dump(body);

	if (!text)
		return fm_fail(err, FM_E_NOMEM, "no memory for the reply");
	set_body(reply, http_status, "application/json", text);
	return FM_OK;
}

enum fm_status fm_reply_file(
        struct fm_reply *reply, int http_status, const char *content_type, int file, struct fm_error *err)
{
	struct stat file_status;

	if (fstat(file, &file_status) < 0) {
		enum fm_status status = fm_fail_errno(err, errno, "a file to send");
		close(file);
		return status;
	}
	drop_body(reply);
	reply->http_status = http_status;
	reply->content_type = content_type;
	reply->is_file = true;
	reply->file = file;
	reply->length = (size_t)file_status.st_size;
	return FM_OK;
}

void fm_reply_no_content(struct fm_reply *reply)
{
	set_body(reply, 204, NULL, NULL);
}

void fm_reply_problem(struct fm_reply *reply, enum fm_problem problem, const char *detail,
        const char *request_id, json_t *more)
{
	char type[64], readable[FM_ERROR_MESSAGE_MAX];

	snprintf(readable, sizeof(readable), "%s", detail);
	reply->problem = problem;
	fm_utf8_repair(readable);
	snprintf(type, sizeof(type), "urn:facematchd:%s", problems[problem].code);
	json_t *body = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "type", type, "title",
	        problems[problem].title, "status", problems[problem].http_status, "detail", readable, "code",
	        problems[problem].code, "request_id", request_id);
	if (body && more)
		json_object_update_missing(body, more);
	json_decref(more);
	set_body(reply, problems[problem].http_status, "application/problem+json", dump(body));
	if (problems[problem].http_status == 503)
		fm_reply_header(reply, "Retry-After", "%d", RETRY_AFTER_S);
}
