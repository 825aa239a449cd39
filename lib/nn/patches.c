#include "lib/nn/patches.h"

#include <string.h>

#include "lib/base/banned.h"

/*
 * The patch of one output pixel, `channels` of the input from `in` on. Taps outside the image are zero.
 */
static void gather_patch(
        float *to, const float *in, const struct fm_conv_shape *s, size_t channels, size_t y, size_t x)
{
	const ptrdiff_t top = (ptrdiff_t)(y * s->stride[0]) - (ptrdiff_t)s->pad[0];
	const ptrdiff_t left = (ptrdiff_t)(x * s->stride[1]) - (ptrdiff_t)s->pad[1];
	const ptrdiff_t right = left + (ptrdiff_t)((s->kernel[1] - 1) * s->dilation[1]);
	const bool row_whole =
	        left >= 0 && right < (ptrdiff_t)s->in_w && s->dilation[1] == 1 && s->groups == 1;

	for (size_t ky = 0; ky < s->kernel[0]; ky++) {
		const ptrdiff_t iy = top + (ptrdiff_t)(ky * s->dilation[0]);

		if (iy < 0 || iy >= (ptrdiff_t)s->in_h) {
			memset(to, 0, s->kernel[1] * channels * sizeof(*to));
			to += s->kernel[1] * channels;
			continue;
		}
		const float *row = in + (size_t)iy * s->in_w * s->in_channels;
		if (row_whole) {
			memcpy(to, row + (size_t)left * channels, s->kernel[1] * channels * sizeof(*to));
			to += s->kernel[1] * channels;
			continue;
		}
		for (size_t kx = 0; kx < s->kernel[1]; kx++, to += channels) {
			const ptrdiff_t ix = left + (ptrdiff_t)(kx * s->dilation[1]);

			if (ix < 0 || ix >= (ptrdiff_t)s->in_w)
				memset(to, 0, channels * sizeof(*to));
			else
				memcpy(to, row + (size_t)ix * s->in_channels, channels * sizeof(*to));
		}
	}
}

/* One kernel row of one patch, tap by tap. row is NULL above and below the image. */
static void planar_taps(float *to, const float *row, const struct fm_conv_shape *s, size_t x)
{
	for (size_t kx = 0; kx < s->kernel[1]; kx++) {
		const ptrdiff_t ix =
		        (ptrdiff_t)(x * s->stride[1] + kx * s->dilation[1]) - (ptrdiff_t)s->pad[1];

		to[kx] = row && ix >= 0 && ix < (ptrdiff_t)s->in_w ? row[ix] : 0.0f;
	}
}

/*
 * The patches of `count` pixels of one output row, from a row-major image: [channels][kernel]. Kernel rows
 * are the outer loop, so that the inner one, over pixels, has nothing to decide.
 */
static void gather_planar(
        float *to, const float *in, const struct fm_conv_shape *s, size_t k, size_t y, size_t x, size_t count)
{
	const size_t reach = (s->kernel[1] - 1) * s->dilation[1], end = s->in_w + s->pad[1];
	/* Pixels from `first` to `last` have all their taps inside. */
	size_t first = (s->pad[1] + s->stride[1] - 1) / s->stride[1];
	size_t last = end > reach ? (end - reach - 1) / s->stride[1] + 1 : 0;

	first = first > x ? first - x : 0;
	first = first < count ? first : count;
	last = last > x ? last - x : 0;
	last = last > count ? count : last < first ? first : last;
	/* Three taps are what networks have; a constant size is two moves, not a call. */
	const bool three = s->kernel[1] == 3 && s->dilation[1] == 1;

	for (size_t t = 0; t < s->in_channels * s->kernel[0]; t++, to += s->kernel[1]) {
		const ptrdiff_t iy = (ptrdiff_t)(y * s->stride[0] + t % s->kernel[0] * s->dilation[0]) -
		                     (ptrdiff_t)s->pad[0];
		const float *row = iy >= 0 && iy < (ptrdiff_t)s->in_h
		                           ? in + (t / s->kernel[0] * s->in_h + (size_t)iy) * s->in_w
		                           : NULL;
		const size_t from = three && row ? first : count, until = three && row ? last : count;

		for (size_t i = 0; i < from; i++)
			planar_taps(to + i * k, row, s, x + i);
		for (size_t i = from; i < until; i++)
			memcpy(to + i * k, row + (x + i) * s->stride[1] - s->pad[1], 3 * sizeof(*to));
		for (size_t i = until; i < count; i++)
			planar_taps(to + i * k, row, s, x + i);
	}
}

void fm_patches_gather(float *ret_patches, const float *in, const struct fm_conv_shape *s, bool planar,
        size_t pixel, size_t count)
{
	const size_t channels = s->in_channels / s->groups, k = s->kernel[0] * s->kernel[1] * channels;

	while (count) {
		const size_t y = pixel / s->out_w, x = pixel % s->out_w;
		const size_t run = s->out_w - x < count ? s->out_w - x : count;

		if (planar)
			gather_planar(ret_patches, in, s, k, y, x, run);
		else
			for (size_t i = 0; i < run; i++)
				gather_patch(ret_patches + i * k, in, s, channels, y, x + i);
		ret_patches += run * k;
		pixel += run;
		count -= run;
	}
}
