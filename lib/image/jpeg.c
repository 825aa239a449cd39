/*
 * JPEG through libjpeg-turbo 2.1, the only file that knows it.
 *
 * libjpeg reports fatal errors by longjmp: every call into it happens inside a `step` run by guarded(), and
 * all state lives in struct reader, outside the frame that is jumped over. What hostile files can cost is
 * bounded: memory by the size that the header tells, scans (each walks the whole photo) by SCANS_MAX,
 * warnings by WARNINGS_MAX.
 */
#include "lib/image/codec.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/image/encode.h"
#include "lib/image/exif.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "lib/base/banned.h"

enum {
	SCANS_MAX = 64, /* encoders write about ten */
	SCANS_MAX_ARITHMETIC =
	        16,          /* missing data reads as zeros at full cost, where Huffman decoding stops */
	WARNINGS_MAX = 4096, /* one corrupt block is one warning */
	MARGIN_PX = 2,       /* chroma upsampling reaches this far beyond a cropped edge */
	GRAY = 128,
	M_SOF0 = 0xC0,
	M_RST7 = 0xD7,
	M_SOI = 0xD8,
	M_SOS = 0xDA,
	M_APP1 = 0xE1,
};

/* What the file's segments tell without decoding. */
struct survey {
	size_t whole_bytes; /* up to a segment that the end of the file cuts */
	int orientation;
};

struct reader {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_progress_mgr progress;
	jmp_buf escape;

	const uint8_t *bytes;
	struct survey survey;
	const struct fm_window *window;

	enum fm_status failure; /* set before the jump, */
	const char *reason;     /* and NULL when libjpeg has the message */
	int warnings;
	bool decoding;    /* past the headers */
	bool bytes_ended; /* libjpeg asked for more bytes than there are */
	bool data_ended;  /* entropy data of the scan `ended_scan` ended at `ended_row` */
	int ended_scan;
	unsigned ended_row; /* in rows of MCUs */

	struct fm_image image;
	struct fm_image_rect rect;
	uint8_t *cmyk_row;
};

static void escape(struct reader *reader, enum fm_status failure, const char *reason)
        __attribute__((noreturn));

static void escape(struct reader *reader, enum fm_status failure, const char *reason)
{
	reader->failure = failure;
	reader->reason = reason;
	longjmp(reader->escape, 1);
}

static enum fm_status classify(const struct reader *reader)
{
	switch (reader->errors.msg_code) {
	case JERR_SOF_UNSUPPORTED:
	case JERR_BAD_PRECISION:
	case JERR_ARITH_NOTIMPL:
	case JERR_CONVERSION_NOTIMPL:
	case JERR_CCIR601_NOTIMPL: return FM_E_UNSUPPORTED;
	case JERR_OUT_OF_MEMORY: return FM_E_NOMEM;
	case JERR_IMAGE_TOO_BIG:
	case JERR_NO_BACKING_STORE: return FM_E_TOO_LARGE;
	default: return reader->bytes_ended ? FM_E_TRUNCATED : FM_E_CORRUPT;
	}
}

static void on_error(j_common_ptr common)
{
	struct reader *reader = common->client_data;

	escape(reader, classify(reader), NULL);
}

/*
 * Entropy data that ends early: Huffman decoders warn when they stand before a marker and need more bits;
 * the arithmetic decoder reads zeros without a word, so only the end of the file tells. With restart markers
 * any other marker can be resynchronised past.
 */
static bool is_end_of_data(const struct reader *reader, int warning)
{
	const struct jpeg_decompress_struct *jpeg = &reader->jpeg;

	if (!reader->decoding)
		return false;
	if (warning == JWRN_HIT_MARKER)
		return jpeg->unread_marker == JPEG_EOI || jpeg->restart_interval == 0;
	return warning == JWRN_JPEG_EOF && jpeg->arith_code &&
	       jpeg->input_iMCU_row + 1 < jpeg->total_iMCU_rows;
}

