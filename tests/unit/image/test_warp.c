#include "lib/image/warp.h"

#include "lib/base/cleanup.h"
#include "tests/support/photo.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

static const float template[5][2] = {
        {38.3f, 51.7f}, {73.5f, 51.5f}, {56.0f, 71.7f}, {41.5f, 92.4f}, {70.7f, 92.2f}};

static struct fm_image make_image(int width_px, int height_px)
{
	struct fm_image image = {0};

	cr_assert_eq(fm_image_create(width_px, height_px, &image, NULL), FM_OK);
	return image;
}

static struct fm_image make_noise(int width_px, int height_px)
{
	struct fm_image image = make_image(width_px, height_px);
	uint32_t state = 12345;

	for (size_t i = 0; i < image.stride_bytes * (size_t)height_px; i++) {
		state = state * 1664525 + 1013904223;
		image.pixels[i] = (uint8_t)(state >> 24);
	}
	return image;
}

static uint8_t sample_at(const struct fm_image *image, int x, int y, int channel)
{
	return image->pixels[(size_t)y * image->stride_bytes + (size_t)x * 3 + (size_t)channel];
}

static bool same_pixels(const struct fm_image *a, const struct fm_image *b)
{
	return a->width_px == b->width_px && a->height_px == b->height_px &&
	       memcmp(a->pixels, b->pixels, a->stride_bytes * (size_t)a->height_px) == 0;
}

static void apply(const struct fm_similarity *t, const float from[2], float to[2])
{
	to[0] = (float)(t->a * from[0] - t->b * from[1] + t->tx);
	to[1] = (float)(t->b * from[0] + t->a * from[1] + t->ty);
}

/* ---- images ---- */

Test(image, refuses_impossible_sizes)
{
	struct fm_image image = {.width_px = 77};

	cr_expect_eq(fm_image_create(0, 5, &image, NULL), FM_E_INVALID);
	cr_expect_eq(fm_image_create(5, -1, &image, NULL), FM_E_INVALID);
	cr_expect_eq(fm_image_create(2000000000, 2000000000, &image, NULL), FM_E_TOO_LARGE);
	cr_expect_eq(image.width_px, 77, "untouched on failure");
}

Test(image, starts_black_and_ends_empty)
{
	struct fm_image image = make_image(7, 3);

	for (size_t i = 0; i < image.stride_bytes * 3; i++)
		cr_assert_eq(image.pixels[i], 0);
	fm_image_done(&image);
	cr_expect_null(image.pixels);
	cr_expect_eq(image.width_px, 0);
	fm_image_done(&image);
	fm_image_done(NULL);
}

/* ---- similarity ---- */

Test(similarity, recovers_made_transforms)
{
	static const struct fm_similarity made[] = {
	        {1, 0, 0, 0},
	        {2.5, 0, -100, 40},
	        {0, 1, 3, 4},
	        {0.3, -0.4, 1000, 2000},
	        {-1.5, 0.2, 55.5, -7.25},
	};

	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		float to[5][2];
		struct fm_similarity fitted;
		for (int k = 0; k < 5; k++)
			apply(&made[i], template[k], to[k]);
		cr_assert_eq(fm_similarity_fit(template, (const float(*)[2])to, 5, &fitted, NULL), FM_OK);
		cr_expect_float_eq(fitted.a, made[i].a, 1e-5);
		cr_expect_float_eq(fitted.b, made[i].b, 1e-5);
		cr_expect_float_eq(fitted.tx, made[i].tx, 1e-3);
		cr_expect_float_eq(fitted.ty, made[i].ty, 1e-3);
	}
}

