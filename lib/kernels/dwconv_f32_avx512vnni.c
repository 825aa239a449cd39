/*
 * Sixteen channels a vector. A 3x3 kernel without dilation goes along two rows of outputs, or one, with the
 * same channels, four outputs of each at once, so that each input vector is loaded once for the up to six
 * outputs that use it. All else goes pixel by pixel over the taps that exist.
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

/*
 * Outputs in one row or two of a 3x3 kernel, PIXELS or more of each, and some of their channels. Their
 * columns lie inside, but for the first output's first (left) and the last one's last (right).
 */
struct strip {
	float *out;
	const float *in, *weights,
	        *residual; /* in: at the first tap that exists; residual: NULL when there is none */
	size_t outputs, channels, in_row, out_row, residual_stride, residual_row;
	size_t begin, end;   /* channels */
	const float *ahead;  /* what the rows of outputs after these read first, or NULL */
	struct fm_span taps; /* rows of the kernel that lie inside: all of them where there are two rows of
	                        outputs */
	bool left, right;
	bool top, bottom; /* the same for rows, where outputs are pooled */
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

/* `floats` on. Compilers must not see it: they would work out all of a tile's addresses first, and spill. */
FM_INLINE const float *after(const float *at, size_t floats)
{
	at += floats;
	__asm__("" : "+r"(at));
	return at;
}

/* PIXELS outputs of `rows` rows, and where they begin. */
struct tile {
	float *out;
	const float *in, *residual, *ahead;
	bool left, right;
};

FM_INLINE void prefetch_3x3(const struct strip *s, const float *ahead, size_t rows, size_t stride)
{
	FM_UNROLL
	for (size_t y = 0; y < rows * stride; y++) {
		const float *at = ahead;

		FM_UNROLL
		for (size_t x = 0; x < PIXELS * stride; x++) {
			__builtin_prefetch(at, 0, 2);
			at = after(at, s->channels);
		}
		ahead = after(ahead, s->in_row);
	}
}

/* The largest of a pair of outputs in each of two rows, in the order of max_pool_f32. */
FM_INLINE void store_pooled(const struct strip *s, const struct fm_epilogue *epilogue, enum ending ending,
        float *out, const __m512 sum[ROWS][PIXELS], __m512 bias, __m512 slope)
{
	/* A rectifier does not care which comes first, and then has a quarter to do. */
	const enum ending own = ending == RECTIFIES ? PLAIN : ending;

	FM_UNROLL
	for (size_t p = 0; p < PIXELS; p += 2, out += s->channels) {
		__m512 most = finish(epilogue, own, sum[0][p], bias, slope, NULL, LANES);

		most = _mm512_max_ps(finish(epilogue, own, sum[0][p + 1], bias, slope, NULL, LANES), most);
		most = _mm512_max_ps(finish(epilogue, own, sum[1][p], bias, slope, NULL, LANES), most);
		most = _mm512_max_ps(finish(epilogue, own, sum[1][p + 1], bias, slope, NULL, LANES), most);
		if (ending == RECTIFIES)
			most = _mm512_max_ps(most, _mm512_setzero_ps());
		_mm512_storeu_ps(out, most);
	}
}

/*
 * The input goes by row-major, so every sum takes its taps row-major; where all rows are inside, the first
 * product is the sum. In a tile at an edge, in place of a column or row that lies outside the next one is
 * read, and its products are made -0, which leaves every sum as it is.
 */
FM_INLINE void tile_3x3(const struct strip *s, const struct fm_epilogue *epilogue, enum ending ending,
        const struct tile *tile, bool edge, size_t rows, size_t stride, bool pooled, size_t lanes,
        const __m512 tap[9], __m512 bias, __m512 slope)
{
	const size_t columns = (PIXELS - 1) * stride + 3, lines = (rows - 1) * stride + 3;
	const __mmask16 first = tile->left ? 0 : 0xffff, last = tile->right ? 0 : 0xffff;
	const __mmask16 upper = s->top ? 0 : 0xffff, lower = s->bottom ? 0 : 0xffff;
	const size_t leave = tile->left ? 0 : s->channels, enter = tile->right ? 0 : s->channels;
	const size_t leave_row = s->top ? 0 : s->in_row, enter_row = s->bottom ? 0 : s->in_row;
	const __m512 nothing = _mm512_set1_ps(-0.0f);
	const float *line = tile->in;
	__m512 sum[ROWS][PIXELS];

	if (tile->ahead != NULL)
		prefetch_3x3(s, tile->ahead, rows, stride);
	FM_UNROLL
	for (size_t p = 0; p < PIXELS; p++)
		sum[0][p] = nothing;
	FM_UNROLL
	for (size_t y = 0; y < lines; y++) {
		const bool on_top = edge && pooled && y == 0, on_bottom = edge && pooled && y + 1 == lines;
		const __mmask16 inside = on_top ? upper : on_bottom ? lower : 0xffff;
		const float *at = line;

		if (rows == 1 && (y < s->taps.begin || y >= s->taps.end))
			continue;
		FM_UNROLL
		for (size_t x = 0; x < columns; x++) {
			const bool on_left = edge && x == 0, on_right = edge && x + 1 == columns;
			const __mmask16 mask = on_left ? first & inside : on_right ? last & inside : inside;
			const __m512 value = fm_load_avx512(at, lanes);

			FM_UNROLL
			for (size_t r = 0; r < rows; r++) {
				FM_UNROLL
				for (size_t p = 0; p < PIXELS; p++) {
					size_t ky = y - r * stride, kx = x - p * stride; /* wraps: no tap */
					__m512 product;

					if (ky >= 3 || kx >= 3)
						continue;
					const __m512 weight = tap[ky * 3 + kx];
					if (on_left || on_right || on_top || on_bottom)
						product = _mm512_mask_mul_ps(nothing, mask, value, weight);
					else
						product = _mm512_mul_ps(value, weight);
					sum[r][p] = rows == ROWS && ky + kx == 0
					                    ? product
					                    : _mm512_add_ps(sum[r][p], product);
				}
			}
			if (on_left)
				at = after(at, leave);
			else if (edge && x + 2 == columns)
				at = after(at, enter);
			else if (x + 1 < columns)
				at = after(at, s->channels);
		}
		if (on_top)
			line = after(line, leave_row);
		else if (edge && pooled && y + 2 == lines)
			line = after(line, enter_row);
		else
			line = after(line, s->in_row);
	}
	if (pooled) {
		store_pooled(s, epilogue, ending, tile->out, sum, bias, slope);
		return;
	}
	float *out = tile->out;
	FM_UNROLL
	for (size_t r = 0; r < rows; r++, out += s->out_row) {
		float *to = out;

		FM_UNROLL
		for (size_t p = 0; p < PIXELS; p++, to += s->channels) {
			const float *residual = tile->residual;
			if (residual != NULL)
				residual += r * s->residual_row + p * s->residual_stride;
			__m512 v = finish(epilogue, ending, sum[r][p], bias, slope, residual, lanes);
			__asm__("" : "+r"(to));
			fm_store_avx512(to, v, lanes);
		}
	}
}

/* Sixteen channels, or `lanes`, of a strip. */
FM_INLINE void channels_3x3(const struct strip *s, const struct fm_epilogue *epilogue, enum ending ending,
        size_t c, size_t rows, size_t stride, bool pooled, size_t lanes)
{
	const __m512 bias = fm_bias_avx512(epilogue, c, lanes), slope = fm_slope_avx512(epilogue, c, lanes);
	const float *weights = s->weights + c;
	const float *in = s->in + c, *residual = s->residual ? s->residual + c : NULL,
	            *ahead = s->ahead ? s->ahead + c : NULL;
	float *out = s->out + c;
	__m512 tap[9];

	FM_UNROLL
	for (size_t t = 0; t < 9; t++) {
		tap[t] = fm_load_avx512(weights, lanes);
		weights = after(weights, s->channels);
	}
	for (size_t x = 0;;) {
		const bool left = x == 0 && s->left, right = x + PIXELS == s->outputs && s->right;
		const struct tile tile = {out, in, residual, ahead, left, right};

		if (left || right || (pooled && (s->top || s->bottom)))
			tile_3x3(s, epilogue, ending, &tile, true, rows, stride, pooled, lanes, tap, bias,
			        slope);
		else
			tile_3x3(s, epilogue, ending, &tile, false, rows, stride, pooled, lanes, tap, bias,
			        slope);
		if (x + PIXELS == s->outputs)
			break;
		/* The last tile makes once more what it shares with the one before. */
		const size_t next = x + 2 * PIXELS <= s->outputs ? x + PIXELS : s->outputs - PIXELS;
		in += (next - x) * stride * s->channels;
		if (left)
			in -= s->channels;
		out += (pooled ? (next - x) / 2 : next - x) * s->channels;
		if (residual != NULL)
			residual += (next - x) * s->residual_stride;
		if (ahead != NULL)
			ahead += (next - x) * stride * s->channels;
		x = next;
	}
}

/* The strip and the epilogue are copies, so that a store to `out` cannot be thought to change them. */
FM_INLINE void strip_ending(const struct strip strip, const struct fm_epilogue epilogue, enum ending ending,
        size_t rows, size_t stride, bool pooled, size_t lanes)
{
	for (size_t c = strip.begin; c < strip.end; c += LANES)
		channels_3x3(&strip, &epilogue, ending, c, rows, stride, pooled, lanes);
}

FM_INLINE void strip_3x3(const struct strip *s, const struct fm_epilogue *epilogue, size_t rows,
        size_t stride, bool pooled, size_t lanes)
{
	switch (epilogue->activation) {
	case FM_ACT_NONE: strip_ending(*s, *epilogue, PLAIN, rows, stride, pooled, lanes); break;
	case FM_ACT_PRELU: strip_ending(*s, *epilogue, SLOPES, rows, stride, pooled, lanes); break;
	case FM_ACT_RELU: strip_ending(*s, *epilogue, RECTIFIES, rows, stride, pooled, lanes); break;
	case FM_ACT_CLIP: strip_ending(*s, *epilogue, CLIPS, rows, stride, pooled, lanes); break;
	}
}

typedef void strip_function(const struct strip *strip, const struct fm_epilogue *epilogue);

static void rows_stride1(const struct strip *s, const struct fm_epilogue *epilogue)
{
	strip_3x3(s, epilogue, ROWS, 1, false, LANES);
}

static void rows_stride2(const struct strip *s, const struct fm_epilogue *epilogue)
{
	strip_3x3(s, epilogue, ROWS, 2, false, LANES);
}

static void rows_pooled(const struct strip *s, const struct fm_epilogue *epilogue)
{
	strip_3x3(s, epilogue, ROWS, 1, true, LANES);
}

static void row_stride1(const struct strip *s, const struct fm_epilogue *epilogue)
{
	strip_3x3(s, epilogue, 1, 1, false, LANES);
}

static void row_stride2(const struct strip *s, const struct fm_epilogue *epilogue)
{
	strip_3x3(s, epilogue, 1, 2, false, LANES);
}

static void tail_stride1(const struct strip *s, const struct fm_epilogue *epilogue)
{
	strip_3x3(s, epilogue, 1, 1, false, s->end - s->begin);
}

static void tail_stride2(const struct strip *s, const struct fm_epilogue *epilogue)
{
	strip_3x3(s, epilogue, 1, 2, false, s->end - s->begin);
}

static void run_strip(strip_function *function, const struct work *work, size_t y, size_t rows,
        struct fm_span taps, struct fm_span inside, size_t begin, size_t end)
{
	const struct fm_dwconv_shape *s = work->shape;
	const struct fm_epilogue *epilogue = work->epilogue;
	size_t in_y = y * s->stride_h + taps.begin - s->pad_top;
	bool left = inside.begin * s->stride_w < s->pad_left;
	bool right = (inside.end - 1) * s->stride_w + 3 > s->in_w + s->pad_left;
	size_t in_x = left ? 0 : inside.begin * s->stride_w - s->pad_left;
	size_t pixel = y * s->out_w + inside.begin;
	struct strip strip = {
	        .out = work->out + pixel * s->channels,
	        .in = work->in + (in_y * s->in_w + in_x) * s->channels,
	        .weights = work->weights,
	        .outputs = inside.end - inside.begin,
	        .channels = s->channels,
	        .in_row = s->in_w * s->channels,
	        .out_row = s->out_w * s->channels,
	        .residual_stride = epilogue->residual_stride,
	        .residual_row = s->out_w * epilogue->residual_stride,
	        .begin = begin,
	        .end = end,
	        .taps = taps,
	        .left = left,
	        .right = right,
	};

