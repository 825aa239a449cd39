/*
 * Faces in an image, by an UltraFace network (RFB-320) whose input is one fixed, small size.
 *
 * The image is shown to the network at several levels. The first holds the whole image with a border around
 * it, so that a face which fills or leaves the frame is seen small and whole. Where that level would show the
 * smallest wanted face too small to be found, finer levels follow, cut into overlapping tiles; a face that a
 * tile's edge cuts lies whole in the next tile or shows whole in a coarser level. The aspect ratio is kept
 * throughout. What several tiles and levels found is merged by non-maximum suppression.
 * Threads: a detector serves one thread at a time.
 */
#ifndef FM_FACE_DETECT_H
#define FM_FACE_DETECT_H

#include "lib/face/box.h"
#include "lib/face/model.h"
#include "lib/image/image.h"

#define FM_DETECT_LEVELS_MAX 16

/* One scale at which an image is shown. Tile (column, row) has its top left corner at
 * (left_px + column * step_x_px, top_px + row * step_y_px) of the image and is the network's size / scale. */
struct fm_detect_level {
	double scale; /* network pixels per image pixel */
	double left_px, top_px, step_x_px, step_y_px;
	int columns, rows;
};

/*
 * The levels that find faces of at least min_face_px (shorter side of the box) in an image of that size;
 * [0] is the one with the border. Returns their number.
 */
int fm_detect_plan(const struct fm_model *model, int width_px, int height_px, double min_face_px,
        struct fm_detect_level ret_levels[FM_DETECT_LEVELS_MAX]);

struct fm_detection {
	struct fm_box box; /* pixels of the image; may leave it */
	float score;
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

/*
 * All faces of at least about min_face_px, by falling score. The result is owned by the detector and is
 * valid until its next run. Errors: FM_E_NOMEM.
 */
enum fm_status fm_detect_run(struct fm_detector *detector, const struct fm_image *image, double min_face_px,
        const struct fm_detection **ret_detections, size_t *ret_count, struct fm_error *err);

#endif
