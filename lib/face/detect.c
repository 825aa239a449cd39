#include "lib/face/detect.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/face/decoder.h"
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
/* What the network says of a box in a second look is the best score among boxes that share this much
 * (intersection over union) with it. */
#define SAME_IOU 0.4F
/* Side of the template, when points are looked for again. */
#define POINTS_PX 120.0F

/* Second looks: how high the box is shown. Mirrored or not, small and large: a face bears it, most else not.
 */
static const struct look {
	double height_px;
	bool mirrored;
} looks[] = {{48, false}, {80, true}};
#define LOOK_COUNT (sizeof(looks) / sizeof(looks[0]))

/* Images from this size on are halved for what shows them at half their scale or less: an average of
 * averages, and every tile reads a quarter. */
#define HALVED_PIXELS_MIN (640 * 480)
#define HALVES_MAX        4

/* The network at one input size, with what a run of it needs. */
struct eye {
	const struct fm_model *model; /* NULL: none yet */
	struct fm_session *session;
	struct fm_image tile;
	float *input;
	float *decoded[FM_DECODER_OUTPUTS_MAX]; /* in the decoder's order */
	float **outputs;                        /* the same in the network's order; NULL for those not used */
	struct fm_candidate *candidates;
};

struct fm_detector {
	const struct fm_model *model;
	struct eye eye;
	struct eye wide; /* made when a photo first takes it; of the wide inputs the one that was last used */
	bool wide_used;  /* since the last fm_detect_tidy() */
	struct fm_detection *found;
	size_t found_count, found_capacity;
	/* The image at hand at 1, 1/2, 1/4, ... of its size; the first is the caller's. */
	struct fm_image scaled[HALVES_MAX + 1];
	int halves;
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

static void eye_done(struct eye *eye)
{
	fm_session_free(eye->session);
	fm_image_done(&eye->tile);
	free(eye->input);
	for (size_t i = 0; i < FM_DECODER_OUTPUTS_MAX; i++)
		free(eye->decoded[i]);
	free(eye->outputs);
	free(eye->candidates);
	*eye = (struct eye){0};
}

void fm_detect_free(struct fm_detector *detector)
{
	if (!detector)
		return;
	eye_done(&detector->eye);
	eye_done(&detector->wide);
	free(detector->found);
	free(detector);
}
FM_DEFINE_CLEANUP(struct fm_detector *, fm_detect_free);

/* Memory for the outputs that the decoder reads. */
static enum fm_status take_outputs(struct eye *eye, struct fm_error *err)
{
	const struct fm_decoder *decoder = eye->model->decoder;
	size_t count = fm_net_output_count(eye->model->net);

	eye->outputs = fm_calloc(count, sizeof(*eye->outputs));
	for (size_t i = 0; eye->outputs && i < count; i++) {
		const struct fm_tensor_info *output = fm_net_output(eye->model->net, i);
		for (size_t k = 0; k < decoder->output_count; k++) {
			const char *name = decoder->outputs[k];
			if (eye->decoded[k] || (name ? strcmp(output->name, name) != 0 : i != k))
				continue;
			eye->decoded[k] = fm_aligned_alloc(output->elements * sizeof(float));
			eye->outputs[i] = eye->decoded[k];
		}
	}
	for (size_t k = 0; k < decoder->output_count; k++) {
		if (!eye->outputs || !eye->decoded[k])
			return fm_fail(err, FM_E_NOMEM, "no memory for a detector");
	}
	return FM_OK;
}

static enum fm_status eye_open(const struct fm_model *model, struct eye *ret_eye, struct fm_error *err)
{
	fm_cleanup(eye_done) struct eye eye = {.model = model};

