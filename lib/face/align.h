/* Faces to upright crops. Pixel centres lie at integer coordinates, here as in lib/image/warp.h. Threads:
 * pure. */
#ifndef FM_FACE_ALIGN_H
#define FM_FACE_ALIGN_H

#include "lib/image/warp.h"

#define FM_POINTS 5 /* left eye, right eye, nose tip, left and right mouth corner, as seen in the image */

/*
 * The transform that carries five points to the arcface112 template, scaled to a crop of side_px.
 * FM_E_INVALID when the points coincide.
 */
enum fm_status fm_align_fit(const float points[FM_POINTS][2], int side_px,
        struct fm_similarity *ret_transform, struct fm_error *err);

/*
 * Samples `source` into `out` (which has its size) through source_to_out without aliasing: where that
 * shrinks, the part of the source that shows is box-averaged first and what remains is bilinear.
 * Outside of the source is black. Errors: FM_E_NOMEM.
 */
enum fm_status fm_align_sample(const struct fm_image *source, const struct fm_similarity *source_to_out,
        struct fm_image *out, struct fm_error *err);

#endif
