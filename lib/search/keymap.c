#include "lib/search/keymap.h"

#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define CAPACITY_MIN 16

/* The finalizer of SplitMix64 (Steele, Lea, Flood 2014): row keys are consecutive, their hashes are not. */
static uint64_t hash(int64_t key)
{
	uint64_t h = (uint64_t)key;

	h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
	return h ^ h >> 31;
}

void fm_keymap_done(struct fm_keymap *map)
{
	free(map->entries);
	memset(map, 0, sizeof(*map));
}

/* Where the key is, or the free entry where its probing ends. There always is one. */
static struct fm_keymap_entry *probe(const struct fm_keymap *map, int64_t key)
{
	size_t mask = map->capacity - 1, i = hash(key) & mask;

	while (map->entries[i].shelf && map->entries[i].key != key)
		i = (i + 1) & mask;
	return &map->entries[i];
}

struct fm_keymap_entry *fm_keymap_find(const struct fm_keymap *map, int64_t key)
{
	struct fm_keymap_entry *entry = map->capacity ? probe(map, key) : NULL;

	return entry && entry->shelf ? entry : NULL;
}

bool fm_keymap_reserve(struct fm_keymap *map)
{
	if ((map->count + 1) * 3 <= map->capacity * 2)
		return true;
	struct fm_keymap grown = {
	        .capacity = map->capacity ? map->capacity * 2 : CAPACITY_MIN,
	        .count = map->count,
	};

	grown.entries = fm_calloc(grown.capacity, sizeof(*grown.entries));
	if (!grown.entries)
		return false;
	for (size_t i = 0; i < map->capacity; i++)
		if (map->entries[i].shelf)
			*probe(&grown, map->entries[i].key) = map->entries[i];
	free(map->entries);
	*map = grown;
	return true;
}

void fm_keymap_insert(struct fm_keymap *map, int64_t key, uint32_t shelf, uint32_t slot)
{
	*probe(map, key) = (struct fm_keymap_entry){.key = key, .shelf = shelf, .slot = slot};
	map->count++;
}

/*
 * Fills the gap from what follows in the same run, so that no probing ends early and no tombstones pile up
 * (Knuth, TAOCP volume 3, 6.4, algorithm R): an entry may move into the gap unless its home lies behind it.
 */
void fm_keymap_remove(struct fm_keymap *map, int64_t key)
{
	struct fm_keymap_entry *found = fm_keymap_find(map, key);

	if (!found)
		return;
	size_t mask = map->capacity - 1, gap = (size_t)(found - map->entries);

	for (size_t i = (gap + 1) & mask; map->entries[i].shelf; i = (i + 1) & mask) {
		size_t home = hash(map->entries[i].key) & mask;

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		map->entries[gap] = map->entries[i];
		gap = i;
	}
	memset(&map->entries[gap], 0, sizeof(map->entries[gap]));
	map->count--;
}
