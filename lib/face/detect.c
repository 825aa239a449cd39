#include "lib/face/detect.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/face/input.h"
#include "lib/face/levels.h"
#include "lib/image/warp.h"
#include "lib/nn/session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

/* Share of the smaller box that may lie in another face's box. */
#define INSIDE_MAX 0.75F
/* What the network is shown beyond the image: its zero, which loses fewer faces than black. */
#define OUTSIDE_GRAY 127
/* A face that scores at least this needs no second look. */
#define SURE_SCORE 0.995F
/* What the network says of a box in a second look is the best score among boxes that share this much
 * (intersection over union) with it. */
#define SAME_IOU 0.4F

/* Second looks: how high the box is shown. Mirrored or not, small and large: a face bears it, most else not.
 */
static const struct look {
	double height_px;
	bool mirrored;
} looks[] = {{48, false}, {80, true}};
#define LOOK_COUNT (sizeof(looks) / sizeof(looks[0]))

struct fm_detector {
	const struct fm_model *model;
	struct fm_session *session;
	size_t anchors;
	struct fm_image tile;
	float *input;
	float *scores, *boxes; /* [anchors][2], [anchors][4] */
	float *outputs[8];     /* in the network's order; NULL for those not used */
	struct fm_detection *found;
	size_t found_count, found_capacity;
};

/* ---- non-maximum suppression ---- */

static int by_falling_score(const void *a, const void *b)
{
	const struct fm_detection *left = a, *right = b;

	if (left->score != right->score)
		return left->score < right->score ? 1 : -1;
	/* a total order, so that the result does not depend on qsort */
	if (left->box.y_px != right->box.y_px)
		return left->box.y_px < right->box.y_px ? -1 : 1;
	if (left->box.x_px != right->box.x_px)
		return left->box.x_px < right->box.x_px ? -1 : 1;
	return 0;
}

static bool same_face(const struct fm_box *a, const struct fm_box *b, float iou_max)
{
	float shared = fm_box_overlap(a, b), area_a = fm_box_area(a), area_b = fm_box_area(b);

	return shared > iou_max * (area_a + area_b - shared) ||
	       shared > INSIDE_MAX * (area_a < area_b ? area_a : area_b);
}

size_t fm_detect_suppress(struct fm_detection *detections, size_t count, float iou_max)
{
	size_t kept = 0;

	if (count == 0)
		return 0; /* detections may be NULL then */
	qsort(detections, count, sizeof(*detections), by_falling_score);
	for (size_t i = 0; i < count; i++) {
		bool is_new = true;
		for (size_t k = 0; k < kept && is_new; k++)
			is_new = !same_face(&detections[i].box, &detections[k].box, iou_max);
		if (is_new)
			detections[kept++] = detections[i];
	}
	return kept;
}

/* ---- the detector ---- */

void fm_detect_free(struct fm_detector *detector)
{
	if (!detector)
		return;
	fm_session_free(detector->session);
	fm_image_done(&detector->tile);
	free(detector->input);
	free(detector->scores);
	free(detector->boxes);
	free(detector->found);
	free(detector);
}
FM_DEFINE_CLEANUP(struct fm_detector *, fm_detect_free);

