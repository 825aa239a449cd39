#include "lib/search/slab.h"

#include "lib/base/mem.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define CHUNK_BYTES ((size_t)2 << 20) /* of the huge pages of x86-64, and of aarch64 with pages of 4 KiB */

struct fm_slab_chunk {
	struct fm_slab_chunk *next, *previous;
	void *free;   /* cells that were freed, each holding the address of the next */
	size_t fresh; /* where cells begin that never were in use */
	size_t used;  /* cells */
};

#define FIRST_CELL ((sizeof(struct fm_slab_chunk) + 63) / 64 * 64)

static struct fm_slab_chunk *chunk_of(void *cell)
{
	return (struct fm_slab_chunk *)((uintptr_t)cell & ~(uintptr_t)(CHUNK_BYTES - 1));
}

void fm_slab_init(struct fm_slab *slab, size_t cell_bytes)
{
	*slab = (struct fm_slab){.cell_bytes = (cell_bytes + 63) / 64 * 64};
}

static void free_chunks(struct fm_slab_chunk *chunk)
{
	while (chunk) {
		struct fm_slab_chunk *next = chunk->next;

		fm_wipe(chunk, chunk->fresh);
		munmap(chunk, CHUNK_BYTES);
		chunk = next;
	}
}

void fm_slab_done(struct fm_slab *slab)
{
	free_chunks(slab->open);
	free_chunks(slab->full);
	slab->open = slab->full = NULL;
}

static bool has_room(const struct fm_slab *slab, const struct fm_slab_chunk *chunk)
{
	return chunk->free || chunk->fresh + slab->cell_bytes <= CHUNK_BYTES;
}

static void take_out(struct fm_slab_chunk **list, struct fm_slab_chunk *chunk)
{
	if (chunk->previous)
		chunk->previous->next = chunk->next;
	else
		*list = chunk->next;
	if (chunk->next)
		chunk->next->previous = chunk->previous;
}

static void put_first(struct fm_slab_chunk **list, struct fm_slab_chunk *chunk)
{
	chunk->previous = NULL;
	chunk->next = *list;
	if (chunk->next)
		chunk->next->previous = chunk;
	*list = chunk;
}

/* Mapped twice as large and trimmed, so that it starts at a multiple of its size. */
static struct fm_slab_chunk *map_chunk(void)
{
	char *room = mmap(NULL, 2 * CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		return NULL;
	size_t before = (CHUNK_BYTES - (uintptr_t)room % CHUNK_BYTES) % CHUNK_BYTES;

	if (before)
		munmap(room, before);
	munmap(room + before + CHUNK_BYTES, CHUNK_BYTES - before);
	/* Advice: where it is not taken, all works the same. */
	madvise(room + before, CHUNK_BYTES, MADV_HUGEPAGE);
	madvise(room + before, CHUNK_BYTES, MADV_DONTDUMP);
	return (struct fm_slab_chunk *)(room + before);
}

bool fm_slab_lacks(const struct fm_slab *slab, size_t cells)
{
	size_t each = (CHUNK_BYTES - FIRST_CELL) / slab->cell_bytes;

	return slab->chunks < (cells + each - 1) / each;
}

struct fm_slab_chunk *fm_slab_make_chunk(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct fm_slab_chunk *chunk = map_chunk();

	if (!chunk)
		return NULL;
	for (size_t at = 0; at < CHUNK_BYTES; at += page)
		((volatile char *)chunk)[at] = 0;
	*chunk = (struct fm_slab_chunk){.fresh = FIRST_CELL};
	return chunk;
}

/* Behind the first, which is filled before another is begun. */
void fm_slab_take_chunk(struct fm_slab *slab, struct fm_slab_chunk *chunk)
{
	struct fm_slab_chunk *first = slab->open;

	slab->chunks++;
	if (!first) {
		put_first(&slab->open, chunk);
		return;
	}
	chunk->previous = first;
	chunk->next = first->next;
	if (first->next)
		first->next->previous = chunk;
	first->next = chunk;
}

void *fm_slab_alloc(struct fm_slab *slab)
{
	struct fm_slab_chunk *chunk = slab->open;
	void *cell;

	if (!chunk) {
		chunk = map_chunk();
		if (!chunk)
			return NULL;
		*chunk = (struct fm_slab_chunk){.fresh = FIRST_CELL};
		put_first(&slab->open, chunk);
		slab->chunks++;
	}
	if (chunk->free) {
		cell = chunk->free;
		memcpy(&chunk->free, cell, sizeof(chunk->free));
		memset(cell, 0, sizeof(chunk->free));
	} else {
		cell = (char *)chunk + chunk->fresh;
		chunk->fresh += slab->cell_bytes;
	}
	chunk->used++;
	if (!has_room(slab, chunk)) {
		take_out(&slab->open, chunk);
		put_first(&slab->full, chunk);
	}
	return cell;
}

void fm_slab_free(struct fm_slab *slab, void *cell)
{
	struct fm_slab_chunk *chunk = chunk_of(cell);

	if (!has_room(slab, chunk)) {
		take_out(&slab->full, chunk);
		put_first(&slab->open, chunk);
	}
	fm_wipe(cell, slab->cell_bytes);
	memcpy(cell, &chunk->free, sizeof(chunk->free));
	chunk->free = cell;
	/* One chunk with room stays, so that small changes map and unmap nothing. */
	if (--chunk->used == 0 && (chunk->next || chunk->previous)) {
		take_out(&slab->open, chunk);
		munmap(chunk, CHUNK_BYTES);
		slab->chunks--;
	}
}
