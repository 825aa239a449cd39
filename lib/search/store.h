/*
 * The writers' end of the index: which faces are where in the tree (tree.h), by face, person and collection.
 * Slots are dense: what is removed is overwritten by the last one, so that a removal costs a few nodes.
 * Threads: the writers' lock.
 */
#ifndef FM_SEARCH_STORE_H
#define FM_SEARCH_STORE_H

#include "lib/base/status.h"
#include "lib/search/keymap.h"
#include "lib/search/tree.h"

/* One collection: the faces of each person in a ring, by slot. */
struct fm_shelf {
	bool used;
	int64_t collection_key;
	struct fm_shelf_ring {
		uint32_t next, previous;
	} * rings;
	size_t capacity;
};

struct fm_store {
	struct fm_tree tree;
	struct fm_shelf *shelves;
	size_t shelf_count;
	struct fm_keymap people, faces; /* -> shelf + 1 and a slot: any one of a person's faces */
};

/* False for want of memory. */
bool fm_store_init(struct fm_store *store, size_t dim);
void fm_store_done(struct fm_store *store);

/* codes [tree.stride]. FM_E_CONFLICT: the face is in, or the person is in under another collection. */
enum fm_status fm_store_add(struct fm_store *store, int64_t collection_key, int64_t person_key,
        int64_t face_key, const int8_t *codes, const struct fm_codes_info *info, struct fm_error *err);
/* What is not there is no error. */
void fm_store_remove_face(struct fm_store *store, int64_t face_key);
void fm_store_remove_person(struct fm_store *store, int64_t person_key);
void fm_store_remove_collection(struct fm_store *store, int64_t collection_key);

#endif