static void on_message(j_common_ptr common, int level)
{
	struct reader *reader = common->client_data;
	int warning = reader->errors.msg_code;

	if (level >= 0)
		return;
	if (warning == JWRN_JPEG_EOF)
		reader->bytes_ended = true;
	if (!reader->data_ended && is_end_of_data(reader, warning)) {
		reader->data_ended = true;
		reader->ended_scan = reader->jpeg.input_scan_number;
		reader->ended_row = reader->jpeg.input_iMCU_row;
	}
	/* What follows the end is a consequence, not a further defect. */
	if (!reader->data_ended && warning != JWRN_JPEG_EOF && ++reader->warnings > WARNINGS_MAX)
		escape(reader, FM_E_CORRUPT, "too many defects");
}

static void on_output(j_common_ptr common)
{
	(void)common;
}

static void on_progress(j_common_ptr common)
{
	struct reader *reader = common->client_data;

	if (reader->jpeg.input_scan_number > (reader->jpeg.arith_code ? SCANS_MAX_ARITHMETIC : SCANS_MAX))
		escape(reader, FM_E_CORRUPT, "too many scans");
}

/* Runs one step; false after libjpeg's (or our) escape from it. */
static bool guarded(struct reader *reader, void (*step)(struct reader *reader))
{
	if (setjmp(reader->escape))
		return false;
	step(reader);
	return true;
}

static void reader_done(struct reader *reader)
{
	jpeg_destroy_decompress(&reader->jpeg);
	fm_image_done(&reader->image);
	if (reader->cmyk_row)
		fm_wipe(reader->cmyk_row, (size_t)reader->jpeg.output_width * 4);
	free(reader->cmyk_row);
}

static enum fm_status describe(const struct reader *reader, struct fm_error *err)
{
	char message[JMSG_LENGTH_MAX];

	if (reader->reason)
		return fm_fail(err, reader->failure, "JPEG: %s", reader->reason);
	reader->errors.format_message((j_common_ptr)&reader->jpeg, message);
	return fm_fail(err, reader->failure, "JPEG: %s", message);
}

static bool is_restart(int marker)
{
	return marker >= JPEG_RST0 && marker <= M_RST7;
}

/* Below 0xC0 nothing is defined: libjpeg skips such a pair within a scan. */
static bool is_segment(int marker)
{
	return marker >= M_SOF0 && marker != 0xFF && marker != M_SOI && !is_restart(marker);
}

/* Entropy-coded data ends at the first marker that is not a restart; returns `length` when there is none. */
static size_t skip_scan(const uint8_t *bytes, size_t length, size_t at)
{
	while (at + 1 < length) {
		const uint8_t *found = memchr(bytes + at, 0xFF, length - at - 1);
		if (!found)
			break;
		if (is_segment(found[1]))
			return (size_t)(found - bytes);
		at = (size_t)(found - bytes) + 1;
	}
	return length;
}

/*
 * Walks the segments: finds the EXIF block, which libjpeg would only offer by keeping every segment in
 * memory, and a last segment that the end of the file cuts, which libjpeg would take for a defect.
 */
static struct survey survey_segments(const uint8_t *bytes, size_t length)
{
	struct survey survey = {.whole_bytes = length, .orientation = 1};
	size_t at = 2;
	bool found_exif = false;

	while (length - at >= 2) {
		if (bytes[at] != 0xFF || !is_segment(bytes[at + 1])) {
			at++;
			continue;
		}
		int marker = bytes[at + 1];
		if (marker == JPEG_EOI)
			break;
		size_t room = length - at - 2;
		size_t segment = room >= 2 ? (size_t)bytes[at + 2] << 8 | bytes[at + 3] : SIZE_MAX;
		if (segment > room) {
			survey.whole_bytes = at;
			break;
		}
		if (segment < 2)
			break;
		const uint8_t *payload = bytes + at + 4;
		if (marker == M_APP1 && !found_exif && segment >= 8 && memcmp(payload, "Exif\0", 6) == 0) {
			survey.orientation = fm_exif_orientation(payload, segment - 2);
			found_exif = true;
		}
		at += 2 + segment;
		if (marker == M_SOS)
			at = skip_scan(bytes, length, at);
	}
	return survey;
}

