/*
 * The pairs of an evaluation: a CSV file whose header names at least the columns a, b (paths of photos) and
 * same (1 or true, 0 or false), and perhaps fold (any text: pairs with the same text are one fold); other
 * columns are left alone. Threads: pure.
 */
#ifndef FM_CLI_PAIRS_H
#define FM_CLI_PAIRS_H

#include "lib/base/status.h"

#include <stdbool.h>
#include <stddef.h>

#define FM_PAIRS_BYTES_MAX ((size_t)256 << 20)
#define FM_PAIRS_FOLDS_MAX 100

struct fm_pair {
	size_t a, b; /* into photos */
	bool same;
	size_t fold; /* into fold_names; 0 without the column */
};

struct fm_pair_photo {
	const char *path; /* as the file gives it */
	size_t line;      /* that names it first */
};

struct fm_pairs {
	size_t count;
	struct fm_pair *pairs; /* in the file's order */
	size_t photo_count;
	struct fm_pair_photo *photos;               /* each once, in order of path */
	size_t fold_count;                          /* 0 without the column */
	const char *fold_names[FM_PAIRS_FOLDS_MAX]; /* in the file's order */
	char *bytes;                                /* that the paths point into */
};
void fm_pairs_done(struct fm_pairs *pairs);

/*
 * Takes over bytes (malloc'ed, bytes[length] writable), also on failure. Errors name the line: FM_E_INVALID
 * (no such column, an empty path, `same` is neither, no pairs), FM_E_TOO_LARGE (more than FM_PAIRS_FOLDS_MAX
 * folds), those of fm_csv_next, FM_E_NOMEM.
 */
enum fm_status fm_pairs_parse(char *bytes, size_t length, struct fm_pairs *ret_pairs, struct fm_error *err);
/* The same from a file; the message names it. */
enum fm_status fm_pairs_read(const char *path, struct fm_pairs *ret_pairs, struct fm_error *err);

#endif
