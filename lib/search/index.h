/*
 * Exact top-k over unit-length embeddings. In memory are codes of eight bits (codes.h); the embeddings
 * themselves stay with the caller, who is asked for the few that decide. A search scans the high five bits of
 * all codes, reads the low three of the faces that the error bound cannot exclude, and scores what is then
 * left in float32: the answer equals a brute-force float search, always. People are ranked by the best of
 * their faces; ties by lower person key, and within a person by lower face key.
 *
 * Readers never wait: each search runs on one published version of the index, beside changes and other
 * searches. A removal returns when no search that starts later can see the face; its codes are overwritten
 * then, or, where searches are under way that began before, when the last of those ends.
 *
 * Threads: safe. Up to 128 searches run at once.
 */
#ifndef FM_SEARCH_INDEX_H
#define FM_SEARCH_INDEX_H

#include "lib/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_INDEX_DIM_MAX 4096

struct fm_index;

struct fm_index_hit {
	int64_t person_key;
	int64_t face_key; /* the best face of that person */
	float cosine;
};

struct fm_index_size {
	size_t people, faces;
};

/*
 * Gives the embeddings of faces, to the bit as they were added: ret_embeddings [count][dim]; ret_found[i] is
 * false for a face that is gone from where the embeddings are kept (its removal from the index is under way),
 * and a search then answers as if it had never been. count <= FM_INDEX_FETCH_MAX. Threads: called by
 * searches, several at once. An error ends the search with it.
 */
#define FM_INDEX_FETCH_MAX 64
typedef enum fm_status (*fm_index_fetch)(void *context, const int64_t *face_keys, size_t count,
        float *ret_embeddings, bool *ret_found, struct fm_error *err);

/* dim in 1..FM_INDEX_DIM_MAX. */
enum fm_status fm_index_create(
        size_t dim, fm_index_fetch fetch, void *context, struct fm_index **ret_index, struct fm_error *err);
void fm_index_free(struct fm_index *index);

/*
 * The changes of this thread between begin and commit become visible at once, at the commit; other writers
 * wait meanwhile, searches do not. Many changes cost less in one batch. Batches nest; the outermost counts.
 */
void fm_index_begin(struct fm_index *index);
void fm_index_commit(struct fm_index *index);

/* The embedding has unit length within 1e-3. FM_E_CONFLICT: the face key is in the index already. */
enum fm_status fm_index_add(struct fm_index *index, int64_t collection_key, int64_t person_key,
        int64_t face_key, const float *embedding, struct fm_error *err);
/*
 * Adds faces in one batch; those that are in already are left alone. Their codes are made before other
 * writers have to wait, so that several threads fill an index sooner than one. embeddings [count][dim].
 */
struct fm_index_owner {
	int64_t collection_key, person_key, face_key;
};
enum fm_status fm_index_add_many(struct fm_index *index, const struct fm_index_owner *owners,
        const float *embeddings, size_t count, struct fm_error *err);
/* Gets memory ready for so many faces in all, while others add them; they wait for none of it. */
void fm_index_expect(struct fm_index *index, size_t faces);
/* Removing what is not there is not an error. */
void fm_index_remove_face(struct fm_index *index, int64_t face_key);
void fm_index_remove_person(struct fm_index *index, int64_t person_key);
void fm_index_remove_collection(struct fm_index *index, int64_t collection_key);

/*
 * The best `limit` people of a collection for each probe, best first, by one scan of the collection for every
 * sixteen probes. probes [probe_count][dim]; ret_hits [probe_count][limit]; ret_counts [probe_count]. An
 * empty collection gives 0. *ret_size is the collection's size in the state that was searched, the same for
 * all probes. Meant for limits of up to some hundreds: time grows with their square.
 */
enum fm_status fm_index_search(struct fm_index *index, int64_t collection_key, const float *probes,
        size_t probe_count, size_t limit, struct fm_index_hit *ret_hits, size_t *ret_counts,
        struct fm_index_size *ret_size, struct fm_error *err);

struct fm_index_size fm_index_size(struct fm_index *index, int64_t collection_key);
/* Of all collections together. */
struct fm_index_size fm_index_total(struct fm_index *index);

#endif
