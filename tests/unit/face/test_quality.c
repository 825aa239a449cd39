/* Quality on made images and points, and each gate by itself. */
#include "lib/face/quality.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

enum { SIDE = 112 };

/* Bars `period` wide, light and dark around `level`. */
static struct fm_image bars(int period, int level, int contrast)
{
	struct fm_image image;

	cr_assert_eq(fm_image_create(SIDE, SIDE, &image, NULL), FM_OK);
	for (int y = 0; y < SIDE; y++) {
		for (int x = 0; x < SIDE; x++) {
			double wave = sin(2 * 3.14159265358979 * x / period) *
			              sin(2 * 3.14159265358979 * y / period);
			memset(image.pixels + (size_t)y * image.stride_bytes + (size_t)x * 3,
			        level + (int)(contrast * wave), 3);
		}
	}
	return image;
}

Test(quality, brightness_is_the_mean)
{
	for (int level = 0; level <= 255; level += 51) {
		struct fm_image flat = bars(10, level, 0);
		cr_expect_float_eq(fm_quality_brightness(&flat), level / 255.0, 1e-3);
		fm_image_done(&flat);
	}
}

Test(quality, sharpness_falls_with_detail_and_not_with_light)
{
	struct fm_image fine = bars(4, 128, 100), coarse = bars(30, 128, 100), dim = bars(4, 40, 30),
	                flat = bars(4, 128, 0);
	float sharp = fm_quality_sharpness(&fine), soft = fm_quality_sharpness(&coarse);

	cr_expect_gt(sharp, 0.8F);
	cr_expect_lt(soft, 0.1F);
	cr_expect_float_eq(fm_quality_sharpness(&dim), sharp, 0.05, "the same detail in the dark");
	cr_expect_eq(fm_quality_sharpness(&flat), 0);
	fm_image_done(&fine);
	fm_image_done(&coarse);
	fm_image_done(&dim);
	fm_image_done(&flat);
}

/* A head as five points in space, eyes 1 apart, turned and projected. */
static void project(double yaw_deg, double roll_deg, float ret_points[FM_POINTS][2])
{
	static const double head[FM_POINTS][3] = {
	        {-0.5, -0.55, 0}, {0.5, -0.55, 0}, {0, 0, 0.55}, {-0.4, 0.55, 0}, {0.4, 0.55, 0}};
	double yaw = yaw_deg * 3.14159265358979 / 180, roll = roll_deg * 3.14159265358979 / 180;

	for (int i = 0; i < FM_POINTS; i++) {
		double x = head[i][0] * cos(yaw) + head[i][2] * sin(yaw), y = head[i][1];
		ret_points[i][0] = (float)(100 + 40 * (x * cos(roll) - y * sin(roll)));
		ret_points[i][1] = (float)(100 + 40 * (x * sin(roll) + y * cos(roll)));
	}
}

Test(quality, pose_from_points)
{
	for (double yaw = -60; yaw <= 60; yaw += 15) {
		for (double roll = -40; roll <= 40; roll += 20) {
			float points[FM_POINTS][2];
			project(yaw, roll, points);
			cr_expect_float_eq(
			        fm_quality_yaw_deg((const float(*)[2])points), yaw, 0.1, "roll %g", roll);
			cr_expect_float_eq(
			        fm_quality_roll_deg((const float(*)[2])points), roll, 0.1, "yaw %g", yaw);
		}
	}
}

static struct fm_face good_face(void)
{
	struct fm_face face = {.box = {100, 100, 90, 120}, .score = 0.999F};

	project(0, 0, face.landmarks);
	return face;
}

static uint32_t reasons(const struct fm_image *crop, const struct fm_face *face, float *ret_score)
{
	struct fm_quality quality;
	uint32_t bits;

	fm_quality_measure(crop, face, 640, 480, &fm_pipeline_defaults, &quality, &bits);
	if (ret_score)
		*ret_score = quality.score;
	cr_expect(quality.score >= 0 && quality.score <= 1);
	return bits;
}

Test(quality, each_gate_gives_its_reason)
{
	struct fm_image good = bars(12, 128, 60), blurred = bars(60, 128, 60), dark = bars(12, 15, 14),
	                light = bars(12, 245, 8);
	struct fm_face face = good_face();
	float best, score;

	cr_expect_eq(reasons(&good, &face, &best), 0);
	cr_expect_eq(reasons(&blurred, &face, &score), FM_REASON_LOW_SHARPNESS);
	cr_expect_lt(score, best);
	cr_expect_eq(reasons(&dark, &face, &score), FM_REASON_LOW_BRIGHTNESS);
	cr_expect_lt(score, best);
	cr_expect_eq(reasons(&light, &face, NULL), FM_REASON_HIGH_BRIGHTNESS);
	face.box.width_px = 30;
	cr_expect_eq(reasons(&good, &face, &score), FM_REASON_SMALL_FACE);
	cr_expect_lt(score, best);
	face = good_face();
	face.score = 0.7F;
	cr_expect_eq(reasons(&good, &face, NULL), FM_REASON_LOW_CONFIDENCE);
	face = good_face();
	face.box.x_px = -30;
	cr_expect_eq(reasons(&good, &face, NULL), FM_REASON_CUT_BY_BORDER);
	face.box.x_px = -3;
	cr_expect_eq(reasons(&good, &face, NULL), 0, "a hair's breadth is no cut");
	face = good_face();
	project(70, 0, face.landmarks);
	cr_expect_eq(reasons(&good, &face, &score), FM_REASON_EXTREME_POSE);
	cr_expect_lt(score, best);
	project(0, 60, face.landmarks);
	cr_expect_eq(reasons(&good, &face, NULL), FM_REASON_EXTREME_POSE);
	face.box.width_px = 30;
	cr_expect_eq(reasons(&dark, &face, NULL),
	        FM_REASON_EXTREME_POSE | FM_REASON_SMALL_FACE | FM_REASON_LOW_BRIGHTNESS, "all at once");
	fm_image_done(&good);
	fm_image_done(&blurred);
	fm_image_done(&dark);
	fm_image_done(&light);
}

Test(quality, reasons_have_their_names)
{
	cr_expect_str_eq(fm_reason_name(0), "small_face");
	cr_expect_str_eq(fm_reason_name(FM_REASON_COUNT - 1), "cut_by_border");
	cr_expect_str_eq(fm_reason_name(FM_REASON_COUNT), "unknown");
	for (int i = 0; i < FM_REASON_COUNT; i++) {
		for (int k = 0; k < i; k++)
			cr_expect_str_neq(fm_reason_name(i), fm_reason_name(k));
	}
}
