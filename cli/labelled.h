/*
 * Photos with the names of the people in them: from a CSV file whose header names at least the columns image
 * (a path) and person, or from a directory with a folder for each person. Threads: pure.
 */
#ifndef FM_CLI_LABELLED_H
#define FM_CLI_LABELLED_H

#include "lib/base/status.h"

#include <stddef.h>

#define FM_LABELLED_BYTES_MAX ((size_t)256 << 20)
#define FM_LABELLED_NOBODY    ((size_t)-1)

struct fm_labelled_photo {
	char *path; /* relative to the images */
	char *person;
	size_t line; /* of the file; 0 from a directory */
};

struct fm_labelled {
	size_t count;
	struct fm_labelled_photo
	        *photos; /* in the file's order; from a directory in order of person and name */
};
void fm_labelled_done(struct fm_labelled *labelled);

/*
 * bytes[length] must be writable; they are changed. Errors name the line: FM_E_INVALID (no such column, an
 * empty field, no photos), those of fm_csv_next, FM_E_NOMEM.
 */
enum fm_status fm_labelled_parse(
        char *bytes, size_t length, struct fm_labelled *ret_labelled, struct fm_error *err);
/* The same from a file; the message names it. */
enum fm_status fm_labelled_read(const char *path, struct fm_labelled *ret_labelled, struct fm_error *err);

/*
 * The photos DIR/PERSON/NAME, where NAME ends in .jpg, .jpeg, .png or .webp in any case; what else is there
 * is left alone, hidden folders are too. Errors: file errors, FM_E_INVALID (no photos), FM_E_NOMEM.
 */
enum fm_status fm_labelled_scan(const char *dir, struct fm_labelled *ret_labelled, struct fm_error *err);

/* Numbers the people by name: ret_person[labelled->count], equal for equal names, 0..*ret_people - 1. */
enum fm_status fm_labelled_number(
        const struct fm_labelled *labelled, size_t *ret_person, size_t *ret_people, struct fm_error *err);

/*
 * The numbers of other's people among labelled's, FM_LABELLED_NOBODY where a name is not there.
 * person: fm_labelled_number()'s of labelled. Fills ret_person[other->count].
 */
enum fm_status fm_labelled_match(const struct fm_labelled *labelled, const size_t *person,
        const struct fm_labelled *other, size_t *ret_person, struct fm_error *err);

#endif
