/* How good a picture of a face is, measured on its aligned crop and its five points. Threads: pure. */
#ifndef FM_FACE_QUALITY_H
#define FM_FACE_QUALITY_H

#include "lib/face/align.h"
#include "lib/face/pipeline.h"

/*
 * Mean luma, 0..1, of the middle of the crop (the central square of 5/8 of its side, which is skin, eyes,
 * nose and mouth, and holds none of the black from outside the photo).
 */
float fm_quality_brightness(const struct fm_image *aligned);

/*
 * 0..1 over the same square: v / (v + 0.03), where v is the variance of the luma's second differences, across
 * or down, whichever is the smaller, over the variance of the luma. The share of fine detail in the direction
 * that has least of it: motion blurs one direction alone. Neither dark nor flat light counts as blur, and
 * what rounding to whole numbers adds does not count as detail.
 */
float fm_quality_sharpness(const struct fm_image *aligned);

/* How the line of the eyes leans: positive when the eye on the right of the image is the lower one. */
float fm_quality_roll_deg(const float points[FM_POINTS][2]);

/*
 * How far the face looks to a side, from where the nose tip stands between eyes and mouth: positive towards
 * the right of the image. An estimate, good to about 10 degrees up to 45; clamped to +-90.
 */
float fm_quality_yaw_deg(const float points[FM_POINTS][2]);

/* All of struct fm_quality, and in *ret_reasons (enum fm_reason) what the gates of `options` refuse. */
void fm_quality_measure(const struct fm_image *aligned, const struct fm_face *face, int photo_width_px,
        int photo_height_px, const struct fm_pipeline_options *options, struct fm_quality *ret_quality,
        uint32_t *ret_reasons);

#endif
