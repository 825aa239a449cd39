/*
 * Depthwise convolution on four channels a vector, for SSE4.1 and NEON: internal to lib/kernels. A 3x3 kernel
 * without dilation goes along a row with the same channels, four outputs at once, so that each input vector
 * is loaded once for the up to three outputs that use it; all else, and the left and right border, goes pixel
 * by pixel over the taps that exist.
 */
#ifndef FM_KERNELS_DWCONV_F32_VEC4_H
#define FM_KERNELS_DWCONV_F32_VEC4_H

#include "lib/kernels/dwconv.h"
#include "lib/kernels/vec4.h"

#define LANES   FM_LANES_VEC4
#define PIXELS  4 /* outputs of a row at once */
#define VECTORS 4 /* of one pixel's channels at once, where pixels are taken one by one */

struct work {
	const struct fm_dwconv_shape *shape;
	const struct fm_epilogue *epilogue;
	const float *in, *weights;
	float *out;
};

FM_INLINE void store(const struct work *work, size_t pixel, size_t c, size_t lanes, fm_vec4 sum, fm_vec4 bias,
        fm_vec4 slope)
{
	const float *residual = work->epilogue->residual;

	if (residual != NULL)
		residual += pixel * work->epilogue->residual_stride + c;
	sum = fm_finish_vec4(work->epilogue, sum, bias, slope, residual, lanes);
	fm_store_vec4(work->out + pixel * work->shape->channels + c, sum, lanes);
}

/* `vectors` groups of channels from c on, each of `lanes`, of the output pixel at y, x. */
FM_INLINE void any_taps(const struct work *work, size_t y, size_t x, struct fm_span rows, struct fm_span cols,
        size_t c, size_t vectors, size_t lanes)
{
	const struct fm_dwconv_shape *s = work->shape;
	fm_vec4 sum[VECTORS];

	FM_UNROLL
	for (size_t v = 0; v < vectors; v++)
		sum[v] = fm_set_vec4(-0.0f);
	for (size_t ky = rows.begin; ky < rows.end; ky++) {
		size_t in_y = y * s->stride_h + ky * s->dilation_h - s->pad_top;
		size_t in_x = x * s->stride_w + cols.begin * s->dilation_w - s->pad_left;
		const float *in = work->in + (in_y * s->in_w + in_x) * s->channels + c;
		const float *w = work->weights + (ky * s->kernel_w + cols.begin) * s->channels + c;

		for (size_t kx = cols.begin; kx < cols.end; kx++) {
			FM_UNROLL
			for (size_t v = 0; v < vectors; v++) {
				fm_vec4 value = fm_load_vec4(in + v * LANES, lanes);
				fm_vec4 tap = fm_load_vec4(w + v * LANES, lanes);
				sum[v] = sum[v] + value * tap;
			}
			in += s->dilation_w * s->channels;
			w += s->channels;
		}
	}
	FM_UNROLL
	for (size_t v = 0; v < vectors; v++) {
		size_t channel = c + v * LANES;
		store(work, y * s->out_w + x, channel, lanes, sum[v],
		        fm_bias_vec4(work->epilogue, channel, lanes),
		        fm_slope_vec4(work->epilogue, channel, lanes));
	}
}

static void any_pixels(const struct work *work, size_t y, struct fm_span rows, size_t x_begin, size_t x_end)
{
	const struct fm_dwconv_shape *s = work->shape;

	for (size_t x = x_begin; x < x_end; x++) {
		struct fm_span cols =
		        fm_span_taps(x, s->in_w, s->kernel_w, s->stride_w, s->dilation_w, s->pad_left);
		size_t c = 0;

		for (; c + VECTORS * LANES <= s->channels; c += VECTORS * LANES)
			any_taps(work, y, x, rows, cols, c, VECTORS, LANES);
		for (; c + LANES <= s->channels; c += LANES)
			any_taps(work, y, x, rows, cols, c, 1, LANES);
		if (c < s->channels)
			any_taps(work, y, x, rows, cols, c, 1, s->channels - c);
	}
}

/* A run of outputs in one row of a 3x3 kernel, whose columns all lie inside, and some of their channels. */
struct strip {
	float *out;
	const float *in, *weights, *residual; /* residual: NULL when there is none */
	size_t outputs, rows, channels, in_row, residual_stride, lanes;
};

