/* What the tests of decoding share: photos in every kind, decoding that must succeed, comparison. */
#ifndef FM_TESTS_UNIT_IMAGE_DECODING_H
#define FM_TESTS_UNIT_IMAGE_DECODING_H

#include "lib/base/cleanup.h"
#include "lib/base/size.h"
#include "lib/image/decode.h"
#include "tests/support/photo.h"

#include <criterion/criterion.h>
#include <string.h>

enum { WIDTH = 150, HEIGHT = 94 };

static const struct fm_image_limits limits = {.pixels_max = 16000000, .side_max_px = 10000};

static inline uint8_t sample_at(const struct fm_image *image, int x, int y, int channel)
{
	return image->pixels[(size_t)y * image->stride_bytes + (size_t)x * 3 + (size_t)channel];
}

/* Mean of the absolute differences; sizes must agree. */
static inline double difference(const struct fm_image *a, const struct fm_image *b)
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

static inline struct fm_image decode_at(const struct test_bytes *photo, int denominator)
{
	struct fm_image image = {0};
	struct fm_error err = {0};

	enum fm_status status =
	        fm_image_decode(photo->data, photo->length, &limits, denominator, &image, NULL, &err);
	cr_assert_eq(status, FM_OK, "%s", err.message);
	return image;
}

static inline struct fm_image_info probe(const struct test_bytes *photo)
{
	struct fm_image_info info = {0};
	struct fm_error err = {0};

	cr_assert_eq(
	        fm_image_probe(photo->data, photo->length, &limits, &info, &err), FM_OK, "%s", err.message);
	return info;
}

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

enum { JPEG_FILE, PNG_FILE, PNG_FILE_EXIF_AT_END, WEBP_FILE, FILE_KINDS };

static inline struct test_bytes oriented_photo(const struct fm_image *upright, int orientation, int kind)
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

#endif
