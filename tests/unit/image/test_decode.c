#include "lib/image/decode.h"

#include "lib/base/cleanup.h"
#include "lib/base/size.h"
#include "tests/support/photo.h"

#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

#include "lib/base/banned.h"

enum { WIDTH = 150, HEIGHT = 94 };

static const struct fm_image_limits limits = {.pixels_max = 16000000, .side_max_px = 10000};

static uint8_t sample_at(const struct fm_image *image, int x, int y, int channel)
{
	return image->pixels[(size_t)y * image->stride_bytes + (size_t)x * 3 + (size_t)channel];
}

/* Mean of the absolute differences; sizes must agree. */
static double difference(const struct fm_image *a, const struct fm_image *b)
{
	double sum = 0;

	cr_assert_eq(a->width_px, b->width_px);
	cr_assert_eq(a->height_px, b->height_px);
	for (int y = 0; y < a->height_px; y++) {
		for (int x = 0; x < a->width_px * 3; x++)
			sum += abs(sample_at(a, x / 3, y, x % 3) - sample_at(b, x / 3, y, x % 3));
	}
	return sum / (3.0 * a->width_px * a->height_px);
}

static struct fm_image decode_at(const struct test_bytes *photo, int denominator)
{
	struct fm_image image = {0};
	struct fm_error err = {0};

	enum fm_status status =
	        fm_image_decode(photo->data, photo->length, &limits, denominator, &image, NULL, &err);
	cr_assert_eq(status, FM_OK, "%s", err.message);
	return image;
}

static struct fm_image_info probe(const struct test_bytes *photo)
{
	struct fm_image_info info = {0};
	struct fm_error err = {0};

	cr_assert_eq(
	        fm_image_probe(photo->data, photo->length, &limits, &info, &err), FM_OK, "%s", err.message);
	return info;
}

/* ---- what is a photo ---- */

Test(sniff, refuses_other_bytes)
{
	static const char *const others[] = {"", "G", "GIF89a and so on", "%PDF-1.7 and so on", "\xFF\xD8",
	        "RIFF\x10\x00\x00\x00WAVEfmt ", "BM and so on and on", "\x89PNG\r\n\x1A"};
	struct fm_image_info info = {.width_px = 7};
	struct fm_image image = {.width_px = 7};

	for (size_t i = 0; i < FM_ARRAY_SIZE(others); i++) {
		struct fm_error err = {0};
		size_t length = strlen(others[i]);
		cr_expect_eq(
		        fm_image_probe(others[i], length, &limits, &info, &err), FM_E_UNSUPPORTED, "%zu", i);
		cr_expect_eq(
		        fm_image_decode(others[i], length, &limits, 1, &image, NULL, &err), FM_E_UNSUPPORTED);
		cr_expect_neq(err.message[0], 0);
	}
	cr_expect_eq(fm_image_probe(NULL, 0, &limits, &info, NULL), FM_E_UNSUPPORTED);
	cr_expect_eq(info.width_px, 7, "untouched on failure");
	cr_expect_eq(image.width_px, 7, "untouched on failure");
}

Test(sniff, a_header_that_ends_is_truncated)
{
	static const struct {
		const char *bytes;
		size_t length;
	} cases[] = {{"\xFF\xD8\xFF", 3}, {"\xFF\xD8\xFF\xE0\0", 5}, {"\xFF\xD8\xFF\xD9", 4},
	        {"\x89PNG\r\n\x1A\n", 8}, {"RIFF\x30\0\0\0WEBP", 12}, {"RIFF\x30\0\0\0WEBPVP8L", 16}};

	for (size_t i = 0; i < FM_ARRAY_SIZE(cases); i++) {
		struct fm_image_info info;
		enum fm_status status = fm_image_probe(cases[i].bytes, cases[i].length, &limits, &info, NULL);
		/* The third says that it ends; it holds no photo. */
		cr_expect_eq(status, i == 2 ? FM_E_CORRUPT : FM_E_TRUNCATED, "case %zu: %s", i,
		        fm_status_name(status));
	}
}

/* ---- kinds of JPEG ---- */