enum fm_status fm_detect_create(
        const struct fm_model *model, struct fm_detector **ret_detector, struct fm_error *err)
{
	fm_cleanup(fm_detect_freep) struct fm_detector *detector = fm_calloc(1, sizeof(*detector));
	size_t outputs = fm_net_output_count(model->net);

	if (!detector)
		return fm_fail(err, FM_E_NOMEM, "no memory for a detector");
	if (outputs > sizeof(detector->outputs) / sizeof(detector->outputs[0]))
		return fm_fail(err, FM_E_UNSUPPORTED, "%s: %zu outputs", model->file, outputs);
	detector->model = model;
	detector->input = fm_aligned_alloc(fm_net_input(model->net, 0)->elements * sizeof(float));
	for (size_t i = 0; i < outputs; i++) {
		const struct fm_tensor_info *output = fm_net_output(model->net, i);
		float **to = strcmp(output->name, "scores") == 0  ? &detector->scores
		             : strcmp(output->name, "boxes") == 0 ? &detector->boxes
		                                                  : NULL;
		if (!to)
			continue;
		*to = fm_aligned_alloc(output->elements * sizeof(float));
		detector->outputs[i] = *to;
		detector->anchors = output->dims[1];
	}
	if (!detector->input || !detector->scores || !detector->boxes)
		return fm_fail(err, FM_E_NOMEM, "no memory for a detector");
	enum fm_status status = fm_image_create(model->width_px, model->height_px, &detector->tile, err);
	if (status == FM_OK)
		status = fm_session_create(model->net, &detector->session, err);
	if (status != FM_OK)
		return status;
	*ret_detector = fm_steal(detector);
	return FM_OK;
}

static enum fm_status reserve(struct fm_detector *detector, size_t more, struct fm_error *err)
{
	size_t wanted = detector->found_count + more;

	if (wanted <= detector->found_capacity)
		return FM_OK;
	struct fm_detection *grown = realloc(detector->found, 2 * wanted * sizeof(*grown));
	if (!grown)
		return fm_fail(err, FM_E_NOMEM, "no memory for detections");
	detector->found = grown;
	detector->found_capacity = 2 * wanted;
	return FM_OK;
}

/* Does an edge of the tile with more image behind it cut the box (0..1 of the tile)? */
static bool is_cut(const struct fm_detector *detector, const struct fm_level *level, int column, int row,
        const float *box)
{
	float near_x = (float)(FM_LEVEL_CUT_PX / detector->model->width_px);
	float near_y = (float)(FM_LEVEL_CUT_PX / detector->model->height_px);

	return (column > 0 && box[0] < near_x) || (column < level->columns - 1 && box[2] > 1 - near_x) ||
	       (row > 0 && box[1] < near_y) || (row < level->rows - 1 && box[3] > 1 - near_y);
}

static void mirror(struct fm_image *image)
{
	for (int y = 0; y < image->height_px; y++) {
		uint8_t *left = image->pixels + (size_t)y * image->stride_bytes;
		uint8_t *right = left + (size_t)(image->width_px - 1) * 3;
		for (; left < right; left += 3, right -= 3) {
			for (int c = 0; c < 3; c++) {
				uint8_t held = left[c];
				left[c] = right[c];
				right[c] = held;
			}
		}
	}
}

/* Shows the network that rectangle of the image; the answer is in scores and boxes. */
static void show(struct fm_detector *detector, const struct fm_image *image, double x_px, double y_px,
        double scale, bool mirrored)
{
	const struct fm_model *model = detector->model;

	fm_image_resize_rect(image, x_px, y_px, model->width_px / scale, model->height_px / scale,
	        OUTSIDE_GRAY, &detector->tile);
	if (mirrored)
		mirror(&detector->tile);
	fm_input_fill(model, &detector->tile, detector->input);
	fm_session_run(detector->session, (const float *const[]){detector->input}, detector->outputs);
}

static enum fm_status run_tile(struct fm_detector *detector, const struct fm_image *image,
        const struct fm_level *level, int column, int row, struct fm_error *err)
{
	const struct fm_model *model = detector->model;
	double x_px = level->left_px + column * level->step_x_px;
	double y_px = level->top_px + row * level->step_y_px;
	double width_px = model->width_px / level->scale, height_px = model->height_px / level->scale;
	enum fm_status status = reserve(detector, detector->anchors, err);

	if (status != FM_OK)
		return status;
	show(detector, image, x_px, y_px, level->scale, false);
	struct fm_detection *first = detector->found + detector->found_count;
	size_t count = 0;
	for (size_t i = 0; i < detector->anchors; i++) {
		const float *box = detector->boxes + 4 * i;
		float score = detector->scores[2 * i + 1];
		/* the comparisons also refuse NaN */
		if (!(score > model->score_min) || !(box[2] > box[0]) || !(box[3] > box[1]) ||
		        is_cut(detector, level, column, row, box))
			continue;
		first[count++] =
		        (struct fm_detection){.box = {.x_px = (float)(x_px + box[0] * width_px),
		                                      .y_px = (float)(y_px + box[1] * height_px),
		                                      .width_px = (float)((box[2] - box[0]) * width_px),
		                                      .height_px = (float)((box[3] - box[1]) * height_px)},
		                .score = score};
	}
	detector->found_count += fm_detect_suppress(first, count, model->iou_max);
	return FM_OK;
}

