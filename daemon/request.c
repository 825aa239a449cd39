#include "daemon/request.h"

#include "lib/base/cleanup.h"
#include "lib/base/uuid.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/banned.h"

static bool usable_id(const char *id)
{
	size_t length = id ? strlen(id) : 0;

	return length > 0 && length < FM_REQUEST_ID_BYTES &&
	       strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == length;
}

void fm_request_init(struct fm_request *request, const char *client_id, size_t body_max_bytes)
{
	*request = (struct fm_request){0};
	fm_buf_init(&request->body, body_max_bytes);
	if (usable_id(client_id))
		snprintf(request->id, sizeof(request->id), "%s", client_id);
	else
		fm_uuid_new(request->id);
}

void fm_request_done(struct fm_request *request)
{
	for (size_t i = 0; i < request->query_count; i++) {
		free(request->query[i].key);
		free(request->query[i].value);
	}
	for (size_t i = 0; i < request->parameter_count; i++)
		free(request->parameters[i]);
	for (size_t i = 0; i < request->decoded_count; i++)
		free(request->decoded[i]);
	json_decref(request->json);
	free(request->path);
	free(request->content_type);
	fm_buf_done(&request->body);
	*request = (struct fm_request){0};
}

/* ---- target ---- */

static enum fm_status add_query(
        struct fm_request *request, const char *pair, size_t length, struct fm_error *err)
{
	const char *equals = memchr(pair, '=', length);
	size_t key_length = equals ? (size_t)(equals - pair) : length;
	fm_autofree char *key = NULL;
	fm_autofree char *value = NULL;
	enum fm_status status = fm_percent_decode(pair, key_length, true, &key, err);

	if (!status)
		status = fm_percent_decode(equals ? equals + 1 : pair + length,
		        equals ? length - key_length - 1 : 0, true, &value, err);
	if (status)
		return fm_fail_prefix(err, status, "the query holds");
	if (fm_request_query(request, key))
		return fm_fail(err, FM_E_INVALID, "the query holds \"%s\" twice", key);
	if (request->query_count == FM_REQUEST_QUERY_MAX)
		return fm_fail(err, FM_E_INVALID, "the query holds more than %d keys", FM_REQUEST_QUERY_MAX);
	request->query[request->query_count++] =
	        (struct fm_query){.key = fm_steal(key), .value = fm_steal(value)};
	return FM_OK;
}

enum fm_status fm_request_set_target(struct fm_request *request, const char *target, struct fm_error *err)
{
	size_t path_length = strcspn(target, "?");
	const char *at = target + path_length;

	request->path = strndup(target, path_length);
	if (!request->path)
		return fm_fail(err, FM_E_NOMEM, "no memory for the request");
	while (*at) {
		at++; /* the '?' or '&' before */
		size_t length = strcspn(at, "&");
		if (length) {
			enum fm_status status = add_query(request, at, length, err);
			if (status)
				return status;
		}
		at += length;
	}
	return FM_OK;
}

const char *fm_request_query(const struct fm_request *request, const char *key)
{
	for (size_t i = 0; i < request->query_count; i++) {
		if (strcmp(request->query[i].key, key) == 0)
			return request->query[i].value;
	}
	return NULL;
}

enum fm_status fm_request_integer(const struct fm_request *request, const char *key, long low, long high,
        long fallback, long *ret_value, struct fm_error *err)
{
	const char *text = fm_request_query(request, key);
	char *end;

	if (!text) {
		*ret_value = fallback;
		return FM_OK;
	}
	errno = 0;
	long value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < low || value > high)
		return fm_fail(
		        err, FM_E_INVALID, "?%s= is not a whole number from %ld to %ld", key, low, high);
	*ret_value = value;
	return FM_OK;
}

enum fm_status fm_request_real(const struct fm_request *request, const char *key, double low, double high,
        double fallback, double *ret_value, struct fm_error *err)
{
	const char *text = fm_request_query(request, key);
	char *end;

	if (!text) {
		*ret_value = fallback;
		return FM_OK;
	}
	errno = 0;
	double value = strtod(text, &end);
	if (errno || end == text || *end || !isfinite(value) || value < low || value > high)
		return fm_fail(err, FM_E_INVALID, "?%s= is not a number from %g to %g", key, low, high);
	*ret_value = value;
	return FM_OK;
}

/* ---- body ---- */

static bool type_is(const char *content_type, const char *wanted)
{
	size_t length = strcspn(content_type, "; \t");

	return length == strlen(wanted) && strncasecmp(content_type, wanted, length) == 0;
}

