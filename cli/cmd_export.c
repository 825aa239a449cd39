/* facematchctl export: a collection out of a running daemon, as JSON Lines. */
#include "cli/archive.h"
#include "lib/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/banned.h"

FM_DEFINE_CLEANUP(struct fm_remote *, fm_remote_free);

static enum fm_status write_all(
        int fd, const char *bytes, size_t length, const char *path, struct fm_error *err)
{
	while (length) {
		ssize_t written = write(fd, bytes, length);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return fm_fail_errno(err, errno, "%s", path);
		bytes += written;
		length -= (size_t)written;
	}
	return FM_OK;
}

static size_t count_lines(const char *text, const char *with)
{
	size_t count = 0;

	for (const char *at = text; at && *at; at = strchr(at, '\n'), at += at != NULL)
		count += strncmp(at, with, strlen(with)) == 0;
	return count;
}

static enum fm_status export_pages(struct fm_remote *remote, const char *collection, int fd, const char *path,
        size_t *ret_people, size_t *ret_faces, struct fm_error *err)
{
	char after[128] = "";
	enum fm_status status = FM_OK;

	do {
		const char *const query[][2] = {
		        {"collection", collection}, {"after", after[0] ? after : NULL}, {NULL, NULL}};
		const struct fm_remote_request request = {
		        .method = "GET", .path = "/v1/admin/export", .query = query};
		fm_cleanup(fm_remote_reply_done) struct fm_remote_reply reply = {0};
		status = fm_remote_expect(remote, &request, &reply, err);
		if (status)
			return status;
		*ret_people += count_lines(reply.body, "{\"person\"");
		*ret_faces += count_lines(reply.body, "{\"face\"");
		status = write_all(fd, reply.body, reply.length, path, err);
		snprintf(after, sizeof(after), "%s", reply.next);
	} while (!status && after[0]);
	if (!status && fsync(fd) < 0)
		status = fm_fail_errno(err, errno, "%s", path);
	return status;
}

/* Under another name until it is whole: who is interrupted must not take half an archive for one. */
static enum fm_status write_archive(struct fm_remote *remote, const char *collection, const char *path,
        size_t *ret_people, size_t *ret_faces, struct fm_error *err)
{
	fm_autofree char *part = NULL;
	enum fm_status status;

	if (asprintf(&part, "%s.part", path) < 0) {
		part = NULL;
		return fm_fail(err, FM_E_NOMEM, "no memory for a path");
	}
	if (access(path, F_OK) == 0)
		return fm_fail_errno(err, EEXIST, "%s", path);
	fm_autoclose int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fm_fail_errno(err, errno, "%s", part);
	status = export_pages(remote, collection, fd, part, ret_people, ret_faces, err);
	/* Not every file system knows of this; a look was taken before. */
	if (!status && renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE) < 0 &&
	        (errno != EINVAL || rename(part, path) < 0))
		status = fm_fail_errno(err, errno, "%s", path);
	if (status)
		unlink(part);
	return status;
}

static int run(struct fm_call *call)
{
	struct fm_remote_options options = {.url = FM_REMOTE_URL};
	const char *collection = NULL;
	const struct fm_option rows[] = {
	        {"collection", FM_OPTION_TEXT, &collection, "NAME", "which one (default: default)"},
	        FM_REMOTE_OPTION_ROWS(&options),
	};
	fm_cleanup(fm_remote_freep) struct fm_remote *remote = NULL;
	size_t people = 0, faces = 0;
	struct fm_error err;
	int exit_code;

	if (!fm_options_parse(call, rows, sizeof(rows) / sizeof(rows[0]), 1, 1, &exit_code))
		return exit_code;
	const char *path = call->operands[0];
	if (!fm_archive_is_one(path))
		return fm_usage_error(call->command, "%s: an archive's name ends in .jsonl", path);
	if (fm_remote_create(&options, &remote, &err) ||
	        write_archive(remote, collection, path, &people, &faces, &err)) {
		fm_complain("%s", err.message);
		return FM_EXIT_FAILURE;
	}
	printf("%s: %zu people, %zu faces\n", path, people, faces);
	return FM_EXIT_OK;
}

const struct fm_command fm_cmd_export = {
        .name = "export",
        .operands = "FILE.jsonl",
        .summary = "write a collection's people, faces and crops to a file",
        .description =
                "Writes a collection of a running facematchd to FILE.jsonl, which must not exist, readable\n"
                "by its owner alone (FILE.jsonl.part until it is whole): a JSON object a line for each "
                "person\n"
                "and each of their faces, with the embedding, the network that made it and, where it is "
                "kept,\n"
                "the crop. `facematchctl import FILE.jsonl` reads it into another gallery; ids stay. The "
                "file\n"
                "is biometric data and is not encrypted; the audit records that it was taken.",
        .example = "  facematchctl export staff.jsonl --collection staff",
        .run = run,
};
