/*
 * Photos made for tests: a scene, and the three formats' encoders with what real files vary in. All bytes
 * returned are free()d by the caller; a failing encoder aborts the test.
 */
#ifndef FM_TESTS_SUPPORT_PHOTO_H
#define FM_TESTS_SUPPORT_PHOTO_H

#include "lib/image/image.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_bytes {
	uint8_t *data;
	size_t length;
};
void test_bytes_done(struct test_bytes *bytes);

/* Red, green, blue and yellow quadrants (left to right, top to bottom) under a smooth gradient. */
struct fm_image test_scene(int width_px, int height_px);

/* The image as a file with this EXIF orientation stores it. */
struct fm_image test_scene_stored(const struct fm_image *upright, int orientation);

enum test_jpeg_colour { TEST_YCBCR, TEST_GRAY, TEST_RGB, TEST_CMYK, TEST_CMYK_ADOBE, TEST_YCCK };
struct test_jpeg {
	enum test_jpeg_colour colour;
	int quality;              /* 0: 95 */
	int h_samples, v_samples; /* of luma against chroma; 0: 1 */
	int restart_mcus;         /* 0: none */
	bool progressive, arithmetic;
	bool scan_per_coefficient; /* 127 scans; gray only */
};
struct test_bytes test_jpeg_encode(const struct fm_image *image, const struct test_jpeg *options);

/* Samples as PNG wants them: 16 bit big-endian; palette as RGB triples, or NULL. */
struct test_png {
	uint8_t colour_type, bit_depth;
	bool interlaced;
	const uint8_t *palette, *palette_alpha;
	int palette_count;
};
struct test_bytes test_png_encode(
        const void *samples, size_t length, int width_px, int height_px, const struct test_png *options);
struct test_bytes test_png_rgb(const struct fm_image *image);

struct test_bytes test_webp_lossless(const struct fm_image *image);
struct test_bytes test_webp_lossless_rgba(const uint8_t *rgba, int width_px, int height_px);
struct test_bytes test_webp_lossy(const struct fm_image *image, float quality);
/* An animation whose only frame stands at (x, y), which are even. */
struct test_bytes test_webp_animation(
        const struct fm_image *frame, int x_px, int y_px, int canvas_width_px, int canvas_height_px);

/* A TIFF block with an orientation between two other tags. */
struct test_bytes test_exif(int orientation, bool big_endian);
/* Each adds the EXIF block to a file where that format keeps it. */
struct test_bytes test_jpeg_with_exif(const struct test_bytes *jpeg, const struct test_bytes *exif);
struct test_bytes test_png_with_exif(
        const struct test_bytes *png, const struct test_bytes *exif, bool at_end);
struct test_bytes test_webp_with_exif(
        const struct test_bytes *webp, const struct test_bytes *exif, int width_px, int height_px);

/* Claims another size in the header, checksum corrected. JPEG, PNG. */
void test_jpeg_claim(struct test_bytes *jpeg, int width_px, int height_px);
void test_png_claim(struct test_bytes *png, int width_px, int height_px);

#endif
