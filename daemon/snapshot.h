/*
 * What a reload replaces as a whole. A request takes the snapshot that is current when it begins and holds it
 * until it is answered: what it sees does not change under it, and the old one is freed with its last holder.
 * Threads: a snapshot is immutable; all functions are safe.
 */
#ifndef FM_DAEMON_SNAPSHOT_H
#define FM_DAEMON_SNAPSHOT_H

#include "daemon/config.h"
#include "daemon/tls.h"
#include "lib/auth/keyring.h"
#include "lib/face/pipeline.h"

#include <pthread.h>
#include <stdatomic.h>

struct fm_snapshot {
	struct fm_config config;
	struct fm_pipeline_options pipeline; /* the part of it that pipelines want */
	struct fm_keyring *keys;             /* NULL: nobody is asked for a key */
	struct fm_certificate *certificate;  /* NULL: no TLS */
	atomic_size_t holders;
};

/*
 * Takes the configuration's contents (checked already), and reads the files that it names; one holder, the
 * caller. FM_E_INVALID, FM_E_NOT_FOUND: one of the files is not good; or the configuration would serve more
 * than this machine without keys.
 */
enum fm_status fm_snapshot_create(
        struct fm_config *config, struct fm_snapshot **ret_snapshot, struct fm_error *err);

/* Ends one holder's hold. Takes NULL. */
void fm_snapshot_put(struct fm_snapshot *snapshot);

/* Where the current one is found. */
struct fm_snapshot_slot {
	pthread_mutex_t lock;
	struct fm_snapshot *current;
};
/* Takes the caller's hold. */
void fm_snapshot_slot_init(struct fm_snapshot_slot *slot, struct fm_snapshot *first);
void fm_snapshot_slot_done(struct fm_snapshot_slot *slot);

/* The current snapshot, held for the caller. */
struct fm_snapshot *fm_snapshot_get(struct fm_snapshot_slot *slot);

/* Makes `next` current, takes the caller's hold of it. */
void fm_snapshot_replace(struct fm_snapshot_slot *slot, struct fm_snapshot *next);

#endif
