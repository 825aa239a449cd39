#include "lib/search/store.h"

#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define FACES_MAX ((size_t)UINT32_MAX - FM_PAGE_FACES)

bool fm_store_init(struct fm_store *store, size_t dim)
{
	*store = (struct fm_store){0};
	return fm_tree_init(&store->tree, dim);
}

void fm_store_done(struct fm_store *store)
{
	for (size_t i = 0; i < store->shelf_count; i++)
		free(store->shelves[i].rings);
	free(store->shelves);
	fm_keymap_done(&store->people);
	fm_keymap_done(&store->faces);
	fm_tree_done(&store->tree);
}

/* The number of a collection's shelf, from 1; 0 where there is none. */
static uint32_t find_shelf(const struct fm_store *store, int64_t collection_key)
{
	const struct fm_view *view = fm_state_find(store->tree.state, collection_key);

	if (!view || view->face_count == 0)
		return 0;
	return fm_keymap_find(&store->faces, fm_view_lane(view, 0)->face_key)->shelf;
}

/* A shelf that is free; 0 for want of memory. */
static uint32_t make_shelf(struct fm_store *store)
{
	size_t i = 0;

	while (i < store->shelf_count && store->shelves[i].used)
		i++;
	if (i == store->shelf_count) {
		struct fm_shelf *grown = reallocarray(store->shelves, i + 1, sizeof(*grown));

		if (!grown)
			return 0;
		store->shelves = grown;
		store->shelves[store->shelf_count++] = (struct fm_shelf){0};
	}
	return (uint32_t)i + 1;
}

static bool grow_rings(struct fm_shelf *shelf, size_t count)
{
	if (count < shelf->capacity)
		return true;
	size_t capacity = shelf->capacity ? shelf->capacity + shelf->capacity / 2 : 16;
	struct fm_shelf_ring *grown = reallocarray(shelf->rings, capacity, sizeof(*grown));

	if (!grown)
		return false;
	shelf->rings = grown;
	shelf->capacity = capacity;
	return true;
}

static void link_face(struct fm_shelf *shelf, uint32_t slot, uint32_t after)
{
	struct fm_shelf_ring *rings = shelf->rings;

	rings[slot] = (struct fm_shelf_ring){.next = rings[after].next, .previous = after};
	rings[rings[after].next].previous = slot;
	rings[after].next = slot;
}

enum fm_status fm_store_add(struct fm_store *store, int64_t collection_key, int64_t person_key,
        int64_t face_key, const int8_t *codes, const struct fm_codes_info *info, struct fm_error *err)
{
	const struct fm_keymap_entry *person = fm_keymap_find(&store->people, person_key);
	uint32_t number = person ? person->shelf : find_shelf(store, collection_key);

	if (fm_keymap_find(&store->faces, face_key))
		return fm_fail(err, FM_E_CONFLICT, "index: face %lld is in already", (long long)face_key);
	if (person && store->shelves[number - 1].collection_key != collection_key)
		return fm_fail(err, FM_E_CONFLICT, "index: person %lld is in another collection",
		        (long long)person_key);
	if (!number)
		number = make_shelf(store);
	struct fm_view *view = number && fm_keymap_reserve(&store->people) && fm_keymap_reserve(&store->faces)
	                               ? fm_tree_view(&store->tree, collection_key, false)
	                               : NULL;

	if (view && view->face_count >= FACES_MAX)
		return fm_fail(err, FM_E_TOO_LARGE, "index: a collection holds %zu faces", FACES_MAX);
	if (!view || !grow_rings(&store->shelves[number - 1], view->face_count))
		return fm_fail(err, FM_E_NOMEM, "index: no memory for a face");
	const uint32_t slot = (uint32_t)view->face_count;
	struct fm_block *block = fm_tree_block(&store->tree, &view, slot, false);

	if (!block)
		return fm_fail(err, FM_E_NOMEM, "index: no memory for a face");

	/* Nothing below can fail. The reservation may have moved the map's entries. */
	struct fm_shelf *shelf = &store->shelves[number - 1];

	shelf->used = true;
	shelf->collection_key = collection_key;
	fm_block_put(block, slot % FM_SCAN_FACES, person_key, face_key, codes, info);
	view->face_count++;
	fm_keymap_insert(&store->faces, face_key, number, slot);
	person = fm_keymap_find(&store->people, person_key);
	if (person) {
		link_face(shelf, slot, person->slot);
	} else {
		shelf->rings[slot] = (struct fm_shelf_ring){.next = slot, .previous = slot};
		fm_keymap_insert(&store->people, person_key, number, slot);
		view->people_count++;
	}
	return FM_OK;
}

