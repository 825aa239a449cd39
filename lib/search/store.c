#include "lib/search/store.h"

#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define FACES_MAX ((size_t)UINT32_MAX - FM_CHUNK_FACES)

static struct fm_shelf_face *face_at(const struct fm_shelf *shelf, uint32_t slot)
{
	return &shelf->chunks[slot / FM_CHUNK_FACES]->faces[slot % FM_CHUNK_FACES];
}

static struct fm_codes_info *info_at(const struct fm_shelf *shelf, uint32_t slot)
{
	return &shelf->chunks[slot / FM_CHUNK_FACES]->info[slot % FM_CHUNK_FACES];
}

static int8_t *codes_at(const struct fm_store *store, const struct fm_shelf *shelf, uint32_t slot)
{
	return shelf->chunks[slot / FM_CHUNK_FACES]->codes + slot % FM_CHUNK_FACES * store->code_stride;
}

static float *floats_at(const struct fm_store *store, const struct fm_shelf *shelf, uint32_t slot)
{
	return shelf->chunks[slot / FM_CHUNK_FACES]->floats + slot % FM_CHUNK_FACES * store->float_stride;
}

void fm_store_init(struct fm_store *store, size_t dim)
{
	*store = (struct fm_store){
	        .dim = dim,
	        .code_stride = (dim + 63) / 64 * 64,
	        .float_stride = (dim + 15) / 16 * 16,
	};
}

void fm_store_done(struct fm_store *store)
{
	for (size_t i = 0; i < store->collections.capacity; i++)
		if (store->collections.entries[i].pointer)
			fm_store_free_shelf(store, store->collections.entries[i].pointer);
	fm_keymap_done(&store->collections);
	fm_keymap_done(&store->people);
	fm_keymap_done(&store->faces);
}

static void free_chunk(const struct fm_store *store, struct fm_chunk *chunk)
{
	if (!chunk)
		return;
	if (chunk->codes)
		fm_wipe(chunk->codes, FM_CHUNK_FACES * store->code_stride);
	if (chunk->floats)
		fm_wipe(chunk->floats, FM_CHUNK_FACES * store->float_stride * sizeof(float));
	free(chunk->codes);
	free(chunk->floats);
	free(chunk);
}

static struct fm_chunk *create_chunk(const struct fm_store *store)
{
	struct fm_chunk *chunk = fm_calloc(1, sizeof(*chunk));

	if (!chunk)
		return NULL;
	chunk->codes = fm_aligned_alloc(FM_CHUNK_FACES * store->code_stride);
	chunk->floats = fm_aligned_alloc(FM_CHUNK_FACES * store->float_stride * sizeof(float));
	if (!chunk->codes || !chunk->floats) {
		free_chunk(store, chunk);
		return NULL;
	}
	return chunk;
}

void fm_store_free_shelf(const struct fm_store *store, struct fm_shelf *shelf)
{
	if (!shelf)
		return;
	for (size_t i = 0; i < shelf->chunk_count; i++)
		free_chunk(store, shelf->chunks[i]);
	free(shelf->chunks);
	free(shelf->people);
	free(shelf);
}

const struct fm_shelf *fm_store_find(const struct fm_store *store, int64_t collection_key)
{
	const struct fm_keymap_entry *entry = fm_keymap_find(&store->collections, collection_key);

	return entry ? entry->pointer : NULL;
}

/* Doubles an array that is full. */
static bool grow(void **array, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return true;
	size_t wanted = *capacity ? *capacity * 2 : 16;
	void *grown = reallocarray(*array, wanted, size);

	if (!grown)
		return false;
	*array = grown;
	*capacity = wanted;
	return true;
}

