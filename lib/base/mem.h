/*
 * Aligned memory for vectors. 64 bytes: a cache line and an AVX-512 register.
 * fm_aligned_alloc returns zeroed memory of at least `bytes` (rounded up to 64), or NULL; free with free().
 */
#ifndef FM_BASE_MEM_H
#define FM_BASE_MEM_H

#include <stddef.h>

#define FM_ALIGNMENT 64

void *fm_aligned_alloc(size_t bytes);

/* calloc with the name that says so; NULL on overflow or want of memory. */
void *fm_calloc(size_t count, size_t size);

/* Overwrites memory that held biometric data or keys; not removed by the optimiser. */
void fm_wipe(void *memory, size_t bytes);

#endif
