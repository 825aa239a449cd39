#include "tests/support/photo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <spng.h>
#include <webp/encode.h>

#include "lib/base/banned.h"

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "test photo: %s failed\n", what);
	abort();
}

void test_bytes_done(struct test_bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct test_bytes){0};
}

static struct fm_image make_image(int width_px, int height_px)
{
	struct fm_image image = {0};

	require(fm_image_create(width_px, height_px, &image, NULL) == FM_OK, "fm_image_create");
	return image;
}

struct fm_image test_scene(int width_px, int height_px)
{
	static const uint8_t quadrants[4][3] = {{200, 30, 30}, {30, 200, 30}, {30, 30, 200}, {200, 200, 30}};
	struct fm_image image = make_image(width_px, height_px);

	for (int y = 0; y < height_px; y++) {
		for (int x = 0; x < width_px; x++) {
			const uint8_t *colour = quadrants[(y * 2 >= height_px) * 2 + (x * 2 >= width_px)];
			for (int c = 0; c < 3; c++)
				image.pixels[(size_t)y * image.stride_bytes + (size_t)x * 3 + (size_t)c] =
				        (uint8_t)(colour[c] + x * 25 / width_px + y * 25 / height_px);
		}
	}
	return image;
}

/* Exif 2.32 table 4: on which side of the upright photo the stored 0th row and 0th column lie. */
enum side { TOP, RIGHT, BOTTOM, LEFT };
static const enum side row_side[9] = {0, TOP, TOP, BOTTOM, BOTTOM, LEFT, RIGHT, RIGHT, LEFT};
static const enum side column_side[9] = {0, LEFT, RIGHT, RIGHT, LEFT, TOP, TOP, BOTTOM, BOTTOM};

static void walk_from(enum side side, int step, const struct fm_image *image, int *x, int *y)
{
	switch (side) {
	case TOP: *y = step; break;
	case BOTTOM: *y = image->height_px - 1 - step; break;
	case LEFT: *x = step; break;
	case RIGHT: *x = image->width_px - 1 - step; break;
	}
}

struct fm_image test_scene_stored(const struct fm_image *upright, int orientation)
{
	bool turned = orientation >= 5;
	struct fm_image stored = make_image(turned ? upright->height_px : upright->width_px,
	        turned ? upright->width_px : upright->height_px);

	for (int row = 0; row < stored.height_px; row++) {
		for (int column = 0; column < stored.width_px; column++) {
			int x = 0, y = 0;
			walk_from(row_side[orientation], row, upright, &x, &y);
			walk_from(column_side[orientation], column, upright, &x, &y);
			memcpy(stored.pixels + (size_t)row * stored.stride_bytes + (size_t)column * 3,
			        upright->pixels + (size_t)y * upright->stride_bytes + (size_t)x * 3, 3);
		}
	}
	return stored;
}

/* ---- JPEG ---- */

static void convert_row(const uint8_t *rgb, int width, enum test_jpeg_colour colour, uint8_t *to)
{
	for (int x = 0; x < width; x++, rgb += 3) {
		if (colour == TEST_GRAY) {
			*to++ = (uint8_t)((rgb[0] * 299 + rgb[1] * 587 + rgb[2] * 114) / 1000);
			continue;
		}
		bool cmyk = colour == TEST_CMYK || colour == TEST_CMYK_ADOBE || colour == TEST_YCCK;
		/* Adobe stores lightness, others ink; no black ink here. */
		bool ink = colour == TEST_CMYK;
		for (int c = 0; c < 3; c++)
			*to++ = ink ? (uint8_t)(255 - rgb[c]) : rgb[c];
		if (cmyk)
			*to++ = ink ? 0 : 255;
	}
}

/* A DC scan, then two for each AC coefficient: valid, and far more than an encoder would write. */
static void script_many_scans(struct jpeg_compress_struct *jpeg, jpeg_scan_info scans[127])
{
	int count = 0;

	scans[count++] = (jpeg_scan_info){.comps_in_scan = 1};
	for (int k = 1; k < 64; k++) {
		scans[count++] = (jpeg_scan_info){.comps_in_scan = 1, .Ss = k, .Se = k, .Ah = 0, .Al = 1};
		scans[count++] = (jpeg_scan_info){.comps_in_scan = 1, .Ss = k, .Se = k, .Ah = 1, .Al = 0};
	}
	jpeg->scan_info = scans;
	jpeg->num_scans = count;
}