/* Room for one more face of one more person. */
static bool reserve(struct fm_store *store, struct fm_shelf *shelf)
{
	if (!fm_keymap_reserve(&store->collections) || !fm_keymap_reserve(&store->people) ||
	        !fm_keymap_reserve(&store->faces))
		return false;
	if (!grow((void **)&shelf->people, shelf->people_count, &shelf->people_capacity,
	            sizeof(*shelf->people)))
		return false;
	if (shelf->face_count < shelf->chunk_count * FM_CHUNK_FACES)
		return true;
	if (!grow((void **)&shelf->chunks, shelf->chunk_count, &shelf->chunk_capacity,
	            sizeof(*shelf->chunks)))
		return false;
	struct fm_chunk *chunk = create_chunk(store);

	if (!chunk)
		return false;
	shelf->chunks[shelf->chunk_count++] = chunk;
	return true;
}

static void link_face(struct fm_shelf *shelf, uint32_t person, uint32_t slot)
{
	struct fm_shelf_face *face = face_at(shelf, slot),
	                     *first = face_at(shelf, shelf->people[person].face);

	face->person = person;
	face->next = shelf->people[person].face;
	face->previous = first->previous;
	face_at(shelf, first->previous)->next = slot;
	first->previous = slot;
}

enum fm_status fm_store_add(struct fm_store *store, int64_t collection_key, int64_t person_key,
        int64_t face_key, const float *embedding, const int8_t *codes, const struct fm_codes_info *info,
        struct fm_error *err)
{
	struct fm_keymap_entry *collection = fm_keymap_find(&store->collections, collection_key);
	struct fm_keymap_entry *person = fm_keymap_find(&store->people, person_key);
	struct fm_shelf *shelf = collection ? collection->pointer : NULL;

	if (fm_keymap_find(&store->faces, face_key))
		return fm_fail(err, FM_E_CONFLICT, "index: face %lld is in already", (long long)face_key);
	if (person && person->pointer != shelf)
		return fm_fail(err, FM_E_CONFLICT, "index: person %lld is in another collection",
		        (long long)person_key);
	if (shelf && shelf->face_count >= FACES_MAX)
		return fm_fail(err, FM_E_TOO_LARGE, "index: a collection holds %zu faces", FACES_MAX);
	if (!shelf) {
		shelf = fm_calloc(1, sizeof(*shelf));
		if (!shelf)
			return fm_fail(err, FM_E_NOMEM, "index: no memory for a collection");
		shelf->collection_key = collection_key;
	}
	if (!reserve(store, shelf)) {
		if (!collection)
			fm_store_free_shelf(store, shelf);
		return fm_fail(err, FM_E_NOMEM, "index: no memory for a face");
	}

	/* Nothing below can fail. The reservation may have moved the maps' entries. */
	uint32_t slot = (uint32_t)shelf->face_count++;
	struct fm_shelf_face *face = face_at(shelf, slot);

	memcpy(floats_at(store, shelf, slot), embedding, store->dim * sizeof(float));
	memcpy(codes_at(store, shelf, slot), codes, store->code_stride);
	*info_at(shelf, slot) = *info;
	face->key = face_key;
	if (!collection)
		fm_keymap_insert(&store->collections, collection_key, shelf, 0);
	fm_keymap_insert(&store->faces, face_key, shelf, slot);
	person = fm_keymap_find(&store->people, person_key);
	if (person) {
		link_face(shelf, person->slot, slot);
	} else {
		uint32_t newcomer = (uint32_t)shelf->people_count++;

		shelf->people[newcomer] = (struct fm_shelf_person){.key = person_key, .face = slot};
		face->person = newcomer;
		face->next = face->previous = slot;
		fm_keymap_insert(&store->people, person_key, shelf, newcomer);
	}
	return FM_OK;
}

/* The last person takes the place of one without faces. */
static void remove_person_slot(struct fm_store *store, struct fm_shelf *shelf, uint32_t person)
{
	uint32_t last = (uint32_t)shelf->people_count - 1;

	fm_keymap_remove(&store->people, shelf->people[person].key);
	if (person != last) {
		uint32_t slot = shelf->people[last].face;

		shelf->people[person] = shelf->people[last];
		fm_keymap_find(&store->people, shelf->people[person].key)->slot = person;
		do {
			face_at(shelf, slot)->person = person;
			slot = face_at(shelf, slot)->next;
		} while (slot != shelf->people[last].face);
	}
	shelf->people_count--;
}

