/* The inputs under a convolution's kernel, as rows of a matrix ("im2col", a few pixels at a time). Threads:
 * pure. */
#ifndef FM_NN_PATCHES_H
#define FM_NN_PATCHES_H

#include "lib/nn/conv_shape.h"

/*
 * Rows for `count` output pixels from `pixel` on (row-major over the output). `in` is the image's first
 * channel of the group. NHWC: a row is [kernel_h][kernel_w][channels of the group]; planar (row-major image,
 * one group): [channels][kernel_h][kernel_w]. Taps outside the image are zero.
 */
void fm_patches_gather(float *ret_patches, const float *in, const struct fm_conv_shape *shape, bool planar,
        size_t pixel, size_t count);

#endif