/* The network's score for `box`, shown in the middle of its input. */
static float score_again(struct fm_detector *detector, const struct fm_image *image, const struct fm_box *box,
        const struct look *look)
{
	const struct fm_model *model = detector->model;
	double scale = look->height_px / box->height_px;
	float width = (float)(box->width_px * scale / model->width_px);
	float height = (float)(look->height_px / model->height_px);
	struct fm_box shown = {0.5F - width / 2, 0.5F - height / 2, width, height};
	float best = 0;

	show(detector, image, box->x_px + box->width_px / 2 - model->width_px / scale / 2,
	        box->y_px + box->height_px / 2 - model->height_px / scale / 2, scale, look->mirrored);
	for (size_t i = 0; i < detector->anchors; i++) {
		const float *corners = detector->boxes + 4 * i;
		float score = detector->scores[2 * i + 1];
		struct fm_box seen = {
		        corners[0], corners[1], corners[2] - corners[0], corners[3] - corners[1]};
		float shared = fm_box_overlap(&shown, &seen);
		if (score > best && shared > SAME_IOU * (fm_box_area(&shown) + fm_box_area(&seen) - shared))
			best = score;
	}
	return best;
}

/*
 * Merges what was found and looks again at what is not sure; the score becomes the mean over all looks.
 * Returns the number of detections kept.
 */
static size_t settle(struct fm_detector *detector, const struct fm_image *image)
{
	size_t count = fm_detect_suppress(detector->found, detector->found_count, detector->model->iou_max);
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct fm_detection detection = detector->found[i];
		if (detection.score < SURE_SCORE) {
			for (size_t k = 0; k < LOOK_COUNT; k++)
				detection.score += score_again(detector, image, &detection.box, &looks[k]);
			detection.score /= 1 + LOOK_COUNT;
			if (detection.score < detector->model->confirmed_min)
				continue;
		}
		detector->found[kept++] = detection;
	}
	qsort(detector->found, kept, sizeof(*detector->found), by_falling_score);
	return kept;
}

enum fm_status fm_detect_run(struct fm_detector *detector, const struct fm_image *image, double min_face_px,
        const struct fm_detection **ret_detections, size_t *ret_count, struct fm_error *err)
{
	struct fm_level levels[FM_LEVELS_MAX];
	int count = fm_levels_plan(detector->model, image->width_px, image->height_px, min_face_px, levels);

	detector->found_count = 0;
	for (int i = 0; i < count; i++) {
		for (int tile = 0; tile < levels[i].columns * levels[i].rows; tile++) {
			enum fm_status status = run_tile(detector, image, &levels[i],
			        tile % levels[i].columns, tile / levels[i].columns, err);
			if (status != FM_OK)
				return status;
		}
	}
	*ret_count = settle(detector, image);
	if (*ret_count == 0) {
		/* a face so near that it leaves the frame may take more border to be seen */
		struct fm_level wide =
		        fm_levels_wide_border(detector->model, image->width_px, image->height_px);
		detector->found_count = 0;
		enum fm_status status = run_tile(detector, image, &wide, 0, 0, err);
		if (status != FM_OK)
			return status;
		*ret_count = settle(detector, image);
	}
	*ret_detections = detector->found;
	return FM_OK;
}
