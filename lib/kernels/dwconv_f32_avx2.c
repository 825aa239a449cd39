/*
 * Eight channels a vector. A 3x3 kernel without dilation goes along a row with the same two vectors, which
 * are a cache line, four outputs at once, so that each input vector is loaded once for the up to three
 * outputs that use it, and each line is read whole; all else, and the left and right border, goes pixel by
 * pixel over the taps that exist.
 */
#include "lib/kernels/dwconv.h"
#include "lib/kernels/epilogue_avx2.h"

#include "lib/base/banned.h"

#define LANES   FM_LANES_AVX2
#define PIXELS  4 /* outputs of a row at once */
#define STRIP   2 /* vectors of a strip: a cache line */
#define VECTORS 4 /* of one pixel's channels at once, where pixels are taken one by one */

struct work {
	const struct fm_dwconv_shape *shape;
	const struct fm_epilogue *epilogue;
	const float *in, *weights;
	float *out;
};

FM_INLINE void store(
        const struct work *work, size_t pixel, size_t c, size_t lanes, __m256 sum, __m256 bias, __m256 slope)
{
	const float *residual = work->epilogue->residual;

	if (residual != NULL)
		residual += pixel * work->epilogue->residual_stride + c;
	sum = fm_finish_avx2(work->epilogue, sum, bias, slope, residual, lanes);
	fm_store_avx2(work->out + pixel * work->shape->channels + c, sum, lanes);
}