	eye.input = fm_aligned_alloc(fm_net_input(model->net, 0)->elements * sizeof(float));
	eye.candidates = fm_calloc(model->decoder->candidates_max(model), sizeof(*eye.candidates));
	if (!eye.input || !eye.candidates)
		return fm_fail(err, FM_E_NOMEM, "no memory for a detector");
	enum fm_status status = take_outputs(&eye, err);
	if (status == FM_OK)
		status = fm_image_create(model->width_px, model->height_px, &eye.tile, err);
	if (status == FM_OK)
		status = fm_session_create(model->net, &eye.session, err);
	if (status != FM_OK)
		return status;
	*ret_eye = eye;
	eye = (struct eye){0};
	return FM_OK;
}

enum fm_status fm_detect_create(
        const struct fm_model *model, struct fm_detector **ret_detector, struct fm_error *err)
{
	fm_cleanup(fm_detect_freep) struct fm_detector *detector = fm_calloc(1, sizeof(*detector));

	if (!detector)
		return fm_fail(err, FM_E_NOMEM, "no memory for a detector");
	detector->model = model;
	enum fm_status status = eye_open(model, &detector->eye, err);
	if (status != FM_OK)
		return status;
	*ret_detector = fm_steal(detector);
	return FM_OK;
}

/* The eye for that input. */
static enum fm_status choose_eye(struct fm_detector *detector, const struct fm_model *input,
        struct eye **ret_eye, struct fm_error *err)
{
	bool wide = input != detector->model;

