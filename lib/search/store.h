/*
 * Where the embeddings lie: for each collection chunks of codes and of floats, scanned front to back, and the
 * maps that find a face, a person or a collection by key. Slots are dense: what is removed is overwritten by
 * the last one and the last one is wiped, so that a removal costs O(dim) and leaves nothing behind.
 * Threads: callers lock.
 */
#ifndef FM_SEARCH_STORE_H
#define FM_SEARCH_STORE_H

#include "lib/base/status.h"
#include "lib/search/codes.h"
#include "lib/search/keymap.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Growth allocates a chunk and never moves what is there. Long runs scan faster (100,000 faces of 512
 * dimensions: 4.0 ms in chunks of 128, 3.2 of 256, 3.0 of 4096), short ones cost a small collection less.
 */
#define FM_CHUNK_FACES 256

struct fm_chunk {
	int8_t *codes; /* [FM_CHUNK_FACES][code_stride] */
	float *floats; /* [FM_CHUNK_FACES][float_stride] */
	struct fm_codes_info info[FM_CHUNK_FACES];
	struct fm_shelf_face {
		int64_t key;
		uint32_t person;         /* slot in the shelf's people */
		uint32_t next, previous; /* ring of the person's faces, by slot */
	} faces[FM_CHUNK_FACES];
};

struct fm_shelf_person {
	int64_t key;
	uint32_t face; /* any one of the ring */
};

/* One collection. Face slot i is entry i % FM_CHUNK_FACES of chunk i / FM_CHUNK_FACES. */
struct fm_shelf {
	int64_t collection_key;
	struct fm_chunk **chunks;
	size_t chunk_count, chunk_capacity;
	struct fm_shelf_person *people;
	size_t people_count, people_capacity;
	size_t face_count;
};

struct fm_store {
	size_t dim;
	size_t code_stride, float_stride; /* elements; rows start at 64-byte boundaries */
	struct fm_keymap collections, people,
	        faces; /* -> shelf; -> shelf, person slot; -> shelf, face slot */
};

void fm_store_init(struct fm_store *store, size_t dim);
void fm_store_done(struct fm_store *store);

/* codes [code_stride]. FM_E_CONFLICT: the face is in, or the person is in under another collection. */
enum fm_status fm_store_add(struct fm_store *store, int64_t collection_key, int64_t person_key,
        int64_t face_key, const float *embedding, const int8_t *codes, const struct fm_codes_info *info,
        struct fm_error *err);
void fm_store_remove_face(struct fm_store *store, int64_t face_key);
void fm_store_remove_person(struct fm_store *store, int64_t person_key);

/*
 * Takes a collection out of all maps in O(faces) and hands it over; NULL where there is none. Freeing wipes
 * its embeddings and needs no lock.
 */
struct fm_shelf *fm_store_detach(struct fm_store *store, int64_t collection_key);
void fm_store_free_shelf(const struct fm_store *store, struct fm_shelf *shelf);

/* NULL for a collection without faces. */
const struct fm_shelf *fm_store_find(const struct fm_store *store, int64_t collection_key);

#endif
