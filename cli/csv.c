#include "cli/csv.h"

#include <string.h>

#include "lib/base/banned.h"

void fm_csv_init(struct fm_csv *csv, char *bytes, size_t length)
{
	bytes[length] = '\0';
	*csv = (struct fm_csv){.next = bytes, .end = bytes + length, .line = 1};
	if (length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
		csv->next += 3;
}

static bool is_line_end(char c)
{
	return c == '\n' || c == '\r';
}

/* Steps over one line end: LF, CR or CRLF. */
static void skip_line_end(struct fm_csv *csv)
{
	bool carriage_return = *csv->next++ == '\r';

	if (carriage_return && csv->next < csv->end && *csv->next == '\n')
		csv->next++;
	csv->line++;
}

/* Reads "…" with csv->next behind the opening quote; the text moves down over the escapes. */
static enum fm_status read_quoted(struct fm_csv *csv, size_t row_line, char **ret_end, struct fm_error *err)
{
	char *out = csv->next;

	for (; csv->next < csv->end; *out++ = *csv->next++) {
		if (*csv->next == '\n')
			csv->line++;
		if (*csv->next != '"')
			continue;
		if (csv->next + 1 < csv->end && csv->next[1] == '"') {
			csv->next++;
			continue;
		}
		csv->next++;
		if (csv->next < csv->end && *csv->next != ',' && !is_line_end(*csv->next))
			return fm_fail(err, FM_E_CORRUPT, "line %zu: text follows a closing quote", row_line);
		*ret_end = out;
		return FM_OK;
	}
	return fm_fail(err, FM_E_CORRUPT, "line %zu: a quote does not close", row_line);
}

static enum fm_status read_plain(struct fm_csv *csv, size_t row_line, char **ret_end, struct fm_error *err)
{
	for (; csv->next < csv->end && *csv->next != ',' && !is_line_end(*csv->next); csv->next++)
		if (*csv->next == '"')
			return fm_fail(
			        err, FM_E_CORRUPT, "line %zu: a quote inside an unquoted field", row_line);
	*ret_end = csv->next;
	return FM_OK;
}

static enum fm_status read_field(
        struct fm_csv *csv, size_t row_line, char **ret_field, bool *ret_more, struct fm_error *err)
{
	enum fm_status status;
	char *field = csv->next, *field_end = csv->next;

	if (csv->next < csv->end && *csv->next == '"') {
		field = ++csv->next;
		status = read_quoted(csv, row_line, &field_end, err);
	} else {
		status = read_plain(csv, row_line, &field_end, err);
	}
	if (status)
		return status;
	if (memchr(field, '\0', (size_t)(field_end - field)))
		return fm_fail(err, FM_E_CORRUPT, "line %zu: a NUL byte", row_line);
	*ret_more = csv->next < csv->end && *csv->next == ',';
	if (*ret_more)
		csv->next++;
	else if (csv->next < csv->end)
		skip_line_end(csv);
	*field_end = '\0'; /* on the separator at the earliest, which has been read */
	*ret_field = field;
	return FM_OK;
}

enum fm_status fm_csv_next(
        struct fm_csv *csv, struct fm_csv_row *ret_row, bool *ret_found, struct fm_error *err)
{
	struct fm_csv_row row = {0};
	bool more = true;

	while (csv->next < csv->end && is_line_end(*csv->next))
		skip_line_end(csv);
	row.line = csv->line;
	if (csv->next == csv->end) {
		*ret_found = false;
		return FM_OK;
	}
	while (more) {
		if (row.count == FM_CSV_FIELDS_MAX)
			return fm_fail(err, FM_E_TOO_LARGE, "line %zu: more than %d fields", row.line,
			        FM_CSV_FIELDS_MAX);
		enum fm_status status = read_field(csv, row.line, &row.fields[row.count], &more, err);
		if (status)
			return status;
		row.count++;
	}
	*ret_row = row;
	*ret_found = true;
	return FM_OK;
}