/* Perturbed points: no small change of the fitted parameters lowers the sum of squares. */
Test(similarity, is_the_least_squares_solution)
{
	static const float noise[5][2] = {{2, -1}, {-3, 2}, {1, 1}, {0, -4}, {2, 3}};
	struct fm_similarity fitted;
	float to[5][2];

	for (int k = 0; k < 5; k++) {
		to[k][0] = 1.2f * template[k][0] + noise[k][0] + 10;
		to[k][1] = 1.2f * template[k][1] + noise[k][1] - 10;
	}
	cr_assert_eq(fm_similarity_fit(template, (const float(*)[2])to, 5, &fitted, NULL), FM_OK);
	double best = 0;
	for (int trial = -1; trial < 8; trial++) {
		struct fm_similarity moved = fitted;
		double sum = 0;
		double sign = trial % 2 ? 1e-3 : -1e-3;
		if (trial >= 0)
			*(trial < 2         ? &moved.a
			        : trial < 4 ? &moved.b
			        : trial < 6 ? &moved.tx
			                    : &moved.ty) += sign;
		for (int k = 0; k < 5; k++) {
			double x = moved.a * template[k][0] - moved.b * template[k][1] + moved.tx - to[k][0];
			double y = moved.b * template[k][0] + moved.a * template[k][1] + moved.ty - to[k][1];
			sum += x * x + y * y;
		}
		if (trial < 0)
			best = sum;
		else
			cr_expect_gt(sum, best, "trial %d", trial);
	}
}

Test(similarity, a_mirror_image_is_fitted_without_reflection)
{
	float to[5][2];
	struct fm_similarity fitted;

	for (int k = 0; k < 5; k++) {
		to[k][0] = 112 - template[k][0];
		to[k][1] = template[k][1];
	}
	cr_assert_eq(fm_similarity_fit(template, (const float(*)[2])to, 5, &fitted, NULL), FM_OK);
	cr_expect_lt(fabs(fitted.a), 1.0);
	cr_expect(isfinite(fitted.tx) && isfinite(fitted.ty));
}

Test(similarity, refuses_points_that_coincide)
{
	static const float one[3][2] = {{5, 5}, {5, 5}, {5, 5}};
	static const float lost[3][2] = {{NAN, 1}, {2, 3}, {4, 5}};
	struct fm_similarity fitted = {.a = 42};
	struct fm_error err;

	cr_expect_eq(fm_similarity_fit(one, template, 3, &fitted, &err), FM_E_INVALID);
	cr_expect_eq(fm_similarity_fit(template, one, 3, &fitted, &err), FM_E_INVALID);
	cr_expect_eq(fm_similarity_fit(template, template, 1, &fitted, &err), FM_E_INVALID);
	cr_expect_eq(fm_similarity_fit(template, template, 0, &fitted, &err), FM_E_INVALID);
	cr_expect_eq(fm_similarity_fit(lost, template, 3, &fitted, &err), FM_E_INVALID);
	cr_expect_eq(fitted.a, 42, "untouched on failure");
}

Test(similarity, inverse_undoes)
{
	struct fm_similarity t = {0.6, -0.9, 31, -17};
	struct fm_similarity inverse = fm_similarity_invert(&t);

	for (int k = 0; k < 5; k++) {
		float there[2], back[2];
		apply(&t, template[k], there);
		apply(&inverse, there, back);
		cr_expect_float_eq(back[0], template[k][0], 1e-3);
		cr_expect_float_eq(back[1], template[k][1], 1e-3);
	}
}

/* ---- warp ---- */

Test(warp, identity_copies)
{
	fm_cleanup(fm_image_done) struct fm_image source = make_noise(37, 23);
	fm_cleanup(fm_image_done) struct fm_image out = make_image(37, 23);
	struct fm_similarity identity = {1, 0, 0, 0};

	fm_image_warp(&source, &identity, &out);
	cr_expect(same_pixels(&source, &out));
}

