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

FM_INLINE void fm_max_pool(float *out, const float *in, const struct fm_dwconv_shape *s)
{
	const size_t channels = s->channels, in_row = s->in_w * channels;

	for (size_t y = 0; y < s->out_h; y++) {
		const struct fm_span rows = fm_span_taps(y, s->in_h, s->kernel_h, s->stride_h, 1, s->pad_top);
		const float *line = in + (y * s->stride_h + rows.begin - s->pad_top) * in_row;

		for (size_t x = 0; x < s->out_w; x++, out += channels) {
			const struct fm_span cols =
			        fm_span_taps(x, s->in_w, s->kernel_w, s->stride_w, 1, s->pad_left);
			const float *from = line + (x * s->stride_w + cols.begin - s->pad_left) * channels;
			const size_t h = rows.end - rows.begin, w = cols.end - cols.begin;

			/* Nearly all windows there are; constants leave no loop. */
			if (h == 2 && w == 2)
				fm_max_window(out, from, 2, 2, in_row, channels);
			else
				fm_max_window(out, from, h, w, in_row, channels);
		}
	}
}

void fm_max_pool_f32_scalar(float *out, const float *in, const struct fm_dwconv_shape *shape);
void fm_max_pool_f32_avx2(float *out, const float *in, const struct fm_dwconv_shape *shape);
void fm_max_pool_f32_avx512vnni(float *out, const float *in, const struct fm_dwconv_shape *shape);

#endif
