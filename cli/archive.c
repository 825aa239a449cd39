#include "cli/archive.h"

#include "cli/progress.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/banned.h"

#define BATCH_BYTES_MAX (4 << 20)

bool fm_archive_is_one(const char *path)
{
	size_t length = strlen(path);

	return length > 6 && strcmp(path + length - 6, ".jsonl") == 0;
}

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

static size_t number(const json_t *json, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(json, key));

	return value > 0 ? (size_t)value : 0;
}

static enum fm_status send_batch(struct fm_remote *remote, const char *batch, size_t length,
        const char *collection, size_t lines_before, struct fm_archive_counts *counts, struct fm_error *err)
{
	fm_cleanup(fm_remote_reply_done) struct fm_remote_reply reply = {0};
	const char *const query[][2] = {{"collection", collection}, {NULL, NULL}};
	const struct fm_remote_request request = {
	        .method = "POST",
	        .path = "/v1/admin/import",
	        .query = query,
	        .content_type = "application/x-ndjson",
	        .body = batch,
	        .length = length,
	};
	enum fm_status status = fm_remote_expect(remote, &request, &reply, err);
	size_t i;
	json_t *refusal;

	if (status)
		return status;
	counts->people += number(reply.json, "people");
	counts->faces += number(reply.json, "faces");
	counts->present += number(reply.json, "present");
	counts->refused += number(reply.json, "refused");
	json_array_foreach(json_object_get(reply.json, "refusals"), i, refusal)
	{
		const char *detail = json_string_value(json_object_get(refusal, "detail"));
		fm_complain("line %zu: refused: %s", lines_before + number(refusal, "line"),
		        detail ? detail : "");
	}
	return FM_OK;
}

/* How much the daemon takes at a time. */
static enum fm_status ask_batch_bytes(struct fm_remote *remote, size_t *ret_bytes, struct fm_error *err)
{
	fm_cleanup(fm_remote_reply_done) struct fm_remote_reply reply = {0};
	const struct fm_remote_request request = {.method = "GET", .path = "/v1/info"};
	enum fm_status status = fm_remote_expect(remote, &request, &reply, err);

	if (status)
		return status;
	size_t bytes = number(json_object_get(reply.json, "limits"), "body_max_bytes");
	if (!bytes)
		return fm_fail(err, FM_E_INVALID, "the daemon does not say how large a request may be");
	*ret_bytes = bytes < BATCH_BYTES_MAX ? bytes : BATCH_BYTES_MAX;
	return FM_OK;
}

/* Bytes of the buffer that are whole lines; all of them at the end of the file. */
static size_t whole_lines(const char *buffer, size_t length, bool at_end)
{
	while (!at_end && length && buffer[length - 1] != '\n')
		length--;
	return length;
}

enum fm_status fm_archive_send(struct fm_remote *remote, const char *path, const char *collection,
        struct fm_archive_counts *ret_counts, struct fm_error *err)
{
	fm_cleanup(close_file) FILE *file = fopen(path, "re");
	fm_autofree char *buffer = NULL;
	struct fm_archive_counts counts = {0};
	struct fm_progress progress;
	struct stat file_status;
	size_t held = 0, lines = 0, batch_bytes = 0;
	bool at_end = false;

	if (!file || fstat(fileno(file), &file_status) < 0)
		return fm_fail_errno(err, errno, "%s", path);
	enum fm_status status = ask_batch_bytes(remote, &batch_bytes, err);
	if (status)
		return status;
	buffer = fm_calloc(1, batch_bytes);
	if (!buffer)
		return fm_fail(err, FM_E_NOMEM, "no memory for an archive");
	fm_progress_begin(&progress, "batches", (size_t)file_status.st_size / batch_bytes + 1);
	while (!status && !at_end) {
		held += fread(buffer + held, 1, batch_bytes - held, file);
		if (ferror(file)) {
			status = fm_fail_errno(err, errno, "%s", path);
			break;
		}
		at_end = feof(file);
		size_t length = whole_lines(buffer, held, at_end);
		if (!length && held)
			status = fm_fail(err, FM_E_TOO_LARGE,
			        "%s: line %zu is longer than the %zu bytes that go at a time", path,
			        lines + 1, batch_bytes);
		if (!status && length)
			status = send_batch(remote, buffer, length, collection, lines, &counts, err);
		for (size_t i = 0; i < length; i++)
			lines += buffer[i] == '\n';
		memmove(buffer, buffer + length, held - length);
		held -= length;
		fm_progress_step(&progress);
	}
	fm_progress_end(&progress);
	fm_wipe(buffer, batch_bytes);
	*ret_counts = counts;
	return status;
}