Test(warp, quarter_turn_and_shift_are_exact)
{
	fm_cleanup(fm_image_done) struct fm_image source = make_noise(37, 23);
	fm_cleanup(fm_image_done) struct fm_image out = make_image(23, 37);
	struct fm_similarity turn = {0, 1, 22, 0}; /* x' = 22 - y, y' = x */

	fm_image_warp(&source, &turn, &out);
	for (int y = 0; y < 37; y++) {
		for (int x = 0; x < 23; x++) {
			for (int c = 0; c < 3; c++)
				cr_assert_eq(sample_at(&out, x, y, c), sample_at(&source, y, 22 - x, c));
		}
	}
}

Test(warp, half_a_pixel_averages_and_outside_is_black)
{
	fm_cleanup(fm_image_done) struct fm_image source = make_image(2, 1);
	fm_cleanup(fm_image_done) struct fm_image out = make_image(5, 3);
	struct fm_similarity shift = {1, 0, 1.5, 1}; /* out x samples source x - 1.5 */

	memcpy(source.pixels, (uint8_t[]){100, 40, 200, 200, 60, 0}, 6);
	fm_image_warp(&source, &shift, &out);
	static const uint8_t middle[5][3] = {
	        {0, 0, 0}, {50, 20, 100}, {150, 50, 100}, {100, 30, 0}, {0, 0, 0}};
	for (int y = 0; y < 3; y++) {
		for (int x = 0; x < 5; x++) {
			for (int c = 0; c < 3; c++)
				cr_expect_eq(sample_at(&out, x, y, c), y == 1 ? middle[x][c] : 0, "%d %d %d",
				        x, y, c);
		}
	}
}

/* Against the definition in double, on a rotation and scale that hit no pixel centre. */
Test(warp, agrees_with_bilinear_in_double)
{
	fm_cleanup(fm_image_done) struct fm_image source = make_noise(61, 47);
	fm_cleanup(fm_image_done) struct fm_image out = make_image(80, 70);
	struct fm_similarity t = {1.1, 0.37, -4.3, -9.9};
	struct fm_similarity back = fm_similarity_invert(&t);
	int inside = 0;

	fm_image_warp(&source, &t, &out);
	for (int y = 0; y < out.height_px; y++) {
		for (int x = 0; x < out.width_px; x++) {
			double sx = back.a * x - back.b * y + back.tx, sy = back.b * x + back.a * y + back.ty;
			int ix = (int)floor(sx), iy = (int)floor(sy);
			if (ix < 0 || iy < 0 || ix + 1 >= source.width_px || iy + 1 >= source.height_px)
				continue;
			double fx = sx - ix, fy = sy - iy;
			inside++;
			for (int c = 0; c < 3; c++) {
				double wanted = (1 - fy) * ((1 - fx) * sample_at(&source, ix, iy, c) +
				                                   fx * sample_at(&source, ix + 1, iy, c)) +
				                fy * ((1 - fx) * sample_at(&source, ix, iy + 1, c) +
				                             fx * sample_at(&source, ix + 1, iy + 1, c));
				cr_assert_float_eq(sample_at(&out, x, y, c), wanted, 0.8);
			}
		}
	}
	cr_expect_gt(inside, 1000);
}

Test(warp, extreme_transforms_stay_inside_the_source)
{
	static const struct fm_similarity extreme[] = {{1e-9, 0, 0, 0}, {1e9, 1e9, 1e9, -1e9}, {0, 0, 0, 0},
	        {NAN, 0, 0, 0}, {1, 0, 1e300, -1e300}, {1, 0, INFINITY, 0}};
	fm_cleanup(fm_image_done) struct fm_image source = make_noise(9, 9);
	fm_cleanup(fm_image_done) struct fm_image out = make_noise(9, 9);

	for (size_t i = 0; i < sizeof(extreme) / sizeof(extreme[0]); i++) {
		memset(out.pixels, 7, out.stride_bytes * 9);
		fm_image_warp(&source, &extreme[i], &out);
		if (i >= 2) /* nothing of the source is in sight */
			for (size_t k = 0; k < out.stride_bytes * 9; k++)
				cr_assert_eq(out.pixels[k], 0, "transform %zu", i);
	}
}

