/*
 * Comma-separated values, RFC 4180, parsed in place: quoted fields with "" for a quote, line breaks inside
 * quotes, line ends LF, CRLF or CR, a byte order mark in front; blank lines are skipped. Threads: pure.
 */
#ifndef FM_CLI_CSV_H
#define FM_CLI_CSV_H

#include "lib/base/status.h"

#include <stdbool.h>
#include <stddef.h>

#define FM_CSV_FIELDS_MAX 64

struct fm_csv {
	char *next, *end;
	size_t line; /* of the next row's start, from 1 */
};

struct fm_csv_row {
	size_t line; /* where the row starts, from 1 */
	size_t count;
	char *fields[FM_CSV_FIELDS_MAX]; /* NUL-terminated, inside the bytes given to fm_csv_init */
};

/* bytes[length] must be writable; the bytes are changed by reading and must outlive the rows. */
void fm_csv_init(struct fm_csv *csv, char *bytes, size_t length);

/*
 * The next row; *ret_found is false at the end. Errors, naming the line: FM_E_CORRUPT (a NUL byte, a quote
 * that does not close, text beside quotes), FM_E_TOO_LARGE (more than FM_CSV_FIELDS_MAX fields).
 */
enum fm_status fm_csv_next(
        struct fm_csv *csv, struct fm_csv_row *ret_row, bool *ret_found, struct fm_error *err);

#endif
