/*
 * Room that is kept for deletions: a file beside the gallery that holds nothing. On a full disk a deletion
 * needs a little space for the log before it can free any; then the reserve is given up for it, and taken
 * again when there is room. Threads: callers lock.
 */
#ifndef FM_GALLERY_RESERVE_H
#define FM_GALLERY_RESERVE_H

#include "lib/base/status.h"

#include <stdbool.h>

#define FM_RESERVE_BYTES (4 << 20)

struct fm_reserve {
	char *path; /* NULL in a zeroed reserve */
	bool held;
};

/* Takes the room; that there is none is no error. FM_E_NOMEM. */
enum fm_status fm_reserve_open(struct fm_reserve *reserve, const char *gallery_path, struct fm_error *err);
/* Leaves the file: the room is for the next start too. */
void fm_reserve_close(struct fm_reserve *reserve);

void fm_reserve_take(struct fm_reserve *reserve);
/* False where there was nothing to give. */
bool fm_reserve_give_up(struct fm_reserve *reserve);

#endif