struct test_bytes test_jpeg_encode(const struct fm_image *image, const struct test_jpeg *options)
{
	static const J_COLOR_SPACE input[] = {JCS_RGB, JCS_GRAYSCALE, JCS_RGB, JCS_CMYK, JCS_CMYK, JCS_CMYK};
	static const J_COLOR_SPACE stored[] = {
	        JCS_YCbCr, JCS_GRAYSCALE, JCS_RGB, JCS_CMYK, JCS_CMYK, JCS_YCCK};
	static const int components[] = {3, 1, 3, 4, 4, 4};
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	jpeg_scan_info scans[127];
	unsigned char *data = NULL;
	unsigned long length = 0;

	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, &data, &length);
	jpeg.image_width = (unsigned)image->width_px;
	jpeg.image_height = (unsigned)image->height_px;
	jpeg.input_components = components[options->colour];
	jpeg.in_color_space = input[options->colour];
	jpeg_set_defaults(&jpeg);
	jpeg_set_colorspace(&jpeg, stored[options->colour]);
	jpeg_set_quality(&jpeg, options->quality ? options->quality : 95, TRUE);
	jpeg.comp_info[0].h_samp_factor = options->h_samples ? options->h_samples : 1;
	jpeg.comp_info[0].v_samp_factor = options->v_samples ? options->v_samples : 1;
	jpeg.restart_interval = (unsigned)options->restart_mcus;
	jpeg.arith_code = options->arithmetic;
	if (options->colour == TEST_CMYK)
		jpeg.write_Adobe_marker = FALSE;
	if (options->progressive)
		jpeg_simple_progression(&jpeg);
	if (options->scan_per_coefficient)
		script_many_scans(&jpeg, scans);
	jpeg_start_compress(&jpeg, TRUE);

	uint8_t *row = malloc((size_t)image->width_px * 4);
	require(row, "malloc");
	while (jpeg.next_scanline < jpeg.image_height) {
		convert_row(image->pixels + jpeg.next_scanline * image->stride_bytes, image->width_px,
		        options->colour, row);
		jpeg_write_scanlines(&jpeg, &row, 1);
	}
	free(row);
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	return (struct test_bytes){data, length};
}

/* ---- PNG ---- */

struct test_bytes test_png_encode(
        const void *samples, size_t length, int width_px, int height_px, const struct test_png *options)
{
	struct spng_ihdr header = {
	        .width = (uint32_t)width_px,
	        .height = (uint32_t)height_px,
	        .bit_depth = options->bit_depth,
	        .color_type = options->colour_type,
	        .interlace_method = options->interlaced,
	};
	struct test_bytes bytes;
	int error = 0;
	spng_ctx *png = spng_ctx_new(SPNG_CTX_ENCODER);

	require(png, "spng_ctx_new");
	spng_set_option(png, SPNG_ENCODE_TO_BUFFER, 1);
	require(spng_set_ihdr(png, &header) == 0, "spng_set_ihdr");
	if (options->palette) {
		struct spng_plte palette = {.n_entries = (uint32_t)options->palette_count};
		struct spng_trns alpha = {.n_type3_entries = (uint32_t)options->palette_count};
		for (int i = 0; i < options->palette_count; i++) {
			const uint8_t *rgb = options->palette + 3 * i;
			palette.entries[i] = (struct spng_plte_entry){rgb[0], rgb[1], rgb[2], 0};
			alpha.type3_alpha[i] = options->palette_alpha ? options->palette_alpha[i] : 255;
		}
		require(spng_set_plte(png, &palette) == 0, "spng_set_plte");
		if (options->palette_alpha)
			require(spng_set_trns(png, &alpha) == 0, "spng_set_trns");
	}
	require(spng_encode_image(png, samples, length, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE) == 0,
	        "spng_encode");
	bytes.data = spng_get_png_buffer(png, &bytes.length, &error);
	require(bytes.data && !error, "spng_get_png_buffer");
	spng_ctx_free(png);
	return bytes;
}