	if (epilogue->residual != NULL)
		strip.residual = epilogue->residual + pixel * epilogue->residual_stride;
	const size_t next = (y + rows - 1) * s->stride_h + 3 - s->pad_top;
	if (fm_dwconv_far(s) && rows == ROWS && next + rows * s->stride_h <= s->in_h)
		strip.ahead = work->in + (next * s->in_w + in_x) * s->channels;
	function(&strip, epilogue);
}

/* The columns `inside` of one row of outputs, or of ROWS of them all of whose rows of taps lie inside. */
static void inside_3x3(
        const struct work *work, size_t y, size_t rows, struct fm_span taps, struct fm_span inside)
{
	const struct fm_dwconv_shape *s = work->shape;
	bool twice = s->stride_w == 2;
	strip_function *full =
	        rows == ROWS ? (twice ? rows_stride2 : rows_stride1) : (twice ? row_stride2 : row_stride1);
	strip_function *tail = twice ? tail_stride2 : tail_stride1;
	const size_t whole = s->channels / LANES * LANES;

	if (whole)
		run_strip(full, work, y, rows, taps, inside, 0, whole);
	for (size_t r = 0; whole < s->channels && r < rows; r++)
		run_strip(tail, work, y + r, 1, taps, inside, whole, s->channels);
}

/* The outputs of a row that strips take: those inside, and those that lack one outermost column. */
static struct fm_span strip_columns(const struct fm_dwconv_shape *s, const struct fm_epilogue *epilogue)
{
	struct fm_span span = fm_span_interior(s->out_w, s->in_w, 3, s->stride_w, 1, s->pad_left);

