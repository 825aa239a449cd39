/*
 * Photos from strangers: JPEG (baseline, progressive, arithmetic; gray, YCbCr, RGB, CMYK, YCCK), PNG and
 * WebP. The bytes decide the format; names and types are ignored. EXIF orientation 1 to 8 is applied (JPEG
 * APP1, PNG eXIf, WebP EXIF): all coordinates are those of the upright photo. Alpha is composed over white.
 * Limits are checked in the header, before anything is decoded. Threads: pure.
 */
#ifndef FM_IMAGE_DECODE_H
#define FM_IMAGE_DECODE_H

#include "lib/image/image.h"

#include <stdbool.h>

enum fm_image_format { FM_IMAGE_UNKNOWN = 0, FM_IMAGE_JPEG, FM_IMAGE_PNG, FM_IMAGE_WEBP };

struct fm_image_limits {
	uint64_t pixels_max; /* width * height */
	int side_max_px;
};

struct fm_image_info {
	enum fm_image_format format;
	int width_px, height_px; /* upright, full size */
	int orientation;         /* EXIF 1..8; 1 when absent or out of range */
};

/* A rectangle of the upright, full-size photo. */
struct fm_image_rect {
	int x_px, y_px, width_px, height_px;
};

/*
 * Errors: FM_E_UNSUPPORTED (not one of the three formats), FM_E_TOO_LARGE (beyond the limits),
 * FM_E_TRUNCATED, FM_E_CORRUPT.
 */
enum fm_status fm_image_probe(const void *bytes, size_t length, const struct fm_image_limits *limits,
        struct fm_image_info *ret_info, struct fm_error *err);

/*
 * Decodes at 1/denominator of the size (1, 2, 4 or 8; sides rounded up). JPEG scales in the DCT, the others
 * by box average. A JPEG that ends early but shows at least half of its rows decodes, the rest gray, and
 * *ret_truncated is true (may be NULL); with less it is FM_E_TRUNCATED. Corrupt entropy data inside a JPEG is
 * decoded as far as libjpeg-turbo goes, within a bound on warnings. Errors: those of the probe; FM_E_INVALID
 * (denominator), FM_E_NOMEM.
 */
enum fm_status fm_image_decode(const void *bytes, size_t length, const struct fm_image_limits *limits,
        int denominator, struct fm_image *ret_image, bool *ret_truncated, struct fm_error *err);

/*
 * Decodes only around a rectangle at full size (denominator 1) or scaled. ret_actual is the rectangle that
 * was decoded, in full-size upright pixels: it holds `rect` cut to the photo, and may be larger (JPEG
 * blocks). Its sides are those of the image times the denominator, so that image pixel i covers full-size
 * x_px + [i, i + 1) * denominator; for that it may leave the photo by up to denominator - 1 pixels.
 * Within `rect` the pixels are those of fm_image_decode. Errors: as there; FM_E_INVALID when `rect` does not
 * meet the photo.
 */
enum fm_status fm_image_decode_region(const void *bytes, size_t length, const struct fm_image_limits *limits,
        int denominator, const struct fm_image_rect *rect, struct fm_image *ret_image,
        struct fm_image_rect *ret_actual, struct fm_error *err);

#endif
