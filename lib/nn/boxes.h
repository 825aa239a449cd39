/* What fuse_boxes.c finds and op_boxes.c computes. Internal to lib/nn. */
#ifndef FM_NN_BOXES_H
#define FM_NN_BOXES_H

#include <stddef.h>

/*
 * For each of `count` boxes, two or more, x and y alike, in separate operations in the order written:
 *   centre = offset * centre_scale * span + prior centre
 *   half   = size * exp(offset * size_scale) / 2
 * Offsets are [count][4], those of the centre first; results [count][4], centre - half, centre + half.
 */
struct fm_boxes {
	size_t count;
	float centre_scale, size_scale;
	const float *centres, *spans, *sizes; /* [count][2] */
};

#endif
