/*
 * Exact top-k over unit-length embeddings held in memory: s8 codes are scanned, every person that the codes'
 * error bound cannot exclude is scored again in float32, so that the answer equals a brute-force float
 * search, always. People are ranked by the best of their faces; ties by lower person key. Searches see one
 * consistent state. Threads: safe; searches run beside each other and beside one change at a time.
 */
#ifndef FM_SEARCH_INDEX_H
#define FM_SEARCH_INDEX_H

#include "lib/base/status.h"

#include <stddef.h>
#include <stdint.h>

struct fm_index;

struct fm_index_hit {
	int64_t person_key;
	int64_t face_key; /* the best face of that person */
	float cosine;
};

struct fm_index_size {
	size_t people, faces;
};

/* dim in 1..4096. */
enum fm_status fm_index_create(size_t dim, struct fm_index **ret_index, struct fm_error *err);
void fm_index_free(struct fm_index *index);

/* The embedding has unit length within 1e-3. FM_E_CONFLICT: the face key is in the index already. */
enum fm_status fm_index_add(struct fm_index *index, int64_t collection_key, int64_t person_key,
        int64_t face_key, const float *embedding, struct fm_error *err);
/* Removing what is not there is not an error. Memory of removed embeddings is wiped. */
void fm_index_remove_face(struct fm_index *index, int64_t face_key);
void fm_index_remove_person(struct fm_index *index, int64_t person_key);
void fm_index_remove_collection(struct fm_index *index, int64_t collection_key);

/*
 * The best `limit` people of a collection, best first. ret_hits has room for `limit`. An empty collection
 * gives 0. *ret_size is the collection's size in the state that was searched.
 */
enum fm_status fm_index_search(const struct fm_index *index, int64_t collection_key, const float *probe,
        size_t limit, struct fm_index_hit *ret_hits, size_t *ret_count, struct fm_index_size *ret_size,
        struct fm_error *err);

struct fm_index_size fm_index_size(const struct fm_index *index, int64_t collection_key);
/* Of all collections together. */
struct fm_index_size fm_index_total(const struct fm_index *index);

#endif
