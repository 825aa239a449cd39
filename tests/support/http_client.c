#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPLY_MAX_BYTES (64 << 20)

struct text {
	char *data;
	size_t length;
};

static size_t collect(const char *bytes, size_t size, size_t count, void *context)
{
	struct text *text = context;
	size_t length = size * count;

	if (text->length + length > REPLY_MAX_BYTES)
		return 0;
	char *data = realloc(text->data, text->length + length + 1);
	if (!data)
		return 0;
	memcpy(data + text->length, bytes, length);
	text->data = data;
	text->length += length;
	data[text->length] = '\0';
	return length;
}

struct pieces {
	const char *bytes;
	size_t left, piece;
};

static size_t give(char *out, size_t size, size_t count, void *context)
{
	struct pieces *pieces = context;
	size_t length = size * count;

	if (length > pieces->piece)
		length = pieces->piece;
	if (length > pieces->left)
		length = pieces->left;
	memcpy(out, pieces->bytes, length);
	pieces->bytes += length;
	pieces->left -= length;
	return length;
}

static CURL *begin(const struct test_daemon *daemon, const char *method, const char *path)
{
	CURL *curl = curl_easy_init();
	char url[4096];

	cr_assert_not_null(curl);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", daemon->port, path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TEST_PATIENCE_S);
	if (strcmp(method, "HEAD") == 0)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	return curl;
}

static const char *record_path;

void test_record_replies(const char *path)
{
	record_path = path;
}

static void record(CURL *curl, const struct test_reply *reply)
{
	char *method = NULL, *url = NULL, *type = NULL;
	FILE *file = fopen(record_path, "ae");

	cr_assert_not_null(file);
	curl_easy_getinfo(curl, CURLINFO_EFFECTIVE_METHOD, &method);
	curl_easy_getinfo(curl, CURLINFO_EFFECTIVE_URL, &url);
	curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	const char *path = strchr(strstr(url, "://") + 3, '/');
	bool is_text = type && (strstr(type, "json") || strncmp(type, "text/", 5) == 0);
	json_t *line = json_pack("{s:s, s:s, s:i, s:s, s:s}", "method", method, "path", path, "status",
	        (int)reply->status, "type", type ? type : "", "body",
	        is_text         ? reply->body
	        : reply->length ? "(bytes)"
	                        : "");
	json_dumpf(line, file, JSON_COMPACT);
	fputc('\n', file);
	json_decref(line);
	fclose(file);
}

/* Performs and frees the handle and the headers. */
static struct test_reply finish(CURL *curl, struct curl_slist *headers)
{
	struct test_reply reply = {0};
	struct text head = {0}, body = {0};

	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, collect);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, &head);
	if (curl_easy_perform(curl) == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
	reply.headers = head.data ? head.data : strdup("");
	reply.body = body.data ? body.data : strdup("");
	reply.length = body.length;
	reply.json = json_loads(reply.body, 0, NULL);
	if (record_path && reply.status)
		record(curl, &reply);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	return reply;
}

static struct curl_slist *type_header(const char *content_type)
{
	char text[256];

	/* "Content-Type:" tells libcurl to send none. */
	snprintf(text, sizeof(text), "Content-Type:%s%s", content_type ? " " : "",
	        content_type ? content_type : "");
	return curl_slist_append(NULL, text);
}

struct test_reply test_http(const struct test_daemon *daemon, const char *method, const char *path,
        const char *content_type, const void *body, size_t length)
{
	CURL *curl = begin(daemon, method, path);

	if (body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
	}
	return finish(curl, type_header(content_type));
}

struct test_reply test_with_headers(const struct test_daemon *daemon, const char *method, const char *path,
        const char *const *headers, const char *json)
{
	CURL *curl = begin(daemon, method, path);
	struct curl_slist *list = type_header(json ? "application/json" : NULL);

	for (; *headers; headers++)
		list = curl_slist_append(list, *headers);
	if (json)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, json);
	return finish(curl, list);
}

struct test_reply test_get(const struct test_daemon *daemon, const char *path)
{
	return test_http(daemon, "GET", path, NULL, NULL, 0);
}

struct test_reply test_delete(const struct test_daemon *daemon, const char *path)
{
	return test_http(daemon, "DELETE", path, NULL, NULL, 0);
}

struct test_reply test_json(
        const struct test_daemon *daemon, const char *method, const char *path, const char *json)
{
	return test_http(daemon, method, path, "application/json", json, strlen(json));
}

struct test_reply test_photo(
        const struct test_daemon *daemon, const char *path, const void *photo, size_t length)
{
	return test_http(daemon, "POST", path, "application/octet-stream", photo, length);
}

