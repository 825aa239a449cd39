/* Photos from strangers: probe, decode at every scale, and a region. */
#include "lib/image/decode.h"

#include <stdint.h>
#include <stdlib.h>

#include "lib/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every pixel is read, so that a sanitizer sees one that was never written or lies outside. */
static void consume(struct fm_image *image)
{
	unsigned sum = 0;

	for (int y = 0; y < image->height_px; y++) {
		const uint8_t *row = image->pixels + (size_t)y * image->stride_bytes;
		for (int x = 0; x < image->width_px * 3; x++)
			sum += row[x];
	}
	volatile unsigned sink = sum;
	(void)sink;
	fm_image_done(image);
}

static void require(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fm_image_limits limits = {.pixels_max = 1 << 16, .side_max_px = 4096};
	struct fm_image_info info;
	struct fm_error err;

	if (fm_image_probe(data, size, &limits, &info, &err) != FM_OK)
		return 0;
	require(info.width_px <= limits.side_max_px && info.height_px <= limits.side_max_px);
	require(info.orientation >= 1 && info.orientation <= 8);

	for (int denominator = 1; denominator <= 8; denominator *= 2) {
		struct fm_image image;
		bool truncated;
		if (fm_image_decode(data, size, &limits, denominator, &image, &truncated, &err) != FM_OK)
			continue;
		require(image.width_px == (info.width_px + denominator - 1) / denominator);
		require(image.height_px == (info.height_px + denominator - 1) / denominator);
		consume(&image);
	}

	/* Any part of the photo, picked by its bytes. */
	unsigned pick = data[size - 1] + 256u * data[size / 2];
	struct fm_image_rect rect = {
	        .x_px = (int)(pick % (unsigned)info.width_px),
	        .y_px = (int)(pick / 7 % (unsigned)info.height_px),
	        .width_px = 1 + (int)(pick / 3 % 40),
	        .height_px = 1 + (int)(pick / 5 % 40),
	};
	struct fm_image_rect actual;
	struct fm_image part;
	int denominator = 1 << pick % 4;
	if (fm_image_decode_region(data, size, &limits, denominator, &rect, &part, &actual, &err) == FM_OK) {
		require(actual.width_px == part.width_px * denominator);
		require(actual.height_px == part.height_px * denominator);
		require(actual.x_px <= rect.x_px && actual.y_px <= rect.y_px);
		consume(&part);
	}
	return 0;
}
