/*
 * The networks that requests are answered with, their gallery's index, and a pipeline for each worker: what a
 * change of the embedding network replaces as a whole. A request holds the one that was current when its work
 * began until it is answered; the old one is freed with its last holder.
 * Threads: the networks are immutable, the index is safe (index.h), a pipeline is its worker's.
 */
#ifndef FM_DAEMON_SERVING_H
#define FM_DAEMON_SERVING_H

#include "daemon/enrolled.h"
#include "daemon/snapshot.h"
#include "lib/face/pipeline.h"

#include <pthread.h>
#include <stdatomic.h>

struct fm_serving {
	struct fm_models *models;
	struct fm_enrolled *enrolled;   /* fm_serving_open_index(), or fm_serving_take_enrolled() */
	struct fm_index *index;         /* its */
	struct fm_pipeline **pipelines; /* [worker_count]: fm_serving_ready() */
	size_t worker_count;
	atomic_size_t holders;
};

/* Loads the networks that the configuration names; one holder, the caller. Errors: those of fm_models_load.
 */
enum fm_status fm_serving_load(
        const struct fm_config *config, struct fm_serving **ret_serving, struct fm_error *err);
/* The same with another embedding network, "name@fingerprint". FM_E_NOT_FOUND: no file here gives that one.
 */
enum fm_status fm_serving_load_model(const struct fm_config *config, const char *model,
        struct fm_serving **ret_serving, struct fm_error *err);
/* Makes the pipelines and runs the self-test. */
enum fm_status fm_serving_ready(struct fm_serving *serving, const struct fm_pipeline_options *options,
        size_t worker_count, struct fm_error *err);
/* An empty index over the gallery, which outlives it; or one that was made for this network already. */
enum fm_status fm_serving_open_index(
        struct fm_serving *serving, struct fm_gallery *gallery, struct fm_error *err);
void fm_serving_take_enrolled(struct fm_serving *serving, struct fm_enrolled *enrolled);

/* Under which embeddings are stored and compared: "name@fingerprint". */
const char *fm_serving_model(const struct fm_serving *serving);

/* Ends one holder's hold. Takes NULL. */
void fm_serving_put(struct fm_serving *serving);

/* Where the current one is found; NULL before there is one. */
struct fm_serving_slot {
	pthread_mutex_t lock;
	struct fm_serving *current;
};
void fm_serving_slot_init(struct fm_serving_slot *slot);
void fm_serving_slot_done(struct fm_serving_slot *slot);
/* The current one, held for the caller. */
struct fm_serving *fm_serving_get(struct fm_serving_slot *slot);
/* Makes `next` current and takes the caller's hold of it; gives the slot's hold of the old one to the caller.
 */
struct fm_serving *fm_serving_exchange(struct fm_serving_slot *slot, struct fm_serving *next);

#endif