/* The first `pixels` outputs of a strip; then moves it on. */
FM_INLINE void taps_3x3(struct strip *s, const struct fm_epilogue *epilogue, size_t pixels, size_t stride,
        size_t lanes, fm_vec4 bias, fm_vec4 slope)
{
	const float *in = s->in, *w = s->weights;
	fm_vec4 sum[PIXELS];

	FM_UNROLL
	for (size_t p = 0; p < pixels; p++)
		sum[p] = fm_set_vec4(-0.0f);
	for (size_t ky = 0; ky < s->rows; ky++) {
		fm_vec4 tap[3];

		FM_UNROLL
		for (size_t kx = 0; kx < 3; kx++)
			tap[kx] = fm_load_vec4(w + kx * s->channels, lanes);
		FM_UNROLL
		for (size_t col = 0; col < (pixels - 1) * stride + 3; col++) {
			fm_vec4 value = fm_load_vec4(in + col * s->channels, lanes);
			FM_UNROLL
			for (size_t p = 0; p < pixels; p++) {
				if (col >= p * stride && col < p * stride + 3)
					sum[p] = sum[p] + value * tap[col - p * stride];
			}
		}
		in += s->in_row;
		w += 3 * s->channels;
	}
	FM_UNROLL
	for (size_t p = 0; p < pixels; p++) {
		fm_vec4 v = fm_finish_vec4(epilogue, sum[p], bias, slope, s->residual, lanes);
		fm_store_vec4(s->out, v, lanes);
		s->out += s->channels;
		if (s->residual != NULL)
			s->residual += s->residual_stride;
	}
	s->in += pixels * stride * s->channels;
}

/* The strip and the epilogue are copies, so that a store to `out` cannot be thought to change them. */
FM_INLINE void strip_3x3(
        struct strip s, struct fm_epilogue epilogue, size_t channel, size_t stride, size_t lanes)
{
	fm_vec4 bias = fm_bias_vec4(&epilogue, channel, lanes),
	        slope = fm_slope_vec4(&epilogue, channel, lanes);

	for (; s.outputs >= PIXELS; s.outputs -= PIXELS)
		taps_3x3(&s, &epilogue, PIXELS, stride, lanes, bias, slope);
	for (; s.outputs > 0; s.outputs--)
		taps_3x3(&s, &epilogue, 1, stride, lanes, bias, slope);
}

static __attribute__((noinline)) void strip_3x3_stride1(
        const struct strip *s, const struct fm_epilogue *epilogue, size_t channel)
{
	strip_3x3(*s, *epilogue, channel, 1, LANES);
}

static __attribute__((noinline)) void strip_3x3_stride2(
        const struct strip *s, const struct fm_epilogue *epilogue, size_t channel)
{
	strip_3x3(*s, *epilogue, channel, 2, LANES);
}

static __attribute__((noinline)) void strip_3x3_tail(
        const struct strip *s, const struct fm_epilogue *epilogue, size_t channel, size_t stride)
{
	if (stride == 1)
		strip_3x3(*s, *epilogue, channel, 1, s->lanes);
	else
		strip_3x3(*s, *epilogue, channel, 2, s->lanes);
}

static void row_3x3(const struct work *work, size_t y, struct fm_span rows, struct fm_span inside)
{
	const struct fm_dwconv_shape *s = work->shape;
	const struct fm_epilogue *epilogue = work->epilogue;
	size_t in_y = y * s->stride_h + rows.begin - s->pad_top;
	size_t in_x = inside.begin * s->stride_w - s->pad_left;
	size_t pixel = y * s->out_w + inside.begin;

	for (size_t c = 0; c < s->channels; c += LANES) {
		struct strip strip = {
		        .out = work->out + pixel * s->channels + c,
		        .in = work->in + (in_y * s->in_w + in_x) * s->channels + c,
		        .weights = work->weights + rows.begin * 3 * s->channels + c,
		        .outputs = inside.end - inside.begin,
		        .rows = rows.end - rows.begin,
		        .channels = s->channels,
		        .in_row = s->in_w * s->channels,
		        .residual_stride = epilogue->residual_stride,
		        .lanes = s->channels - c,
		};

		if (epilogue->residual != NULL)
			strip.residual = epilogue->residual + pixel * epilogue->residual_stride + c;
		if (strip.lanes < LANES)
			strip_3x3_tail(&strip, epilogue, c, s->stride_w);
		else if (s->stride_w == 1)
			strip_3x3_stride1(&strip, epilogue, c);
		else
			strip_3x3_stride2(&strip, epilogue, c);
	}
}

FM_INLINE void fm_dwconv_f32_vec4(float *out, const float *in, const float *weights,
        const struct fm_dwconv_shape *shape, const struct fm_epilogue *epilogue)
{
	const struct fm_dwconv_shape *s = shape;
	const struct work work = {shape, epilogue, in, weights, out};
	bool fast = s->kernel_h == 3 && s->kernel_w == 3 && s->dilation_h == 1 && s->dilation_w == 1 &&
	            (s->stride_w == 1 || s->stride_w == 2);

	for (size_t y = 0; y < s->out_h; y++) {
		struct fm_span rows =
		        fm_span_taps(y, s->in_h, s->kernel_h, s->stride_h, s->dilation_h, s->pad_top);
		struct fm_span inside = {0, 0};

		if (fast && rows.begin < rows.end)
			inside = fm_span_interior(s->out_w, s->in_w, 3, s->stride_w, 1, s->pad_left);
		any_pixels(&work, y, rows, 0, inside.begin);
		if (inside.begin < inside.end)
			row_3x3(&work, y, rows, inside);
		any_pixels(&work, y, rows, inside.end, s->out_w);
	}
}

#endif
