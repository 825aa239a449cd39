/*
 * A hash map from row key to (shelf, slot): open addressing, linear probing, at most two thirds full.
 * Zeroed is empty. Threads: callers lock.
 */
#ifndef FM_SEARCH_KEYMAP_H
#define FM_SEARCH_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fm_keymap_entry {
	int64_t key;
	uint32_t shelf; /* 0 marks a free entry */
	uint32_t slot;
};

struct fm_keymap {
	struct fm_keymap_entry *entries;
	size_t capacity; /* 0 or a power of two */
	size_t count;
};

void fm_keymap_done(struct fm_keymap *map);

/* NULL where the key is not in. Valid until the next insertion, removal or reservation. */
struct fm_keymap_entry *fm_keymap_find(const struct fm_keymap *map, int64_t key);

/* Makes room for one more, so that the next insertion cannot fail; false for want of memory. */
bool fm_keymap_reserve(struct fm_keymap *map);
/* The key is not in, the shelf is not 0, and room was reserved. */
void fm_keymap_insert(struct fm_keymap *map, int64_t key, uint32_t shelf, uint32_t slot);
/* A key that is not in is no error. */
void fm_keymap_remove(struct fm_keymap *map, int64_t key);

#endif
