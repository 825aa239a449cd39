/*
 * Sixteen channels a vector. A 3x3 kernel without dilation goes along a row with the same channels, four
 * outputs at once, so that each input vector is loaded once for the up to three outputs that use it; all
 * else, and the left and right border, goes pixel by pixel over the taps that exist.
 */
#include "lib/kernels/dwconv.h"
#include "lib/kernels/epilogue_avx512.h"

#include "lib/base/banned.h"

#define LANES   FM_LANES_AVX512
#define ROWS    2 /* of outputs at once */
#define PIXELS  4 /* outputs of a row at once */
#define VECTORS 4 /* of one pixel's channels at once, where pixels are taken one by one */

struct work {
	const struct fm_dwconv_shape *shape;
	const struct fm_epilogue *epilogue;
	const float *in, *weights;
	float *out;
};

FM_INLINE void store(
        const struct work *work, size_t pixel, size_t c, size_t lanes, __m512 sum, __m512 bias, __m512 slope)
{
	const float *residual = work->epilogue->residual;

	if (residual != NULL)
		residual += pixel * work->epilogue->residual_stride + c;
	sum = fm_finish_avx512(work->epilogue, sum, bias, slope, residual, lanes);
	fm_store_avx512(work->out + pixel * work->shape->channels + c, sum, lanes);
}

