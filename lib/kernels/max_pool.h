/* MaxPool for the ISA that a file is compiled for; the contract is in kernels.h. Internal to lib/kernels. */
#ifndef FM_KERNELS_MAX_POOL_H
#define FM_KERNELS_MAX_POOL_H

#include "lib/kernels/dwconv.h"
#include "lib/kernels/vector.h"

/* The largest of each channel of rows x cols pixels; the first pixel is compared with itself. */
FM_INLINE void fm_max_window(
        float *out, const float *in, size_t rows, size_t cols, size_t in_row, size_t channels)
{
	size_t c = 0;

	for (; c + FM_VECTOR_LANES <= channels; c += FM_VECTOR_LANES) {
		fm_vector v = fm_vector_load(in + c);

		for (size_t y = 0; y < rows; y++)
			for (size_t x = 0; x < cols; x++)
				v = fm_vector_max(fm_vector_load(in + y * in_row + x * channels + c), v);
		fm_vector_store(out + c, v);
	}
	for (; c < channels; c++) {
		float v = in[c];

		for (size_t y = 0; y < rows; y++)
			for (size_t x = 0; x < cols; x++) {
				const float other = in[y * in_row + x * channels + c];

				v = other > v ? other : v;
			}
		out[c] = v;
	}
}

/* Whether windows are 2 x 2, side by side, all of them inside, and vectors divide a pixel. */
FM_INLINE bool fm_max_halves(const struct fm_dwconv_shape *s)
{
	return s->kernel_h == 2 && s->kernel_w == 2 && s->stride_h == 2 && s->stride_w == 2 &&
	       s->pad_top == 0 && s->pad_left == 0 && 2 * s->out_h <= s->in_h && 2 * s->out_w <= s->in_w &&
	       s->channels % FM_VECTOR_LANES == 0;
}

/* Nearly all windows there are: a row of them, without a loop or a border. */
FM_INLINE void fm_max_pool_halves(float *out, const float *in, size_t pixels, size_t in_row, size_t channels)
{
	for (size_t x = 0; x < pixels; x++, in += 2 * channels, out += channels)
		for (size_t c = 0; c < channels; c += FM_VECTOR_LANES) {
			const float *top = in + c, *bottom = top + in_row;
			fm_vector v = fm_vector_load(top);

			v = fm_vector_max(fm_vector_load(top + channels), v);
			v = fm_vector_max(fm_vector_load(bottom), v);
			v = fm_vector_max(fm_vector_load(bottom + channels), v);
			fm_vector_store(out + c, v);
		}
}

FM_INLINE void fm_max_pool(float *out, const float *in, const struct fm_dwconv_shape *s)
{
	const size_t channels = s->channels, in_row = s->in_w * channels;

	if (fm_max_halves(s)) {
		for (size_t y = 0; y < s->out_h; y++)
			fm_max_pool_halves(out + y * s->out_w * channels, in + 2 * y * in_row, s->out_w,
			        in_row, channels);
		return;
	}
	for (size_t y = 0; y < s->out_h; y++) {
		const struct fm_span rows = fm_span_taps(y, s->in_h, s->kernel_h, s->stride_h, 1, s->pad_top);
		const float *line = in + (y * s->stride_h + rows.begin - s->pad_top) * in_row;

		for (size_t x = 0; x < s->out_w; x++, out += channels) {
			const struct fm_span cols =
			        fm_span_taps(x, s->in_w, s->kernel_w, s->stride_w, 1, s->pad_left);
			const float *from = line + (x * s->stride_w + cols.begin - s->pad_left) * channels;

			fm_max_window(
			        out, from, rows.end - rows.begin, cols.end - cols.begin, in_row, channels);
		}
	}
}

void fm_max_pool_f32_scalar(float *out, const float *in, const struct fm_dwconv_shape *shape);
void fm_max_pool_f32_avx2(float *out, const float *in, const struct fm_dwconv_shape *shape);
void fm_max_pool_f32_avx512vnni(float *out, const float *in, const struct fm_dwconv_shape *shape);

#endif
