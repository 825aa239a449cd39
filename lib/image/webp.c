/*
 * WebP through libwebp and libwebpdemux, the only file that knows them. Of an animation the first frame is
 * decoded, on its place on a white canvas.
 */
#include "lib/image/codec.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/image/exif.h"

#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "lib/base/banned.h"

FM_DEFINE_CLEANUP(WebPDemuxer *, WebPDemuxDelete);

static enum fm_status fail(VP8StatusCode error, struct fm_error *err)
{
	switch (error) {
	case VP8_STATUS_OUT_OF_MEMORY: return fm_fail(err, FM_E_NOMEM, "no memory to decode the WebP");
	case VP8_STATUS_SUSPENDED:
	case VP8_STATUS_NOT_ENOUGH_DATA: return fm_fail(err, FM_E_TRUNCATED, "WebP: the data ends early");
	case VP8_STATUS_UNSUPPORTED_FEATURE:
		return fm_fail(err, FM_E_UNSUPPORTED, "WebP: a feature that is not supported");
	default: return fm_fail(err, FM_E_CORRUPT, "WebP: malformed data");
	}
}

static enum fm_status open_webp(
        const uint8_t *bytes, size_t length, WebPDemuxer **ret_webp, struct fm_error *err)
{
	WebPData data = {bytes, length};
	WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
	WebPDemuxer *webp = WebPDemuxPartial(&data, &state);

	if (state == WEBP_DEMUX_DONE && webp) {
		*ret_webp = webp;
		return FM_OK;
	}
	WebPDemuxDelete(webp);
	return fail(state == WEBP_DEMUX_PARSE_ERROR ? VP8_STATUS_BITSTREAM_ERROR : VP8_STATUS_NOT_ENOUGH_DATA,
	        err);
}

static int find_orientation(const WebPDemuxer *webp)
{
	WebPChunkIterator chunk;
	int orientation = 1;

	if (!(WebPDemuxGetI(webp, WEBP_FF_FORMAT_FLAGS) & EXIF_FLAG))
		return orientation;
	if (WebPDemuxGetChunk(webp, "EXIF", 1, &chunk))
		orientation = fm_exif_orientation(chunk.chunk.bytes, chunk.chunk.size);
	WebPDemuxReleaseChunkIterator(&chunk);
	return orientation;
}

static bool webp_sniff(const uint8_t *bytes, size_t length)
{
	return length >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

static enum fm_status webp_header(
        const uint8_t *bytes, size_t length, struct fm_stored *ret_stored, struct fm_error *err)
{
	fm_cleanup(WebPDemuxDeletep) WebPDemuxer *webp = NULL;
	WebPBitstreamFeatures features;

	VP8StatusCode error = WebPGetFeatures(bytes, length, &features);
	if (error != VP8_STATUS_OK)
		return fail(error, err);
	enum fm_status status = open_webp(bytes, length, &webp, err);
	if (status != FM_OK)
		return status;
	*ret_stored = (struct fm_stored){
	        .width_px = features.width,
	        .height_px = features.height,
	        .orientation = find_orientation(webp),
	};
	return FM_OK;
}

static VP8StatusCode decode_opaque(const WebPIterator *frame, uint8_t *to, size_t stride_bytes)
{
	WebPDecoderConfig config;

	if (!WebPInitDecoderConfig(&config))
		return VP8_STATUS_INVALID_PARAM;
	config.output.colorspace = MODE_RGB;
	config.output.is_external_memory = 1;
	config.output.u.RGBA.rgba = to;
	config.output.u.RGBA.stride = (int)stride_bytes;
	config.output.u.RGBA.size = stride_bytes * (size_t)(frame->height - 1) + (size_t)frame->width * 3;
	return WebPDecode(frame->fragment.bytes, frame->fragment.size, &config);
}

static VP8StatusCode decode_transparent(const WebPIterator *frame, uint8_t *to, size_t stride_bytes)
{
	WebPDecoderConfig config;
	size_t row_bytes = (size_t)frame->width * 4, bytes;

	if (!WebPInitDecoderConfig(&config))
		return VP8_STATUS_INVALID_PARAM;
	if (!fm_size_mul(row_bytes, (size_t)frame->height, &bytes))
		return VP8_STATUS_OUT_OF_MEMORY;
	uint8_t *rgba = fm_calloc(bytes, 1);
	if (!rgba)
		return VP8_STATUS_OUT_OF_MEMORY;
	config.output.colorspace = MODE_RGBA;
	config.output.is_external_memory = 1;
	config.output.u.RGBA.rgba = rgba;
	config.output.u.RGBA.stride = (int)row_bytes;
	config.output.u.RGBA.size = bytes;
	VP8StatusCode error = WebPDecode(frame->fragment.bytes, frame->fragment.size, &config);
	for (int y = 0; error == VP8_STATUS_OK && y < frame->height; y++)
		fm_codec_over_white(
		        rgba + (size_t)y * row_bytes, (size_t)frame->width, to + (size_t)y * stride_bytes);
	fm_wipe(rgba, bytes);
	free(rgba);
	return error;
}

/* Paints the frame onto the canvas, after checking that its own header tells the size that its box has. */
static VP8StatusCode paint(const WebPIterator *frame, struct fm_image *canvas)
{
	WebPBitstreamFeatures features;

	VP8StatusCode error = WebPGetFeatures(frame->fragment.bytes, frame->fragment.size, &features);
	if (error != VP8_STATUS_OK)
		return error;
	if (features.width != frame->width || features.height != frame->height || frame->x_offset < 0 ||
	        frame->y_offset < 0 || frame->width > canvas->width_px - frame->x_offset ||
	        frame->height > canvas->height_px - frame->y_offset)
		return VP8_STATUS_BITSTREAM_ERROR;

	if (frame->width != canvas->width_px || frame->height != canvas->height_px)
		memset(canvas->pixels, 255, canvas->stride_bytes * (size_t)canvas->height_px);
	uint8_t *to =
	        canvas->pixels + (size_t)frame->y_offset * canvas->stride_bytes + (size_t)frame->x_offset * 3;
	return features.has_alpha ? decode_transparent(frame, to, canvas->stride_bytes)
	                          : decode_opaque(frame, to, canvas->stride_bytes);
}

static enum fm_status webp_decode(const uint8_t *bytes, size_t length, const struct fm_stored *stored,
        const struct fm_window *window, struct fm_decoded *ret_decoded, struct fm_error *err)
{
	fm_cleanup(WebPDemuxDeletep) WebPDemuxer *webp = NULL;
	fm_cleanup(fm_image_done) struct fm_image canvas = {0};
	WebPIterator frame;

	enum fm_status status = open_webp(bytes, length, &webp, err);
	if (status == FM_OK)
		status = fm_image_create(stored->width_px, stored->height_px, &canvas, err);
	if (status != FM_OK)
		return status;

	VP8StatusCode error = VP8_STATUS_BITSTREAM_ERROR;
	if (WebPDemuxGetFrame(webp, 1, &frame))
		error = paint(&frame, &canvas);
	WebPDemuxReleaseIterator(&frame);
	if (error != VP8_STATUS_OK)
		return fail(error, err);
	return fm_codec_cut(&canvas, window, ret_decoded, err);
}

const struct fm_codec fm_codec_webp = {FM_IMAGE_WEBP, "WebP", webp_sniff, webp_header, webp_decode};