static const struct {
	const char *name;
	struct test_jpeg options;
	double tolerance; /* mean difference from the scene */
} jpegs[] = {
        {"baseline 4:4:4", {.quality = 95}, 1.5},
        {"4:2:0", {.h_samples = 2, .v_samples = 2}, 3},
        {"4:2:2", {.h_samples = 2}, 2},
        {"4:4:0", {.v_samples = 2}, 3},
        {"4:1:1", {.h_samples = 4}, 3},
        {"progressive", {.progressive = true, .h_samples = 2, .v_samples = 2}, 3},
        {"arithmetic", {.arithmetic = true}, 1.5},
        {"progressive arithmetic", {.arithmetic = true, .progressive = true}, 1.5},
        {"restart markers", {.restart_mcus = 3}, 1.5},
        {"RGB", {.colour = TEST_RGB}, 1.5},
        {"CMYK", {.colour = TEST_CMYK}, 1.5},
        {"CMYK by Adobe", {.colour = TEST_CMYK_ADOBE}, 1.5},
        {"YCCK by Adobe", {.colour = TEST_YCCK}, 3},
};

Test(jpeg, decodes_every_kind)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);

	for (size_t i = 0; i < FM_ARRAY_SIZE(jpegs); i++) {
		fm_cleanup(test_bytes_done) struct test_bytes photo =
		        test_jpeg_encode(&scene, &jpegs[i].options);
		fm_cleanup(fm_image_done) struct fm_image image = decode_at(&photo, 1);
		struct fm_image_info info = probe(&photo);
		cr_expect_eq(info.format, FM_IMAGE_JPEG);
		cr_expect_eq(info.width_px, WIDTH);
		cr_expect_eq(info.height_px, HEIGHT);
		cr_expect_eq(info.orientation, 1);
		double mean = difference(&scene, &image);
		cr_expect_lt(mean, jpegs[i].tolerance, "%s: %g", jpegs[i].name, mean);
	}
}

Test(jpeg, gray_becomes_equal_channels)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);
	fm_cleanup(test_bytes_done) struct test_bytes photo =
	        test_jpeg_encode(&scene, &(struct test_jpeg){.colour = TEST_GRAY});
	fm_cleanup(fm_image_done) struct fm_image image = decode_at(&photo, 1);

	for (int y = 0; y < HEIGHT; y++) {
		for (int x = 0; x < WIDTH; x++) {
			int luma = (sample_at(&scene, x, y, 0) * 299 + sample_at(&scene, x, y, 1) * 587 +
			                   sample_at(&scene, x, y, 2) * 114) /
			           1000;
			cr_assert_eq(sample_at(&image, x, y, 0), sample_at(&image, x, y, 1));
			cr_assert_eq(sample_at(&image, x, y, 0), sample_at(&image, x, y, 2));
			cr_assert_leq(abs(sample_at(&image, x, y, 0) - luma), 12);
		}
	}
}

Test(jpeg, more_scans_than_any_encoder_writes_are_refused)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT), image = {0};
	fm_cleanup(test_bytes_done) struct test_bytes photo = test_jpeg_encode(
	        &scene, &(struct test_jpeg){.colour = TEST_GRAY, .scan_per_coefficient = true});

	cr_expect_eq(fm_image_decode(photo.data, photo.length, &limits, 1, &image, NULL, NULL), FM_E_CORRUPT);
}

Test(jpeg, trailing_bytes_and_a_missing_end_marker_do_no_harm)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);

	for (size_t i = 0; i < FM_ARRAY_SIZE(jpegs); i++) {
		fm_cleanup(test_bytes_done) struct test_bytes photo =
		        test_jpeg_encode(&scene, &jpegs[i].options);
		fm_cleanup(fm_image_done) struct fm_image whole = decode_at(&photo, 1), image = {0};
		bool truncated = true;
		uint8_t *longer = malloc(photo.length + 1000);
		memcpy(longer, photo.data, photo.length);
		memset(longer + photo.length, 0xFF, 1000);
		cr_assert_eq(
		        fm_image_decode(longer, photo.length + 1000, &limits, 1, &image, &truncated, NULL),
		        FM_OK);
		free(longer);
		cr_expect_eq(difference(&whole, &image), 0);
		cr_expect_not(truncated);

		fm_image_done(&image);
		cr_assert_eq(
		        fm_image_decode(photo.data, photo.length - 2, &limits, 1, &image, &truncated, NULL),
		        FM_OK);
		cr_expect_eq(difference(&whole, &image), 0, "%s", jpegs[i].name);
		cr_expect_not(truncated, "%s", jpegs[i].name);
	}
}

