/* The attributes of Conv and MaxPool, read and checked. Pairs are height, width. */
#ifndef FM_NN_CONV_SHAPE_H
#define FM_NN_CONV_SHAPE_H

#include "lib/nn/op.h"

/* Of kernels, strides, dilations and pads: far beyond any network, small enough that no product overflows. */
#define FM_CONV_EXTENT_MAX 65535

struct fm_conv_shape {
	size_t in_h, in_w, in_channels;
	size_t out_h, out_w, out_channels;
	size_t groups;
	size_t kernel[2], stride[2], dilation[2];
	size_t pad[2]; /* top, left; the output's size accounts for bottom and right */
};

/* Reads a Conv node whose inputs have shapes. auto_pad is resolved. */
enum fm_status fm_conv_shape_read(const struct fm_graph *graph, const struct fm_node *node,
        struct fm_conv_shape *ret_shape, struct fm_error *err);

/* Reads a pooling node whose input has a shape: one window for each channel, never wholly in the padding. */
enum fm_status fm_pool_shape_read(const struct fm_graph *graph, const struct fm_node *node,
        struct fm_conv_shape *ret_shape, struct fm_error *err);

/* What strips.h wants to know of it. */
struct fm_strip_shape fm_conv_strip_shape(const struct fm_conv_shape *shape);

/*
 * *shape, of a whole image, becomes that of a strip's rows, which are an image of fewer rows: the padding
 * above is there for the first of them only. Returns where its input begins.
 */
const float *fm_dwconv_strip(struct fm_dwconv_shape *shape, const struct fm_strip *strip);

/* A whole step as its one strip. */
void fm_step_run_whole(const struct fm_step *step, const struct fm_run *run,
        void (*run_strip)(const struct fm_step *, const struct fm_run *, const struct fm_strip *));

#endif
