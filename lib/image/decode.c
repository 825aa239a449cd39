#include "lib/image/codec.h"

#include "lib/base/cleanup.h"
#include "lib/base/size.h"
#include "lib/image/warp.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/banned.h"

static const struct fm_codec *const codecs[] = {&fm_codec_jpeg, &fm_codec_png, &fm_codec_webp};

/*
 * How EXIF orientations 1 to 8 carry an upright position (x, y) to the stored one: first swap x and y, then
 * mirror along the stored axes.
 */
struct orientation {
	bool swap, mirror_x, mirror_y;
};
static const struct orientation orientations[9] = {
        [1] = {false, false, false},
        [2] = {false, true, false},
        [3] = {false, true, true},
        [4] = {false, false, true},
        [5] = {true, false, false},
        [6] = {true, false, true},
        [7] = {true, true, true},
        [8] = {true, true, false},
};

static int min_int(int a, int b)
{
	return a < b ? a : b;
}

static int max_int(int a, int b)
{
	return a > b ? a : b;
}

static enum fm_status find_codec(
        const uint8_t *bytes, size_t length, const struct fm_codec **ret_codec, struct fm_error *err)
{
	for (size_t i = 0; i < FM_ARRAY_SIZE(codecs); i++) {
		if (bytes && codecs[i]->sniff(bytes, length)) {
			*ret_codec = codecs[i];
			return FM_OK;
		}
	}
	return fm_fail(err, FM_E_UNSUPPORTED, "not a JPEG, PNG or WebP image");
}

static enum fm_status check_limits(
        const struct fm_stored *stored, const struct fm_image_limits *limits, struct fm_error *err)
{
	uint64_t pixels = (uint64_t)stored->width_px * (uint64_t)stored->height_px;

	if (stored->width_px > limits->side_max_px || stored->height_px > limits->side_max_px)
		return fm_fail(err, FM_E_TOO_LARGE, "photo of %d x %d pixels: no side may exceed %d",
		        stored->width_px, stored->height_px, limits->side_max_px);
	if (pixels > limits->pixels_max)
		return fm_fail(err, FM_E_TOO_LARGE,
		        "photo of %d x %d pixels: at most %" PRIu64 " are allowed", stored->width_px,
		        stored->height_px, limits->pixels_max);
	return FM_OK;
}

static enum fm_status open_photo(const uint8_t *bytes, size_t length, const struct fm_image_limits *limits,
        const struct fm_codec **ret_codec, struct fm_stored *ret_stored, struct fm_error *err)
{
	const struct fm_codec *codec = NULL;
	struct fm_stored stored = {0};

	enum fm_status status = find_codec(bytes, length, &codec, err);
	if (status == FM_OK)
		status = codec->read_header(bytes, length, &stored, err);
	if (status == FM_OK)
		status = check_limits(&stored, limits, err);
	if (status != FM_OK)
		return status;
	*ret_codec = codec;
	*ret_stored = stored;
	return FM_OK;
}

enum fm_status fm_image_probe(const void *bytes, size_t length, const struct fm_image_limits *limits,
        struct fm_image_info *ret_info, struct fm_error *err)
{
	const struct fm_codec *codec;
	struct fm_stored stored;

	enum fm_status status = open_photo(bytes, length, limits, &codec, &stored, err);
	if (status != FM_OK)
		return status;
	bool swap = orientations[stored.orientation].swap;
	*ret_info = (struct fm_image_info){
	        .format = codec->format,
	        .width_px = swap ? stored.height_px : stored.width_px,
	        .height_px = swap ? stored.width_px : stored.height_px,
	        .orientation = stored.orientation,
	};
	return FM_OK;
}

static struct fm_image_rect swap_axes(struct fm_image_rect rect)
{
	return (struct fm_image_rect){rect.y_px, rect.x_px, rect.height_px, rect.width_px};
}