/* ---- truncation ---- */

/* Rows from the bottom that are plain gray. */
static int gray_rows(const struct fm_image *image)
{
	int rows = 0;

	for (int y = image->height_px - 1; y >= 0; y--, rows++) {
		for (int x = 0; x < image->width_px * 3; x++) {
			if (sample_at(image, x / 3, y, x % 3) != 128)
				return rows;
		}
	}
	return rows;
}

Test(truncation, a_sequential_jpeg_decodes_from_half_of_its_rows)
{
	static const struct test_jpeg kinds[] = {{.quality = 95}, {.h_samples = 2, .v_samples = 2},
	        {.restart_mcus = 2}, {.colour = TEST_CMYK_ADOBE}, {.arithmetic = true}};
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);

	for (size_t kind = 0; kind < FM_ARRAY_SIZE(kinds); kind++) {
		fm_cleanup(test_bytes_done) struct test_bytes photo = test_jpeg_encode(&scene, &kinds[kind]);
		fm_cleanup(fm_image_done) struct fm_image whole = decode_at(&photo, 1);
		int refused = 0, partial = 0, rows_before = HEIGHT;
		for (size_t length = photo.length - 2; length > 0; length -= length > 7 ? 7 : length) {
			fm_cleanup(fm_image_done) struct fm_image image = {0};
			bool truncated = false;
			enum fm_status status =
			        fm_image_decode(photo.data, length, &limits, 1, &image, &truncated, NULL);
			if (status != FM_OK) {
				cr_assert(status == FM_E_TRUNCATED || length < 3, "kind %zu, %zu bytes: %s",
				        kind, length, fm_status_name(status));
				refused++;
				continue;
			}
			cr_assert_eq(refused, 0, "fewer bytes never show more");
			int missing = gray_rows(&image), rows = HEIGHT - missing;
			cr_assert_leq(rows, rows_before);
			cr_assert_geq(rows * 2, HEIGHT);
			rows_before = rows;
			partial += missing > 0;
			cr_assert(truncated || missing == 0);
			/* The last row of blocks may be incomplete, and chroma upsampling looks one row down.
			 */
			for (int y = 0; y < rows - 16 - 1; y++)
				cr_assert_arr_eq(image.pixels + (size_t)y * image.stride_bytes,
				        whole.pixels + (size_t)y * whole.stride_bytes, WIDTH * 3);
		}
		cr_expect_gt(refused, 10, "kind %zu", kind);
		cr_expect_gt(partial, 5, "kind %zu", kind);
	}
}

/* Cut anywhere after the first scan, in entropy data or in the tables between scans. */
Test(truncation, a_progressive_jpeg_shows_all_rows_after_its_first_scan)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);
	fm_cleanup(test_bytes_done) struct test_bytes photo =
	        test_jpeg_encode(&scene, &(struct test_jpeg){.progressive = true});
	size_t scans = 0, second_scan = 0;

	for (size_t i = 0; scans < 2; i++) {
		if (photo.data[i] == 0xFF && photo.data[i + 1] == 0xDA && ++scans == 2)
			second_scan = i;
	}
	for (size_t length = second_scan; length < photo.length - 2; length++) {
		fm_cleanup(fm_image_done) struct fm_image image = {0};
		struct fm_error err = {0};
		bool truncated = false;
		enum fm_status status =
		        fm_image_decode(photo.data, length, &limits, 1, &image, &truncated, &err);
		cr_assert_eq(status, FM_OK, "%zu of %zu bytes: %s", length, photo.length, err.message);
		cr_assert_eq(gray_rows(&image), 0);
		cr_assert_lt(difference(&scene, &image), 12);
		/* The last scan's end cannot be told from its last byte. */
		cr_assert(truncated || difference(&scene, &image) < 3, "%zu of %zu bytes", length,
		        photo.length);
	}
}

