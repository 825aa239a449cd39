/*
 * Faces in an image, by a network of a family that decoder.h knows. The image is shown at several scales and
 * in tiles (levels.h); what they found is merged by non-maximum suppression. What the network is not sure of
 * it is shown twice more, at other sizes and once mirrored, and the mean of its scores decides: that refuses
 * most of what is no face, docs/MODELS.md. Threads: a detector serves one thread at a time.
 */
#ifndef FM_FACE_DETECT_H
#define FM_FACE_DETECT_H

#include "lib/face/align.h"
#include "lib/face/box.h"
#include "lib/face/model.h"
#include "lib/image/image.h"

struct fm_detection {
	struct fm_box box; /* pixels of the image; may leave it */
	float score;
	float points[FM_POINTS][2]; /* where the model's decoder has them; otherwise 0 */
};

/*
 * Greedy non-maximum suppression, in place: goes by falling score and drops what shares more than iou_max
 * (intersection over union) with a detection already kept, or lies mostly within one: no face stands inside
 * another. Returns the number kept, at the front, by falling score.
 */
size_t fm_detect_suppress(struct fm_detection *detections, size_t count, float iou_max);

struct fm_detector;

/* `model` must have role detection and outlive the detector. */
enum fm_status fm_detect_create(
        const struct fm_model *model, struct fm_detector **ret_detector, struct fm_error *err);
void fm_detect_free(struct fm_detector *detector);

/* Frees the scratch for wide inputs where no image has taken it since the last call. */
void fm_detect_tidy(struct fm_detector *detector);

/*
 * All faces of at least about min_face_px, by falling score. The result is owned by the detector and is
 * valid until its next run. Errors: FM_E_NOMEM.
 */
enum fm_status fm_detect_run(struct fm_detector *detector, const struct fm_image *image, double min_face_px,
        const struct fm_detection **ret_detections, size_t *ret_count, struct fm_error *err);

/*
 * For a model whose decoder has points: finds the points of a detection again, on the face turned upright and
 * shown at the size at which they are found best, docs/MODELS.md. Where it is not seen there they stay.
 * Points in pixels of the image, which may be a finer one than that of the detection. Errors: FM_E_NOMEM.
 */
enum fm_status fm_detect_refine(struct fm_detector *detector, const struct fm_image *image,
        float points[FM_POINTS][2], struct fm_error *err);

#endif
