#include "lib/image/image.h"

#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <stdlib.h>

#include "lib/base/banned.h"

enum { CHANNELS = 3 };

enum fm_status fm_image_create(int width_px, int height_px, struct fm_image *ret_image, struct fm_error *err)
{
	size_t stride, bytes;

	if (width_px < 1 || height_px < 1)
		return fm_fail(
		        err, FM_E_INVALID, "an image of %d x %d pixels has no pixels", width_px, height_px);
	if (!fm_size_mul((size_t)width_px, CHANNELS, &stride) ||
	        !fm_size_mul(stride, (size_t)height_px, &bytes) || bytes > FM_IMAGE_BYTES_MAX)
		return fm_fail(
		        err, FM_E_TOO_LARGE, "an image of %d x %d pixels is too large", width_px, height_px);

	uint8_t *pixels = fm_calloc(bytes, 1);
	if (!pixels)
		return fm_fail(
		        err, FM_E_NOMEM, "no memory for an image of %d x %d pixels", width_px, height_px);
	*ret_image = (struct fm_image){pixels, stride, width_px, height_px};
	return FM_OK;
}

void fm_image_done(struct fm_image *image)
{
	if (!image)
		return;
	if (image->pixels)
		fm_wipe(image->pixels, image->stride_bytes * (size_t)image->height_px);
	free(image->pixels);
	*image = (struct fm_image){0};
}