struct test_reply test_form(
        const struct test_daemon *daemon, const char *path, const struct test_part *parts, size_t count)
{
	CURL *curl = begin(daemon, "POST", path);
	curl_mime *form = curl_mime_init(curl);

	for (size_t i = 0; i < count; i++) {
		curl_mimepart *part = curl_mime_addpart(form);
		curl_mime_name(part, parts[i].name);
		curl_mime_data(part, parts[i].bytes, parts[i].length);
		if (parts[i].filename)
			curl_mime_filename(part, parts[i].filename);
		if (parts[i].type)
			curl_mime_type(part, parts[i].type);
	}
	curl_easy_setopt(curl, CURLOPT_MIMEPOST, form);
	struct test_reply reply = finish(curl, NULL);
	curl_mime_free(form);
	return reply;
}

struct test_reply test_chunked(const struct test_daemon *daemon, const char *path, const char *content_type,
        const void *body, size_t length, size_t piece)
{
	struct pieces pieces = {body, length, piece};
	CURL *curl = begin(daemon, "POST", path);
	struct curl_slist *headers = type_header(content_type);

	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(curl, CURLOPT_READDATA, &pieces);
	headers = curl_slist_append(headers, "Transfer-Encoding: chunked");
	headers = curl_slist_append(headers, "Expect:");
	return finish(curl, headers);
}

void test_reply_done(struct test_reply *reply)
{
	free(reply->headers);
	free(reply->body);
	json_decref(reply->json);
	*reply = (struct test_reply){0};
}

const char *test_reply_header(const struct test_reply *reply, const char *name)
{
	static char value[256];
	size_t length = strlen(name);

	value[0] = '\0';
	for (const char *line = reply->headers; (line = strchr(line, '\n'));) {
		line++;
		if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
			const char *from = line + length + 1 + strspn(line + length + 1, " ");
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(from, "\r\n"), from);
			break;
		}
	}
	return value;
}

int test_connect(const struct test_daemon *daemon)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	        .sin_port = htons((uint16_t)daemon->port),
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

void test_send(int fd, const void *bytes, size_t length)
{
	const char *at = bytes;

	/* A peer that has heard enough may close: what was not sent is its decision. */
	while (length) {
		ssize_t n = send(fd, at, length, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		at += n;
		length -= (size_t)n;
	}
}

char *test_receive(int fd, const char *wanted)
{
	struct text text = {0};
	char bytes[4096];
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	while (!wanted || !text.data || !strstr(text.data, wanted)) {
		if (poll(&wait, 1, TEST_PATIENCE_S * 1000) <= 0)
			break;
		ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
		if (n <= 0)
			break;
		collect(bytes, 1, (size_t)n, &text);
	}
	return text.data ? text.data : strdup("");
}

void test_expect_until(int fd, const char *wanted, const char *what)
{
	char *text = test_receive(fd, wanted);

	cr_assert(strstr(text, wanted), "%s: \"%s\" does not come after: %s", what, wanted, text);
	free(text);
}

void test_begin_photo(int fd, const char *path, const char *type, size_t length)
{
	char head[512];

	snprintf(head, sizeof(head),
	        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n"
	        "Expect: 100-continue\r\nContent-Length: %zu\r\n\r\n",
	        path, type, length);
	test_send(fd, head, strlen(head));
	test_expect_until(fd, "HTTP/1.1 100 Continue\r\n\r\n", "before the body");
}

/* ---- checks ---- */

static const char *member(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

void test_expect_problem(struct test_reply reply, long status, const char *code, const char *what)
{
	char type[64];

	snprintf(type, sizeof(type), "urn:facematchd:%s", code);
	cr_expect_eq(
	        reply.status, status, "%s: status %ld, not %ld: %s", what, reply.status, status, reply.body);
	cr_expect_str_eq(test_reply_header(&reply, "Content-Type"), "application/problem+json", "%s", what);
	cr_expect_str_eq(member(reply.json, "code"), code, "%s: %s", what, reply.body);
	cr_expect_str_eq(member(reply.json, "type"), type, "%s", what);
	cr_expect_eq(json_integer_value(json_object_get(reply.json, "status")), status, "%s", what);
	cr_expect_str_neq(member(reply.json, "title"), "", "%s", what);
	cr_expect_str_neq(member(reply.json, "detail"), "", "%s", what);
	cr_expect_str_neq(member(reply.json, "request_id"), "", "%s", what);
	cr_expect_str_eq(
	        member(reply.json, "request_id"), test_reply_header(&reply, "X-Request-Id"), "%s", what);
	test_reply_done(&reply);
}

void test_expect_status(struct test_reply reply, long status, const char *what)
{
	cr_expect_eq(
	        reply.status, status, "%s: status %ld, not %ld: %s", what, reply.status, status, reply.body);
	test_reply_done(&reply);
}

json_t *test_take_json(struct test_reply reply, long status, const char *what)
{
	cr_assert_eq(
	        reply.status, status, "%s: status %ld, not %ld: %s", what, reply.status, status, reply.body);
	cr_assert_not_null(reply.json, "%s: %s", what, reply.body);
	cr_expect_str_eq(test_reply_header(&reply, "Content-Type"), "application/json", "%s", what);
	json_t *json = json_incref(reply.json);
	test_reply_done(&reply);
	return json;
}
