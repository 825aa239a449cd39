#include "tests/unit/image/decoding.h"

#include "lib/base/banned.h"

/* ---- scale and region ---- */

Test(scale, is_near_the_box_average_with_sides_rounded_up)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);
	struct test_bytes photos[] = {test_jpeg_encode(&scene, &(struct test_jpeg){0}),
	        test_jpeg_encode(
	                &scene, &(struct test_jpeg){.progressive = true, .h_samples = 2, .v_samples = 2}),
	        test_png_rgb(&scene), test_webp_lossless(&scene)};

	for (size_t i = 0; i < FM_ARRAY_SIZE(photos); i++) {
		fm_cleanup(fm_image_done) struct fm_image whole = decode_at(&photos[i], 1);
		for (int denominator = 2; denominator <= 8; denominator *= 2) {
			fm_cleanup(fm_image_done) struct fm_image image = decode_at(&photos[i], denominator);
			cr_assert_eq(image.width_px, (WIDTH + denominator - 1) / denominator);
			cr_assert_eq(image.height_px, (HEIGHT + denominator - 1) / denominator);
			double sum = 0;
			int count = 0;
			for (int y = 0; y < HEIGHT / denominator; y++) {
				for (int x = 0; x < WIDTH / denominator * 3; x++, count++) {
					int box = 0;
					for (int k = 0; k < denominator * denominator; k++)
						box += sample_at(&whole,
						        x / 3 * denominator + k % denominator,
						        y * denominator + k / denominator, x % 3);
					sum += abs(sample_at(&image, x / 3, y, x % 3) -
					           box / (denominator * denominator));
				}
			}
			/* Box average is exact up to rounding; DCT scaling is another low pass. */
			cr_expect_lt(sum / count, i < 2 ? 3 : 0.6, "photo %zu at 1/%d: %g", i, denominator,
			        sum / count);
		}
		test_bytes_done(&photos[i]);
	}
}

static void check_region(const struct test_bytes *photo, int denominator, struct fm_image_rect rect)
{
	fm_cleanup(fm_image_done) struct fm_image whole = decode_at(photo, denominator), part = {0};
	struct fm_image_rect actual, all;
	struct fm_error err = {0};
	struct fm_image_info info = probe(photo);

	enum fm_status status = fm_image_decode_region(
	        photo->data, photo->length, &limits, denominator, &rect, &part, &actual, &err);
	cr_assert_eq(status, FM_OK, "%s", err.message);
	cr_assert_eq(actual.width_px, part.width_px * denominator);
	cr_assert_eq(actual.height_px, part.height_px * denominator);

	/* Where the grid of the whole photo begins: at 0, or before it when a mirrored side does not divide.
	 */
	fm_cleanup(fm_image_done) struct fm_image again = {0};
	cr_assert_eq(
	        fm_image_decode_region(photo->data, photo->length, &limits, denominator,
	                &(struct fm_image_rect){0, 0, info.width_px, info.height_px}, &again, &all, NULL),
	        FM_OK);
	cr_assert_eq(difference(&whole, &again), 0);
	cr_assert(all.x_px <= 0 && all.x_px > -denominator && all.y_px <= 0 && all.y_px > -denominator);

	int left = rect.x_px > 0 ? rect.x_px : 0, right = rect.x_px + rect.width_px;
	int top = rect.y_px > 0 ? rect.y_px : 0, bottom = rect.y_px + rect.height_px;
	right = right < info.width_px ? right : info.width_px;
	bottom = bottom < info.height_px ? bottom : info.height_px;
	cr_assert(actual.x_px <= left && actual.x_px + actual.width_px >= right);
	cr_assert(actual.y_px <= top && actual.y_px + actual.height_px >= bottom);
	cr_assert_eq((actual.x_px - all.x_px) % denominator, 0);
	cr_assert_eq((actual.y_px - all.y_px) % denominator, 0);
	for (int y = top; y < bottom; y++) {
		for (int x = left; x < right; x++) {
			for (int c = 0; c < 3; c++) {
				int in_part = sample_at(&part, (x - actual.x_px) / denominator,
				        (y - actual.y_px) / denominator, c);
				int in_whole = sample_at(&whole, (x - all.x_px) / denominator,
				        (y - all.y_px) / denominator, c);
				cr_assert_eq(in_part, in_whole, "1/%d at %d %d: %d, not %d", denominator, x,
				        y, in_part, in_whole);
			}
		}
	}
}

