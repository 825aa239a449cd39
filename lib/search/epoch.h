/*
 * Readers that never wait for a writer: versions of a structure are published whole, nodes that a new version
 * no longer reaches are retired, and a retired node is destroyed when no reader is left who could have
 * reached it (epoch-based reclamation: Fraser, Practical lock-freedom, 2004, chapter 5.2.3).
 *
 * A reader announces the version that is published when it enters, then loads the state: it may get a newer
 * state than it announced, never an older one. So a node last reachable in version v is free of readers once
 * a later version is published and nobody announces v or less. Announcement and state are sequentially
 * consistent: either the writer sees the announcement, or the reader sees the writer's state.
 *
 * Threads: fm_epoch_enter, _leave, _published, _retired and _left from any; the others under the writers'
 * lock.
 */
#ifndef FM_SEARCH_EPOCH_H
#define FM_SEARCH_EPOCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_EPOCH_READERS 128 /* at once; one more waits for one of them to leave */

struct fm_node {
	uint64_t version;     /* in which it was made, then in which it was last reachable */
	struct fm_node *next; /* of the retired, oldest first */
	void (*destroy)(struct fm_node *node);
};

struct fm_epoch {
	struct fm_epoch_reader {
		_Alignas(64) _Atomic uint64_t version; /* 0: not reading */
	} readers[FM_EPOCH_READERS];
	_Alignas(64) _Atomic uint64_t published;
	_Atomic(struct fm_node *) state;
	_Alignas(64) _Atomic uint64_t left; /* how often a reader left */
	_Atomic size_t retired;             /* nodes */
	struct fm_node *oldest, *newest;
};

void fm_epoch_init(struct fm_epoch *epoch, struct fm_node *state);
/* Destroys what is retired, not the state. No reader is in. */
void fm_epoch_done(struct fm_epoch *epoch);

/* *ret_reader is for fm_epoch_leave. What the state reaches stays until then. */
const struct fm_node *fm_epoch_enter(struct fm_epoch *epoch, size_t *ret_reader);
void fm_epoch_leave(struct fm_epoch *epoch, size_t reader);

/* The version that fm_epoch_publish will give. */
uint64_t fm_epoch_next(const struct fm_epoch *epoch);
/* The node is part of the published version and not of the next. */
void fm_epoch_retire(struct fm_epoch *epoch, struct fm_node *node);
void fm_epoch_publish(struct fm_epoch *epoch, struct fm_node *state);
/* Destroys what nobody can reach any more. */
void fm_epoch_reclaim(struct fm_epoch *epoch);

#endif