	if (span.begin == span.end)
		return span;
	if (span.begin > 0 && (span.begin - 1) * s->stride_w + 1 == s->pad_left)
		span.begin--;
	if (span.end < s->out_w && span.end * s->stride_w + 2 == s->in_w + s->pad_left)
		span.end++;
	if (span.end - span.begin < PIXELS)
		span.end = span.begin;
	else if (epilogue->residual != NULL) /* which may be the output: nothing is made twice */
		span.end -= (span.end - span.begin) % PIXELS;
	return span;
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
		columns = strip_columns(s, epilogue);
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

bool fm_dwconv_pool_f32_avx512vnni(float *out, const float *in, const float *weights,
        const struct fm_dwconv_shape *s, const struct fm_epilogue *epilogue)
{
	if (s->kernel_h != 3 || s->kernel_w != 3 || s->dilation_h != 1 || s->dilation_w != 1 ||
	        s->stride_h != 1 || s->stride_w != 1 || s->channels % LANES || s->out_h % 2 || s->out_w % 2 ||
	        epilogue->residual != NULL)
		return false;
	/* All outputs must be those of tiles: at most one row or column of taps is missing at an edge. */
	const struct fm_span columns = strip_columns(s, epilogue);
	if (columns.begin != 0 || columns.end != s->out_w || s->pad_top > 1 || s->in_h < 2 ||
	        s->out_h + 1 > s->in_h + s->pad_top)
		return false;
	const bool left = s->pad_left > 0;
	struct strip strip = {
	        .weights = weights,
	        .outputs = s->out_w,
	        .channels = s->channels,
	        .in_row = s->in_w * s->channels,
	        .end = s->channels,
	        .taps = {0, 3},
	        .left = left,
	        .right = s->out_w + 2 > s->in_w + s->pad_left,
	};
	for (size_t y = 0; y < s->out_h; y += ROWS) {
		const size_t next = y + ROWS + 2 - s->pad_top;

		strip.out = out + y / 2 * (s->out_w / 2) * s->channels;
		strip.top = y < s->pad_top;
		strip.bottom = y + ROWS + 2 > s->in_h + s->pad_top;
		strip.in = in + (strip.top ? 0 : y - s->pad_top) * strip.in_row;
		strip.ahead = fm_dwconv_far(s) && next + ROWS <= s->in_h ? in + next * strip.in_row : NULL;
		rows_pooled(&strip, epilogue);
	}
	return true;
}
