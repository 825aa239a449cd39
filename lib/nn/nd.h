/*
 * Walks over up to three tensors of any strides together: the copies and broadcasts behind Transpose, Slice,
 * Concat, Add, … Dimensions of 1 vanish, the rest are sorted so that the output is written in memory order,
 * and neighbours that every operand steps through evenly become one. Threads: pure.
 */
#ifndef FM_NN_ND_H
#define FM_NN_ND_H

#include "lib/nn/graph.h"

#define FM_ND_OPERANDS 3

struct fm_nd {
	size_t rank;
	size_t dims[FM_ONNX_RANK_MAX];
	/* Elements; operand 0 is the output. */
	ptrdiff_t strides[FM_ND_OPERANDS][FM_ONNX_RANK_MAX];
};

/* Drops, sorts and merges; the rank becomes at least 2. */
void fm_nd_normalize(struct fm_nd *nd);

/* After normalizing: whether operand 1 is the output's memory, element by element. */
bool fm_nd_same_order(const struct fm_nd *nd);

/* The last two dimensions of one step of the walk: dims and strides are nd's at rank - 2 and rank - 1. */
typedef void (*fm_nd_plane)(const struct fm_nd *nd, void *out, const void *a, const void *b);

/* Calls plane for each index of the outer dimensions. b may be NULL. */
void fm_nd_walk(const struct fm_nd *nd, size_t element_bytes, void *out, const void *a, const void *b,
        fm_nd_plane plane);

/* Numpy's broadcasting of a value in a shape of `rank`, aligned at the right: the dimension it has at i, and
 * strides of 0 where that is 1. */
size_t fm_broadcast_dim(const struct fm_value *value, size_t rank, size_t i);
void fm_broadcast_strides(const struct fm_value *value, size_t rank, ptrdiff_t *ret_strides);

/* out = a for elements of 1, 4 or 8 bytes. */
void fm_nd_copy(const struct fm_nd *nd, size_t element_bytes, void *out, const void *a);

#endif