static void step_header(struct reader *reader)
{
	struct jpeg_decompress_struct *jpeg = &reader->jpeg;

	jpeg_create_decompress(jpeg);
	jpeg->client_data = reader;
	jpeg->progress = &reader->progress;
	jpeg_mem_src(jpeg, reader->bytes, reader->survey.whole_bytes);
	jpeg_read_header(jpeg, TRUE);
	if (jpeg->num_components != 1 && jpeg->num_components != 3 && jpeg->num_components != 4)
		escape(reader, FM_E_UNSUPPORTED, "neither 1, 3 nor 4 colour components");
}

static bool open_reader(const uint8_t *bytes, size_t length, struct reader *reader)
{
	*reader = (struct reader){.bytes = bytes, .survey = survey_segments(bytes, length)};
	reader->jpeg.err = jpeg_std_error(&reader->errors);
	reader->jpeg.client_data = reader;
	reader->errors.error_exit = on_error;
	reader->errors.emit_message = on_message;
	reader->errors.output_message = on_output;
	reader->progress.progress_monitor = on_progress;
	return guarded(reader, step_header);
}

static void step_start(struct reader *reader)
{
	struct jpeg_decompress_struct *jpeg = &reader->jpeg;
	bool four = jpeg->num_components == 4;

	jpeg->scale_num = 1;
	jpeg->scale_denom = (unsigned)reader->window->denominator;
	jpeg->out_color_space = four ? JCS_CMYK : JCS_RGB;
	jpeg->dct_method = JDCT_ISLOW;
	jpeg->do_fancy_upsampling = TRUE;
	jpeg->do_block_smoothing = FALSE;
	/* Coefficients of up to four full-size components, and room for padding and tables. */
	jpeg->mem->max_memory_to_use =
	        (long)jpeg->image_width * (long)jpeg->image_height * 4 * 2 + (64L << 20);
	reader->decoding = true;
	jpeg_start_decompress(jpeg);
}

/* CMYK as Adobe writes it is inverted: 255 is no ink. The product of lightness approximates the colour. */
static void cmyk_to_rgb(const uint8_t *cmyk, unsigned width, bool inverted, uint8_t *ret_rgb)
{
	unsigned flip = inverted ? 0 : 255;

	for (unsigned x = 0; x < width; x++, cmyk += 4, ret_rgb += 3) {
		unsigned key = cmyk[3] ^ flip;
		for (int c = 0; c < 3; c++)
			ret_rgb[c] = (uint8_t)(((cmyk[c] ^ flip) * key + 127) / 255);
	}
}

static bool is_whole(const struct reader *reader)
{
	const struct fm_image_rect *rect = &reader->window->rect;

	return rect->width_px == (int)reader->jpeg.image_width &&
	       rect->height_px == (int)reader->jpeg.image_height;
}

/* Range of output pixels that holds full-size [start, start + extent), with a margin when it is a part. */
static void scale_range(int start, int extent, int denominator, int margin, unsigned limit,
        unsigned *ret_start, unsigned *ret_extent)
{
	int first = start / denominator - margin;
	int end = (start + extent + denominator - 1) / denominator + margin;

	first = first > 0 ? first : 0;
	end = end < (int)limit ? end : (int)limit;
	*ret_start = (unsigned)first;
	*ret_extent = (unsigned)(end - first);
}

/* Output rows that the data shows in full; rows after them are made up by libjpeg. */
static unsigned shown_output_rows(const struct reader *reader)
{
	const struct jpeg_decompress_struct *jpeg = &reader->jpeg;

	if (!reader->data_ended || reader->ended_scan > 1)
		return jpeg->output_height;
	return reader->ended_row * (unsigned)(jpeg->max_v_samp_factor * jpeg->min_DCT_scaled_size);
}