static struct fm_image_rect mirror(
        struct fm_image_rect rect, const struct orientation *orientation, const struct fm_stored *stored)
{
	if (orientation->mirror_x)
		rect.x_px = stored->width_px - rect.x_px - rect.width_px;
	if (orientation->mirror_y)
		rect.y_px = stored->height_px - rect.y_px - rect.height_px;
	return rect;
}

static struct fm_image_rect upright_to_stored(struct fm_image_rect rect, const struct fm_stored *stored)
{
	const struct orientation *orientation = &orientations[stored->orientation];

	return mirror(orientation->swap ? swap_axes(rect) : rect, orientation, stored);
}

static struct fm_image_rect stored_to_upright(struct fm_image_rect rect, const struct fm_stored *stored)
{
	const struct orientation *orientation = &orientations[stored->orientation];

	rect = mirror(rect, orientation, stored);
	return orientation->swap ? swap_axes(rect) : rect;
}

/* Turns the stored pixels upright, in tiles so that both sides of a transposition stay in cache. */
static enum fm_status turn_upright(struct fm_image *image, int orientation_tag, struct fm_error *err)
{
	enum { TILE = 32 };
	const struct orientation *orientation = &orientations[orientation_tag];
	bool swap = orientation->swap;
	int width = swap ? image->height_px : image->width_px;
	int height = swap ? image->width_px : image->height_px;
	struct fm_image upright;

	if (orientation_tag == 1)
		return FM_OK;
	enum fm_status status = fm_image_create(width, height, &upright, err);
	if (status != FM_OK)
		return status;

	ptrdiff_t stored_dx = orientation->mirror_x ? -3 : 3;
	ptrdiff_t stored_dy =
	        orientation->mirror_y ? -(ptrdiff_t)image->stride_bytes : (ptrdiff_t)image->stride_bytes;
	ptrdiff_t dx = swap ? stored_dy : stored_dx, dy = swap ? stored_dx : stored_dy;
	const uint8_t *origin = image->pixels;
	if (orientation->mirror_x)
		origin += (size_t)(image->width_px - 1) * 3;
	if (orientation->mirror_y)
		origin += (size_t)(image->height_px - 1) * image->stride_bytes;

	for (int tile_y = 0; tile_y < height; tile_y += TILE) {
		for (int tile_x = 0; tile_x < width; tile_x += TILE) {
			int end_x = min_int(tile_x + TILE, width), end_y = min_int(tile_y + TILE, height);
			for (int y = tile_y; y < end_y; y++) {
				uint8_t *to = upright.pixels + (size_t)y * upright.stride_bytes +
				              (size_t)tile_x * 3;
				for (int x = tile_x; x < end_x; x++, to += 3)
					memcpy(to, origin + x * dx + y * dy, 3);
			}
		}
	}
	fm_image_done(image);
	*image = upright;
	return FM_OK;
}

/* Cuts [start, start + extent) to [0, limit); extent is 0 when nothing is left. */
static void cut_range(int *start, int *extent, int limit)
{
	int64_t end = (int64_t)*start + *extent;

	*start = max_int(*start, 0);
	end = end < limit ? end : limit;
	*extent = end > *start ? (int)(end - *start) : 0;
}

/* `rect` NULL: all of it. */
static enum fm_status decode(const uint8_t *bytes, size_t length, const struct fm_image_limits *limits,
        int denominator, const struct fm_image_rect *rect, struct fm_decoded *ret_decoded,
        struct fm_error *err)
{
	const struct fm_codec *codec;
	struct fm_stored stored;
	struct fm_decoded decoded;

	if (denominator != 1 && denominator != 2 && denominator != 4 && denominator != 8)
		return fm_fail(err, FM_E_INVALID, "a photo decodes at 1/1, 1/2, 1/4 or 1/8, not at 1/%d",
		        denominator);
	enum fm_status status = open_photo(bytes, length, limits, &codec, &stored, err);
	if (status != FM_OK)
		return status;