/* Takes a face out of its person's ring; the person goes with the last one. */
static void unlink_face(struct fm_store *store, struct fm_shelf *shelf, struct fm_view *view, uint32_t slot,
        int64_t person_key)
{
	const struct fm_shelf_ring ring = shelf->rings[slot];

	if (ring.next == slot) {
		fm_keymap_remove(&store->people, person_key);
		view->people_count--;
		return;
	}
	shelf->rings[ring.previous].next = ring.next;
	shelf->rings[ring.next].previous = ring.previous;
	fm_keymap_find(&store->people, person_key)->slot = ring.next;
}

/* The last face takes the place of one that went. */
static void relink_face(struct fm_store *store, struct fm_shelf *shelf, const struct fm_lane *face,
        uint32_t from, uint32_t to)
{
	const struct fm_shelf_ring ring = shelf->rings[from];

	if (ring.next == from) {
		shelf->rings[to] = (struct fm_shelf_ring){.next = to, .previous = to};
	} else {
		shelf->rings[to] = ring;
		shelf->rings[ring.previous].next = to;
		shelf->rings[ring.next].previous = to;
	}
	fm_keymap_find(&store->people, face->person_key)->slot = to;
	fm_keymap_find(&store->faces, face->face_key)->slot = to;
}

static void release_shelf(struct fm_shelf *shelf)
{
	free(shelf->rings);
	*shelf = (struct fm_shelf){0};
}

static void remove_slot(struct fm_store *store, uint32_t number, uint32_t slot)
{
	struct fm_shelf *shelf = &store->shelves[number - 1];
	struct fm_view *view = fm_tree_view(&store->tree, shelf->collection_key, true);
	const uint32_t last = (uint32_t)view->face_count - 1;
	const struct fm_lane *going = fm_view_lane(view, slot);

	unlink_face(store, shelf, view, slot, going->person_key);
	fm_keymap_remove(&store->faces, going->face_key);
	if (last == 0) {
		fm_tree_drop_view(&store->tree, shelf->collection_key);
		release_shelf(shelf);
		return;
	}
	if (slot != last) {
		struct fm_block *block = fm_tree_block(&store->tree, &view, slot, true);
		const uint32_t end = last / FM_SCAN_FACES;

		fm_block_copy(block, slot % FM_SCAN_FACES,
		        view->pages[end / FM_PAGE_BLOCKS]->blocks[end % FM_PAGE_BLOCKS],
		        last % FM_SCAN_FACES);
		relink_face(store, shelf, fm_block_lane(block, slot % FM_SCAN_FACES), last, slot);
	}
	if (last % FM_SCAN_FACES == 0)
		fm_tree_drop_block(&store->tree, view, last / FM_SCAN_FACES);
	else
		fm_block_clear(fm_tree_block(&store->tree, &view, last, true), last % FM_SCAN_FACES);
	view->face_count = last;
}

void fm_store_remove_face(struct fm_store *store, int64_t face_key)
{
	const struct fm_keymap_entry *entry = fm_keymap_find(&store->faces, face_key);

	if (entry)
		remove_slot(store, entry->shelf, entry->slot);
}

void fm_store_remove_person(struct fm_store *store, int64_t person_key)
{
	const struct fm_keymap_entry *entry;

	/* The person goes with their last face; a removal moves others, so each look is a fresh one. */
	while ((entry = fm_keymap_find(&store->people, person_key)))
		remove_slot(store, entry->shelf, entry->slot);
}

void fm_store_remove_collection(struct fm_store *store, int64_t collection_key)
{
	const struct fm_view *view = fm_state_find(store->tree.state, collection_key);
	const uint32_t number = find_shelf(store, collection_key);

	if (!number)
		return;
	for (size_t slot = 0; slot < view->face_count; slot++) {
		fm_keymap_remove(&store->faces, fm_view_lane(view, slot)->face_key);
		fm_keymap_remove(&store->people, fm_view_lane(view, slot)->person_key);
	}
	fm_tree_drop_view(&store->tree, collection_key);
	release_shelf(&store->shelves[number - 1]);
}
