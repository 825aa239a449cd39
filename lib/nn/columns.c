#include "lib/nn/columns.h"

#include <string.h>

#include "lib/base/banned.h"

typedef float four __attribute__((vector_size(16)));

/* A multiple of a cache line, so that the columns of the kernel's first taps begin where a line does. */
static size_t pitch_of(const struct fm_conv_shape *s)
{
	return (s->out_w + (s->kernel[1] - 1) * s->dilation[1] / s->stride[1] + 15) & ~(size_t)15;
}

static size_t slots_of(const struct fm_conv_shape *s)
{
	return (s->kernel[0] - 1) * s->dilation[0] + 1;
}

static size_t ring_bytes(const struct fm_conv_shape *s)
{
	const size_t floats = slots_of(s) * s->in_channels * s->stride[1] * pitch_of(s);

	return (floats * sizeof(float) + 63) & ~(size_t)63;
}

size_t fm_columns_scratch_bytes(const struct fm_conv_shape *shape)
{
	const size_t taps = shape->kernel[0] * shape->kernel[1] * shape->in_channels;

	return ring_bytes(shape) + ((taps * sizeof(float *) + 63) & ~(size_t)63);
}

struct fm_columns fm_columns_begin(
        void *scratch, const struct fm_conv_shape *shape, bool planar, const float *in)
{
	/* What is left and right of the image is never written again. */
	memset(scratch, 0, ring_bytes(shape));
	return (struct fm_columns){
	        .shape = shape,
	        .in = in,
	        .planar = planar,
	        .pitch = pitch_of(shape),
	        .slots = slots_of(shape),
	        .ring = scratch,
	        .columns = (const float **)((char *)scratch + ring_bytes(shape)),
	};
}

static four load(const float *from)
{
	four v;

	memcpy(&v, from, sizeof(v));
	return v;
}

static void store(float *to, four v)
{
	memcpy(to, &v, sizeof(v));
}

/* to[i] = from[i * step] */
static void copy_apart(float *to, const float *from, size_t step, size_t count)
{
	size_t i = 0;

	/* Eight are read for the last of four, which is the seventh. */
	for (; step == 2 && i + 4 < count; i += 4)
		store(to + i,
		        __builtin_shufflevector(load(from + 2 * i), load(from + 2 * i + 4), 0, 2, 4, 6));
	for (; i < count; i++)
		to[i] = from[i * step];
}

/* to[c * to_step + i] = from[i * from_step + c] */
static void turn(
        float *to, size_t to_step, const float *from, size_t from_step, size_t count, size_t channels)
{
	const size_t fours = channels / 4 * 4;
	size_t i = 0;

	for (; i + 4 <= count; i += 4) {
		for (size_t c = 0; c < fours; c += 4) {
			const float *at = from + i * from_step + c;
			const four a = load(at), b = load(at + from_step);
			const four d = load(at + 2 * from_step), e = load(at + 3 * from_step);
			const four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
			const four ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
			const four de_low = __builtin_shufflevector(d, e, 0, 4, 1, 5);
			const four de_high = __builtin_shufflevector(d, e, 2, 6, 3, 7);
			float *put = to + c * to_step + i;

			store(put, __builtin_shufflevector(ab_low, de_low, 0, 1, 4, 5));
			store(put + to_step, __builtin_shufflevector(ab_low, de_low, 2, 3, 6, 7));
			store(put + 2 * to_step, __builtin_shufflevector(ab_high, de_high, 0, 1, 4, 5));
			store(put + 3 * to_step, __builtin_shufflevector(ab_high, de_high, 2, 3, 6, 7));
		}
		for (size_t c = fours; c < channels; c++)
			for (size_t j = i; j < i + 4; j++)
				to[c * to_step + j] = from[j * from_step + c];
	}
	for (; i < count; i++)
		for (size_t c = 0; c < channels; c++)
			to[c * to_step + i] = from[i * from_step + c];
}

/* Brings one row of the padded input to its slot. */
static void fill(const struct fm_columns *columns, size_t padded_row)
{
	const struct fm_conv_shape *s = columns->shape;
	const size_t stride = s->stride[1], plane = stride * columns->pitch, channels = s->in_channels;
	float *to = columns->ring + padded_row % columns->slots * channels * plane;

	if (padded_row < s->pad[0] || padded_row - s->pad[0] >= s->in_h) {
		memset(to, 0, channels * plane * sizeof(*to));
		return;
	}
	const size_t y = padded_row - s->pad[0];

	for (size_t remainder = 0; remainder < stride; remainder++, to += columns->pitch) {
		/* Element i is padded x = i * stride + remainder. */
		const size_t first =
		        s->pad[1] > remainder ? (s->pad[1] - remainder + stride - 1) / stride : 0;
		const size_t x = first * stride + remainder - s->pad[1];
		size_t count = x < s->in_w ? (s->in_w - x + stride - 1) / stride : 0;

		if (first >= columns->pitch)
			continue;
		count = count < columns->pitch - first ? count : columns->pitch - first;
		for (size_t c = 0; columns->planar && c < channels; c++) {
			const float *from = columns->in + (c * s->in_h + y) * s->in_w + x;

			if (stride == 1)
				memcpy(to + c * plane + first, from, count * sizeof(*to));
			else
				copy_apart(to + c * plane + first, from, stride, count);
		}
		if (!columns->planar)
			turn(to + first, plane, columns->in + (y * s->in_w + x) * channels, stride * channels,
			        count, channels);
	}
}

/* Begins to move one row of the padded input into the second cache, where row-major images come from afar. */
static void fetch(const struct fm_columns *columns, size_t padded_row)
{
	const struct fm_conv_shape *s = columns->shape;
	const size_t line = 64 / sizeof(float), y = padded_row - s->pad[0];

	if (!columns->planar || padded_row < s->pad[0] || y >= s->in_h)
		return;
	for (size_t c = 0; c < s->in_channels; c++)
		for (size_t x = 0; x < s->in_w; x += line)
			__builtin_prefetch(columns->in + (c * s->in_h + y) * s->in_w + x, 0, 2);
}

const float *const *fm_columns_row(struct fm_columns *columns, size_t y)
{
	const struct fm_conv_shape *s = columns->shape;
	const size_t top = y * s->stride[0], plane = s->stride[1] * columns->pitch;
	const size_t taps = s->kernel[0] * s->kernel[1];
	/* From one channel's column to the next, and from one tap's. */
	const size_t by_channel = columns->planar ? taps : 1, by_tap = columns->planar ? 1 : s->in_channels;

	if (columns->filled < top)
		columns->filled = top;
	for (; columns->filled < top + columns->slots; columns->filled++)
		fill(columns, columns->filled);
	for (size_t row = columns->filled; row < columns->filled + s->stride[0]; row++)
		fetch(columns, row);
	for (size_t tap = 0; tap < taps; tap++) {
		const size_t row = top + tap / s->kernel[1] * s->dilation[0];
		const size_t x = tap % s->kernel[1] * s->dilation[1];
		const float *at = columns->ring + row % columns->slots * s->in_channels * plane +
		                  x % s->stride[1] * columns->pitch + x / s->stride[1];
		const float **to = columns->columns + tap * by_tap;

		for (size_t c = 0; c < s->in_channels; c++, at += plane)
			to[c * by_channel] = at;
	}
	return columns->columns;
}