struct test_bytes test_png_rgb(const struct fm_image *image)
{
	static const struct test_png rgb = {.colour_type = SPNG_COLOR_TYPE_TRUECOLOR, .bit_depth = 8};

	return test_png_encode(image->pixels, image->stride_bytes * (size_t)image->height_px, image->width_px,
	        image->height_px, &rgb);
}

/* ---- pieces of files ---- */

static void append(struct test_bytes *bytes, const void *data, size_t length)
{
	bytes->data = realloc(bytes->data, bytes->length + length + 1);
	require(bytes->data, "realloc");
	if (length)
		memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
}

static void append_number(struct test_bytes *bytes, uint32_t value, int size, bool big_endian)
{
	for (int i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(value >> 8 * (big_endian ? size - 1 - i : i));
		append(bytes, &byte, 1);
	}
}

/* CRC-32 of ISO 3309, bit by bit (PNG 1.2 section 3.4). */
static uint32_t crc32_of(const uint8_t *data, size_t length)
{
	uint32_t crc = 0xFFFFFFFF;

	for (size_t i = 0; i < length; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
	}
	return ~crc;
}

struct test_bytes test_exif(int orientation, bool big_endian)
{
	struct test_bytes exif = {0};
	bool be = big_endian;

	append(&exif, be ? "MM" : "II", 2);
	append_number(&exif, 42, 2, be);
	append_number(&exif, 8, 4, be);
	append_number(&exif, 3, 2, be);
	static const uint32_t tags[3] = {0x0106, 0x0112, 0x0115};
	for (int i = 0; i < 3; i++) {
		append_number(&exif, tags[i], 2, be);
		append_number(&exif, 3, 2, be);
		append_number(&exif, 1, 4, be);
		append_number(&exif, i == 1 ? (uint32_t)orientation : 2, 2, be);
		append_number(&exif, 0, 2, be);
	}
	append_number(&exif, 0, 4, be);
	return exif;
}

struct test_bytes test_jpeg_with_exif(const struct test_bytes *jpeg, const struct test_bytes *exif)
{
	struct test_bytes out = {0};

	append(&out, "\xFF\xD8\xFF\xE1", 4);
	append_number(&out, (uint32_t)exif->length + 8, 2, true);
	append(&out, "Exif\0\0", 6);
	append(&out, exif->data, exif->length);
	append(&out, jpeg->data + 2, jpeg->length - 2);
	return out;
}

static void append_png_chunk(struct test_bytes *png, const char *type, const uint8_t *data, size_t length)
{
	append_number(png, (uint32_t)length, 4, true);
	size_t start = png->length;
	append(png, type, 4);
	append(png, data, length);
	append_number(png, crc32_of(png->data + start, png->length - start), 4, true);
}

struct test_bytes test_png_with_exif(const struct test_bytes *png, const struct test_bytes *exif, bool at_end)
{
	enum { AFTER_HEADER = 8 + 12 + 13, END_CHUNK = 12 };
	size_t split = at_end ? png->length - END_CHUNK : AFTER_HEADER;
	struct test_bytes out = {0};

	append(&out, png->data, split);
	append_png_chunk(&out, "eXIf", exif->data, exif->length);
	append(&out, png->data + split, png->length - split);
	return out;
}

void test_png_claim(struct test_bytes *png, int width_px, int height_px)
{
	struct test_bytes header = {0};

	append_number(&header, (uint32_t)width_px, 4, true);
	append_number(&header, (uint32_t)height_px, 4, true);
	memcpy(png->data + 16, header.data, 8);
	uint32_t crc = crc32_of(png->data + 12, 17);
	for (int i = 0; i < 4; i++)
		png->data[29 + i] = (uint8_t)(crc >> (24 - 8 * i));
	test_bytes_done(&header);
}

