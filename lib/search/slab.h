/*
 * Cells of one size in chunks of 2 MiB that the kernel may back by huge pages: cells that are allocated one
 * after the other lie one after the other, and walking them costs few address translations. Cells are wiped
 * when they are freed, chunks go back to the system when they are empty, and none of it goes into core dumps.
 * Threads: one at a time; callers lock.
 */
#ifndef FM_SEARCH_SLAB_H
#define FM_SEARCH_SLAB_H

#include <stdbool.h>
#include <stddef.h>

struct fm_slab_chunk;

struct fm_slab {
	size_t cell_bytes;                 /* a multiple of 64 */
	struct fm_slab_chunk *open, *full; /* chunks with room, and without */
	size_t chunks;
};

/* cell_bytes up to 1 MiB, rounded up to cache lines. */
void fm_slab_init(struct fm_slab *slab, size_t cell_bytes);
/* Cells that are still in use are wiped too. */
void fm_slab_done(struct fm_slab *slab);

/* A zeroed cell at a 64-byte boundary; NULL for want of memory. */
void *fm_slab_alloc(struct fm_slab *slab);
void fm_slab_free(struct fm_slab *slab, void *cell);

/*
 * Memory in advance: touching it for the first time takes the system longer than filling it, and needs no
 * lock. Whether so many cells would need another chunk; a new one, or NULL; and that one into the slab.
 */
bool fm_slab_lacks(const struct fm_slab *slab, size_t cells);
struct fm_slab_chunk *fm_slab_make_chunk(void);
void fm_slab_take_chunk(struct fm_slab *slab, struct fm_slab_chunk *chunk);

#endif
