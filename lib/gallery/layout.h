/*
 * Where SQLite puts the bytes of a long row, so that what must be forgotten lies where it can be.
 *
 * With pages of 2 KiB, what a row has beyond its first part goes to overflow pages of 2044 bytes each. The
 * first part stays in the tree: the rest of the division by 2044, where that gives 232 to 2013 bytes, else
 * 232 bytes (SQLite file format, section 1.6). Overflow pages are never moved and are zeroed when they are
 * freed; rows in the tree are copied when it is balanced, and a copy can stay behind in a page's free space.
 * So embeddings and pictures are laid out to lie on overflow pages. Threads: pure.
 */
#ifndef FM_GALLERY_LAYOUT_H
#define FM_GALLERY_LAYOUT_H

#include <stddef.h>

#define FM_OVERFLOW_BYTES 2044
/* A face's quality is stored with white space up to here: what comes before the embedding then fills 232. */
#define FM_QUALITY_MIN_BYTES 136
/* The first bytes of a JPEG, which may stay in the tree: file header, quantization tables, frame header. */
#define FM_JPEG_HEAD_BYTES 220

/* Bytes that `bytes` of an embedding take: zeros, then the embedding, of which at most 4 stay in the tree. */
size_t fm_layout_embedding_bytes(size_t bytes);
/* Bytes that a JPEG of `bytes` takes: the JPEG, then zeros. */
size_t fm_layout_jpeg_bytes(size_t bytes);

#endif
