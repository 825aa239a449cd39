#include "cli/remote.h"

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define KEY_MAX_BYTES 256
#define CONNECT_MS    10000L
#define RETRY_MAX_S   30
#define HEADER_MAX    384
#define URL_MAX_BYTES 8192
#define CURSOR_HEADER "X-Next-Cursor:"
#define QUIET_SECONDS 300L /* a reply that stands still so long is given up */

struct fm_remote {
	const struct fm_remote_options *options;
	CURL *curl;
	char key_header[HEADER_MAX]; /* "" without a key */
};

struct sink {
	struct fm_buf body;
	int file; /* -1: none, or the reply is no success */
	const char *path;
	CURL *curl;
	char next[128];
	bool full;
	int write_errno;
};

void fm_remote_reply_done(struct fm_remote_reply *reply)
{
	json_decref(reply->json);
	free(reply->body);
	*reply = (struct fm_remote_reply){0};
}

static const char *member(const struct fm_remote_reply *reply, const char *name)
{
	const char *text = json_string_value(json_object_get(reply->json, name));

	return text ? text : "";
}

const char *fm_remote_code(const struct fm_remote_reply *reply)
{
	return member(reply, "code");
}

const char *fm_remote_detail(const struct fm_remote_reply *reply)
{
	return member(reply, "detail");
}

void fm_remote_free(struct fm_remote *remote)
{
	if (!remote)
		return;
	curl_easy_cleanup(remote->curl);
	fm_wipe(remote->key_header, sizeof(remote->key_header));
	free(remote);
}
FM_DEFINE_CLEANUP(struct fm_remote *, fm_remote_free);

static enum fm_status set_key(struct fm_remote *remote, struct fm_error *err)
{
	const char *file = remote->options->key_file, *environment = getenv("FACEMATCH_KEY");
	fm_autofree char *text = NULL;
	size_t length = 0;

	if (file) {
		enum fm_status status = fm_file_read(file, KEY_MAX_BYTES, &text, &length, err);
		if (status)
			return fm_fail_prefix(err, status, "the key");
		length = strcspn(text, "\r\n");
		text[length] = '\0';
	}
	const char *key = file ? text : environment ? environment : "";
	for (const char *c = key; *c; c++) {
		if (*c <= ' ' || *c > '~')
			return fm_fail(err, FM_E_INVALID, "%s holds something else than a key",
			        file ? file : "$FACEMATCH_KEY");
	}
	if (strlen(key) > KEY_MAX_BYTES || (file && !*key))
		return fm_fail(err, FM_E_INVALID, "%s holds no key", file ? file : "$FACEMATCH_KEY");
	if (*key)
		snprintf(remote->key_header, sizeof(remote->key_header), "Authorization: Bearer %s", key);
	if (text)
		fm_wipe(text, length);
	return FM_OK;
}

enum fm_status fm_remote_create(
        const struct fm_remote_options *options, struct fm_remote **ret_remote, struct fm_error *err)
{
	fm_cleanup(fm_remote_freep) struct fm_remote *remote = fm_calloc(1, sizeof(*remote));

	if (!remote)
		return fm_fail(err, FM_E_NOMEM, "no memory for a connection");
	remote->options = options;
	if (strncasecmp(options->url, "http://", 7) != 0 && strncasecmp(options->url, "https://", 8) != 0)
		return fm_fail(err, FM_E_INVALID, "%s is no http:// or https:// URL", options->url);
	enum fm_status status = set_key(remote, err);
	if (status)
		return status;
	remote->curl = curl_easy_init();
	if (!remote->curl)
		return fm_fail(err, FM_E_NOMEM, "no memory for a connection");
	*ret_remote = fm_steal(remote);
	return FM_OK;
}

/* ---- one exchange ---- */