static void step_rows(struct reader *reader)
{
	struct jpeg_decompress_struct *jpeg = &reader->jpeg;
	const struct fm_image_rect *rect = &reader->window->rect;
	int denominator = reader->window->denominator;
	int margin = is_whole(reader) ? 0 : MARGIN_PX;
	unsigned left, width, top, height;

	scale_range(rect->x_px, rect->width_px, denominator, margin, jpeg->output_width, &left, &width);
	scale_range(rect->y_px, rect->height_px, denominator, margin, jpeg->output_height, &top, &height);
	if (width < jpeg->output_width)
		jpeg_crop_scanline(jpeg, &left, &width);

	enum fm_status status = fm_image_create((int)width, (int)height, &reader->image, NULL);
	if (status != FM_OK)
		escape(reader, status, "no memory for the pixels");
	bool four = jpeg->out_color_space == JCS_CMYK;
	if (four) {
		reader->cmyk_row = malloc((size_t)width * 4);
		if (!reader->cmyk_row)
			escape(reader, FM_E_NOMEM, "no memory for a row");
	}
	reader->rect = (struct fm_image_rect){(int)left * denominator, (int)top * denominator,
	        (int)width * denominator, (int)height * denominator};

	if (top > 0)
		jpeg_skip_scanlines(jpeg, top);
	struct fm_image *image = &reader->image;
	while (jpeg->output_scanline < top + height && jpeg->output_scanline < shown_output_rows(reader)) {
		uint8_t *row = image->pixels + (size_t)(jpeg->output_scanline - top) * image->stride_bytes;
		JSAMPROW target = four ? reader->cmyk_row : row;
		if (jpeg_read_scanlines(jpeg, &target, 1) != 1)
			break;
		if (four)
			cmyk_to_rgb(target, width, jpeg->saw_Adobe_marker, row);
	}
}

/* Data that ends early: gray for what is missing, or an error when more than half is. */
static enum fm_status settle_truncation(struct reader *reader, struct fm_error *err)
{
	unsigned shown = shown_output_rows(reader), height = reader->jpeg.output_height;
	struct fm_image *image = &reader->image;

	if (shown >= height)
		return FM_OK;
	if (shown * 2 < height)
		return fm_fail(err, FM_E_TRUNCATED, "JPEG: the data ends early, only %u of %u rows are there",
		        shown * (unsigned)reader->window->denominator, reader->jpeg.image_height);
	int top = reader->rect.y_px / reader->window->denominator;
	int first = (int)shown > top ? (int)shown - top : 0;
	if (first < image->height_px)
		memset(image->pixels + (size_t)first * image->stride_bytes, GRAY,
		        (size_t)(image->height_px - first) * image->stride_bytes);
	return FM_OK;
}

/* A progressive file cut between two scans: some coefficient lacks bits. */
static bool lacks_scans(const struct reader *reader)
{
	const struct jpeg_decompress_struct *jpeg = &reader->jpeg;

	if (!reader->bytes_ended || !jpeg->progressive_mode)
		return false;
	for (int c = 0; c < jpeg->num_components; c++) {
		for (int k = 0; k < DCTSIZE2; k++) {
			if (jpeg->coef_bits[c][k] != 0)
				return true;
		}
	}
	return false;
}

static bool jpeg_sniff(const uint8_t *bytes, size_t length)
{
	return length >= 3 && bytes[0] == 0xFF && bytes[1] == M_SOI && bytes[2] == 0xFF;
}

static enum fm_status jpeg_header(
        const uint8_t *bytes, size_t length, struct fm_stored *ret_stored, struct fm_error *err)
{
	fm_cleanup(reader_done) struct reader reader;

	if (!open_reader(bytes, length, &reader))
		return describe(&reader, err);
	*ret_stored = (struct fm_stored){
	        .width_px = (int)reader.jpeg.image_width,
	        .height_px = (int)reader.jpeg.image_height,
	        .orientation = reader.survey.orientation,
	};
	return FM_OK;
}