Test(truncation, png_and_webp_are_refused_at_any_length)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);
	struct test_bytes photos[] = {
	        test_png_rgb(&scene), test_webp_lossless(&scene), test_webp_lossy(&scene, 90)};

	for (size_t i = 0; i < FM_ARRAY_SIZE(photos); i++) {
		/* A PNG's pixels are complete before its end chunk of 12 bytes and two checksums of 4. */
		size_t length = photos[i].length - (i == 0 ? 12 + 4 + 4 + 1 : 1);
		for (; length > 12; length -= length > 16 ? 3 : 1) {
			fm_cleanup(fm_image_done) struct fm_image image = {0};
			enum fm_status status =
			        fm_image_decode(photos[i].data, length, &limits, 1, &image, NULL, NULL);
			cr_assert_eq(status, FM_E_TRUNCATED, "%zu: %zu of %zu bytes: %s", i, length,
			        photos[i].length, fm_status_name(status));
		}
		test_bytes_done(&photos[i]);
	}
}

/* ---- limits ---- */

Test(limits, sizes_are_refused_by_the_header)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(16, 16);
	fm_cleanup(test_bytes_done) struct test_bytes jpeg = test_jpeg_encode(&scene, &(struct test_jpeg){0});
	fm_cleanup(test_bytes_done) struct test_bytes png = test_png_rgb(&scene);
	fm_cleanup(test_bytes_done) struct test_bytes webp = test_webp_animation(&scene, 0, 0, 16000, 16000);
	fm_cleanup(test_bytes_done) struct test_bytes largest =
	        test_jpeg_encode(&scene, &(struct test_jpeg){0});
	const struct test_bytes *photos[] = {&jpeg, &png, &webp, &largest};
	struct fm_image_info info;
	struct fm_image image;
	struct timespec start, end;

	test_jpeg_claim(&jpeg, 60000, 60000);
	test_png_claim(&png, 60000, 60000);
	test_jpeg_claim(&largest, 65535, 65535);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (size_t i = 0; i < FM_ARRAY_SIZE(photos); i++) {
		const struct test_bytes *photo = photos[i];
		struct fm_image_rect rect = {0, 0, 8, 8}, actual;
		cr_expect_eq(
		        fm_image_probe(photo->data, photo->length, &limits, &info, NULL), FM_E_TOO_LARGE);
		cr_expect_eq(fm_image_decode(photo->data, photo->length, &limits, 8, &image, NULL, NULL),
		        FM_E_TOO_LARGE);
		cr_expect_eq(fm_image_decode_region(
		                     photo->data, photo->length, &limits, 1, &rect, &image, &actual, NULL),
		        FM_E_TOO_LARGE);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	cr_expect_lt((end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000, 500);
}

Test(limits, hold_to_the_pixel)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(40, 30);
	fm_cleanup(test_bytes_done) struct test_bytes photo = test_png_rgb(&scene);
	struct fm_image_info info;

	cr_expect_eq(
	        fm_image_probe(photo.data, photo.length, &(struct fm_image_limits){1200, 40}, &info, NULL),
	        FM_OK);
	cr_expect_eq(
	        fm_image_probe(photo.data, photo.length, &(struct fm_image_limits){1199, 40}, &info, NULL),
	        FM_E_TOO_LARGE);
	cr_expect_eq(
	        fm_image_probe(photo.data, photo.length, &(struct fm_image_limits){1200, 39}, &info, NULL),
	        FM_E_TOO_LARGE);
}

