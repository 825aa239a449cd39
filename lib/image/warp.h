/* Geometry: resizing and similarity transforms. Bilinear where not said otherwise. Threads: pure. */
#ifndef FM_IMAGE_WARP_H
#define FM_IMAGE_WARP_H

#include "lib/image/image.h"

#include <stddef.h>

/* [x'; y'] = [a -b tx; b a ty] * [x; y; 1]: rotation, uniform scale, translation. */
struct fm_similarity {
	double a, b, tx, ty;
};

/*
 * Least-squares similarity that carries `from` to `to` (Umeyama 1991, "Least-squares estimation of
 * transformation parameters between two point patterns", without reflection). FM_E_INVALID when the points
 * coincide.
 */
enum fm_status fm_similarity_fit(const float (*from)[2], const float (*to)[2], size_t count,
        struct fm_similarity *ret_transform, struct fm_error *err);
struct fm_similarity fm_similarity_invert(const struct fm_similarity *transform);

/*
 * Fills `out` (its size set by the caller through fm_image_create) with source pixels: out(x, y) samples the
 * source at inverse(x, y), where source_to_out maps source pixel centres to output pixel centres at integer
 * coordinates. Outside the source is black. Where the transform shrinks by more than 2 the source is
 * box-averaged first by the caller (decode at a smaller scale, or fm_image_shrink).
 */
void fm_image_warp(
        const struct fm_image *source, const struct fm_similarity *source_to_out, struct fm_image *out);

/*
 * Box average by an integer factor from 1 to 256; sides rounded up, the last boxes average what is there.
 * Errors: FM_E_INVALID (factor), FM_E_NOMEM.
 */
enum fm_status fm_image_shrink(
        const struct fm_image *source, int factor, struct fm_image *ret_image, struct fm_error *err);

/*
 * Resizes the rectangle (x, y, width, height; may leave the source, outside is `border` gray) to `out`'s size
 * with area average when shrinking and bilinear when growing, each axis by itself. x and y are pixel edges:
 * the source covers 0 to its width. Sides > 0.
 */
void fm_image_resize_rect(const struct fm_image *source, double x_px, double y_px, double width_px,
        double height_px, uint8_t border, struct fm_image *out);

#endif
