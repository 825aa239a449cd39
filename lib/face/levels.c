#include "lib/face/levels.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

/* Measured on LFW faces shown at 10 to 48 px: all are found from 16 px (shorter side), docs/MODELS.md. */
#define FACE_MIN_PX 20.0
/* The first level shows the image at 1 / BORDER of the network's input. */
#define BORDER      1.5
#define WIDE_BORDER 2.2
/*
 * A tiled level answers for faces up to `ratio` times FACE_MIN_PX, the next coarser one for larger ones. A
 * larger ratio means fewer levels and more overlap; which needs the fewest tiles depends on the image's size.
 */
#define RATIO_MIN  1.6
#define RATIO_MAX  3.0
#define RATIO_STEP 0.05
/* The network's boxes of one face differ by so much between two levels. */
#define LARGEST_SLACK 1.25
/* Longer side of a face's box to the shorter. */
#define FACE_ASPECT 1.4
/* Border around the image in tiled levels. */
#define MARGIN_PX 10.0
/* What a single tile answers for: nothing is cut there. In the first level a face may be larger. */
#define SINGLE_RATIO 8.0

/* Tiles of `tile_px` that cover `length_px` (both in network pixels) and share overlap_px or more. */
static int count_tiles(double length_px, double tile_px, double overlap_px)
{
	if (length_px <= tile_px)
		return 1;
	return (int)ceil((length_px - overlap_px) / (tile_px - overlap_px));
}

static void lay_tiles(int side_px, double tile_px, double overlap_px, double scale, double margin_px,
        int *ret_count, double *ret_first_px, double *ret_step_px)
{
	double length_px = side_px * scale + 2 * margin_px;
	int count = count_tiles(length_px, tile_px, overlap_px);

	*ret_count = count;
	*ret_step_px = count > 1 ? (length_px - tile_px) / (count - 1) / scale : 0;
	/* a single tile has the image in its middle */
	*ret_first_px = (count > 1 ? -margin_px : -(tile_px - side_px * scale) / 2) / scale;
}

static struct fm_level plan_level(const struct fm_model *model, int width_px, int height_px, double scale,
        double overlap_px, double margin_px)
{
	struct fm_level level = {.input = model, .scale = scale, .largest_px = INFINITY};

	lay_tiles(width_px, model->width_px, overlap_px, scale, margin_px, &level.columns, &level.left_px,
	        &level.step_x_px);
	lay_tiles(height_px, model->height_px, overlap_px, scale, margin_px, &level.rows, &level.top_px,
	        &level.step_y_px);
	return level;
}

static double fitting_scale(const struct fm_model *model, int width_px, int height_px)
{
	return fmin((double)model->width_px / width_px, (double)model->height_px / height_px);
}

struct fm_level fm_levels_wide_border(const struct fm_model *detection, int width_px, int height_px)
{
	double scale = fitting_scale(detection, width_px, height_px) / WIDE_BORDER;

	return plan_level(detection, width_px, height_px, scale, 0, 0);
}

static double pixels(const struct fm_level *level)
{
	return (double)level->columns * level->rows * level->input->width_px * level->input->height_px;
}

/* With the input that makes the fewest pixels of it. */
static struct fm_level plan_cheapest(
        const struct fm_model *model, int width_px, int height_px, double scale, double overlap_px)
{
	struct fm_level best = plan_level(model, width_px, height_px, scale, overlap_px, MARGIN_PX);

	for (size_t i = 0; i < model->wide_count; i++) {
		struct fm_level level =
		        plan_level(&model->wide[i], width_px, height_px, scale, overlap_px, MARGIN_PX);
		if (pixels(&level) < pixels(&best))
			best = level;
	}
	return best;
}

static int plan(const struct fm_model *model, int width_px, int height_px, double min_face_px, double ratio,
        struct fm_level ret_levels[FM_LEVELS_MAX])
{
	double coarsest = fitting_scale(model, width_px, height_px) / BORDER,
	       scale = FACE_MIN_PX / min_face_px;
	int count = 0;

	ret_levels[count++] = plan_level(model, width_px, height_px, coarsest, 0, 0);
	while (scale > coarsest && count < FM_LEVELS_MAX) {
		double next = fmax(scale / ratio, coarsest);
		double largest_px = FACE_MIN_PX * scale / next * FACE_ASPECT;
		struct fm_level level =
		        plan_cheapest(model, width_px, height_px, scale, largest_px + 2 * FM_LEVEL_CUT_PX);
		if (level.columns * level.rows == 1)
			next = fmax(scale / SINGLE_RATIO, coarsest);
		level.largest_px = FACE_MIN_PX / next * LARGEST_SLACK;
		ret_levels[count++] = level;
		scale = next;
	}
	return count;
}

static double pixels_in_all(const struct fm_level *levels, int count)
{
	double sum = 0;

	for (int i = 0; i < count; i++)
		sum += pixels(&levels[i]);
	return sum;
}

int fm_levels_plan(const struct fm_model *model, int width_px, int height_px, double min_face_px,
        struct fm_level ret_levels[FM_LEVELS_MAX])
{
	struct fm_level tried[FM_LEVELS_MAX];
	int count = plan(model, width_px, height_px, min_face_px, RATIO_MAX, ret_levels);

	for (double ratio = RATIO_MAX - RATIO_STEP; ratio >= RATIO_MIN; ratio -= RATIO_STEP) {
		int levels = plan(model, width_px, height_px, min_face_px, ratio, tried);
		if (pixels_in_all(tried, levels) >= pixels_in_all(ret_levels, count))
			continue;
		memcpy(ret_levels, tried, sizeof(tried));
		count = levels;
	}
	return count;
}