static size_t on_header(const char *bytes, size_t size, size_t count, void *context)
{
	struct sink *sink = context;
	size_t length = size * count, name = strlen(CURSOR_HEADER);

	if (length > name && strncasecmp(bytes, CURSOR_HEADER, name) == 0) {
		const char *value = bytes + name;
		size_t left = length - name;
		for (; left && *value == ' '; value++)
			left--;
		while (left && (value[left - 1] == '\r' || value[left - 1] == '\n'))
			left--;
		snprintf(sink->next, sizeof(sink->next), "%.*s", (int)left, value);
	}
	return length;
}

/* A file is made for a success alone: what a problem says goes into memory. */
static bool open_output(struct sink *sink)
{
	long status = 0;

	curl_easy_getinfo(sink->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200 || status > 299 || !sink->path || sink->file >= 0)
		return true;
	sink->file = open(sink->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (sink->file < 0)
		sink->write_errno = errno;
	return sink->file >= 0;
}

static size_t on_bytes(const char *bytes, size_t size, size_t count, void *context)
{
	struct sink *sink = context;
	size_t length = size * count, written = 0;

	if (!open_output(sink))
		return 0;
	if (sink->file < 0) {
		sink->full = fm_buf_append(&sink->body, bytes, length, NULL) != FM_OK;
		return sink->full ? 0 : length;
	}
	while (written < length) {
		ssize_t done = write(sink->file, bytes + written, length - written);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0) {
			sink->write_errno = errno;
			return 0;
		}
		written += (size_t)done;
	}
	return length;
}

static enum fm_status make_url(struct fm_remote *remote, const struct fm_remote_request *request,
        char url[URL_MAX_BYTES], struct fm_error *err)
{
	const char *base = remote->options->url;
	int base_length = (int)strlen(base);
	struct fm_buf text;
	enum fm_status status;

	while (base_length > 0 && base[base_length - 1] == '/')
		base_length--;
	fm_buf_init(&text, URL_MAX_BYTES - 1);
	status = fm_buf_printf(&text, err, "%.*s%s", base_length, base, request->path);
	char separator = '?';
	for (size_t i = 0; !status && request->query && request->query[i][0]; i++) {
		if (!request->query[i][1])
			continue;
		char *value = curl_easy_escape(remote->curl, request->query[i][1], 0);
		if (value)
			status = fm_buf_printf(&text, err, "%c%s=%s", separator, request->query[i][0], value);
		else
			status = fm_fail(err, FM_E_NOMEM, "no memory for a URL");
		curl_free(value);
		separator = '&';
	}
	if (!status)
		snprintf(url, URL_MAX_BYTES, "%s", text.data);
	fm_buf_done(&text);
	return status;
}

static void set_options(struct fm_remote *remote, const struct fm_remote_request *request, const char *url,
        struct curl_slist *headers, struct sink *sink)
{
	const struct fm_remote_options *options = remote->options;
	CURL *curl = remote->curl;

	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* what is sent is nobody else's business */
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, QUIET_SECONDS);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	if (options->socket)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, options->socket);
	if (options->ca_file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, options->ca_file);
	if (request->body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->length);
	}
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, sink);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, sink);
}

static struct curl_slist *make_headers(
        const struct fm_remote *remote, const struct fm_remote_request *request)
{
	char type[HEADER_MAX];
	/* "Content-Type:" tells libcurl to send none, "Expect:" not to wait before a body. */
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");

	snprintf(type, sizeof(type), "Content-Type:%s%s", request->content_type ? " " : "",
	        request->content_type ? request->content_type : "");
	headers = curl_slist_append(headers, type);
	if (remote->key_header[0])
		headers = curl_slist_append(headers, remote->key_header);
	return headers;
}

static enum fm_status explain(const struct fm_remote *remote, const struct fm_remote_request *request,
        const struct sink *sink, CURLcode code, struct fm_error *err)
{
	const char *where = remote->options->socket ? remote->options->socket : remote->options->url;

	if (sink->write_errno)
		return fm_fail_errno(err, sink->write_errno, "cannot write %s", request->output);
	if (sink->full)
		return fm_fail(err, FM_E_TOO_LARGE, "the reply to %s is larger than %zu bytes", request->path,
		        FM_REMOTE_REPLY_MAX);
	if (code == CURLE_COULDNT_CONNECT)
		return fm_fail(err, FM_E_IO,
		        "nobody answers at %s: is facematchd running there? (systemctl status facematchd)",
		        where);
	return fm_fail(err, FM_E_IO, "%s %s at %s: %s", request->method, request->path, where,
	        curl_easy_strerror(code));
}