/* ---- shrink ---- */

Test(shrink, is_the_rounded_mean_of_each_box)
{
	static const int sizes[][2] = {{1, 1}, {5, 3}, {64, 64}, {131, 77}, {300, 2}};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fm_cleanup(fm_image_done) struct fm_image source = make_noise(sizes[i][0], sizes[i][1]);
		for (int factor = 1; factor <= 256; factor += factor < 9 ? 1 : 247) {
			fm_cleanup(fm_image_done) struct fm_image out = {0};
			cr_assert_eq(fm_image_shrink(&source, factor, &out, NULL), FM_OK);
			cr_assert_eq(out.width_px, (source.width_px + factor - 1) / factor);
			cr_assert_eq(out.height_px, (source.height_px + factor - 1) / factor);
			for (int y = 0; y < out.height_px; y++) {
				for (int x = 0; x < out.width_px * 3; x++) {
					unsigned sum = 0, count = 0;
					for (int v = y * factor; v < (y + 1) * factor && v < source.height_px;
					        v++) {
						for (int u = x / 3 * factor;
						        u < (x / 3 + 1) * factor && u < source.width_px;
						        u++) {
							sum += sample_at(&source, u, v, x % 3);
							count++;
						}
					}
					cr_assert_eq(
					        sample_at(&out, x / 3, y, x % 3), (sum + count / 2) / count);
				}
			}
		}
	}
}

Test(shrink, white_stays_white_at_the_largest_factor)
{
	fm_cleanup(fm_image_done) struct fm_image source = make_image(600, 300);
	fm_cleanup(fm_image_done) struct fm_image out = {0};

	memset(source.pixels, 255, source.stride_bytes * 300);
	cr_assert_eq(fm_image_shrink(&source, 256, &out, NULL), FM_OK);
	for (size_t i = 0; i < out.stride_bytes * (size_t)out.height_px; i++)
		cr_assert_eq(out.pixels[i], 255);
}

Test(shrink, refuses_factors_out_of_range)
{
	fm_cleanup(fm_image_done) struct fm_image source = make_image(4, 4);
	struct fm_image out;

	cr_expect_eq(fm_image_shrink(&source, 0, &out, NULL), FM_E_INVALID);
	cr_expect_eq(fm_image_shrink(&source, 257, &out, NULL), FM_E_INVALID);
}

/* ---- resize ---- */

Test(resize, same_size_copies)
{
	fm_cleanup(fm_image_done) struct fm_image source = make_noise(141, 33);
	fm_cleanup(fm_image_done) struct fm_image out = make_image(141, 33);

	fm_image_resize_rect(&source, 0, 0, 141, 33, 0, &out);
	cr_expect(same_pixels(&source, &out));
}

Test(resize, shifted_by_whole_pixels_pads_with_the_border)
{
	fm_cleanup(fm_image_done) struct fm_image source = make_noise(20, 10);
	fm_cleanup(fm_image_done) struct fm_image out = make_image(30, 20);

	fm_image_resize_rect(&source, -5, -4, 30, 20, 77, &out);
	for (int y = 0; y < 20; y++) {
		for (int x = 0; x < 30; x++) {
			bool inside = x >= 5 && x < 25 && y >= 4 && y < 14;
			for (int c = 0; c < 3; c++)
				cr_assert_eq(sample_at(&out, x, y, c),
				        inside ? sample_at(&source, x - 5, y - 4, c) : 77);
		}
	}
}

/* Area of source pixel i that [low, high) covers. */
static double overlap(int i, double low, double high)
{
	double from = i > low ? i : low, to = i + 1 < high ? i + 1 : high;

	return to > from ? to - from : 0;
}