/* SOF0 to SOF15, among which three other markers stand. */
static bool is_frame_header(uint8_t marker)
{
	return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

void test_jpeg_claim(struct test_bytes *jpeg, int width_px, int height_px)
{
	size_t at = 2;

	while (!is_frame_header(jpeg->data[at + 1]))
		at += 2u + ((size_t)jpeg->data[at + 2] << 8 | jpeg->data[at + 3]);
	uint8_t *size = jpeg->data + at + 5;
	size[0] = (uint8_t)(height_px >> 8);
	size[1] = (uint8_t)height_px;
	size[2] = (uint8_t)(width_px >> 8);
	size[3] = (uint8_t)width_px;
}

/* ---- WebP ---- */

static struct test_bytes copy_webp(uint8_t *data, size_t length)
{
	struct test_bytes bytes = {0};

	require(length > 0, "WebP encoder");
	append(&bytes, data, length);
	WebPFree(data);
	return bytes;
}

struct test_bytes test_webp_lossless(const struct fm_image *image)
{
	uint8_t *data = NULL;
	size_t length = WebPEncodeLosslessRGB(
	        image->pixels, image->width_px, image->height_px, (int)image->stride_bytes, &data);

	return copy_webp(data, length);
}

struct test_bytes test_webp_lossless_rgba(const uint8_t *rgba, int width_px, int height_px)
{
	uint8_t *data = NULL;
	size_t length = WebPEncodeLosslessRGBA(rgba, width_px, height_px, width_px * 4, &data);

	return copy_webp(data, length);
}

struct test_bytes test_webp_lossy(const struct fm_image *image, float quality)
{
	uint8_t *data = NULL;
	size_t length = WebPEncodeRGB(
	        image->pixels, image->width_px, image->height_px, (int)image->stride_bytes, quality, &data);

	return copy_webp(data, length);
}

static void append_riff_chunk(struct test_bytes *webp, const char *type, const uint8_t *data, size_t length)
{
	append(webp, type, 4);
	append_number(webp, (uint32_t)length, 4, false);
	append(webp, data, length);
	if (length % 2)
		append_number(webp, 0, 1, false);
}

/* RIFF header and VP8X chunk; the file's size is filled in by close_webp. */
static struct test_bytes open_webp(uint8_t flags, int width_px, int height_px)
{
	struct test_bytes webp = {0};

	append(&webp, "RIFF\0\0\0\0WEBPVP8X", 16);
	append_number(&webp, 10, 4, false);
	append_number(&webp, flags, 4, false);
	append_number(&webp, (uint32_t)width_px - 1, 3, false);
	append_number(&webp, (uint32_t)height_px - 1, 3, false);
	return webp;
}

static void close_webp(struct test_bytes *webp)
{
	for (int i = 0; i < 4; i++)
		webp->data[4 + i] = (uint8_t)((webp->length - 8) >> 8 * i);
}

struct test_bytes test_webp_with_exif(
        const struct test_bytes *webp, const struct test_bytes *exif, int width_px, int height_px)
{
	struct test_bytes out = open_webp(0x08, width_px, height_px);

	append(&out, webp->data + 12, webp->length - 12);
	append_riff_chunk(&out, "EXIF", exif->data, exif->length);
	close_webp(&out);
	return out;
}

struct test_bytes test_webp_animation(
        const struct fm_image *frame, int x_px, int y_px, int canvas_width_px, int canvas_height_px)
{
	struct test_bytes still = test_webp_lossless(frame), payload = {0};
	struct test_bytes out = open_webp(0x02, canvas_width_px, canvas_height_px);

	append_riff_chunk(&out, "ANIM", (const uint8_t *)"\0\0\0\0\0\0", 6);
	append_number(&payload, (uint32_t)x_px / 2, 3, false);
	append_number(&payload, (uint32_t)y_px / 2, 3, false);
	append_number(&payload, (uint32_t)frame->width_px - 1, 3, false);
	append_number(&payload, (uint32_t)frame->height_px - 1, 3, false);
	append_number(&payload, 100, 3, false);
	append_number(&payload, 0, 1, false);
	append(&payload, still.data + 12, still.length - 12);
	append_riff_chunk(&out, "ANMF", payload.data, payload.length);
	close_webp(&out);
	test_bytes_done(&payload);
	test_bytes_done(&still);
	return out;
}