static bool type_ends(const char *content_type, const char *suffix)
{
	size_t length = strcspn(content_type, "; \t"), wanted = strlen(suffix);

	return length > wanted && strncasecmp(content_type + length - wanted, suffix, wanted) == 0;
}

static enum fm_problem parse_json(struct fm_request *request, struct fm_error *err)
{
	json_error_t why;

	if (fm_json_bounded(
	            request->body.data, request->body.length, FM_JSON_DEPTH_MAX, FM_JSON_VALUES_MAX, err))
		return FM_PROBLEM_BAD_JSON;
	request->json = json_loadb(request->body.data, request->body.length, JSON_REJECT_DUPLICATES, &why);
	if (!request->json) {
		/* The parser quotes the text around the error: enough to find it, without echoing a body. */
		fm_fail(err, FM_E_INVALID, "line %d, column %d: %.160s", why.line, why.column, why.text);
		return FM_PROBLEM_BAD_JSON;
	}
	if (!json_is_object(request->json)) {
		fm_fail(err, FM_E_INVALID, "the body is JSON, but not an object");
		return FM_PROBLEM_BAD_JSON;
	}
	request->body_kind = FM_BODY_JSON;
	return FM_PROBLEM_NONE;
}

static enum fm_problem parse_body(struct fm_request *request, struct fm_error *err)
{
	const char *type = request->content_type;

	if (!request->body.length)
		return FM_PROBLEM_NONE;
	if (type && (type_is(type, "application/json") || type_ends(type, "+json")))
		return parse_json(request, err);
	if (type && type_is(type, "multipart/form-data")) {
		if (fm_multipart_parse(type, (struct fm_slice){request->body.data, request->body.length},
		            request->parts, &request->part_count, err))
			return FM_PROBLEM_BAD_MULTIPART;
		request->body_kind = FM_BODY_MULTIPART;
		return FM_PROBLEM_NONE;
	}
	/* What `curl --data-binary` says when it is told nothing counts as no type at all. */
	if (!type || !type[0] || strncasecmp(type, "image/", 6) == 0 ||
	        type_is(type, "application/octet-stream") ||
	        type_is(type, "application/x-www-form-urlencoded")) {
		request->body_kind = FM_BODY_RAW;
		return FM_PROBLEM_NONE;
	}
	fm_fail(err, FM_E_UNSUPPORTED,
	        "Content-Type is none of multipart/form-data, image/*, application/octet-stream and "
	        "application/json");
	return FM_PROBLEM_UNSUPPORTED_MEDIA_TYPE;
}

static enum fm_problem read_body(struct fm_request *request, struct fm_error *err)
{
	if (!request->body_read) {
		request->body_problem = parse_body(request, &request->body_error);
		request->body_read = true;
	}
	if (request->body_problem && err)
		*err = request->body_error;
	return request->body_problem;
}

static enum fm_problem find_part(
        struct fm_request *request, const char *name, const struct fm_part **ret_part, struct fm_error *err)
{
	const struct fm_part *found = NULL;

	for (size_t i = 0; i < request->part_count; i++) {
		const struct fm_part *part = &request->parts[i];
		if (part->name.length != strlen(name) ||
		        memcmp(part->name.data, name, part->name.length) != 0)
			continue;
		if (found) {
			fm_fail(err, FM_E_INVALID, "two parts are called \"%s\"", name);
			return FM_PROBLEM_BAD_REQUEST;
		}
		found = part;
	}
	*ret_part = found;
	return FM_PROBLEM_NONE;
}

static enum fm_problem keep(struct fm_request *request, char *bytes, struct fm_error *err)
{
	if (request->decoded_count == sizeof(request->decoded) / sizeof(request->decoded[0])) {
		free(bytes);
		fm_fail(err, FM_E_INTERNAL, "a handler asks for more of a body than there is room for");
		return FM_PROBLEM_INTERNAL;
	}
	request->decoded[request->decoded_count++] = bytes;
	return FM_PROBLEM_NONE;
}

static enum fm_problem image_from_json(
        struct fm_request *request, const char *name, struct fm_slice *ret_image, struct fm_error *err)
{
	json_t *member = json_object_get(request->json, name);
	char *bytes;
	size_t length;

