/*
 * What one image format offers to decode.c, which knows limits and orientation; a codec knows neither.
 * "Stored" coordinates are those of the file, before its EXIF orientation is applied. Private to lib/image.
 */
#ifndef FM_IMAGE_CODEC_H
#define FM_IMAGE_CODEC_H

#include "lib/image/decode.h"

#include <stdbool.h>

/* What the header says. */
struct fm_stored {
	int width_px, height_px;
	int orientation;
};

/* What is wanted: a rectangle inside the photo, in stored full-size pixels, at 1/denominator. */
struct fm_window {
	int denominator;
	struct fm_image_rect rect;
};

/* What was decoded. Pixel i covers the full-size pixels rect.x_px + [i, i + 1) * denominator. */
struct fm_decoded {
	struct fm_image image;
	struct fm_image_rect
	        rect; /* sides are the image's times denominator: may pass the photo's far edges */
	bool truncated;
};

/* Bytes are checked anew by each function; `decode` may count on the size that `read_header` told. */
struct fm_codec {
	enum fm_image_format format;
	const char *name;
	bool (*sniff)(const uint8_t *bytes, size_t length);
	enum fm_status (*read_header)(
	        const uint8_t *bytes, size_t length, struct fm_stored *ret_stored, struct fm_error *err);
	enum fm_status (*decode)(const uint8_t *bytes, size_t length, const struct fm_stored *stored,
	        const struct fm_window *window, struct fm_decoded *ret_decoded, struct fm_error *err);
};

extern const struct fm_codec fm_codec_jpeg, fm_codec_png, fm_codec_webp;

/*
 * Cuts the window out of a whole photo and box-averages it, for codecs that can only decode all of it. Takes
 * the pixels over where nothing is to be cut.
 */
enum fm_status fm_codec_cut(struct fm_image *whole, const struct fm_window *window,
        struct fm_decoded *ret_decoded, struct fm_error *err);

/* Composes `count` RGBA pixels (alpha not premultiplied) over white. */
void fm_codec_over_white(const uint8_t *rgba, size_t count, uint8_t *ret_rgb);

#endif