/* `vectors` groups of channels from c on, each of `lanes`, of the output pixel at y, x. */
FM_INLINE void any_taps(const struct work *work, size_t y, size_t x, struct fm_span rows, struct fm_span cols,
        size_t c, size_t vectors, size_t lanes)
{
	const struct fm_dwconv_shape *s = work->shape;
	__m512 sum[VECTORS];

	FM_UNROLL
	for (size_t v = 0; v < vectors; v++)
		sum[v] = _mm512_set1_ps(-0.0f);
	for (size_t ky = rows.begin; ky < rows.end; ky++) {
		size_t in_y = y * s->stride_h + ky * s->dilation_h - s->pad_top;
		size_t in_x = x * s->stride_w + cols.begin * s->dilation_w - s->pad_left;
		const float *in = work->in + (in_y * s->in_w + in_x) * s->channels + c;
		const float *w = work->weights + (ky * s->kernel_w + cols.begin) * s->channels + c;

		for (size_t kx = cols.begin; kx < cols.end; kx++) {
			FM_UNROLL
			for (size_t v = 0; v < vectors; v++) {
				__m512 value = fm_load_avx512(in + v * LANES, lanes);
				__m512 tap = fm_load_avx512(w + v * LANES, lanes);
				sum[v] = _mm512_add_ps(sum[v], _mm512_mul_ps(value, tap));
			}
			in += s->dilation_w * s->channels;
			w += s->channels;
		}
	}
	FM_UNROLL
	for (size_t v = 0; v < vectors; v++) {
		size_t channel = c + v * LANES;
		store(work, y * s->out_w + x, channel, lanes, sum[v],
		        fm_bias_avx512(work->epilogue, channel, lanes),
		        fm_slope_avx512(work->epilogue, channel, lanes));
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

/* Runs of outputs in one row or two of a 3x3 kernel, whose columns all lie inside, and some of their
 * channels. */
struct strip {
	float *out;
	const float *in, *weights,
	        *residual; /* in: at the first tap that exists; residual: NULL when there is none */
	size_t outputs, channels, in_row, out_row, residual_stride, residual_row, lanes;
	const float *ahead;  /* what the rows of outputs after these read first, or NULL */
	struct fm_span taps; /* rows of the kernel that lie inside: all of them where there are two rows of
	                        outputs */
};

/*
 * How a sum ends: constant where outputs are stored, because additions, comparisons and clipping share two
 * ports, which are what bounds this kernel.
 */
enum ending { PLAIN, SLOPES, RECTIFIES, CLIPS };

FM_INLINE __m512 finish(const struct fm_epilogue *epilogue, enum ending ending, __m512 v, __m512 bias,
        __m512 slope, const float *residual, size_t lanes)
{
	v = _mm512_add_ps(v, bias);
	if (residual != NULL)
		v = _mm512_add_ps(v, fm_load_avx512(residual, lanes));
	switch (ending) {
	case PLAIN: break;
	case SLOPES: v = fm_slope_by_avx512(v, slope); break;
	case RECTIFIES: v = _mm512_max_ps(v, _mm512_setzero_ps()); break;
	case CLIPS:
		v = fm_clip_avx512(
		        v, _mm512_set1_ps(epilogue->clip_low), _mm512_set1_ps(epilogue->clip_high));
		break;
	}
	return v;
}

/*
 * The first `pixels` outputs of `rows` rows; then moves the strip on. The input goes by row-major, so every
 * sum takes its taps row-major. Where all taps are inside, the first product is the sum.
 */
FM_INLINE void taps_3x3(struct strip *s, const struct fm_epilogue *epilogue, enum ending ending, size_t rows,
        size_t pixels, size_t stride, size_t lanes, const __m512 tap[9], __m512 bias, __m512 slope)
{
	const float *in = s->in;
	__m512 sum[ROWS][PIXELS];

	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		FM_UNROLL
		for (size_t p = 0; p < pixels; p++)
			sum[r][p] = _mm512_set1_ps(-0.0f);
	}
	if (s->ahead != NULL) {
		FM_UNROLL
		for (size_t y = 0; y < rows * stride; y++) {
			FM_UNROLL
			for (size_t x = 0; x < pixels * stride; x++)
				__builtin_prefetch(s->ahead + y * s->in_row + x * s->channels, 0, 2);
		}
		s->ahead += pixels * stride * s->channels;
	}
	FM_UNROLL
	for (size_t y = 0; y < (rows - 1) * stride + 3; y++) {
		if (rows == 1 && (y < s->taps.begin || y >= s->taps.end))
			continue;
		FM_UNROLL
		for (size_t x = 0; x < (pixels - 1) * stride + 3; x++) {
			__m512 value = fm_load_avx512(in + x * s->channels, lanes);
			FM_UNROLL
			for (size_t r = 0; r < rows; r++) {
				FM_UNROLL
				for (size_t p = 0; p < pixels; p++) {
					size_t ky = y - r * stride, kx = x - p * stride; /* wraps: no tap */
					if (ky >= 3 || kx >= 3)
						continue;
					__m512 product = _mm512_mul_ps(value, tap[ky * 3 + kx]);
					sum[r][p] = rows == ROWS && ky + kx == 0
					                    ? product
					                    : _mm512_add_ps(sum[r][p], product);
				}
			}
			/* Column by column: clang would take sum by sum, run out of registers and spill. */
			FM_UNROLL
			for (size_t r = 0; r < rows; r++) {
				FM_UNROLL
				for (size_t p = 0; p < pixels; p++)
					__asm__ volatile("" : "+v"(sum[r][p]));
			}
		}
		in += s->in_row;
	}
	FM_UNROLL
	for (size_t r = 0; r < rows; r++) {
		FM_UNROLL
		for (size_t p = 0; p < pixels; p++) {
			const float *residual = s->residual;
			if (residual != NULL)
				residual += r * s->residual_row + p * s->residual_stride;
			__m512 v = finish(epilogue, ending, sum[r][p], bias, slope, residual, lanes);
			fm_store_avx512(s->out + r * s->out_row + p * s->channels, v, lanes);
		}
	}
	s->in += pixels * stride * s->channels;
	s->out += pixels * s->channels;
	if (s->residual != NULL)
		s->residual += pixels * s->residual_stride;
}

/* The strip and the epilogue are copies, so that a store to `out` cannot be thought to change them. */
FM_INLINE void strip_ending(struct strip s, struct fm_epilogue epilogue, enum ending ending, size_t channel,
        size_t rows, size_t stride, size_t lanes)
{
	__m512 bias = fm_bias_avx512(&epilogue, channel, lanes),
	       slope = fm_slope_avx512(&epilogue, channel, lanes);
	__m512 tap[9];

	FM_UNROLL
	for (size_t t = 0; t < 9; t++)
		tap[t] = fm_load_avx512(s.weights + t * s.channels, lanes);
	for (; s.outputs >= PIXELS; s.outputs -= PIXELS)
		taps_3x3(&s, &epilogue, ending, rows, PIXELS, stride, lanes, tap, bias, slope);
	for (; s.outputs > 0; s.outputs--)
		taps_3x3(&s, &epilogue, ending, rows, 1, stride, lanes, tap, bias, slope);
}

FM_INLINE void strip_3x3(const struct strip *s, const struct fm_epilogue *epilogue, size_t channel,
        size_t rows, size_t stride, size_t lanes)
{
	switch (epilogue->activation) {
	case FM_ACT_NONE: strip_ending(*s, *epilogue, PLAIN, channel, rows, stride, lanes); break;
	case FM_ACT_PRELU: strip_ending(*s, *epilogue, SLOPES, channel, rows, stride, lanes); break;
	case FM_ACT_RELU: strip_ending(*s, *epilogue, RECTIFIES, channel, rows, stride, lanes); break;
	case FM_ACT_CLIP: strip_ending(*s, *epilogue, CLIPS, channel, rows, stride, lanes); break;
	}
}

typedef void strip_function(const struct strip *strip, const struct fm_epilogue *epilogue, size_t channel);

static void rows_stride1(const struct strip *s, const struct fm_epilogue *epilogue, size_t channel)
{
	strip_3x3(s, epilogue, channel, ROWS, 1, LANES);
}

static void rows_stride2(const struct strip *s, const struct fm_epilogue *epilogue, size_t channel)
{
	strip_3x3(s, epilogue, channel, ROWS, 2, LANES);
}

static void row_stride1(const struct strip *s, const struct fm_epilogue *epilogue, size_t channel)
{
	strip_3x3(s, epilogue, channel, 1, 1, LANES);
}

static void row_stride2(const struct strip *s, const struct fm_epilogue *epilogue, size_t channel)
{
	strip_3x3(s, epilogue, channel, 1, 2, LANES);
}

static void tail_stride1(const struct strip *s, const struct fm_epilogue *epilogue, size_t channel)
{
	strip_3x3(s, epilogue, channel, 1, 1, s->lanes);
}

static void tail_stride2(const struct strip *s, const struct fm_epilogue *epilogue, size_t channel)
{
	strip_3x3(s, epilogue, channel, 1, 2, s->lanes);
}

static void run_strip(strip_function *function, const struct work *work, size_t y, size_t rows,
        struct fm_span taps, struct fm_span inside, size_t c)
{
	const struct fm_dwconv_shape *s = work->shape;
	const struct fm_epilogue *epilogue = work->epilogue;
	size_t in_y = y * s->stride_h + taps.begin - s->pad_top;
	size_t in_x = inside.begin * s->stride_w - s->pad_left;
	size_t pixel = y * s->out_w + inside.begin;
	struct strip strip = {
	        .out = work->out + pixel * s->channels + c,
	        .in = work->in + (in_y * s->in_w + in_x) * s->channels + c,
	        .weights = work->weights + c,
	        .outputs = inside.end - inside.begin,
	        .channels = s->channels,
	        .in_row = s->in_w * s->channels,
	        .out_row = s->out_w * s->channels,
	        .residual_stride = epilogue->residual_stride,
	        .residual_row = s->out_w * epilogue->residual_stride,
	        .lanes = s->channels - c,
	        .taps = taps,
	};

	if (epilogue->residual != NULL)
		strip.residual = epilogue->residual + pixel * epilogue->residual_stride + c;
	const size_t next = (y + rows - 1) * s->stride_h + 3 - s->pad_top;
	if (fm_dwconv_far(s) && rows == ROWS && next + rows * s->stride_h <= s->in_h)
		strip.ahead = work->in + (next * s->in_w + in_x) * s->channels + c;
	function(&strip, epilogue, c);
}

/* The columns `inside` of one row of outputs, or of ROWS of them whose taps all lie inside. */
static void inside_3x3(
        const struct work *work, size_t y, size_t rows, struct fm_span taps, struct fm_span inside)
{
	const struct fm_dwconv_shape *s = work->shape;
	bool twice = s->stride_w == 2;
	strip_function *full =
	        rows == ROWS ? (twice ? rows_stride2 : rows_stride1) : (twice ? row_stride2 : row_stride1);
	strip_function *tail = twice ? tail_stride2 : tail_stride1;
	size_t c = 0;

	for (; c + LANES <= s->channels; c += LANES)
		run_strip(full, work, y, rows, taps, inside, c);
	for (size_t r = 0; c < s->channels && r < rows; r++)
		run_strip(tail, work, y + r, 1, taps, inside, c);
}

void fm_dwconv_f32_avx512vnni(float *out, const float *in, const float *weights,
        const struct fm_dwconv_shape *shape, const struct fm_epilogue *epilogue)
{
	const struct fm_dwconv_shape *s = shape;
	const struct work work = {shape, epilogue, in, weights, out};
	bool fast = s->kernel_h == 3 && s->kernel_w == 3 && s->dilation_h == 1 && s->dilation_w == 1 &&
	            s->stride_h == s->stride_w && s->stride_w <= 2;
	struct fm_span columns = {0, 0}, lines = {0, 0};

	if (fast) {
		columns = fm_span_interior(s->out_w, s->in_w, 3, s->stride_w, 1, s->pad_left);
		lines = fm_span_interior(s->out_h, s->in_h, 3, s->stride_h, 1, s->pad_top);
	}
	for (size_t y = 0, rows; y < s->out_h; y += rows) {
		struct fm_span taps =
		        fm_span_taps(y, s->in_h, s->kernel_h, s->stride_h, s->dilation_h, s->pad_top);
		struct fm_span inside = taps.begin < taps.end ? columns : (struct fm_span){0, 0};

		rows = y >= lines.begin && y + ROWS <= lines.end ? ROWS : 1;
		if (inside.begin < inside.end)
			inside_3x3(&work, y, rows, taps, inside);
		for (size_t r = 0; r < rows; r++) {
			any_pixels(&work, y + r, taps, 0, inside.begin);
			any_pixels(&work, y + r, taps, inside.end, s->out_w);
		}
	}
}
