/*
 * The inputs under a convolution's kernel, as columns of a matrix: column t holds, for each pixel of one
 * output row, the input under tap t. The input rows under the kernel lie padded in a ring, channel by channel
 * and apart by stride, so that a column is a pointer into it and no tap is looked at twice to be moved.
 * Behind many channels lie each pixel's lowest and highest value, so that a patch's range is that of its
 * pixels'. One group only. Threads: pure.
 */
#ifndef FM_NN_COLUMNS_H
#define FM_NN_COLUMNS_H

#include "lib/kernels/kernels.h"
#include "lib/nn/conv_shape.h"

struct fm_columns {
	const struct fm_conv_shape *shape;
	const float *in; /* NHWC */
	size_t filled;   /* padded input rows that have come so far */
	size_t pitch;    /* floats of one channel, one remainder of x by the stride */
	size_t slots;    /* input rows in the ring */
	float *ring;     /* [slots][channels, lowest, highest][stride][pitch] */
	const float **columns;
	/* For quantize_columns: the columns, or the lowest and highest of each tap. */
	const float **spans;
	size_t span_count;
	const struct fm_kernels *kernels;
};

/* A multiple of 64, for fm_columns_begin. */
size_t fm_columns_scratch_bytes(const struct fm_conv_shape *shape);

/* scratch is 64-byte aligned; it, the shape and `in` outlive the columns. */
struct fm_columns fm_columns_begin(
        void *scratch, const struct fm_conv_shape *shape, const float *in, const struct fm_kernels *kernels);

/*
 * The columns of output row y, each out_w long, in the order of fm_patches_gather; they and columns->spans
 * are valid until the next call. Rows come in ascending order.
 */
const float *const *fm_columns_row(struct fm_columns *columns, size_t y);

#endif
