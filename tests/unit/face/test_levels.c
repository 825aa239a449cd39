/* Levels and tiles: every face that is wanted is shown whole and large enough somewhere. */
#include "lib/face/levels.h"

#include <criterion/criterion.h>
#include <math.h>

#include "lib/base/banned.h"

static const struct fm_model detection = {.width_px = 320, .height_px = 240};
static struct fm_model larger[] = {
        {.width_px = 1040, .height_px = 784}, {.width_px = 784, .height_px = 1040}};
static const struct fm_model with_larger = {
        .width_px = 320, .height_px = 240, .wide = larger, .wide_count = 2};

/* Is the box, as high as 1.4 times its width, whole and uncut in a tile that shows it 20 px wide or more, and
 * not larger than its level answers for, with something to spare? */
static bool shown(const struct fm_level *levels, int count, double x_px, double y_px, double width_px)
{
	double height_px = 1.4 * width_px;

	for (int i = 0; i < count; i++) {
		const struct fm_level *level = &levels[i];
		if (width_px * level->scale < 20 * 0.999 || width_px * 1.1 > level->largest_px)
			continue;
		for (int tile = 0; tile < level->columns * level->rows; tile++) {
			int column = tile % level->columns, row = tile / level->columns;
			double left = (x_px - level->left_px - column * level->step_x_px) * level->scale;
			double top = (y_px - level->top_px - row * level->step_y_px) * level->scale;
			double near = FM_LEVEL_CUT_PX * 0.999;
			if (left >= near && top >= near &&
			        left + width_px * level->scale <= level->input->width_px - near &&
			        top + height_px * level->scale <= level->input->height_px - near)
				return true;
		}
	}
	return false;
}

static void expect_every_wanted_face(const struct fm_model *model)
{
	static const int sizes[][2] = {{250, 250}, {640, 480}, {480, 640}, {1920, 1080}, {4000, 3000},
	        {3000, 4000}, {4032, 3024}, {6000, 400}, {90, 4000}};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (double min_face = 40; min_face <= 80; min_face += 40) {
			struct fm_level levels[FM_LEVELS_MAX];
			int width = sizes[s][0], height = sizes[s][1];
			int count = fm_levels_plan(model, width, height, min_face, levels);
			for (double face = min_face; 1.4 * face < height && face < width; face *= 1.07) {
				for (int k = 0; k <= 100; k++) { /* a lattice that hits no tile's grid */
					double x = (width - face) * (k % 10 / 10.0 + k / 1000.0);
					double y = (height - 1.4 * face) * (k / 10 / 10.0);
					cr_assert(shown(levels, count, x, y, face),
					        "%d x %d, smallest %g: %g px at %g,%g", width, height,
					        min_face, face, x, y);
				}
			}
		}
	}
}

Test(levels, show_every_wanted_face)
{
	expect_every_wanted_face(&detection);
	expect_every_wanted_face(&with_larger);
}

Test(levels, take_a_larger_input_where_that_is_fewer_pixels)
{
	struct fm_level levels[FM_LEVELS_MAX];

	cr_assert_eq(fm_levels_plan(&with_larger, 4032, 3024, 80, levels), 2);
	cr_expect_eq(levels[0].input, &with_larger, "the border takes the small one");
	cr_expect_eq(levels[1].input, &larger[0]);
	cr_expect_eq(levels[1].columns * levels[1].rows, 1);
	cr_assert_eq(fm_levels_plan(&with_larger, 3024, 4032, 80, levels), 2);
	cr_expect_eq(levels[1].input, &larger[1]);
	int count = fm_levels_plan(&with_larger, 640, 480, 40, levels);
	for (int i = 0; i < count; i++)
		cr_expect_eq(levels[i].input, &with_larger);
}

Test(levels, first_has_a_border_all_around)
{
	struct fm_level levels[FM_LEVELS_MAX];

	fm_levels_plan(&detection, 1000, 500, 80, levels);
	cr_expect_eq(levels[0].columns * levels[0].rows, 1);
	double width = 320 / levels[0].scale, height = 240 / levels[0].scale;
	cr_expect_leq(levels[0].left_px, -0.2 * 1000);
	cr_expect_geq(levels[0].left_px + width, 1.2 * 1000);
	cr_expect_leq(levels[0].top_px, -0.2 * 500);
	cr_expect_geq(levels[0].top_px + height, 1.2 * 500);
	cr_expect_float_eq(levels[0].left_px + width / 2, 500, 1e-6, "in the middle");
	cr_expect_float_eq(levels[0].top_px + height / 2, 250, 1e-6);

	struct fm_level wide = fm_levels_wide_border(&detection, 1000, 500);
	cr_expect_lt(wide.left_px, levels[0].left_px);
	cr_expect_lt(wide.top_px, levels[0].top_px);
	cr_expect_eq(wide.columns * wide.rows, 1);
}

static int runs(int width_px, int height_px, double min_face_px)
{
	struct fm_level levels[FM_LEVELS_MAX];
	int count = fm_levels_plan(&detection, width_px, height_px, min_face_px, levels), total = 0;

	for (int i = 0; i < count; i++)
		total += levels[i].columns * levels[i].rows;
	return total;
}

Test(levels, cost_what_the_photo_asks_for)
{
	cr_expect_eq(runs(250, 250, 80), 1);
	cr_expect_eq(runs(640, 480, 80), 1);
	cr_expect_leq(runs(640, 480, 40), 6);
	cr_expect_leq(runs(1920, 1080, 80), 12);
	cr_expect_leq(runs(4000, 3000, 80), 40);
	cr_expect_leq(runs(4000, 3000, 40), 150);
}
