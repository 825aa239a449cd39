#include "lib/face/align.h"

#include "lib/base/cleanup.h"

#include <math.h>

#include "lib/base/banned.h"

/* The convention of ArcFace (InsightFace's five points for 112 x 112). */
static const float template_112[FM_POINTS][2] = {
        {38.2946F, 51.6963F},
        {73.5318F, 51.5014F},
        {56.0252F, 71.7366F},
        {41.5493F, 92.3655F},
        {70.7299F, 92.2041F},
};

enum fm_status fm_align_fit(const float points[FM_POINTS][2], int side_px,
        struct fm_similarity *ret_transform, struct fm_error *err)
{
	float to[FM_POINTS][2];

	for (int i = 0; i < FM_POINTS; i++) {
		for (int c = 0; c < 2; c++)
			to[i][c] = template_112[i][c] * (float)side_px / 112.0F;
	}
	return fm_similarity_fit(points, to, FM_POINTS, ret_transform, err);
}

/* The rows and columns of the source that `out` may show, as a view that owns nothing. */
static struct fm_image visible_part(const struct fm_image *source, const struct fm_similarity *out_to_source,
        const struct fm_image *out, int margin_px, int *ret_x_px, int *ret_y_px)
{
	double left = INFINITY, top = INFINITY, right = -INFINITY, bottom = -INFINITY;
	struct fm_image part = {0};

	for (int corner = 0; corner < 4; corner++) {
		double u = corner & 1 ? out->width_px : -1, v = corner & 2 ? out->height_px : -1;
		double x = out_to_source->a * u - out_to_source->b * v + out_to_source->tx;
		double y = out_to_source->b * u + out_to_source->a * v + out_to_source->ty;
		left = fmin(left, x);
		right = fmax(right, x);
		top = fmin(top, y);
		bottom = fmax(bottom, y);
	}
	left = fmax(0, floor(left) - margin_px);
	top = fmax(0, floor(top) - margin_px);
	right = fmin(source->width_px, ceil(right) + 1 + margin_px);
	bottom = fmin(source->height_px, ceil(bottom) + 1 + margin_px);
	if (!(right > left) || !(bottom > top))
		return part;
	*ret_x_px = (int)left;
	*ret_y_px = (int)top;
	part.stride_bytes = source->stride_bytes;
	part.width_px = (int)(right - left);
	part.height_px = (int)(bottom - top);
	part.pixels = source->pixels + (size_t)*ret_y_px * source->stride_bytes + (size_t)*ret_x_px * 3;
	return part;
}

enum fm_status fm_align_sample(const struct fm_image *source, const struct fm_similarity *source_to_out,
        struct fm_image *out, struct fm_error *err)
{
	double shrinks = 1 / sqrt(source_to_out->a * source_to_out->a + source_to_out->b * source_to_out->b);
	fm_cleanup(fm_image_done) struct fm_image smaller = {0};
	int x_px, y_px, factor = shrinks < 2 ? 1 : (int)fmin(shrinks, 128);

	if (factor == 1) {
		fm_image_warp(source, source_to_out, out);
		return FM_OK;
	}
	struct fm_similarity back = fm_similarity_invert(source_to_out), there = *source_to_out;
	struct fm_image part = visible_part(source, &back, out, factor, &x_px, &y_px);
	if (!part.pixels) { /* all outside: black */
		fm_image_warp(source, source_to_out, out);
		return FM_OK;
	}
	enum fm_status status = fm_image_shrink(&part, factor, &smaller, err);
	if (status != FM_OK)
		return status;
	/* pixel i of the smaller one has its centre at x_px + factor * i + (factor - 1) / 2 of the source */
	double shift_x = x_px + (factor - 1) / 2.0, shift_y = y_px + (factor - 1) / 2.0;
	there.tx += there.a * shift_x - there.b * shift_y;
	there.ty += there.b * shift_x + there.a * shift_y;
	there.a *= factor;
	there.b *= factor;
	fm_image_warp(&smaller, &there, out);
	return FM_OK;
}
