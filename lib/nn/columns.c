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

/* From that many channels on, ranges are found pixel by pixel first. */
#define SPANS_CHANNELS_MIN 8

static bool has_spans(const struct fm_conv_shape *s)
{
	return s->in_channels >= SPANS_CHANNELS_MIN;
}

/* Floats of one row. */
static size_t slot_of(const struct fm_conv_shape *s)
{
	return (s->in_channels + (has_spans(s) ? 2 : 0)) * s->stride[1] * pitch_of(s);
}

static size_t ring_bytes(const struct fm_conv_shape *s)
{
	const size_t floats = slots_of(s) * slot_of(s);

	return (floats * sizeof(float) + 63) & ~(size_t)63;
}

size_t fm_columns_scratch_bytes(const struct fm_conv_shape *shape)
{
	const size_t taps = shape->kernel[0] * shape->kernel[1];
	const size_t columns = taps * (shape->in_channels + (has_spans(shape) ? 2 : 0));

	return ring_bytes(shape) + ((columns * sizeof(float *) + 63) & ~(size_t)63);
}

struct fm_columns fm_columns_begin(
        void *scratch, const struct fm_conv_shape *shape, const float *in, const struct fm_kernels *kernels)
{
	const size_t taps = shape->kernel[0] * shape->kernel[1], terms = taps * shape->in_channels;
	const float **columns = (const float **)((char *)scratch + ring_bytes(shape));

	/* What is left and right of the image is never written again. */
	memset(scratch, 0, ring_bytes(shape));
	return (struct fm_columns){
	        .shape = shape,
	        .in = in,
	        .pitch = pitch_of(shape),
	        .slots = slots_of(shape),
	        .ring = scratch,
	        .columns = columns,
	        .spans = has_spans(shape) ? columns + terms : columns,
	        .span_count = has_spans(shape) ? 2 * taps : terms,
	        .kernels = kernels,
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

static size_t at_most(size_t count, size_t begin, size_t end)
{
	const size_t room = begin < end ? end - begin : 0;

	return count < room ? count : room;
}

/* Row y of the image. */
static void fill_channels(const struct fm_columns *columns, size_t y, float *to)
{
	const struct fm_conv_shape *s = columns->shape;
	const size_t stride = s->stride[1], plane = stride * columns->pitch, channels = s->in_channels;

	for (size_t remainder = 0; remainder < stride; remainder++, to += columns->pitch) {
		/* Element i is padded x = i * stride + remainder. */
		const size_t first =
		        s->pad[1] > remainder ? (s->pad[1] - remainder + stride - 1) / stride : 0;
		const size_t x = first * stride + remainder - s->pad[1];
		const size_t inside = x < s->in_w ? (s->in_w - x + stride - 1) / stride : 0;
		const size_t count = at_most(inside, first, columns->pitch);

		if (!count)
			continue;
		turn(to + first, plane, columns->in + (y * s->in_w + x) * channels, stride * channels, count,
		        channels);
	}
}

/* Brings one row of the padded input to its slot. */
static void fill(const struct fm_columns *columns, size_t padded_row)
{
	const struct fm_conv_shape *s = columns->shape;
	const size_t plane = s->stride[1] * columns->pitch;
	float *to = columns->ring + padded_row % columns->slots * slot_of(s);
	float *low = to + s->in_channels * plane;

	if (padded_row < s->pad[0] || padded_row - s->pad[0] >= s->in_h) {
		memset(to, 0, slot_of(s) * sizeof(*to));
		return;
	}
	fill_channels(columns, padded_row - s->pad[0], to);
	if (has_spans(s))
		columns->kernels->span_columns(low, low + plane, to, plane, plane, s->in_channels);
}

const float *const *fm_columns_row(struct fm_columns *columns, size_t y)
{
	const struct fm_conv_shape *s = columns->shape;
	const size_t top = y * s->stride[0], plane = s->stride[1] * columns->pitch;

	if (columns->filled < top)
		columns->filled = top;
	for (; columns->filled < top + columns->slots; columns->filled++)
		fill(columns, columns->filled);
	const float **to = columns->columns, **spans = columns->spans;
	for (size_t i = 0; i < s->kernel[0]; i++) {
		const size_t row = top + i * s->dilation[0];
		const float *slot = columns->ring + row % columns->slots * slot_of(s);
		size_t remainder = 0, x = 0; /* of where the tap is, by the stride; without divisions */

		for (size_t j = 0; j < s->kernel[1]; j++) {
			const float *at = slot + remainder * columns->pitch + x;

			for (size_t c = 0; c < s->in_channels; c++, at += plane)
				*to++ = at;
			if (has_spans(s)) {
				*spans++ = at;
				*spans++ = at + plane;
			}
			for (remainder += s->dilation[1]; remainder >= s->stride[1]; x++)
				remainder -= s->stride[1];
		}
	}
	return columns->columns;
}