static const struct fm_image_rect regions[] = {{0, 0, 1, 1}, {0, 0, 150, 94}, {149, 93, 1, 1},
        {37, 41, 29, 17}, {64, 0, 20, 94}, {0, 48, 150, 8}, {-30, -20, 60, 50}, {120, 70, 1000, 1000},
        {-5, 33, 2000, 3}};

Test(region, has_the_pixels_of_the_whole_photo_in_every_kind_of_jpeg)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);

	for (size_t i = 0; i < FM_ARRAY_SIZE(jpegs); i++) {
		fm_cleanup(test_bytes_done) struct test_bytes photo =
		        test_jpeg_encode(&scene, &jpegs[i].options);
		for (int denominator = 1; denominator <= 8; denominator *= 2) {
			for (size_t k = 0; k < FM_ARRAY_SIZE(regions); k++)
				check_region(&photo, denominator, regions[k]);
		}
	}
}

Test(region, has_the_pixels_of_the_whole_photo_in_every_orientation)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);

	for (int kind = 0; kind < FILE_KINDS; kind++) {
		for (int orientation = 1; orientation <= 8; orientation++) {
			fm_cleanup(test_bytes_done) struct test_bytes photo =
			        oriented_photo(&scene, orientation, kind);
			for (int denominator = 1; denominator <= 8; denominator *= 2) {
				for (size_t k = 0; k < FM_ARRAY_SIZE(regions); k++)
					check_region(&photo, denominator, regions[k]);
			}
		}
	}
}

Test(region, of_a_large_jpeg_is_small)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(1600, 1200), part = {0};
	fm_cleanup(test_bytes_done) struct test_bytes photo =
	        test_jpeg_encode(&scene, &(struct test_jpeg){.h_samples = 2, .v_samples = 2});
	struct fm_image_rect rect = {700, 500, 100, 100}, actual;

	cr_assert_eq(
	        fm_image_decode_region(photo.data, photo.length, &limits, 1, &rect, &part, &actual, NULL),
	        FM_OK);
	cr_expect_leq(part.width_px, 100 + 2 * 20);
	cr_expect_leq(part.height_px, 100 + 2 * 20);
}

Test(region, outside_the_photo_or_at_another_scale_is_invalid)
{
	static const struct fm_image_rect outside[] = {{WIDTH, 0, 10, 10}, {0, HEIGHT, 10, 10},
	        {-10, 0, 10, 10}, {0, -10, 10, 10}, {5, 5, 0, 5}, {5, 5, 5, -3},
	        {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}, {INT32_MIN, INT32_MIN, 5, 5}};
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);
	fm_cleanup(test_bytes_done) struct test_bytes photo =
	        test_jpeg_encode(&scene, &(struct test_jpeg){0});
	struct fm_image image;
	struct fm_image_rect actual;

	for (size_t i = 0; i < FM_ARRAY_SIZE(outside); i++)
		cr_expect_eq(fm_image_decode_region(photo.data, photo.length, &limits, 1, &outside[i], &image,
		                     &actual, NULL),
		        FM_E_INVALID, "%zu", i);
	for (int denominator = -1; denominator < 20; denominator++) {
		if (denominator == 1 || denominator == 2 || denominator == 4 || denominator == 8)
			continue;
		cr_expect_eq(
		        fm_image_decode(photo.data, photo.length, &limits, denominator, &image, NULL, NULL),
		        FM_E_INVALID);
	}
}
