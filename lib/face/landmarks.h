/*
 * Five points of a face, by a network of 68 points (iBUG order) on a square gray crop.
 * The network sees the face twice: first the square around the detector's box, then the square that the
 * first answer asks for, turned upright and centred anew; that makes up for boxes that are off and for faces
 * that lean, docs/MODELS.md. Threads: a landmarker serves one thread at a time.
 */
#ifndef FM_FACE_LANDMARKS_H
#define FM_FACE_LANDMARKS_H

#include "lib/face/align.h"
#include "lib/face/box.h"
#include "lib/face/model.h"

struct fm_landmarker;

/* `model` must have role landmarks and outlive the landmarker. */
enum fm_status fm_landmarks_create(
        const struct fm_model *model, struct fm_landmarker **ret_landmarker, struct fm_error *err);
void fm_landmarks_free(struct fm_landmarker *landmarker);

/*
 * Box and points in pixels of the image. *ret_unrest is how far the 68 points moved from the first look to
 * the second (root mean square, in heights of the box): about 0.01 on faces, more where there is none to
 * settle on. Errors: FM_E_NOMEM.
 */
enum fm_status fm_landmarks_run(struct fm_landmarker *landmarker, const struct fm_image *image,
        const struct fm_box *box, float ret_points[FM_POINTS][2], float *ret_unrest, struct fm_error *err);

#endif
