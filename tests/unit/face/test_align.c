/* Geometry of crops, and pixels into a network's input. */
#include "lib/face/align.h"
#include "lib/face/input.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

/* The template of 112 x 112, written down a second time. */
static const float expected[FM_POINTS][2] = {{38.2946F, 51.6963F}, {73.5318F, 51.5014F}, {56.0252F, 71.7366F},
        {41.5493F, 92.3655F}, {70.7299F, 92.2041F}};

static void place(double scale, double degrees, double x, double y, float ret_points[FM_POINTS][2])
{
	double a = scale * cos(degrees * 3.14159265358979 / 180);
	double b = scale * sin(degrees * 3.14159265358979 / 180);

	for (int i = 0; i < FM_POINTS; i++) {
		ret_points[i][0] = (float)(a * expected[i][0] - b * expected[i][1] + x);
		ret_points[i][1] = (float)(b * expected[i][0] + a * expected[i][1] + y);
	}
}

Test(align, brings_a_face_upright_into_the_template)
{
	for (double degrees = -150; degrees <= 150; degrees += 50) {
		float points[FM_POINTS][2];
		struct fm_similarity to_crop;
		struct fm_error err = {0};

		place(3.7, degrees, 500, -20, points);
		cr_assert_eq(fm_align_fit((const float(*)[2])points, 112, &to_crop, &err), FM_OK);
		for (int i = 0; i < FM_POINTS; i++) {
			double x = to_crop.a * points[i][0] - to_crop.b * points[i][1] + to_crop.tx;
			double y = to_crop.b * points[i][0] + to_crop.a * points[i][1] + to_crop.ty;
			cr_expect_float_eq(x, expected[i][0], 1e-3);
			cr_expect_float_eq(y, expected[i][1], 1e-3);
		}
	}
}

Test(align, template_grows_with_the_crop)
{
	struct fm_similarity to_crop;
	struct fm_error err = {0};

	cr_assert_eq(fm_align_fit(expected, 224, &to_crop, &err), FM_OK);
	cr_expect_float_eq(to_crop.a, 2, 1e-6);
	cr_expect_float_eq(to_crop.b, 0, 1e-6);
}

Test(align, refuses_points_that_coincide)
{
	const float points[FM_POINTS][2] = {{5, 5}, {5, 5}, {5, 5}, {5, 5}, {5, 5}};
	struct fm_similarity to_crop;

	cr_expect_eq(fm_align_fit(points, 112, &to_crop, NULL), FM_E_INVALID);
}

static void paint(struct fm_image *image, uint8_t (*value)(int x, int y))
{
	for (int y = 0; y < image->height_px; y++) {
		for (int x = 0; x < image->width_px; x++)
			memset(image->pixels + (size_t)y * image->stride_bytes + (size_t)x * 3, value(x, y),
			        3);
	}
}

static uint8_t checkers(int x, int y)
{
	return (x + y) % 2 ? 255 : 0;
}

static uint8_t slope(int x, int y)
{
	return (uint8_t)(x / 4 + y / 8);
}

static uint8_t at(const struct fm_image *image, int x, int y)
{
	return image->pixels[(size_t)y * image->stride_bytes + (size_t)x * 3];
}

Test(align, shrinking_does_not_alias)
{
	struct fm_image source, out;
	struct fm_similarity shrink = {.a = 1 / 6.5, .b = 0.02, .tx = 3, .ty = 1};

	cr_assert_eq(fm_image_create(600, 600, &source, NULL), FM_OK);
	cr_assert_eq(fm_image_create(64, 64, &out, NULL), FM_OK);
	paint(&source, checkers);
	cr_assert_eq(fm_align_sample(&source, &shrink, &out, NULL), FM_OK);
	for (int y = 16; y < 56; y++) {
		for (int x = 8; x < 40; x++)
			cr_assert_leq(abs(at(&out, x, y) - 127), 2, "%d at %d,%d", at(&out, x, y), x, y);
	}
	fm_image_done(&source);
	fm_image_done(&out);
}

/* On a slope the value says where it was taken from: shrinking by any factor must not shift it. */
Test(align, samples_where_the_transform_says)
{
	struct fm_image source, out;

	cr_assert_eq(fm_image_create(500, 600, &source, NULL), FM_OK);
	cr_assert_eq(fm_image_create(64, 64, &out, NULL), FM_OK);
	paint(&source, slope);
	for (double factor = 1; factor < 7.5; factor += 0.75) {
		struct fm_similarity forth = {.a = 0.96 / factor, .b = 0.28 / factor, .tx = 20, .ty = -9};
		struct fm_similarity back = fm_similarity_invert(&forth);
		cr_assert_eq(fm_align_sample(&source, &forth, &out, NULL), FM_OK);
		for (int y = 0; y < 64; y++) {
			for (int x = 0; x < 64; x++) {
				double u = back.a * x - back.b * y + back.tx;
				double v = back.b * x + back.a * y + back.ty;
				if (u < 2 * factor || v < 2 * factor || u > 499 - 2 * factor ||
				        v > 599 - 2 * factor)
					continue;
				/* the slope's steps are rounded down: half a step less on the average */
				double wanted = u / 4 + v / 8 - 0.8;
				cr_assert_lt(fabs(at(&out, x, y) - wanted), 1.5,
				        "factor %g at %d,%d: %d not %g", factor, x, y, at(&out, x, y),
				        wanted);
			}
		}
	}
	fm_image_done(&source);
	fm_image_done(&out);
}

Test(align, outside_is_black)
{
	struct fm_image source, out;
	struct fm_similarity far = {.a = 0.25, .tx = 1000};

	cr_assert_eq(fm_image_create(50, 50, &source, NULL), FM_OK);
	cr_assert_eq(fm_image_create(16, 16, &out, NULL), FM_OK);
	memset(source.pixels, 200, source.stride_bytes * 50);
	memset(out.pixels, 77, out.stride_bytes * 16);
	cr_assert_eq(fm_align_sample(&source, &far, &out, NULL), FM_OK);
	for (int i = 0; i < 16; i++)
		cr_expect_eq(at(&out, i, i), 0);
	fm_image_done(&source);
	fm_image_done(&out);
}

Test(input, orders_scales_and_shifts_channels)
{
	struct fm_model model = {.color = FM_COLOR_BGR,
	        .width_px = 2,
	        .height_px = 1,
	        .mean = {1, 2, 3},
	        .scale = {1, 0.5F, 10}};
	uint8_t pixels[] = {10, 20, 30, 40, 50, 60};
	struct fm_image image = {.pixels = pixels, .stride_bytes = 6, .width_px = 2, .height_px = 1};
	float input[6];

	fm_input_fill(&model, &image, input);
	const float bgr[] = {29, 59, 9, 24, 70, 370};
	cr_expect_arr_eq(input, bgr, sizeof(bgr));
	model.color = FM_COLOR_RGB;
	fm_input_fill(&model, &image, input);
	const float rgb[] = {9, 39, 9, 24, 270, 570};
	cr_expect_arr_eq(input, rgb, sizeof(rgb));
	model.color = FM_COLOR_GRAY;
	fm_input_fill(&model, &image, input);
	cr_expect_eq(input[0], 17, "0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15, less the mean");
	cr_expect_eq(input[1], 47);
}