Test(resize, shrinking_is_the_area_average)
{
	static const struct {
		double x, y, width, height;
		int out_width, out_height;
	} cases[] = {{0, 0, 131, 77, 40, 30}, {-20.3, -11.7, 170.1, 99.9, 33, 21},
	        {10.25, 3.5, 50.5, 61.25, 50, 7}, {0, 0, 131, 77, 1, 1}, {130.5, 76.5, 30, 30, 3, 3}};
	fm_cleanup(fm_image_done) struct fm_image source = make_noise(131, 77);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fm_cleanup(fm_image_done) struct fm_image out =
		        make_image(cases[i].out_width, cases[i].out_height);
		fm_image_resize_rect(
		        &source, cases[i].x, cases[i].y, cases[i].width, cases[i].height, 90, &out);
		double step_x = cases[i].width / out.width_px, step_y = cases[i].height / out.height_px;
		for (int y = 0; y < out.height_px; y++) {
			for (int x = 0; x < out.width_px; x++) {
				double left = cases[i].x + x * step_x, top = cases[i].y + y * step_y;
				double covered = 0, sum[3] = {0};
				for (int v = 0; v < source.height_px; v++) {
					for (int u = 0; u < source.width_px; u++) {
						double area = overlap(u, left, left + step_x) *
						              overlap(v, top, top + step_y);
						covered += area;
						for (int c = 0; c < 3; c++)
							sum[c] += area * sample_at(&source, u, v, c);
					}
				}
				for (int c = 0; c < 3; c++) {
					double all = step_x * step_y,
					       wanted = (sum[c] + 90 * (all - covered)) / all;
					cr_assert_float_eq(sample_at(&out, x, y, c), wanted, 0.75,
					        "case %zu at %d %d: %d, not %g", i, x, y,
					        sample_at(&out, x, y, c), wanted);
				}
			}
		}
	}
}

Test(resize, growing_is_bilinear_and_holds_the_edge)
{
	fm_cleanup(fm_image_done) struct fm_image source = make_image(2, 1);
	fm_cleanup(fm_image_done) struct fm_image out = make_image(8, 2);
	static const uint8_t wanted[8] = {0, 0, 20, 60, 100, 140, 160, 160};

	memset(source.pixels + 3, 160, 3);
	fm_image_resize_rect(&source, 0, 0, 2, 1, 255, &out);
	for (int x = 0; x < 8; x++) {
		cr_expect_eq(sample_at(&out, x, 0, 0), wanted[x], "%d: %d", x, sample_at(&out, x, 0, 0));
		cr_expect_eq(sample_at(&out, x, 1, 2), wanted[x]);
	}
}

/* One strip's source is wider than the chunk that is worked on at a time. */
Test(resize, wide_sources_keep_their_mean)
{
	fm_cleanup(fm_image_done) struct fm_image source = make_image(5000, 3);
	fm_cleanup(fm_image_done) struct fm_image out = make_image(2, 1);

	for (int y = 0; y < 3; y++)
		memset(source.pixels + (size_t)y * source.stride_bytes, 255, (size_t)2500 * 3);
	fm_image_resize_rect(&source, 0, 0, 5000, 3, 0, &out);
	cr_expect_eq(sample_at(&out, 0, 0, 0), 255);
	cr_expect_eq(sample_at(&out, 1, 0, 0), 0);
}

Test(resize, a_rectangle_far_outside_is_all_border)
{
	static const double places[] = {-1e6, 1e6, 1e300, -1e300};
	fm_cleanup(fm_image_done) struct fm_image source = make_noise(8, 8);
	fm_cleanup(fm_image_done) struct fm_image out = make_image(5, 5);

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		for (int size = 2; size <= 50; size += 48) {
			memset(out.pixels, 0, out.stride_bytes * 5);
			fm_image_resize_rect(&source, places[i], places[i], size, size, 33, &out);
			for (size_t k = 0; k < out.stride_bytes * 5; k++)
				cr_assert_eq(out.pixels[k], 33);
		}
	}
}