/* `vectors` groups of channels from c on, each of `lanes`, of the output pixel at y, x. */
FM_INLINE void any_taps(const struct work *work, size_t y, size_t x, struct fm_span rows, struct fm_span cols,
        size_t c, size_t vectors, size_t lanes)
{
	const struct fm_dwconv_shape *s = work->shape;
	__m256 sum[VECTORS];

	FM_UNROLL
	for (size_t v = 0; v < vectors; v++)
		sum[v] = _mm256_set1_ps(-0.0f);
	for (size_t ky = rows.begin; ky < rows.end; ky++) {
		size_t in_y = y * s->stride_h + ky * s->dilation_h - s->pad_top;
		size_t in_x = x * s->stride_w + cols.begin * s->dilation_w - s->pad_left;
		const float *in = work->in + (in_y * s->in_w + in_x) * s->channels + c;
		const float *w = work->weights + (ky * s->kernel_w + cols.begin) * s->channels + c;

		for (size_t kx = cols.begin; kx < cols.end; kx++) {
			FM_UNROLL
			for (size_t v = 0; v < vectors; v++) {
				__m256 value = fm_load_avx2(in + v * LANES, lanes);
				__m256 tap = fm_load_avx2(w + v * LANES, lanes);
				sum[v] = _mm256_add_ps(sum[v], _mm256_mul_ps(value, tap));
			}
			in += s->dilation_w * s->channels;
			w += s->channels;
		}
	}
	FM_UNROLL
	for (size_t v = 0; v < vectors; v++) {
		size_t channel = c + v * LANES;
		store(work, y * s->out_w + x, channel, lanes, sum[v],
		        fm_bias_avx2(work->epilogue, channel, lanes),
		        fm_slope_avx2(work->epilogue, channel, lanes));
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
	const float *ahead;                   /* what the row after this one reads first, or NULL */
	size_t outputs, rows, channels, in_row, residual_stride, lanes;
};

/* The first `pixels` outputs of a strip, of its vector `v`. */
FM_INLINE void taps_3x3(const struct strip *s, const struct fm_epilogue *epilogue, size_t v, size_t pixels,
        size_t stride, size_t lanes, __m256 bias, __m256 slope)
{
	const float *in = s->in + v * LANES, *w = s->weights + v * LANES;
	const float *residual = s->residual != NULL ? s->residual + v * LANES : NULL;
	float *out = s->out + v * LANES;
	__m256 sum[PIXELS];

	FM_UNROLL
	for (size_t p = 0; p < pixels; p++)
		sum[p] = _mm256_set1_ps(-0.0f);
	for (size_t ky = 0; ky < s->rows; ky++) {
		__m256 tap[3];

		FM_UNROLL
		for (size_t kx = 0; kx < 3; kx++)
			tap[kx] = fm_load_avx2(w + kx * s->channels, lanes);
		FM_UNROLL
		for (size_t col = 0; col < (pixels - 1) * stride + 3; col++) {
			__m256 value = fm_load_avx2(in + col * s->channels, lanes);
			FM_UNROLL
			for (size_t p = 0; p < pixels; p++) {
				if (col >= p * stride && col < p * stride + 3)
					sum[p] = _mm256_add_ps(
					        sum[p], _mm256_mul_ps(value, tap[col - p * stride]));
			}
		}
		in += s->in_row;
		w += 3 * s->channels;
	}
	FM_UNROLL
	for (size_t p = 0; p < pixels; p++) {
		sum[p] = fm_finish_avx2(epilogue, sum[p], bias, slope, residual, lanes);
		fm_store_avx2(out + p * s->channels, sum[p], lanes);
		if (residual != NULL)
			residual += s->residual_stride;
	}
}

/* The strip and the epilogue are copies, so that a store to `out` cannot be thought to change them. */
FM_INLINE void strip_3x3(struct strip s, struct fm_epilogue epilogue, size_t channel, size_t vectors,
        size_t stride, size_t lanes)
{
	__m256 bias[STRIP], slope[STRIP];

	FM_UNROLL
	for (size_t v = 0; v < vectors; v++) {
		bias[v] = fm_bias_avx2(&epilogue, channel + v * LANES, lanes);
		slope[v] = fm_slope_avx2(&epilogue, channel + v * LANES, lanes);
	}
	while (s.outputs > 0) {
		size_t pixels = s.outputs >= PIXELS ? PIXELS : 1;

		FM_UNROLL
		for (size_t v = 0; v < vectors; v++) {
			if (pixels == PIXELS)
				taps_3x3(&s, &epilogue, v, PIXELS, stride, lanes, bias[v], slope[v]);
			else
				taps_3x3(&s, &epilogue, v, 1, stride, lanes, bias[v], slope[v]);
		}
		if (s.ahead != NULL && pixels == PIXELS) {
			FM_UNROLL
			for (size_t x = 0; x < PIXELS * stride; x++) {
				FM_UNROLL
				for (size_t y = 0; y < stride; y++)
					__builtin_prefetch(s.ahead + y * s.in_row + x * s.channels);
			}
			s.ahead += PIXELS * stride * s.channels;
		}
		s.outputs -= pixels;
		s.in += pixels * stride * s.channels;
		s.out += pixels * s.channels;
		if (s.residual != NULL)
			s.residual += pixels * s.residual_stride;
	}
}

static __attribute__((noinline)) void strip_3x3_stride1(
        const struct strip *s, const struct fm_epilogue *epilogue, size_t channel)
{
	strip_3x3(*s, *epilogue, channel, STRIP, 1, LANES);
}

static __attribute__((noinline)) void strip_3x3_stride2(
        const struct strip *s, const struct fm_epilogue *epilogue, size_t channel)
{
	strip_3x3(*s, *epilogue, channel, STRIP, 2, LANES);
}

static __attribute__((noinline)) void strip_3x3_tail(
        const struct strip *s, const struct fm_epilogue *epilogue, size_t channel, size_t stride)
{
	if (stride == 1)
		strip_3x3(*s, *epilogue, channel, 1, 1, s->lanes);
	else
		strip_3x3(*s, *epilogue, channel, 1, 2, s->lanes);
}

static void row_3x3(const struct work *work, size_t y, struct fm_span rows, struct fm_span inside)
{
	const struct fm_dwconv_shape *s = work->shape;
	const struct fm_epilogue *epilogue = work->epilogue;
	size_t in_y = y * s->stride_h + rows.begin - s->pad_top;
	size_t in_x = inside.begin * s->stride_w - s->pad_left;
	size_t pixel = y * s->out_w + inside.begin;

	for (size_t c = 0, taken; c < s->channels; c += taken) {
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

		const size_t next = y * s->stride_h + 3 - s->pad_top;
		if (fm_dwconv_far(s) && next + s->stride_h <= s->in_h)
			strip.ahead = work->in + (next * s->in_w + in_x) * s->channels + c;
		if (epilogue->residual != NULL)
			strip.residual = epilogue->residual + pixel * epilogue->residual_stride + c;
		taken = strip.lanes < STRIP * LANES ? LANES : STRIP * LANES;
		if (taken == LANES)
			strip_3x3_tail(&strip, epilogue, c, s->stride_w);
		else if (s->stride_w == 1)
			strip_3x3_stride1(&strip, epilogue, c);
		else
			strip_3x3_stride2(&strip, epilogue, c);
	}
}

void fm_dwconv_f32_avx2(float *out, const float *in, const float *weights,
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
