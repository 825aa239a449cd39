/*
 * What became of each photo of an import, as CSV: path, person, outcome, code, detail, face. A line is on its
 * way to the disk before the next photo is begun, so that an import that was cut short goes on where it was.
 * Threads: safe after fm_import_report_open().
 */
#ifndef FM_CLI_IMPORT_REPORT_H
#define FM_CLI_IMPORT_REPORT_H

#include "lib/base/status.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum fm_import_outcome {
	FM_IMPORT_ENROLLED,
	FM_IMPORT_PRESENT, /* the same photo was enrolled for this person already */
	FM_IMPORT_REFUSED, /* the photo is not good enough: asking again does not help */
	FM_IMPORT_FAILED,  /* the file cannot be read, or the daemon failed */
	FM_IMPORT_OUTCOMES,
};
const char *fm_import_outcome_name(enum fm_import_outcome outcome);

struct fm_import_line {
	const char *path, *person;
	enum fm_import_outcome outcome;
	const char *code, *detail, *face; /* "" where there is none */
};

struct fm_import_report {
	pthread_mutex_t lock;
	FILE *file;  /* NULL: nobody wants one */
	char **done; /* paths that an earlier run settled, sorted */
	size_t done_count;
};

/*
 * Opens or creates `path` (NULL: none), and reads what is settled there: enrolled, present, refused. Errors:
 * file errors, FM_E_INVALID (it is no such report).
 */
enum fm_status fm_import_report_open(
        const char *path, struct fm_import_report *ret_report, struct fm_error *err);
/* FM_E_IO where lines did not reach the disk. */
enum fm_status fm_import_report_close(struct fm_import_report *report, struct fm_error *err);

bool fm_import_report_settled(const struct fm_import_report *report, const char *path);
void fm_import_report_add(struct fm_import_report *report, const struct fm_import_line *line);

#endif