	if (!member)
		return FM_PROBLEM_NONE;
	if (!json_is_string(member)) {
		fm_fail(err, FM_E_INVALID, "\"%s\" is not a string", name);
		return FM_PROBLEM_BAD_REQUEST;
	}
	struct fm_slice text = {json_string_value(member), json_string_length(member)};
	if (text.length > 5 && strncasecmp(text.data, "data:", 5) == 0) {
		const char *comma = memchr(text.data, ',', text.length);
		if (comma) {
			text.length -= (size_t)(comma + 1 - text.data);
			text.data = comma + 1;
		}
	}
	if (fm_base64_decode(text.data, text.length, &bytes, &length, err)) {
		fm_fail_prefix(err, FM_E_INVALID, "\"%s\"", name);
		return FM_PROBLEM_BAD_BASE64;
	}
	*ret_image = (struct fm_slice){bytes, length};
	return keep(request, bytes, err);
}

enum fm_problem fm_request_image(
        struct fm_request *request, const char *name, struct fm_slice *ret_image, struct fm_error *err)
{
	struct fm_slice image = {0};
	enum fm_problem problem = read_body(request, err);

	if (problem)
		return problem;
	if (request->body_kind == FM_BODY_MULTIPART) {
		const struct fm_part *part = NULL;
		problem = find_part(request, name, &part, err);
		if (part)
			image = part->value;
	} else if (request->body_kind == FM_BODY_JSON) {
		problem = image_from_json(request, name, &image, err);
	} else if (request->body_kind == FM_BODY_RAW && strcmp(name, "image") == 0) {
		image = (struct fm_slice){request->body.data, request->body.length};
	}
	if (problem)
		return problem;
	if (request->body_kind == FM_BODY_NONE) {
		fm_fail(err, FM_E_INVALID, "the body is empty; a photo is wanted");
		return FM_PROBLEM_BAD_REQUEST;
	}
	if (!image.data) {
		fm_fail(err, FM_E_INVALID, "the request holds no photo called \"%s\"", name);
		return FM_PROBLEM_BAD_REQUEST;
	}
	if (!image.length) {
		fm_fail(err, FM_E_INVALID, "the photo \"%s\" is empty", name);
		return FM_PROBLEM_BAD_REQUEST;
	}
	*ret_image = image;
	return FM_PROBLEM_NONE;
}

enum fm_problem fm_request_text(
        struct fm_request *request, const char *key, const char **ret_text, struct fm_error *err)
{
	const char *text = fm_request_query(request, key);
	enum fm_problem problem;

	if (text) {
		*ret_text = text;
		return FM_PROBLEM_NONE;
	}
	problem = read_body(request, err);
	if (problem)
		return problem;
	if (request->body_kind == FM_BODY_JSON) {
		json_t *member = json_object_get(request->json, key);
		if (member && !json_is_string(member)) {
			fm_fail(err, FM_E_INVALID, "\"%s\" is not a string", key);
			return FM_PROBLEM_BAD_REQUEST;
		}
		*ret_text = json_string_value(member);
		return FM_PROBLEM_NONE;
	}
	if (request->body_kind == FM_BODY_MULTIPART) {
		const struct fm_part *part = NULL;
		problem = find_part(request, key, &part, err);
		if (problem)
			return problem;
		if (part) {
			if (memchr(part->value.data, '\0', part->value.length)) {
				fm_fail(err, FM_E_INVALID, "part \"%s\" holds a NUL character", key);
				return FM_PROBLEM_BAD_REQUEST;
			}
			char *copy = strndup(part->value.data, part->value.length);
			if (!copy) {
				fm_fail(err, FM_E_NOMEM, "no memory for the request");
				return FM_PROBLEM_OVERLOADED;
			}
			*ret_text = copy;
			return keep(request, copy, err);
		}
	}
	*ret_text = NULL;
	return FM_PROBLEM_NONE;
}

enum fm_problem fm_request_json(struct fm_request *request, json_t **ret_object, struct fm_error *err)
{
	enum fm_problem problem = read_body(request, err);

	/* `curl -d '{…}'` calls its JSON a form. */
	if (!problem && request->body_kind == FM_BODY_RAW &&
	        (!request->content_type ||
	                type_is(request->content_type, "application/x-www-form-urlencoded")))
		problem = parse_json(request, err);
	if (problem)
		return problem;
	if (request->body_kind == FM_BODY_NONE) {
		fm_fail(err, FM_E_INVALID, "the body is empty; a JSON object is wanted");
		return FM_PROBLEM_BAD_REQUEST;
	}
	if (request->body_kind != FM_BODY_JSON) {
		fm_fail(err, FM_E_UNSUPPORTED, "Content-Type is not application/json");
		return FM_PROBLEM_UNSUPPORTED_MEDIA_TYPE;
	}
	*ret_object = request->json;
	return FM_PROBLEM_NONE;
}
