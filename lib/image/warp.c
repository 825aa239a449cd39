#include "lib/image/warp.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "lib/base/banned.h"

enum { WEIGHT_BITS = 11, WEIGHT_ONE = 1 << WEIGHT_BITS };

/*
 * In the plane the singular value decomposition of Umeyama's eq. 38 to 43 has a closed form: with both sets
 * centred, a and b are the parts of sum(conj(from) * to) / sum(|from|^2), points read as complex numbers.
 */
enum fm_status fm_similarity_fit(const float (*from)[2], const float (*to)[2], size_t count,
        struct fm_similarity *ret_transform, struct fm_error *err)
{
	double from_x = 0, from_y = 0, to_x = 0, to_y = 0;

	for (size_t i = 0; i < count; i++) {
		from_x += from[i][0];
		from_y += from[i][1];
		to_x += to[i][0];
		to_y += to[i][1];
	}
	double n = count ? (double)count : 1;
	from_x /= n, from_y /= n, to_x /= n, to_y /= n;

	double dot = 0, cross = 0, spread = 0, to_spread = 0;
	for (size_t i = 0; i < count; i++) {
		double fx = from[i][0] - from_x, fy = from[i][1] - from_y;
		double tx = to[i][0] - to_x, ty = to[i][1] - to_y;
		dot += fx * tx + fy * ty;
		cross += fx * ty - fy * tx;
		spread += fx * fx + fy * fy;
		to_spread += tx * tx + ty * ty;
	}
	/* Relative to where the points stand, as sums of floats carry that much noise; NaN fails as well. */
	double noise = 1e-12 * (1 + n * (from_x * from_x + from_y * from_y));
	double to_noise = 1e-12 * (1 + n * (to_x * to_x + to_y * to_y));
	if (!(spread > noise) || !(to_spread > to_noise) || !isfinite(spread) || !isfinite(to_spread))
		return fm_fail(err, FM_E_INVALID, "no similarity transform: the points coincide");
	double a = dot / spread, b = cross / spread;
	if (!(a * a + b * b > 1e-12))
		return fm_fail(err, FM_E_INVALID, "no similarity transform: the point sets are unrelated");

	*ret_transform = (struct fm_similarity){
	        .a = a,
	        .b = b,
	        .tx = to_x - (a * from_x - b * from_y),
	        .ty = to_y - (b * from_x + a * from_y),
	};
	return FM_OK;
}

struct fm_similarity fm_similarity_invert(const struct fm_similarity *transform)
{
	double square = transform->a * transform->a + transform->b * transform->b;
	double a = transform->a / square, b = -transform->b / square;

	return (struct fm_similarity){
	        .a = a,
	        .b = b,
	        .tx = -(a * transform->tx - b * transform->ty),
	        .ty = -(b * transform->tx + a * transform->ty),
	};
}

/* The pixel at (x, y), or black outside. */
static const uint8_t *pixel_or_black(const struct fm_image *image, int x, int y)
{
	static const uint8_t black[3];
	bool inside = x >= 0 && y >= 0 && x < image->width_px && y < image->height_px;

	return inside ? image->pixels + (size_t)y * image->stride_bytes + (size_t)x * 3 : black;
}

/* Bilinear at (x, y) in fixed point with WEIGHT_BITS, offset by one pixel so that both are not negative. */
static void sample(const struct fm_image *image, int64_t fixed_x, int64_t fixed_y, uint8_t *ret_rgb)
{
	int x = (int)(fixed_x >> WEIGHT_BITS) - 1, y = (int)(fixed_y >> WEIGHT_BITS) - 1;
	uint32_t right = (uint32_t)fixed_x & (WEIGHT_ONE - 1), left = WEIGHT_ONE - right;
	uint32_t below = (uint32_t)fixed_y & (WEIGHT_ONE - 1), above = WEIGHT_ONE - below;
	const uint8_t *p00, *p01, *p10, *p11;

	if (x >= 0 && y >= 0 && x + 1 < image->width_px && y + 1 < image->height_px) {
		p00 = image->pixels + (size_t)y * image->stride_bytes + (size_t)x * 3;
		p01 = p00 + 3;
		p10 = p00 + image->stride_bytes;
		p11 = p10 + 3;
	} else {
		p00 = pixel_or_black(image, x, y);
		p01 = pixel_or_black(image, x + 1, y);
		p10 = pixel_or_black(image, x, y + 1);
		p11 = pixel_or_black(image, x + 1, y + 1);
	}
	for (int c = 0; c < 3; c++) {
		uint32_t sum =
		        above * (left * p00[c] + right * p01[c]) + below * (left * p10[c] + right * p11[c]);
		ret_rgb[c] = (uint8_t)((sum + (1u << (2 * WEIGHT_BITS - 1))) >> (2 * WEIGHT_BITS));
	}
}

void fm_image_warp(
        const struct fm_image *source, const struct fm_similarity *source_to_out, struct fm_image *out)
{
	struct fm_similarity back = fm_similarity_invert(source_to_out);

	for (int y = 0; y < out->height_px; y++) {
		uint8_t *to = out->pixels + (size_t)y * out->stride_bytes;
		for (int x = 0; x < out->width_px; x++, to += 3) {
			double source_x = back.a * x - back.b * y + back.tx;
			double source_y = back.b * x + back.a * y + back.ty;
			/* Written so that NaN is outside too. */
			if (source_x > -1 && source_y > -1 && source_x < source->width_px &&
			        source_y < source->height_px)
				sample(source, (int64_t)((source_x + 1) * WEIGHT_ONE + 0.5),
				        (int64_t)((source_y + 1) * WEIGHT_ONE + 0.5), to);
			else
				memset(to, 0, 3);
		}
	}
}
