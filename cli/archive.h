/* An archive of a collection, docs/API.md: JSON Lines, out of a running facematchd and into one. */
#ifndef FM_CLI_ARCHIVE_H
#define FM_CLI_ARCHIVE_H

#include "cli/remote.h"

/* Whether the file's name ends in .jsonl. */
bool fm_archive_is_one(const char *path);

struct fm_archive_counts {
	size_t people, faces, present, refused;
};

/*
 * Sends the file in batches of whole lines, as large as the daemon takes them; refused lines are told on
 * stderr, by their number in the file. Sending it again adds what is missing. Errors: file errors,
 * FM_E_TOO_LARGE (a line longer than a batch), those of fm_remote_expect.
 */
enum fm_status fm_archive_send(struct fm_remote *remote, const char *path, const char *collection,
        struct fm_archive_counts *ret_counts, struct fm_error *err);

#endif
