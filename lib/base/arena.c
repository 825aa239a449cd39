#include "lib/base/arena.h"

#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define BLOCK_BYTES   ((size_t)64 * 1024)
#define SMALL_BYTES   256
#define SMALL_ALIGNED 16

/* The header takes one cache line, so that the payload keeps the block's alignment. */
struct fm_arena_block {
	struct fm_arena_block *next;
	size_t capacity;
	size_t used;
};

static char *payload(struct fm_arena_block *block)
{
	return (char *)block + FM_ALIGNMENT;
}

void fm_arena_init(struct fm_arena *arena, size_t limit_bytes)
{
	*arena = (struct fm_arena){.limit_bytes = limit_bytes};
}

void fm_arena_done(struct fm_arena *arena)
{
	while (arena->blocks) {
		struct fm_arena_block *next = arena->blocks->next;

		free(arena->blocks);
		arena->blocks = next;
	}
	arena->used_bytes = 0;
}

static struct fm_arena_block *add_block(struct fm_arena *arena, size_t capacity)
{
	size_t bytes;

	if (!fm_size_add(capacity, FM_ALIGNMENT, &bytes))
		return NULL;
	struct fm_arena_block *block = fm_aligned_alloc(bytes);
	if (!block)
		return NULL;
	block->capacity = capacity;
	/* A block of its own for a large request goes behind the one that still has room for small ones. */
	if (arena->blocks && capacity > BLOCK_BYTES) {
		block->next = arena->blocks->next;
		arena->blocks->next = block;
	} else {
		block->next = arena->blocks;
		arena->blocks = block;
	}
	return block;
}

void *fm_arena_alloc(struct fm_arena *arena, size_t count, size_t size)
{
	size_t bytes, total;

	if (!fm_size_mul(count, size, &bytes))
		return NULL;
	size_t alignment = bytes < SMALL_BYTES ? SMALL_ALIGNED : FM_ALIGNMENT;
	if (!fm_size_align(bytes ? bytes : 1, alignment, &bytes) ||
	        !fm_size_add(arena->used_bytes, bytes, &total) || total > arena->limit_bytes)
		return NULL;

	struct fm_arena_block *block = arena->blocks;
	size_t start = block ? (block->used + alignment - 1) & ~(alignment - 1) : 0;
	if (!block || start > block->capacity || bytes > block->capacity - start) {
		block = add_block(arena, bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES);
		if (!block)
			return NULL;
		start = 0;
	}
	block->used = start + bytes;
	arena->used_bytes = total;
	return payload(block) + start;
}

void *fm_arena_memdup(struct fm_arena *arena, const void *bytes, size_t count, size_t size)
{
	void *copy = fm_arena_alloc(arena, count, size);

	if (copy && count && size)
		memcpy(copy, bytes, count * size);
	return copy;
}

char *fm_arena_strdup(struct fm_arena *arena, const char *text)
{
	return fm_arena_memdup(arena, text, strlen(text) + 1, 1);
}
