/*
 * PNG through libspng 0.7, the only file that knows it. Every colour type and depth becomes 8-bit RGB;
 * transparency is composed over white, gamma and colour profiles are ignored.
 */
#include "lib/image/codec.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/image/exif.h"

#include <limits.h>
#include <string.h>

#include <spng.h>

#include "lib/base/banned.h"

enum {
	SIGNATURE_BYTES = 8,
	CHUNK_BYTES = 12, /* length, type and checksum around the data */
};
static const uint8_t signature[SIGNATURE_BYTES] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

static enum fm_status fail(int error, struct fm_error *err)
{
	enum fm_status status = FM_E_CORRUPT;

	switch (error) {
	case SPNG_EMEM: return fm_fail(err, FM_E_NOMEM, "no memory to decode the PNG");
	case SPNG_IO_EOF:
	case SPNG_EIDAT_TOO_SHORT: status = FM_E_TRUNCATED; break;
	case SPNG_ECHUNK_LIMITS:
	case SPNG_EUSER_WIDTH:
	case SPNG_EUSER_HEIGHT:
	case SPNG_EOVERFLOW: status = FM_E_TOO_LARGE; break;
	default: break;
	}
	return fm_fail(err, status, "PNG: %s", spng_strerror(error));
}

static size_t chunk_data_bytes(const uint8_t *chunk)
{
	return (size_t)chunk[0] << 24 | (size_t)chunk[1] << 16 | (size_t)chunk[2] << 8 | chunk[3];
}

static bool chunk_is(const uint8_t *chunk, const char *type)
{
	return memcmp(chunk + 4, type, 4) == 0;
}

/*
 * Copies the chunks that make pixels. libspng inflates and keeps the others, and refuses the photo over any
 * defect in them: metadata shall neither cost memory nor a photo. The EXIF block is looked up in passing, as
 * it may stand on either side of the pixels.
 */
static size_t copy_pixel_chunks(const uint8_t *bytes, size_t length, uint8_t *to, int *ret_orientation)
{
	static const char types[][5] = {"IHDR", "PLTE", "tRNS", "IDAT", "IEND"};
	size_t at = SIGNATURE_BYTES, copied = SIGNATURE_BYTES;

	memcpy(to, signature, SIGNATURE_BYTES);
	*ret_orientation = 1;
	while (length - at >= CHUNK_BYTES) {
		const uint8_t *chunk = bytes + at;
		size_t data = chunk_data_bytes(chunk), room = length - at - CHUNK_BYTES;
		size_t size = CHUNK_BYTES + (data < room ? data : room);
		for (size_t i = 0; i < FM_ARRAY_SIZE(types); i++) {
			if (!chunk_is(chunk, types[i]))
				continue;
			memcpy(to + copied, chunk, size);
			copied += size;
		}
		if (chunk_is(chunk, "eXIf"))
			*ret_orientation = fm_exif_orientation(chunk + 8, size - CHUNK_BYTES);
		at += size;
	}
	return copied;
}

struct reader {
	uint8_t *chunks;
	spng_ctx *png;
	struct spng_ihdr header;
	int orientation;
};

static void reader_done(struct reader *reader)
{
	spng_ctx_free(reader->png);
	free(reader->chunks);
}

static int open_reader(const uint8_t *bytes, size_t length, struct reader *reader)
{
	*reader = (struct reader){.chunks = malloc(length), .png = spng_ctx_new(0)};
	if (!reader->chunks || !reader->png)
		return SPNG_EMEM;
	size_t size = copy_pixel_chunks(bytes, length, reader->chunks, &reader->orientation);
	int error = spng_set_image_limits(reader->png, INT_MAX, INT_MAX);
	if (!error)
		error = spng_set_png_buffer(reader->png, reader->chunks, size);
	if (!error)
		error = spng_get_ihdr(reader->png, &reader->header);
	return error;
}

static bool png_sniff(const uint8_t *bytes, size_t length)
{
	return length >= SIGNATURE_BYTES && memcmp(bytes, signature, SIGNATURE_BYTES) == 0;
}

static enum fm_status png_header(
        const uint8_t *bytes, size_t length, struct fm_stored *ret_stored, struct fm_error *err)
{
	fm_cleanup(reader_done) struct reader reader;

	int error = open_reader(bytes, length, &reader);
	if (error)
		return fail(error, err);
	*ret_stored = (struct fm_stored){
	        .width_px = (int)reader.header.width,
	        .height_px = (int)reader.header.height,
	        .orientation = reader.orientation,
	};
	return FM_OK;
}

/* Row by row straight into the image; rows of interlaced files come once a pass and fill up. */
static int decode_opaque(spng_ctx *png, struct fm_image *image)
{
	int error = spng_decode_image(png, NULL, 0, SPNG_FMT_RGB8, SPNG_DECODE_PROGRESSIVE);

	while (!error) {
		struct spng_row_info row;
		error = spng_get_row_info(png, &row);
		if (!error)
			error = spng_decode_row(png,
			        image->pixels + (size_t)row.row_num * image->stride_bytes,
			        image->stride_bytes);
	}
	return error == SPNG_EOI ? 0 : error;
}

/* The alpha of an interlaced row is complete only after the last pass, hence a whole RGBA photo. */
static int decode_transparent(spng_ctx *png, struct fm_image *image)
{
	size_t pixels = (size_t)image->width_px * (size_t)image->height_px, bytes;

	if (!fm_size_mul(pixels, 4, &bytes))
		return SPNG_EOVERFLOW;
	uint8_t *rgba = fm_calloc(bytes, 1);
	if (!rgba)
		return SPNG_EMEM;
	int error = spng_decode_image(png, rgba, bytes, SPNG_FMT_RGBA8, SPNG_DECODE_TRNS);
	if (!error)
		fm_codec_over_white(rgba, pixels, image->pixels);
	fm_wipe(rgba, bytes);
	free(rgba);
	return error;
}

static enum fm_status png_decode(const uint8_t *bytes, size_t length, const struct fm_stored *stored,
        const struct fm_window *window, struct fm_decoded *ret_decoded, struct fm_error *err)
{
	fm_cleanup(reader_done) struct reader reader;
	fm_cleanup(fm_image_done) struct fm_image whole = {0};
	struct spng_trns transparent_colour;

	int error = open_reader(bytes, length, &reader);
	if (error)
		return fail(error, err);
	enum fm_status status = fm_image_create(stored->width_px, stored->height_px, &whole, err);
	if (status != FM_OK)
		return status;

	error = spng_get_trns(reader.png, &transparent_colour);
	if (error && error != SPNG_ECHUNKAVAIL)
		return fail(error, err);
	bool alpha = reader.header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ||
	             reader.header.color_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA;
	error = alpha || !error ? decode_transparent(reader.png, &whole) : decode_opaque(reader.png, &whole);
	if (error)
		return fail(error, err);
	return fm_codec_cut(&whole, window, ret_decoded, err);
}

const struct fm_codec fm_codec_png = {FM_IMAGE_PNG, "PNG", png_sniff, png_header, png_decode};
