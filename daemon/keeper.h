/*
 * Housekeeping, on a thread of its own, once a minute: faces that are older than their collection keeps them
 * are forgotten, and records of the audit that are older than [gallery] audit_days; faces that are not sealed
 * with the current key are sealed, a log that a deletion could not empty is emptied, and memory that is not
 * in use goes back to the system.
 */
#ifndef FM_DAEMON_KEEPER_H
#define FM_DAEMON_KEEPER_H

#include "daemon/snapshot.h"
#include "lib/gallery/gallery.h"

struct fm_keeper;

/* The gallery and the settings outlive it. The first round begins at once; `after` is called at the end of
 * each, on its thread. */
enum fm_status fm_keeper_create(struct fm_gallery *gallery, struct fm_snapshot_slot *settings,
        void (*after)(void *context), void *context, struct fm_keeper **ret_keeper, struct fm_error *err);
/* Waits for the transaction that runs, and no longer. */
void fm_keeper_free(struct fm_keeper *keeper);

#endif
