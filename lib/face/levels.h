/*
 * At which scales, and in which tiles, an image is shown to a detector whose input is one fixed, small size.
 *
 * The first level holds the whole image with a border around it, so that a face which fills or leaves the
 * frame is seen small and whole. Where that level would show the smallest wanted face too small to be found,
 * finer levels follow, cut into overlapping tiles; a face that a tile's edge cuts lies whole in the next tile
 * or shows whole in a coarser level. Where the detector has wide inputs too, each finer level takes the input
 * whose tiles have the fewest pixels. The aspect ratio is kept throughout. Threads: pure.
 */
#ifndef FM_FACE_LEVELS_H
#define FM_FACE_LEVELS_H

#include "lib/face/model.h"

#define FM_LEVELS_MAX 16

/* Tile (column, row) has its top left corner at (left_px + column * step_x_px, top_px + row * step_y_px) of
 * the image and covers the network's input size / scale of it. */
struct fm_level {
	const struct fm_model *input; /* the detector, or one of its wide */
	double scale;                 /* network pixels per image pixel */
	double left_px, top_px, step_x_px, step_y_px;
	int columns, rows;
	/* Boxes whose shorter side (of the image) exceeds it are parts of faces that coarser levels show
	 * whole. */
	double largest_px;
};

/* A box that comes this near (network pixels) to an edge of a tile with more image behind it counts as cut.
 */
#define FM_LEVEL_CUT_PX 3.0

/*
 * The levels that find faces of at least min_face_px (shorter side of the box) in an image of that size;
 * [0] is the one with the border. Returns their number.
 */
int fm_levels_plan(const struct fm_model *detection, int width_px, int height_px, double min_face_px,
        struct fm_level ret_levels[FM_LEVELS_MAX]);

/* One tile with the image in the middle of a wider border: another chance where nothing was found. */
struct fm_level fm_levels_wide_border(const struct fm_model *detection, int width_px, int height_px);

#endif