static enum fm_status jpeg_decode(const uint8_t *bytes, size_t length, const struct fm_stored *stored,
        const struct fm_window *window, struct fm_decoded *ret_decoded, struct fm_error *err)
{
	fm_cleanup(reader_done) struct reader reader;

	(void)stored;
	if (!open_reader(bytes, length, &reader))
		return describe(&reader, err);
	reader.window = window;
	if (!guarded(&reader, step_start) || !guarded(&reader, step_rows))
		return describe(&reader, err);
	enum fm_status status = settle_truncation(&reader, err);
	if (status != FM_OK)
		return status;
	bool truncated = reader.data_ended || reader.survey.whole_bytes < length || lacks_scans(&reader);
	*ret_decoded = (struct fm_decoded){reader.image, reader.rect, truncated};
	reader.image = (struct fm_image){0};
	return FM_OK;
}

const struct fm_codec fm_codec_jpeg = {FM_IMAGE_JPEG, "JPEG", jpeg_sniff, jpeg_header, jpeg_decode};

/* ---- writing ---- */

struct writer {
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	jmp_buf escape;
	const struct fm_image *image;
	int quality;
	unsigned char *bytes; /* malloc()ed by libjpeg, which may move it */
	unsigned long length;
};

static void on_write_error(j_common_ptr common)
{
	struct writer *writer = common->client_data;

	longjmp(writer->escape, 1);
}

static void write_all(struct writer *writer)
{
	struct jpeg_compress_struct *jpeg = &writer->jpeg;
	const struct fm_image *image = writer->image;

	jpeg_create_compress(jpeg);
	jpeg->client_data = writer;
	jpeg_mem_dest(jpeg, &writer->bytes, &writer->length);
	jpeg->image_width = (unsigned)image->width_px;
	jpeg->image_height = (unsigned)image->height_px;
	jpeg->input_components = 3;
	jpeg->in_color_space = JCS_RGB;
	jpeg_set_defaults(jpeg);
	jpeg_set_quality(jpeg, writer->quality, TRUE);
	jpeg->dct_method = JDCT_ISLOW;
	jpeg->comp_info[0].h_samp_factor = jpeg->comp_info[0].v_samp_factor = 1;
	jpeg_start_compress(jpeg, TRUE);
	while (jpeg->next_scanline < jpeg->image_height) {
		JSAMPROW row = image->pixels + jpeg->next_scanline * image->stride_bytes;
		jpeg_write_scanlines(jpeg, &row, 1);
	}
	jpeg_finish_compress(jpeg);
}

static bool guarded_write(struct writer *writer)
{
	if (setjmp(writer->escape))
		return false;
	write_all(writer);
	return true;
}

enum fm_status fm_image_encode_jpeg(const struct fm_image *image, int quality, uint8_t **ret_bytes,
        size_t *ret_length, struct fm_error *err)
{
	struct writer writer = {.image = image, .quality = quality};

	if (!image->pixels || image->width_px > JPEG_MAX_DIMENSION || image->height_px > JPEG_MAX_DIMENSION)
		return fm_fail(err, FM_E_INVALID, "JPEG: 1 to %d pixels a side", (int)JPEG_MAX_DIMENSION);
	writer.jpeg.err = jpeg_std_error(&writer.errors);
	writer.jpeg.client_data = &writer;
	writer.errors.error_exit = on_write_error;
	writer.errors.output_message = on_output;
	bool written = guarded_write(&writer);

	jpeg_destroy_compress(&writer.jpeg);
	if (!written) {
		free(writer.bytes);
		return fm_fail(err, FM_E_NOMEM, "JPEG: no memory to write it");
	}
	*ret_bytes = writer.bytes;
	*ret_length = writer.length;
	return FM_OK;
}