	struct fm_window window = {denominator, {0, 0, stored.width_px, stored.height_px}};
	if (rect) {
		struct fm_image_rect photo = stored_to_upright(window.rect, &stored);
		struct fm_image_rect cut = *rect;
		cut_range(&cut.x_px, &cut.width_px, photo.width_px);
		cut_range(&cut.y_px, &cut.height_px, photo.height_px);
		if (cut.width_px < 1 || cut.height_px < 1)
			return fm_fail(err, FM_E_INVALID, "the rectangle lies outside the photo");
		window.rect = upright_to_stored(cut, &stored);
	}

	status = codec->decode(bytes, length, &stored, &window, &decoded, err);
	if (status != FM_OK)
		return status;
	status = turn_upright(&decoded.image, stored.orientation, err);
	if (status != FM_OK) {
		fm_image_done(&decoded.image);
		return status;
	}
	decoded.rect = stored_to_upright(decoded.rect, &stored);
	*ret_decoded = decoded;
	return FM_OK;
}

enum fm_status fm_image_decode(const void *bytes, size_t length, const struct fm_image_limits *limits,
        int denominator, struct fm_image *ret_image, bool *ret_truncated, struct fm_error *err)
{
	struct fm_decoded decoded;

	enum fm_status status = decode(bytes, length, limits, denominator, NULL, &decoded, err);
	if (status != FM_OK)
		return status;
	*ret_image = decoded.image;
	if (ret_truncated)
		*ret_truncated = decoded.truncated;
	return FM_OK;
}

enum fm_status fm_image_decode_region(const void *bytes, size_t length, const struct fm_image_limits *limits,
        int denominator, const struct fm_image_rect *rect, struct fm_image *ret_image,
        struct fm_image_rect *ret_actual, struct fm_error *err)
{
	struct fm_decoded decoded;

	enum fm_status status = decode(bytes, length, limits, denominator, rect, &decoded, err);
	if (status != FM_OK)
		return status;
	*ret_image = decoded.image;
	*ret_actual = decoded.rect;
	return FM_OK;
}

enum fm_status fm_codec_cut(struct fm_image *whole, const struct fm_window *window,
        struct fm_decoded *ret_decoded, struct fm_error *err)
{
	int denominator = window->denominator;
	int left = window->rect.x_px / denominator * denominator;
	int top = window->rect.y_px / denominator * denominator;
	int right = window->rect.x_px + window->rect.width_px + denominator - 1;
	int bottom = window->rect.y_px + window->rect.height_px + denominator - 1;
	right = min_int(right / denominator * denominator, whole->width_px);
	bottom = min_int(bottom / denominator * denominator, whole->height_px);
	struct fm_image_rect rect = {left, top, right - left, bottom - top};

	if (denominator == 1 && rect.width_px == whole->width_px && rect.height_px == whole->height_px) {
		*ret_decoded = (struct fm_decoded){*whole, rect, false};
		*whole = (struct fm_image){0};
		return FM_OK;
	}

	struct fm_image shrunk,
	        view = {
	                .pixels = whole->pixels + (size_t)top * whole->stride_bytes + (size_t)left * 3,
	                .stride_bytes = whole->stride_bytes,
	                .width_px = rect.width_px,
	                .height_px = rect.height_px,
	        };
	enum fm_status status = fm_image_shrink(&view, denominator, &shrunk, err);
	if (status != FM_OK)
		return status;
	rect.width_px = shrunk.width_px * denominator;
	rect.height_px = shrunk.height_px * denominator;
	*ret_decoded = (struct fm_decoded){shrunk, rect, false};
	return FM_OK;
}

void fm_codec_over_white(const uint8_t *rgba, size_t count, uint8_t *ret_rgb)
{
	for (size_t i = 0; i < count; i++, rgba += 4, ret_rgb += 3) {
		unsigned alpha = rgba[3], white = (255 - alpha) * 255 + 127;
		for (int c = 0; c < 3; c++)
			ret_rgb[c] = (uint8_t)((rgba[c] * alpha + white) / 255);
	}
}
