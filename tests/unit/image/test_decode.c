#include "tests/unit/image/decoding.h"

#include <limits.h>
#include <sys/resource.h>

#include "lib/base/banned.h"

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

	for (int arithmetic = 0; arithmetic < 2; arithmetic++) {
		struct test_jpeg options = {
		        .colour = TEST_GRAY, .scan_per_coefficient = true, .arithmetic = arithmetic};
		fm_cleanup(test_bytes_done) struct test_bytes photo = test_jpeg_encode(&scene, &options);
		struct fm_error err = {0};
		cr_expect_eq(fm_image_decode(photo.data, photo.length, &limits, 1, &image, NULL, &err),
		        FM_E_CORRUPT);
		cr_expect_not_null(strstr(err.message, "scans"), "%s", err.message);
	}
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
	struct rusage before, after;

	test_jpeg_claim(&jpeg, 60000, 60000);
	test_png_claim(&png, 60000, 60000);
	test_jpeg_claim(&largest, 65535, 65535);
	getrusage(RUSAGE_SELF, &before);
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
	getrusage(RUSAGE_SELF, &after);
	cr_expect_lt(after.ru_maxrss - before.ru_maxrss, 16 << 10, "KiB: they are refused by their headers");
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

/* No side, or one beyond what PNG can say, is a broken header and no large photo. */
Test(limits, impossible_sizes_are_damage)
{
	static const int sizes[][2] = {{0, 0}, {0, 9}, {9, 0}, {INT_MIN, 9}, {9, -1}};
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(16, 16);
	fm_cleanup(test_bytes_done) struct test_bytes png = test_png_rgb(&scene);
	struct fm_image_info info;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		test_png_claim(&png, sizes[i][0], sizes[i][1]);
		cr_expect_eq(fm_image_probe(png.data, png.length, &limits, &info, NULL), FM_E_CORRUPT,
		        "%d x %d", sizes[i][0], sizes[i][1]);
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

Test(damage, random_bit_flips_decode_or_fail)
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
	uint32_t state = 20240229;
	int decoded = 0, refused = 0;

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
	cr_expect_gt(decoded, 100);
	cr_expect_gt(refused, 100);
}
