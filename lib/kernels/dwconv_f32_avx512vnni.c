/*
 * Sixteen channels a vector. A 3x3 kernel without dilation takes four outputs of a row at once, so that each
 * input vector is loaded once for the up to three outputs that use it; all else, and the left and right
 * border, goes pixel by pixel over the taps that exist.
 */
#include "lib/kernels/dwconv.h"
#include "lib/kernels/epilogue_avx512.h"

#include "lib/base/banned.h"

#define LANES   16
#define PIXELS  4 /* outputs of a row at once */
#define COLUMNS ((PIXELS - 1) * 2 + 3)

struct work {
	const struct fm_dwconv_shape *shape;
	const struct fm_epilogue *epilogue;
	const float *in, *weights;
	float *out;
};

FM_INLINE void store(const struct work *work, size_t pixel, size_t c, __mmask16 mask, __m512 sum)
{
	const struct fm_epilogue *epilogue = work->epilogue;
	const float *residual = epilogue->residual;

	if (residual != NULL)
		residual += pixel * epilogue->residual_stride + c;
	sum = fm_finish_avx512(epilogue, sum, fm_bias_avx512(epilogue, c, mask),
	        fm_slope_avx512(epilogue, c, mask), residual, mask);
	_mm512_mask_storeu_ps(work->out + pixel * work->shape->channels + c, mask, sum);
}

/* `vectors` groups of channels from c on, of one output pixel. */
FM_INLINE void any_pixel(const struct work *work, size_t y, size_t x, struct fm_span rows,
        struct fm_span cols, size_t c, size_t vectors)
{
	const struct fm_dwconv_shape *s = work->shape;
	__mmask16 last = fm_mask_avx512(s->channels - c - (vectors - 1) * LANES);
	__m512 sum[PIXELS];

	FM_UNROLL
	for (size_t v = 0; v < vectors; v++)
		sum[v] = _mm512_set1_ps(-0.0f);
	for (size_t ky = rows.begin; ky < rows.end; ky++) {
		size_t in_y = y * s->stride_h + ky * s->dilation_h - s->pad_top;
		for (size_t kx = cols.begin; kx < cols.end; kx++) {
			size_t in_x = x * s->stride_w + kx * s->dilation_w - s->pad_left;
			const float *in = work->in + (in_y * s->in_w + in_x) * s->channels + c;
			const float *w = work->weights + (ky * s->kernel_w + kx) * s->channels + c;
			FM_UNROLL
			for (size_t v = 0; v < vectors; v++) {
				__mmask16 mask = v + 1 == vectors ? last : 0xffff;
				__m512 product = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, in + v * LANES),
				        _mm512_maskz_loadu_ps(mask, w + v * LANES));
				sum[v] = _mm512_add_ps(sum[v], product);
			}
		}
	}
	FM_UNROLL
	for (size_t v = 0; v < vectors; v++)
		store(work, y * s->out_w + x, c + v * LANES, v + 1 == vectors ? last : 0xffff, sum[v]);
}

static void any_pixels(const struct work *work, size_t y, struct fm_span rows, size_t x_begin, size_t x_end)
{
	const struct fm_dwconv_shape *s = work->shape;

	for (size_t x = x_begin; x < x_end; x++) {
		struct fm_span cols =
		        fm_span_taps(x, s->in_w, s->kernel_w, s->stride_w, s->dilation_w, s->pad_left);
		size_t c = 0;

		for (; c + PIXELS * LANES <= s->channels; c += PIXELS * LANES)
			any_pixel(work, y, x, rows, cols, c, PIXELS);
		for (; c < s->channels; c += LANES)
			any_pixel(work, y, x, rows, cols, c, 1);
	}
}

/* `pixels` outputs of a 3x3 kernel from x on, whose columns all lie inside. */
FM_INLINE void row3x3(
        const struct work *work, size_t y, struct fm_span rows, size_t x, size_t pixels, size_t stride)
{
	const struct fm_dwconv_shape *s = work->shape;
	size_t channels = s->channels;
	const float *in =
	        work->in +
	        ((y * s->stride_h + rows.begin - s->pad_top) * s->in_w + x * stride - s->pad_left) * channels;
	const float *weights = work->weights + rows.begin * 3 * channels;

	for (size_t c = 0; c < channels; c += LANES) {
		__mmask16 mask = fm_mask_avx512(channels - c);
		const float *from = in + c, *w = weights + c;
		__m512 sum[PIXELS];

		FM_UNROLL
		for (size_t p = 0; p < pixels; p++)
			sum[p] = _mm512_set1_ps(-0.0f);
		for (size_t ky = rows.begin; ky < rows.end; ky++) {
			__m512 tap[3];

			FM_UNROLL
			for (size_t kx = 0; kx < 3; kx++)
				tap[kx] = _mm512_maskz_loadu_ps(mask, w + kx * channels);
			FM_UNROLL
			for (size_t col = 0; col < (pixels - 1) * stride + 3; col++) {
				__m512 value = _mm512_maskz_loadu_ps(mask, from + col * channels);
				FM_UNROLL
				for (size_t p = 0; p < pixels; p++) {
					if (col >= p * stride && col < p * stride + 3)
						sum[p] = _mm512_add_ps(
						        sum[p], _mm512_mul_ps(value, tap[col - p * stride]));
				}
			}
			from += s->in_w * channels;
			w += 3 * channels;
		}
		FM_UNROLL
		for (size_t p = 0; p < pixels; p++)
			store(work, y * s->out_w + x + p, c, mask, sum[p]);
	}
}

FM_INLINE void rows3x3(
        const struct work *work, size_t y, struct fm_span rows, struct fm_span inside, size_t stride)
{
	size_t x = inside.begin;

	for (; x + PIXELS <= inside.end; x += PIXELS)
		row3x3(work, y, rows, x, PIXELS, stride);
	for (; x < inside.end; x++)
		row3x3(work, y, rows, x, 1, stride);
}

void fm_dwconv_f32_avx512vnni(float *out, const float *in, const float *weights,
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
		if (s->stride_w == 1)
			rows3x3(&work, y, rows, inside, 1);
		else
			rows3x3(&work, y, rows, inside, 2);
		any_pixels(&work, y, rows, inside.end, s->out_w);
	}
}