/* A header that claims 12 megapixels over the data of 256 pixels. */
Test(limits, a_large_claim_over_little_data_is_truncated)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(16, 16), image = {0};
	fm_cleanup(test_bytes_done) struct test_bytes jpeg = test_jpeg_encode(&scene, &(struct test_jpeg){0});
	fm_cleanup(test_bytes_done) struct test_bytes png = test_png_rgb(&scene);

	test_jpeg_claim(&jpeg, 4000, 3000);
	test_png_claim(&png, 4000, 3000);
	cr_expect_eq(fm_image_decode(jpeg.data, jpeg.length, &limits, 1, &image, NULL, NULL), FM_E_TRUNCATED);
	cr_expect_eq(fm_image_decode(png.data, png.length, &limits, 1, &image, NULL, NULL), FM_E_TRUNCATED);
}

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

enum { JPEG_FILE, PNG_FILE, PNG_FILE_EXIF_AT_END, WEBP_FILE, FILE_KINDS };

static struct test_bytes oriented_photo(const struct fm_image *upright, int orientation, int kind)
{
	fm_cleanup(fm_image_done) struct fm_image stored = test_scene_stored(upright, orientation);
	fm_cleanup(test_bytes_done) struct test_bytes exif = test_exif(orientation, orientation % 2);
	fm_cleanup(test_bytes_done) struct test_bytes plain = {0};

	switch (kind) {
	case JPEG_FILE:
		plain = test_jpeg_encode(&stored, &(struct test_jpeg){.h_samples = 2, .v_samples = 2});
		return test_jpeg_with_exif(&plain, &exif);
	case WEBP_FILE:
		plain = test_webp_lossless(&stored);
		return test_webp_with_exif(&plain, &exif, stored.width_px, stored.height_px);
	default:
		plain = test_png_rgb(&stored);
		return test_png_with_exif(&plain, &exif, kind == PNG_FILE_EXIF_AT_END);
	}
}

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

/* ---- damage ---- */

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

Test(damage, random_bit_flips_decode_or_fail_in_bounded_time)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);
	struct fm_image_limits small = {.pixels_max = 100000, .side_max_px = 1000};
	struct test_bytes photos[] = {test_jpeg_encode(&scene, &(struct test_jpeg){.restart_mcus = 5}),
	        test_jpeg_encode(
	                &scene, &(struct test_jpeg){.progressive = true, .h_samples = 2, .v_samples = 2}),
	        test_jpeg_encode(&scene, &(struct test_jpeg){.arithmetic = true, .colour = TEST_YCCK}),
	        test_png_rgb(&scene), test_webp_lossless(&scene), test_webp_lossy(&scene, 80),
	        test_webp_animation(&scene, 2, 2, 200, 200), oriented_photo(&scene, 6, JPEG_FILE),
	        oriented_photo(&scene, 8, WEBP_FILE)};
	struct timespec start, end;
	uint32_t state = 20240229;
	int decoded = 0, refused = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (size_t i = 0; i < FM_ARRAY_SIZE(photos); i++) {
		for (int trial = 0; trial < 150; trial++) {
			uint8_t *copy = malloc(photos[i].length);
			memcpy(copy, photos[i].data, photos[i].length);
			for (uint32_t flip = 0; flip < 1 + (uint32_t)trial % 8; flip++) {
				uint32_t place = next_random(&state);
				/* Every third trial aims at the headers. */
				size_t range = trial % 3 ? photos[i].length : 64;
				copy[place % range] ^= (uint8_t)(1u << (next_random(&state) % 8));
			}
			struct fm_image image = {0};
			struct fm_image_rect rect = {40, 30, 50, 40}, actual;
			enum fm_status status = fm_image_decode(
			        copy, photos[i].length, &small, 1 << trial % 4, &image, NULL, NULL);
			decoded += status == FM_OK;
			refused += status != FM_OK;
			cr_assert(status == FM_OK || !image.pixels);
			fm_image_done(&image);
			if (fm_image_decode_region(
			            copy, photos[i].length, &small, 1, &rect, &image, &actual, NULL) == FM_OK)
				fm_image_done(&image);
			free(copy);
		}
		test_bytes_done(&photos[i]);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	cr_expect_gt(decoded, 100);
	cr_expect_gt(refused, 100);
	cr_expect_lt(end.tv_sec - start.tv_sec, 60);
}
