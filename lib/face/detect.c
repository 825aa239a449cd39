#include "lib/face/detect.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/face/input.h"
#include "lib/image/warp.h"
#include "lib/nn/session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

/* Measured on LFW faces shown at 10 to 48 px: all are found from 16 px (shorter side), docs/MODELS.md. */
#define FACE_MIN_PX 20.0
/* The first level shows the image at 1 / BORDER of the network's input. */
#define BORDER 1.5
/* A tiled level answers for faces up to this many times FACE_MIN_PX; the next coarser one for larger ones. */
#define LEVEL_RATIO 2.5
/* Longer side of a face's box to the shorter. */
#define FACE_ASPECT 1.4
/* A box that comes this near to an inner edge of a tile is cut by it. */
#define CUT_PX 3.0
/* Border around the image in tiled levels. */
#define MARGIN_PX 10.0
/* Share of the smaller box that may lie in another face's box. */
#define INSIDE_MAX 0.75F

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

/* ---- levels ---- */

/* Tiles of `tile_px` that cover `length_px` (both in network pixels) and share overlap_px or more. */
static int count_tiles(double length_px, double tile_px, double overlap_px)
{
	if (length_px <= tile_px)
		return 1;
	return (int)ceil((length_px - overlap_px) / (tile_px - overlap_px));
}

static void lay_tiles(int side_px, double tile_px, double overlap_px, double scale, double margin_px,
        int *ret_count, double *ret_first_px, double *ret_step_px)
{
	double length_px = side_px * scale + 2 * margin_px;
	int count = count_tiles(length_px, tile_px, overlap_px);

	*ret_count = count;
	*ret_step_px = count > 1 ? (length_px - tile_px) / (count - 1) / scale : 0;
	/* a single tile has the image in its middle */
	*ret_first_px = (count > 1 ? -margin_px : -(tile_px - side_px * scale) / 2) / scale;
}

static struct fm_detect_level plan_level(const struct fm_model *model, int width_px, int height_px,
        double scale, double overlap_px, double margin_px)
{
	struct fm_detect_level level = {.scale = scale};

	lay_tiles(width_px, model->width_px, overlap_px, scale, margin_px, &level.columns, &level.left_px,
	        &level.step_x_px);
	lay_tiles(height_px, model->height_px, overlap_px, scale, margin_px, &level.rows, &level.top_px,
	        &level.step_y_px);
	return level;
}

int fm_detect_plan(const struct fm_model *model, int width_px, int height_px, double min_face_px,
        struct fm_detect_level ret_levels[FM_DETECT_LEVELS_MAX])
{
	double whole = fmin((double)model->width_px / width_px, (double)model->height_px / height_px);
	double coarsest = whole / BORDER, scale = FACE_MIN_PX / min_face_px;
	int count = 0;

	ret_levels[count++] = plan_level(model, width_px, height_px, coarsest, 0, 0);
	while (scale > coarsest && count < FM_DETECT_LEVELS_MAX) {
		double next = fmax(scale / LEVEL_RATIO, coarsest);
		double largest_px = FACE_MIN_PX * scale / next * FACE_ASPECT;
		ret_levels[count++] =
		        plan_level(model, width_px, height_px, scale, largest_px + 2 * CUT_PX, MARGIN_PX);
		scale = next;
	}
	return count;
}

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
static bool is_cut(const struct fm_detector *detector, const struct fm_detect_level *level, int column,
        int row, const float *box)
{
	float near_x = (float)(CUT_PX / detector->model->width_px);
	float near_y = (float)(CUT_PX / detector->model->height_px);

	return (column > 0 && box[0] < near_x) || (column < level->columns - 1 && box[2] > 1 - near_x) ||
	       (row > 0 && box[1] < near_y) || (row < level->rows - 1 && box[3] > 1 - near_y);
}

static enum fm_status run_tile(struct fm_detector *detector, const struct fm_image *image,
        const struct fm_detect_level *level, int column, int row, struct fm_error *err)
{
	const struct fm_model *model = detector->model;
	double x_px = level->left_px + column * level->step_x_px;
	double y_px = level->top_px + row * level->step_y_px;
	double width_px = model->width_px / level->scale, height_px = model->height_px / level->scale;
	enum fm_status status = reserve(detector, detector->anchors, err);

	if (status != FM_OK)
		return status;
	fm_image_resize_rect(image, x_px, y_px, width_px, height_px, 0, &detector->tile);
	fm_input_fill(model, &detector->tile, detector->input);
	fm_session_run(detector->session, (const float *const[]){detector->input}, detector->outputs);

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

enum fm_status fm_detect_run(struct fm_detector *detector, const struct fm_image *image, double min_face_px,
        const struct fm_detection **ret_detections, size_t *ret_count, struct fm_error *err)
{
	struct fm_detect_level levels[FM_DETECT_LEVELS_MAX];
	int count = fm_detect_plan(detector->model, image->width_px, image->height_px, min_face_px, levels);

	detector->found_count = 0;
	for (int i = 0; i < count; i++) {
		for (int tile = 0; tile < levels[i].columns * levels[i].rows; tile++) {
			enum fm_status status = run_tile(detector, image, &levels[i],
			        tile % levels[i].columns, tile / levels[i].columns, err);
			if (status != FM_OK)
				return status;
		}
	}
	*ret_count = fm_detect_suppress(detector->found, detector->found_count, detector->model->iou_max);
	*ret_detections = detector->found;
	return FM_OK;
}
