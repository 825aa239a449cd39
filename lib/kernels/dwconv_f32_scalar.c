#include "lib/kernels/dwconv.h"
#include "lib/kernels/epilogue.h"

#include "lib/base/banned.h"

void fm_dwconv_f32_scalar(float *out, const float *in, const float *weights,
        const struct fm_dwconv_shape *shape, const struct fm_epilogue *epilogue)
{
	const struct fm_dwconv_shape *s = shape;

	for (size_t y = 0; y < s->out_h; y++) {
		struct fm_span rows =
		        fm_span_taps(y, s->in_h, s->kernel_h, s->stride_h, s->dilation_h, s->pad_top);
		for (size_t x = 0; x < s->out_w; x++) {
			struct fm_span cols = fm_span_taps(
			        x, s->in_w, s->kernel_w, s->stride_w, s->dilation_w, s->pad_left);
			size_t pixel = y * s->out_w + x;
			for (size_t c = 0; c < s->channels; c++) {
				float sum = -0.0f;
				for (size_t ky = rows.begin; ky < rows.end; ky++) {
					size_t in_y = y * s->stride_h + ky * s->dilation_h - s->pad_top;
					for (size_t kx = cols.begin; kx < cols.end; kx++) {
						size_t in_x =
						        x * s->stride_w + kx * s->dilation_w - s->pad_left;
						sum += in[(in_y * s->in_w + in_x) * s->channels + c] *
						       weights[(ky * s->kernel_w + kx) * s->channels + c];
					}
				}
				out[pixel * s->channels + c] = fm_epilogue_scalar(epilogue, sum, pixel, c);
			}
		}
	}
}