	*ret_eye = wide ? &detector->wide : &detector->eye;
	detector->wide_used |= wide;
	if ((*ret_eye)->model == input)
		return FM_OK;
	eye_done(&detector->wide);
	return eye_open(input, &detector->wide, err);
}

void fm_detect_tidy(struct fm_detector *detector)
{
	if (!detector->wide_used)
		eye_done(&detector->wide);
	detector->wide_used = false;
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
static bool is_cut(const struct fm_level *level, int column, int row, const float *box)
{
	float near_x = (float)(FM_LEVEL_CUT_PX / level->input->width_px);
	float near_y = (float)(FM_LEVEL_CUT_PX / level->input->height_px);

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

/* Shows the network what is in the eye's tile; its candidates get what it says. Returns their number. */
static size_t show_tile(struct eye *eye, float score_min)
{
	const struct fm_model *model = eye->model;

	fm_input_fill(model, &eye->tile, eye->input);
	fm_session_run(eye->session, (const float *const[]){eye->input}, eye->outputs);
	return model->decoder->decode(model, (const float *const *)eye->decoded, score_min, eye->candidates);
}

static void drop_image(struct fm_detector *detector)
{
	for (int i = 1; i <= detector->halves; i++)
		fm_image_done(&detector->scaled[i]);
	detector->halves = 0;
}

static enum fm_status take_image(
        struct fm_detector *detector, const struct fm_image *image, struct fm_error *err)
{
	enum fm_status status = FM_OK;

	detector->scaled[0] = *image;
	detector->halves = 0;
	while (status == FM_OK && detector->halves < HALVES_MAX) {
		const struct fm_image *last = &detector->scaled[detector->halves];
		if ((int64_t)last->width_px * last->height_px < HALVED_PIXELS_MIN)
			break;
		status = fm_image_shrink(last, 2, &detector->scaled[detector->halves + 1], err);
		detector->halves += status == FM_OK;
	}
	return status;
}

/* The same with that rectangle of the image. */
static size_t show(struct fm_detector *detector, struct eye *eye, double x_px, double y_px, double scale,
        bool mirrored, float score_min)
{
	int half = 0;

	for (; half < detector->halves && scale <= 0.5; half++) {
		scale *= 2;
		x_px /= 2;
		y_px /= 2;
	}
	fm_image_resize_rect(&detector->scaled[half], x_px, y_px, eye->model->width_px / scale,
	        eye->model->height_px / scale, OUTSIDE_GRAY, &eye->tile);
	if (mirrored)
		mirror(&eye->tile);
	return show_tile(eye, score_min);
}

static enum fm_status run_tile(
        struct fm_detector *detector, const struct fm_level *level, int column, int row, struct fm_error *err)
{
	const struct fm_model *model = level->input;
	struct eye *eye;
	enum fm_status status = choose_eye(detector, model, &eye, err);
	if (status != FM_OK)
		return status;

	double x_px = level->left_px + column * level->step_x_px;
	double y_px = level->top_px + row * level->step_y_px;
	if (level->scale == 1) {
		/* at whole pixels a tile is a copy, sharper and cheaper than what lies between them */
		x_px = nearbyint(x_px);
		y_px = nearbyint(y_px);
	}
	double width_px = model->width_px / level->scale, height_px = model->height_px / level->scale;
	size_t seen = show(detector, eye, x_px, y_px, level->scale, false, model->score_min);
	status = reserve(detector, seen, err);
	if (status != FM_OK)
		return status;
	struct fm_detection *first = detector->found + detector->found_count;
	size_t count = 0;
	for (size_t i = 0; i < seen; i++) {
		const struct fm_candidate *candidate = &eye->candidates[i];
		const float *corners = candidate->corners;
		double shorter_px =
		        fmin((corners[2] - corners[0]) * width_px, (corners[3] - corners[1]) * height_px);
		if (!(shorter_px > 0) || shorter_px > level->largest_px ||
		        is_cut(level, column, row, corners))
			continue;
		struct fm_detection *detection = &first[count++];
		*detection = (struct fm_detection){
		        .box = {.x_px = (float)(x_px + corners[0] * width_px),
		                .y_px = (float)(y_px + corners[1] * height_px),
		                .width_px = (float)((corners[2] - corners[0]) * width_px),
		                .height_px = (float)((corners[3] - corners[1]) * height_px)},
		        .score = candidate->score};
		/* pixel centres lie at integers, in the tile as in the image */
		for (int p = 0; model->decoder->has_points && p < FM_POINTS; p++) {
			detection->points[p][0] =
			        (float)(x_px + candidate->points[p][0] * width_px + 0.5 / level->scale - 0.5);
			detection->points[p][1] = (float)(y_px + candidate->points[p][1] * height_px +
			                                  0.5 / level->scale - 0.5);
		}
	}
	detector->found_count += fm_detect_suppress(first, count, model->iou_max);
	return FM_OK;
}

/* The best of the candidates that share enough with `shown` (0..1 of the input), or NULL. */
static const struct fm_candidate *best_at(const struct eye *eye, size_t count, const struct fm_box *shown)
{
	const struct fm_candidate *best = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct fm_candidate *candidate = &eye->candidates[i];
		const float *corners = candidate->corners;
		struct fm_box seen = {
		        corners[0], corners[1], corners[2] - corners[0], corners[3] - corners[1]};
		float shared = fm_box_overlap(shown, &seen);
		if ((!best || candidate->score > best->score) &&
		        shared > SAME_IOU * (fm_box_area(shown) + fm_box_area(&seen) - shared))
			best = candidate;
	}
	return best;
}

/* The network's score for `box`, shown in the middle of its input. */
static float score_again(struct fm_detector *detector, const struct fm_box *box, const struct look *look)
{
	const struct fm_model *model = detector->model;
	double scale = look->height_px / box->height_px;
	float width = (float)(box->width_px * scale / model->width_px);
	float height = (float)(look->height_px / model->height_px);
	struct fm_box shown = {0.5F - width / 2, 0.5F - height / 2, width, height};

	size_t count = show(detector, &detector->eye,
	        box->x_px + box->width_px / 2 - model->width_px / scale / 2,
	        box->y_px + box->height_px / 2 - model->height_px / scale / 2, scale, look->mirrored, 0);
	const struct fm_candidate *best = best_at(&detector->eye, count, &shown);
	return best ? best->score : 0;
}

/*
 * Merges what was found and looks again at what is not sure; the score becomes the mean over all looks.
 * Returns the number of detections kept.
 */
static size_t settle(struct fm_detector *detector)
{
	size_t count = fm_detect_suppress(detector->found, detector->found_count, detector->model->iou_max);
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct fm_detection detection = detector->found[i];
		if (detection.score < detector->model->sure_min) {
			for (size_t k = 0; k < LOOK_COUNT; k++)
				detection.score += score_again(detector, &detection.box, &looks[k]);
			detection.score /= 1 + LOOK_COUNT;
			if (detection.score < detector->model->confirmed_min)
				continue;
		}
		detector->found[kept++] = detection;
	}
	if (kept) /* nothing found yet: there is no array */
		qsort(detector->found, kept, sizeof(*detector->found), by_falling_score);
	return kept;
}

/* Shows all tiles of all levels; what is found adds up. */
static enum fm_status run_levels(
        struct fm_detector *detector, const struct fm_level *levels, int count, struct fm_error *err)
{
	detector->found_count = 0;
	for (int i = 0; i < count; i++) {
		for (int tile = 0; tile < levels[i].columns * levels[i].rows; tile++) {
			enum fm_status status = run_tile(detector, &levels[i], tile % levels[i].columns,
			        tile / levels[i].columns, err);
			if (status != FM_OK)
				return status;
		}
	}
	return FM_OK;
}

enum fm_status fm_detect_run(struct fm_detector *detector, const struct fm_image *image, double min_face_px,
        const struct fm_detection **ret_detections, size_t *ret_count, struct fm_error *err)
{
	const struct fm_model *model = detector->model;
	struct fm_level levels[FM_LEVELS_MAX];
	int levels_count = fm_levels_plan(model, image->width_px, image->height_px, min_face_px, levels);
	size_t count = 0;

	enum fm_status status = take_image(detector, image, err);
	if (status == FM_OK)
		status = run_levels(detector, levels, levels_count, err);
	if (status == FM_OK)
		count = settle(detector);
	if (status == FM_OK && count == 0) {
		/* a face so near that it leaves the frame may take more border to be seen */
		struct fm_level wide = fm_levels_wide_border(model, image->width_px, image->height_px);
		status = run_levels(detector, &wide, 1, err);
		if (status == FM_OK)
			count = settle(detector);
	}
	drop_image(detector);
	if (status != FM_OK)
		return status;
	*ret_detections = detector->found;
	*ret_count = count;
	return FM_OK;
}

enum fm_status fm_detect_refine(struct fm_detector *detector, const struct fm_image *image,
        float points[FM_POINTS][2], struct fm_error *err)
{
	struct eye *eye = &detector->eye;
	const int width_px = eye->tile.width_px, height_px = eye->tile.height_px;
	const struct fm_box shown = {0.5F - POINTS_PX / 2 / (float)width_px,
	        0.5F - POINTS_PX / 2 / (float)height_px, POINTS_PX / (float)width_px,
	        POINTS_PX / (float)height_px};
	struct fm_similarity to_tile;

	/* points that coincide are none */
	if (fm_align_fit((const float(*)[2])points, (int)POINTS_PX, &to_tile, NULL) != FM_OK)
		return FM_OK;
	to_tile.tx += (width_px - (double)POINTS_PX) / 2;
	to_tile.ty += (height_px - (double)POINTS_PX) / 2;
	enum fm_status status = fm_align_sample(image, &to_tile, &eye->tile, err);
	if (status != FM_OK)
		return status;
	size_t count = show_tile(eye, detector->model->score_min);
	const struct fm_candidate *seen = best_at(&detector->eye, count, &shown);
	const struct fm_similarity back = fm_similarity_invert(&to_tile);
	for (int i = 0; seen && i < FM_POINTS; i++) {
		double x = (double)seen->points[i][0] * width_px, y = (double)seen->points[i][1] * height_px;
		points[i][0] = (float)(back.a * x - back.b * y + back.tx);
		points[i][1] = (float)(back.b * x + back.a * y + back.ty);
	}
	return FM_OK;
}
