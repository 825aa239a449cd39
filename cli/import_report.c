#include "cli/import_report.h"

#include "cli/csv.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define HEAD             "path,person,outcome,code,detail,face\n"
#define REPORT_BYTES_MAX ((size_t)1 << 30)

static const char *const names[FM_IMPORT_OUTCOMES] = {
        [FM_IMPORT_ENROLLED] = "enrolled",
        [FM_IMPORT_PRESENT] = "present",
        [FM_IMPORT_REFUSED] = "refused",
        [FM_IMPORT_FAILED] = "failed",
};

const char *fm_import_outcome_name(enum fm_import_outcome outcome)
{
	return names[outcome];
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum fm_status keep(
        struct fm_import_report *report, const char *path, size_t *capacity, struct fm_error *err)
{
	if (report->done_count == *capacity) {
		size_t wanted = *capacity ? *capacity * 2 : 1024;
		char **grown = reallocarray(report->done, wanted, sizeof(*grown));
		if (!grown)
			return fm_fail(err, FM_E_NOMEM, "no memory for the report");
		report->done = grown;
		*capacity = wanted;
	}
	report->done[report->done_count] = strdup(path);
	if (!report->done[report->done_count])
		return fm_fail(err, FM_E_NOMEM, "no memory for the report");
	report->done_count++;
	return FM_OK;
}

/* A last line that was cut short (the machine lost power) is a photo to do again. */
static enum fm_status read_settled(
        struct fm_import_report *report, char *bytes, size_t length, struct fm_error *err)
{
	struct fm_csv csv;
	struct fm_csv_row row;
	size_t capacity = 0;
	bool found;

	while (length && bytes[length - 1] != '\n')
		length--;
	fm_csv_init(&csv, bytes, length);
	enum fm_status status = fm_csv_next(&csv, &row, &found, err);
	if (!status && (!found || row.count != 6 || strcmp(row.fields[2], "outcome") != 0))
		return fm_fail(err, FM_E_INVALID, "it is no report of an import");
	while (!status && !(status = fm_csv_next(&csv, &row, &found, err)) && found) {
		if (row.count != 6)
			return fm_fail(
			        err, FM_E_INVALID, "line %zu has %zu fields, not 6", row.line, row.count);
		if (strcmp(row.fields[2], names[FM_IMPORT_FAILED]) != 0)
			status = keep(report, row.fields[0], &capacity, err);
	}
	if (!status && report->done_count)
		qsort(report->done, report->done_count, sizeof(*report->done), by_text);
	return status;
}

static enum fm_status read_before(
        struct fm_import_report *report, const char *path, size_t *ret_length, struct fm_error *err)
{
	fm_autofree char *bytes = NULL;
	size_t length = 0;
	enum fm_status status = fm_file_read(path, REPORT_BYTES_MAX, &bytes, &length, err);

	*ret_length = 0;
	if (status == FM_E_NOT_FOUND || (!status && !length))
		return FM_OK;
	if (status)
		return status;
	*ret_length = length;
	while (*ret_length && bytes[*ret_length - 1] != '\n')
		(*ret_length)--;
	return read_settled(report, bytes, length, err);
}

static void release(struct fm_import_report *report)
{
	for (size_t i = 0; i < report->done_count; i++)
		free(report->done[i]);
	free(report->done);
	report->done = NULL;
	report->done_count = 0;
}

enum fm_status fm_import_report_open(
        const char *path, struct fm_import_report *ret_report, struct fm_error *err)
{
	struct fm_import_report report = {0};
	size_t whole = 0;

	if (path) {
		enum fm_status status = read_before(&report, path, &whole, err);
		int fd = status ? -1 : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (!status && (fd < 0 || ftruncate(fd, (off_t)whole) < 0 || lseek(fd, 0, SEEK_END) < 0 ||
		                       !(report.file = fdopen(fd, "w"))))
			status = fm_fail_errno(err, errno, "cannot write %s", path);
		if (status) {
			if (fd >= 0)
				close(fd);
			release(&report);
			return fm_fail_prefix(err, status, "the report");
		}
		if (!whole)
			fputs(HEAD, report.file);
	}
	pthread_mutex_init(&report.lock, NULL);
	*ret_report = report;
	return FM_OK;
}

enum fm_status fm_import_report_close(struct fm_import_report *report, struct fm_error *err)
{
	bool failed = false;

	if (report->file) {
		failed = ferror(report->file) || fflush(report->file) || fsync(fileno(report->file));
		failed |= fclose(report->file) != 0;
	}
	release(report);
	pthread_mutex_destroy(&report->lock);
	return failed ? fm_fail(err, FM_E_IO, "the report could not be written whole") : FM_OK;
}

bool fm_import_report_settled(const struct fm_import_report *report, const char *path)
{
	return report->done_count &&
	       bsearch(&path, report->done, report->done_count, sizeof(*report->done), by_text);
}

/* RFC 4180: quotes doubled; a NUL ends the text and control characters are left to the quotes. */
static void put(FILE *file, const char *text, char end)
{
	bool quoted = strpbrk(text, ",\"\r\n") != NULL;

	if (quoted)
		putc('"', file);
	for (; *text; text++) {
		if (*text == '"')
			putc('"', file);
		putc(*text, file);
	}
	if (quoted)
		putc('"', file);
	putc(end, file);
}

void fm_import_report_add(struct fm_import_report *report, const struct fm_import_line *line)
{
	if (!report->file)
		return;
	pthread_mutex_lock(&report->lock);
	put(report->file, line->path, ',');
	put(report->file, line->person, ',');
	put(report->file, names[line->outcome], ',');
	put(report->file, line->code, ',');
	put(report->file, line->detail, ',');
	put(report->file, line->face, '\n');
	fflush(report->file);
	pthread_mutex_unlock(&report->lock);
}
