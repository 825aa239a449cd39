#include "lib/nn/pixels.h"

#include <string.h>

#include "lib/base/banned.h"

#define RING_BYTES_MAX ((size_t)128 * 1024)

typedef uint8_t sixteen __attribute__((vector_size(16)));

static size_t slots_of(const struct fm_conv_shape *s)
{
	return (s->kernel[0] - 1) * s->dilation[0] + 1;
}

/* Pixels of one padded row, as far as the kernel goes. */
static size_t width_of(const struct fm_conv_shape *s)
{
	return (s->out_w - 1) * s->stride[1] + s->kernel[1];
}

static size_t pitch_of(const struct fm_conv_shape *s)
{
	return (width_of(s) * s->in_channels + FM_PIXELS_SLACK + 63) & ~(size_t)63;
}

bool fm_pixels_suit(const struct fm_conv_shape *s)
{
	return s->groups == 1 && s->dilation[1] == 1 && s->in_channels <= FM_PIXELS_CHANNELS_MAX &&
	       slots_of(s) <= RING_BYTES_MAX / pitch_of(s);
}

size_t fm_pixels_scratch_bytes(const struct fm_conv_shape *s)
{
	return slots_of(s) * pitch_of(s) + ((s->kernel[0] * sizeof(uint8_t *) + 63) & ~(size_t)63);
}

struct fm_pixels fm_pixels_begin(void *scratch, const struct fm_conv_shape *shape, const float *in,
        const struct fm_pixels_kernels *kernels)
{
	const size_t ring_bytes = slots_of(shape) * pitch_of(shape);
	struct fm_pixels pixels = {.shape = shape,
	        .in = in,
	        .kernels = kernels,
	        .quant = kernels->quant_of(in, shape->in_channels * shape->in_h * shape->in_w),
	        .slots = slots_of(shape),
	        .ring = scratch,
	        .rows = (const uint8_t **)((char *)scratch + ring_bytes)};

	/* What is left of the image is never written again. */
	memset(scratch, pixels.quant.zero, ring_bytes);
	return pixels;
}

/* Brings one row of the padded input to its slot. */
static void fill(const struct fm_pixels *pixels, size_t padded_row)
{
	const struct fm_conv_shape *s = pixels->shape;
	const size_t channels = s->in_channels, width = width_of(s), pad = s->pad[1];
	uint8_t *to = pixels->ring + padded_row % pixels->slots * pitch_of(s);

	if (padded_row < s->pad[0] || padded_row - s->pad[0] >= s->in_h || width <= pad) {
		memset(to, pixels->quant.zero, width * channels);
		return;
	}
	const size_t count = s->in_w < width - pad ? s->in_w : width - pad;

	pixels->kernels->quantize(to + pad * channels, pixels->in + (padded_row - s->pad[0]) * s->in_w,
	        s->in_h * s->in_w, channels, count, &pixels->quant);
	if (pad + count < width)
		memset(to + (pad + count) * channels, pixels->quant.zero, (width - pad - count) * channels);
}

const uint8_t *const *fm_pixels_row(struct fm_pixels *pixels, size_t y)
{
	const struct fm_conv_shape *s = pixels->shape;
	const size_t top = y * s->stride[0];

	if (pixels->filled < top)
		pixels->filled = top;
	for (; pixels->filled < top + pixels->slots; pixels->filled++)
		fill(pixels, pixels->filled);
	for (size_t i = 0; i < s->kernel[0]; i++)
		pixels->rows[i] = pixels->ring + (top + i * s->dilation[0]) % pixels->slots * pitch_of(s);
	return pixels->rows;
}

/* Sixteen bytes at once: what is too much, the next move overwrites. */
void fm_pixels_gather(uint8_t *codes, const uint8_t *const *rows, const struct fm_conv_shape *s, size_t x,
        size_t count, size_t k_padded)
{
	const size_t step = s->stride[1] * s->in_channels, row_terms = s->kernel[1] * s->in_channels;
	const size_t kernel_h = s->kernel[0];
	const sixteen zeros = {0};
	sixteen v;

	for (size_t i = x; i < x + count; i++, codes += k_padded) {
		uint8_t *to = codes;

		for (size_t r = 0; r < kernel_h; r++, to += row_terms)
			for (size_t t = 0; t < row_terms; t += sizeof(v)) {
				memcpy(&v, rows[r] + i * step + t, sizeof(v));
				memcpy(to + t, &v, sizeof(v));
			}
		memcpy(to, &zeros, sizeof(zeros));
	}
}
