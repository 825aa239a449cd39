/* What several handlers do: find the collection, run the photo, search. */
#ifndef FM_DAEMON_HANDLERS_COMMON_H
#define FM_DAEMON_HANDLERS_COMMON_H

#include "daemon/app.h"
#include "daemon/router.h"

/* ?collection=, or the default one. NOT_FOUND. ret_collection needs fm_collection_done(). */
enum fm_problem fm_common_collection(
        struct fm_exchange *exchange, struct fm_collection *ret_collection, struct fm_error *err);

/* Who asks, for the audit. */
const char *fm_common_actor(const struct fm_exchange *exchange);

/* A path parameter that is a UUID, in lower case. NOT_FOUND on anything else: no such id can exist. */
enum fm_problem fm_common_id(struct fm_exchange *exchange, size_t parameter, const char *what,
        char ret_id[FM_UUID_TEXT], struct fm_error *err);

/*
 * Runs the pipeline on the request's photo `name` and adds its times to the exchange's. ret_faces needs
 * fm_faces_done(). No face is no problem here. ret_photo, if not NULL, gets the bytes.
 */
enum fm_problem fm_common_photo(struct fm_exchange *exchange, const char *name,
        const struct fm_embed_request *embed, struct fm_faces *ret_faces, struct fm_slice *ret_photo,
        struct fm_error *err);

/* fm_index_search, whose time is added to the exchange's. */
enum fm_status fm_common_search(struct fm_exchange *exchange, int64_t collection_key, const float *probes,
        size_t probe_count, size_t limit, struct fm_index_hit *ret_hits, size_t *ret_counts,
        struct fm_index_size *ret_size, struct fm_error *err);

/* ?min_similarity=, or -1. */
enum fm_problem fm_common_min_similarity(
        struct fm_exchange *exchange, double *ret_similarity, struct fm_error *err);

/* Makes `body` the reply; its reference is taken, NULL is want of memory. */
enum fm_problem fm_common_reply(
        struct fm_exchange *exchange, int http_status, json_t *body, struct fm_error *err);

#endif
