#include "tests/unit/image/decoding.h"

#include "lib/base/banned.h"

/* ---- PNG and WebP ---- */

Test(png, rgb_is_exact_interlaced_or_not)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);

	for (int interlaced = 0; interlaced < 2; interlaced++) {
		struct test_png options = {.colour_type = 2, .bit_depth = 8, .interlaced = interlaced};
		fm_cleanup(test_bytes_done) struct test_bytes photo =
		        test_png_encode(scene.pixels, scene.stride_bytes * HEIGHT, WIDTH, HEIGHT, &options);
		fm_cleanup(fm_image_done) struct fm_image image = decode_at(&photo, 1);
		cr_expect_eq(probe(&photo).format, FM_IMAGE_PNG);
		cr_expect_eq(difference(&scene, &image), 0);
	}
}

Test(png, every_colour_type_and_depth)
{
	static const uint8_t opaque_palette[6] = {9, 8, 7, 90, 80, 70};
	static const uint8_t palette[6] = {9, 8, 7, 0, 100, 200}, palette_alpha[2] = {255, 51};
	/* Each file is 2 x 1 pixels: dark, then light or half transparent. */
	static const struct {
		struct test_png options;
		uint8_t samples[16];
		size_t length;
		uint8_t wanted[6];
	} cases[] = {
	        {{.colour_type = 0, .bit_depth = 8}, {10, 200}, 2, {10, 10, 10, 200, 200, 200}},
	        {{.colour_type = 0, .bit_depth = 1}, {0x40}, 1, {0, 0, 0, 255, 255, 255}},
	        {{.colour_type = 0, .bit_depth = 4}, {0x3C}, 1, {51, 51, 51, 204, 204, 204}},
	        {{.colour_type = 0, .bit_depth = 16}, {20, 0, 220, 0}, 4, {20, 20, 20, 220, 220, 220}},
	        {{.colour_type = 2, .bit_depth = 16}, {1, 0, 2, 0, 3, 0, 250, 0, 251, 0, 252, 0}, 12,
	                {1, 2, 3, 250, 251, 252}},
	        {{.colour_type = 4, .bit_depth = 8}, {10, 255, 100, 0}, 4, {10, 10, 10, 255, 255, 255}},
	        {{.colour_type = 6, .bit_depth = 8}, {1, 2, 3, 255, 0, 100, 200, 51}, 8,
	                {1, 2, 3, 204, 224, 244}},
	        {{.colour_type = 6, .bit_depth = 8, .interlaced = true}, {1, 2, 3, 255, 0, 100, 200, 51}, 8,
	                {1, 2, 3, 204, 224, 244}},
	        {{.colour_type = 3, .bit_depth = 8, .palette = opaque_palette, .palette_count = 2}, {1, 0}, 2,
	                {90, 80, 70, 9, 8, 7}},
	        {{.colour_type = 3,
	                 .bit_depth = 8,
	                 .palette = palette,
	                 .palette_alpha = palette_alpha,
	                 .palette_count = 2},
	                {1, 0}, 2, {204, 224, 244, 9, 8, 7}},
	};

	for (size_t i = 0; i < FM_ARRAY_SIZE(cases); i++) {
		uint8_t samples[16];
		memcpy(samples, cases[i].samples, sizeof(samples));
		if (cases[i].options.bit_depth == 16) { /* the encoder wants the host's order */
			for (size_t k = 0; k < cases[i].length; k += 2) {
				uint16_t value = (uint16_t)(samples[k] << 8 | samples[k + 1]);
				memcpy(samples + k, &value, 2);
			}
		}
		fm_cleanup(test_bytes_done) struct test_bytes photo =
		        test_png_encode(samples, cases[i].length, 2, 1, &cases[i].options);
		fm_cleanup(fm_image_done) struct fm_image image = decode_at(&photo, 1);
		for (int k = 0; k < 6; k++)
			cr_expect_eq(image.pixels[k], cases[i].wanted[k], "case %zu, sample %d: %d", i, k,
			        image.pixels[k]);
	}
}

/* A text chunk with a wrong checksum and an unknown chunk of nonsense length cost nothing. */
Test(png, metadata_never_costs_a_photo)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(20, 20);
	fm_cleanup(test_bytes_done) struct test_bytes photo = test_png_rgb(&scene), nonsense = {0},
	                                              with = {0};

	nonsense = (struct test_bytes){malloc(200), 200};
	memset(nonsense.data, 0xA5, 200);
	with = test_png_with_exif(&photo, &nonsense, false);
	memcpy(with.data + 37, "zTXt", 4);
	fm_cleanup(fm_image_done) struct fm_image image = decode_at(&with, 1);
	cr_expect_eq(difference(&scene, &image), 0);
}

Test(webp, lossless_is_exact_and_lossy_is_near)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);
	fm_cleanup(test_bytes_done) struct test_bytes lossless = test_webp_lossless(&scene);
	fm_cleanup(test_bytes_done) struct test_bytes lossy = test_webp_lossy(&scene, 90);
	fm_cleanup(fm_image_done) struct fm_image exact = decode_at(&lossless, 1),
	                                          near = decode_at(&lossy, 1);

	cr_expect_eq(probe(&lossless).format, FM_IMAGE_WEBP);
	cr_expect_eq(difference(&scene, &exact), 0);
	cr_expect_lt(difference(&scene, &near), 4);
}

Test(webp, transparency_is_composed_over_white)
{
	static const uint8_t rgba[8] = {1, 2, 3, 255, 0, 100, 200, 51};
	static const uint8_t wanted[6] = {1, 2, 3, 204, 224, 244};
	fm_cleanup(test_bytes_done) struct test_bytes photo = test_webp_lossless_rgba(rgba, 2, 1);
	fm_cleanup(fm_image_done) struct fm_image image = decode_at(&photo, 1);

	cr_expect_arr_eq(image.pixels, wanted, 6);
}

Test(webp, an_animation_shows_its_first_frame_on_white)
{
	fm_cleanup(fm_image_done) struct fm_image frame = test_scene(20, 10);
	fm_cleanup(test_bytes_done) struct test_bytes photo = test_webp_animation(&frame, 6, 4, 40, 30);
	fm_cleanup(fm_image_done) struct fm_image image = decode_at(&photo, 1);

	cr_assert_eq(image.width_px, 40);
	cr_assert_eq(image.height_px, 30);
	for (int y = 0; y < 30; y++) {
		for (int x = 0; x < 40; x++) {
			bool inside = x >= 6 && x < 26 && y >= 4 && y < 14;
			for (int c = 0; c < 3; c++)
				cr_assert_eq(sample_at(&image, x, y, c),
				        inside ? sample_at(&frame, x - 6, y - 4, c) : 255);
		}
	}
}

/* ---- orientation ---- */

Test(orientation, every_value_in_every_format_comes_out_upright)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);

	for (int kind = 0; kind < FILE_KINDS; kind++) {
		for (int orientation = 1; orientation <= 8; orientation++) {
			fm_cleanup(test_bytes_done) struct test_bytes photo =
			        oriented_photo(&scene, orientation, kind);
			fm_cleanup(fm_image_done) struct fm_image image = decode_at(&photo, 1);
			struct fm_image_info info = probe(&photo);
			cr_expect_eq(info.orientation, orientation);
			cr_expect_eq(info.width_px, WIDTH);
			cr_expect_eq(info.height_px, HEIGHT);
			double mean = difference(&scene, &image);
			cr_expect_leq(mean, kind == JPEG_FILE ? 3 : 0, "kind %d orientation %d: %g", kind,
			        orientation, mean);
		}
	}
}
