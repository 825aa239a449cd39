/* An upright 8-bit RGB photo or crop: rows of interleaved R, G, B; stride in bytes >= 3 * width. */
#ifndef FM_IMAGE_IMAGE_H
#define FM_IMAGE_IMAGE_H

#include "lib/base/status.h"

#include <stddef.h>
#include <stdint.h>

struct fm_image {
	uint8_t *pixels; /* owned; NULL in an empty image */
	size_t stride_bytes;
	int width_px, height_px;
};

#define FM_IMAGE_BYTES_MAX ((size_t)1 << 30) /* 357 megapixels: beyond any limit an operator sets */

/* Zeroed pixels. Errors: FM_E_INVALID (side < 1), FM_E_TOO_LARGE, FM_E_NOMEM. */
enum fm_status fm_image_create(int width_px, int height_px, struct fm_image *ret_image, struct fm_error *err);
/* Wipes and frees the pixels (they may show a face) and leaves an empty image. */
void fm_image_done(struct fm_image *image);

#endif
