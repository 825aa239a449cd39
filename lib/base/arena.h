/*
 * Many allocations with one lifetime: what a loader builds and frees at once. Every allocation is zeroed and
 * 64-byte aligned when it is large, 16-byte when it is small; the total can never pass the limit set at init,
 * so that a file from outside cannot ask for more. Threads: one owner.
 */
#ifndef FM_BASE_ARENA_H
#define FM_BASE_ARENA_H

#include <stddef.h>

struct fm_arena_block;

struct fm_arena {
	struct fm_arena_block *blocks;
	size_t used_bytes; /* handed out, alignment included */
	size_t limit_bytes;
};

void fm_arena_init(struct fm_arena *arena, size_t limit_bytes);
void fm_arena_done(struct fm_arena *arena);

/* Zeroed memory for count * size bytes, or NULL: overflow, limit or want of memory. Never NULL for 0 bytes.
 */
void *fm_arena_alloc(struct fm_arena *arena, size_t count, size_t size);

/* Copies; text is not NULL. NULL as above. */
char *fm_arena_strdup(struct fm_arena *arena, const char *text);
void *fm_arena_memdup(struct fm_arena *arena, const void *bytes, size_t count, size_t size);

#endif