static enum fm_status send_once(struct fm_remote *remote, const struct fm_remote_request *request,
        const char *url, struct fm_remote_reply *ret_reply, long *ret_retry_s, struct fm_error *err)
{
	struct sink sink = {.file = -1, .path = request->output, .curl = remote->curl};
	struct curl_slist *headers = make_headers(remote, request);
	curl_off_t retry_s = 0;
	enum fm_status status = FM_OK;

	fm_buf_init(&sink.body, FM_REMOTE_REPLY_MAX);
	set_options(remote, request, url, headers, &sink);
	CURLcode code = curl_easy_perform(remote->curl);
	curl_slist_free_all(headers);
	if (code != CURLE_OK)
		status = explain(remote, request, &sink, code, err);
	if (sink.file >= 0 && (fsync(sink.file) < 0 || close(sink.file) < 0) && !status)
		status = fm_fail_errno(err, errno, "cannot write %s", request->output);
	if (status && sink.file >= 0)
		unlink(request->output); /* half a reply is none */
	if (!status) {
		struct fm_remote_reply reply = {.length = sink.body.length};
		curl_easy_getinfo(remote->curl, CURLINFO_RESPONSE_CODE, &reply.http_status);
		curl_easy_getinfo(remote->curl, CURLINFO_RETRY_AFTER, &retry_s);
		reply.body = sink.body.data ? fm_buf_take(&sink.body, &reply.length) : strdup("");
		if (!reply.body)
			status = fm_fail(err, FM_E_NOMEM, "no memory for a reply");
		else
			reply.json = json_loadb(reply.body, reply.length, 0, NULL);
		snprintf(reply.next, sizeof(reply.next), "%s", sink.next);
		if (!status)
			*ret_reply = reply;
	}
	fm_buf_done(&sink.body);
	*ret_retry_s = (long)retry_s;
	return status;
}

enum fm_status fm_remote_send(struct fm_remote *remote, const struct fm_remote_request *request,
        struct fm_remote_reply *ret_reply, struct fm_error *err)
{
	char url[URL_MAX_BYTES];
	enum fm_status status = make_url(remote, request, url, err);

	for (int tries = 1; !status; tries++) {
		struct fm_remote_reply reply;
		long retry_s;
		status = send_once(remote, request, url, &reply, &retry_s, err);
		if (status)
			break;
		bool busy = reply.http_status == 503 || reply.http_status == 429;
		if (!busy || tries == FM_REMOTE_TRIES) {
			*ret_reply = reply;
			break;
		}
		fm_remote_reply_done(&reply);
		struct timespec pause = {.tv_sec = retry_s < 1             ? 1
		                                   : retry_s > RETRY_MAX_S ? RETRY_MAX_S
		                                                           : retry_s};
		nanosleep(&pause, NULL);
	}
	return status;
}

enum fm_status fm_remote_expect(struct fm_remote *remote, const struct fm_remote_request *request,
        struct fm_remote_reply *ret_reply, struct fm_error *err)
{
	struct fm_remote_reply reply;
	enum fm_status status = fm_remote_send(remote, request, &reply, err);

	if (status)
		return status;
	if (reply.http_status < 200 || reply.http_status > 299) {
		const char *detail = fm_remote_detail(&reply);
		status = fm_fail(err, FM_E_IO, "%s %s: %ld %s%s%s", request->method, request->path,
		        reply.http_status, fm_remote_code(&reply), *detail ? ": " : "", detail);
		fm_remote_reply_done(&reply);
		return status;
	}
	*ret_reply = reply;
	return FM_OK;
}