static void unlink_face(struct fm_store *store, struct fm_shelf *shelf, uint32_t slot)
{
	struct fm_shelf_face *face = face_at(shelf, slot);

	if (face->next == slot) {
		remove_person_slot(store, shelf, face->person);
		return;
	}
	face_at(shelf, face->previous)->next = face->next;
	face_at(shelf, face->next)->previous = face->previous;
	shelf->people[face->person].face = face->next;
}

/* Moves an entry with all that points at it. */
static void move_face(struct fm_store *store, struct fm_shelf *shelf, uint32_t from, uint32_t to)
{
	struct fm_shelf_face *face = face_at(shelf, to);

	memcpy(codes_at(store, shelf, to), codes_at(store, shelf, from), store->code_stride);
	memcpy(floats_at(store, shelf, to), floats_at(store, shelf, from),
	        store->float_stride * sizeof(float));
	*info_at(shelf, to) = *info_at(shelf, from);
	*face = *face_at(shelf, from);
	if (face->next == from) { /* alone in its ring */
		face->next = face->previous = to;
	} else {
		face_at(shelf, face->previous)->next = to;
		face_at(shelf, face->next)->previous = to;
	}
	shelf->people[face->person].face = to;
	fm_keymap_find(&store->faces, face->key)->slot = to;
}

static void remove_slot(struct fm_store *store, struct fm_shelf *shelf, uint32_t slot)
{
	uint32_t last = (uint32_t)shelf->face_count - 1;

	unlink_face(store, shelf, slot);
	fm_keymap_remove(&store->faces, face_at(shelf, slot)->key);
	if (slot != last)
		move_face(store, shelf, last, slot);
	fm_wipe(codes_at(store, shelf, last), store->code_stride);
	fm_wipe(floats_at(store, shelf, last), store->float_stride * sizeof(float));
	memset(info_at(shelf, last), 0, sizeof(struct fm_codes_info));
	memset(face_at(shelf, last), 0, sizeof(struct fm_shelf_face));
	shelf->face_count--;
	if (last % FM_CHUNK_FACES == 0)
		free_chunk(store, shelf->chunks[--shelf->chunk_count]);
	if (shelf->face_count == 0) {
		fm_keymap_remove(&store->collections, shelf->collection_key);
		fm_store_free_shelf(store, shelf);
	}
}

void fm_store_remove_face(struct fm_store *store, int64_t face_key)
{
	struct fm_keymap_entry *entry = fm_keymap_find(&store->faces, face_key);

	if (entry)
		remove_slot(store, entry->pointer, entry->slot);
}

void fm_store_remove_person(struct fm_store *store, int64_t person_key)
{
	struct fm_keymap_entry *entry;

	/* The person goes with their last face; a removal moves others, so each look is a fresh one. */
	while ((entry = fm_keymap_find(&store->people, person_key))) {
		struct fm_shelf *shelf = entry->pointer;

		remove_slot(store, shelf, shelf->people[entry->slot].face);
	}
}

struct fm_shelf *fm_store_detach(struct fm_store *store, int64_t collection_key)
{
	struct fm_keymap_entry *entry = fm_keymap_find(&store->collections, collection_key);
	struct fm_shelf *shelf = entry ? entry->pointer : NULL;

	if (!shelf)
		return NULL;
	for (uint32_t slot = 0; slot < shelf->face_count; slot++)
		fm_keymap_remove(&store->faces, face_at(shelf, slot)->key);
	for (size_t person = 0; person < shelf->people_count; person++)
		fm_keymap_remove(&store->people, shelf->people[person].key);
	fm_keymap_remove(&store->collections, collection_key);
	return shelf;
}
