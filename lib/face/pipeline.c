#include "lib/face/pipeline.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/face/detect.h"
#include "lib/face/embed.h"
#include "lib/face/landmarks.h"
#include "lib/face/levels.h"
#include "lib/face/quality.h"
#include "lib/image/encode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/banned.h"

/* Photos up to this size are decoded whole at once: that costs less than coming back for more pixels. */
#define WHOLE_PIXELS_MAX 1000000
/* A box this high fills the crops with pixels of its own; more would only be averaged away. */
#define BOX_ENOUGH_PX 112
/* Half the side of what landmarks and crops may look at, in heights of the box: a leaning face's corners. */
#define REACH 1.0F
/* Landmarks move further than this where there is no face to settle on: a muzzle, a coat, a pattern. A
 * detection of less confidence is dropped for it. */
#define DOUBTFUL_SCORE 0.95F
#define UNREST_MAX     0.06F

/* Crops are kept for other networks to look at: what they would see of the compression is not worth the
 * bytes. */
#define CROP_QUALITY 95

const struct fm_pipeline_options fm_pipeline_defaults = {
        .limits = {.pixels_max = 50000000, .side_max_px = 16384},
        .min_face_px = 80,
        .faces_max = 64,
        .min_sharpness = 0.15F,
        .min_brightness = 0.18F,
        .max_brightness = 0.85F,
        .max_yaw_deg = 45,
        .max_roll_deg = 45,
        .min_score = 0.8F,
        .min_enroll_px = 60,
};

struct fm_pipeline {
	const struct fm_models *models;
	struct fm_pipeline_options options;
	struct fm_detector *detector;
	struct fm_landmarker *landmarker;
	struct fm_embed *embed;
	struct fm_image aligned;
};

/* Pixels of a photo, or of a part of it, at 1 / denominator of its size. */
struct frame {
	struct fm_image image;
	int denominator;
	int x_px, y_px; /* of the image's corner in the photo at full size */
};

const char *fm_reason_name(int bit)
{
	static const char *const names[FM_REASON_COUNT] = {"small_face", "low_sharpness", "low_brightness",
	        "high_brightness", "extreme_pose", "low_confidence", "cut_by_border"};

	return bit >= 0 && bit < FM_REASON_COUNT ? names[bit] : "unknown";
}

void fm_faces_done(struct fm_faces *faces)
{
	if (faces->embeddings)
		fm_wipe(faces->embeddings, faces->count * faces->dim * sizeof(float));
	if (faces->crop)
		fm_wipe(faces->crop, faces->crop_bytes);
	free(faces->crop);
	free(faces->embeddings);
	free(faces->faces);
	*faces = (struct fm_faces){0};
}

void fm_pipeline_free(struct fm_pipeline *pipeline)
{
	if (!pipeline)
		return;
	fm_detect_free(pipeline->detector);
	fm_landmarks_free(pipeline->landmarker);
	fm_embed_free(pipeline->embed);
	fm_image_done(&pipeline->aligned);
	free(pipeline);
}
FM_DEFINE_CLEANUP(struct fm_pipeline *, fm_pipeline_free);

void fm_pipeline_tidy(struct fm_pipeline *pipeline)
{
	fm_detect_tidy(pipeline->detector);
}

enum fm_status fm_pipeline_set_options(
        struct fm_pipeline *pipeline, const struct fm_pipeline_options *options, struct fm_error *err)
{
	if (options->min_face_px < 20 || options->min_face_px > 1024)
		return fm_fail(err, FM_E_INVALID, "min_face_px is %d: 20 to 1024 are possible",
		        options->min_face_px);
	if (options->faces_max < 1)
		return fm_fail(err, FM_E_INVALID, "faces_max must be at least 1");
	pipeline->options = *options;
	return FM_OK;
}

enum fm_status fm_pipeline_create(const struct fm_models *models, const struct fm_pipeline_options *options,
        struct fm_pipeline **ret_pipeline, struct fm_error *err)
{
	fm_cleanup(fm_pipeline_freep) struct fm_pipeline *pipeline = fm_calloc(1, sizeof(*pipeline));
	const struct fm_model *embedding = models->embedding;

	if (!pipeline)
		return fm_fail(err, FM_E_NOMEM, "no memory for a pipeline");
	pipeline->models = models;
	enum fm_status status = fm_pipeline_set_options(pipeline, options, err);
	if (status == FM_OK)
		status = fm_detect_create(models->detection, &pipeline->detector, err);
	if (status == FM_OK && models->landmarks)
		status = fm_landmarks_create(models->landmarks, &pipeline->landmarker, err);
	if (status == FM_OK)
		status = fm_embed_create(embedding, &pipeline->embed, err);
	if (status == FM_OK)
		status = fm_image_create(embedding->width_px, embedding->height_px, &pipeline->aligned, err);
	if (status != FM_OK)
		return status;
	*ret_pipeline = fm_steal(pipeline);
	return FM_OK;
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* ---- which pixels ---- */

/* Pixel centres lie at integers, in the photo at full size as in the frame. */
static float to_frame(float photo_px, int corner_px, const struct frame *frame)
{
	return (photo_px - (float)corner_px - (float)(frame->denominator - 1) / 2) /
	       (float)frame->denominator;
}

static float to_photo(float frame_px, int corner_px, const struct frame *frame)
{
	return frame_px * (float)frame->denominator + (float)(frame->denominator - 1) / 2 + (float)corner_px;
}

/* Points in the frame's pixels become the photo's. */
static void set_landmarks(struct fm_face *face, const float points[FM_POINTS][2], const struct frame *frame)
{
	for (int i = 0; i < FM_POINTS; i++) {
		face->landmarks[i][0] = to_photo(points[i][0], frame->x_px, frame);
		face->landmarks[i][1] = to_photo(points[i][1], frame->y_px, frame);
	}
}

/* The largest denominator at which detection still gets a pixel of the photo for each of the network's. */
static int detection_denominator(const struct fm_pipeline *pipeline, const struct fm_image_info *info)
{
	struct fm_level levels[FM_LEVELS_MAX];
	double finest = 0;
	int denominator = 8;

	if (info->format != FM_IMAGE_JPEG || (int64_t)info->width_px * info->height_px <= WHOLE_PIXELS_MAX)
		return 1;
	int count = fm_levels_plan(pipeline->models->detection, info->width_px, info->height_px,
	        pipeline->options.min_face_px, levels);
	for (int i = 0; i < count; i++)
		finest = fmax(finest, levels[i].scale);
	while (denominator > 1 && denominator * finest > 1)
		denominator /= 2;
	return denominator;
}

static bool has_enough(const struct fm_face *face, int denominator)
{
	return denominator == 1 || face->box.height_px >= (float)(BOX_ENOUGH_PX * denominator);
}

/*
 * Decodes once more what is around those faces that `whole` shows too small, all of them in one rectangle:
 * a JPEG's bytes have to be gone through from the start for each.
 */
static enum fm_status decode_finer(const struct fm_pipeline *pipeline, const void *photo, size_t length,
        const struct fm_faces *faces, const struct frame *whole, struct frame *ret_finer,
        struct fm_error *err)
{
	float left = INFINITY, top = INFINITY, right = -INFINITY, bottom = -INFINITY;
	int denominator = whole->denominator / 2;
	struct fm_image_rect actual;

	for (size_t i = 0; i < faces->count; i++) {
		const struct fm_face *face = &faces->faces[i];
		float x = face->box.x_px + face->box.width_px / 2,
		      y = face->box.y_px + face->box.height_px / 2;
		float reach = face->box.height_px * REACH;
		if (has_enough(face, whole->denominator))
			continue;
		while (!has_enough(face, denominator))
			denominator /= 2;
		left = fminf(left, x - reach);
		right = fmaxf(right, x + reach);
		top = fminf(top, y - reach);
		bottom = fmaxf(bottom, y + reach);
	}
	if (!(right > left))
		return FM_OK; /* all have enough */
	left = fmaxf(0, floorf(left));
	top = fmaxf(0, floorf(top));
	right = fminf((float)faces->image_width_px, ceilf(right));
	bottom = fminf((float)faces->image_height_px, ceilf(bottom));
	struct fm_image_rect rect = {.x_px = (int)left,
	        .y_px = (int)top,
	        .width_px = (int)(right - left),
	        .height_px = (int)(bottom - top)};
	if (rect.width_px < 1 || rect.height_px < 1)
		return FM_OK; /* a box beyond the photo: what there is must do */
	enum fm_status status = fm_image_decode_region(photo, length, &pipeline->options.limits, denominator,
	        &rect, &ret_finer->image, &actual, err);
	if (status != FM_OK)
		return status;
	ret_finer->denominator = denominator;
	ret_finer->x_px = actual.x_px;
	ret_finer->y_px = actual.y_px;
	return FM_OK;
}

/* ---- which faces ---- */

static int by_falling_area(const void *a, const void *b)
{
	const struct fm_face *left = a, *right = b;
	float left_area = fm_box_area(&left->box), right_area = fm_box_area(&right->box);

	if (left_area != right_area)
		return left_area < right_area ? 1 : -1;
	return left->score != right->score ? (left->score < right->score ? 1 : -1) : 0;
}

static enum fm_status find_faces(
        struct fm_pipeline *pipeline, const struct frame *whole, struct fm_faces *faces, struct fm_error *err)
{
	float denominator = (float)whole->denominator;
	const struct fm_detection *found;
	size_t count;
	enum fm_status status = fm_detect_run(pipeline->detector, &whole->image,
	        pipeline->options.min_face_px / (double)whole->denominator, &found, &count, err);

	if (status != FM_OK || count == 0)
		return status;
	faces->faces = fm_calloc(count, sizeof(*faces->faces));
	if (!faces->faces)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu faces", count);
	for (size_t i = 0; i < count; i++) {
		const struct fm_box *box = &found[i].box;
		faces->faces[i] = (struct fm_face){
		        .box = {box->x_px * denominator, box->y_px * denominator, box->width_px * denominator,
		                box->height_px * denominator},
		        .score = found[i].score,
		};
		set_landmarks(&faces->faces[i], (const float(*)[2])found[i].points, whole);
	}
	qsort(faces->faces, count, sizeof(*faces->faces), by_falling_area);
	faces->count = count < pipeline->options.faces_max ? count : pipeline->options.faces_max;
	return FM_OK;
}

static bool holds(const struct fm_box *box, float x_px, float y_px)
{
	return x_px >= box->x_px && y_px >= box->y_px && x_px <= box->x_px + box->width_px &&
	       y_px <= box->y_px + box->height_px;
}

/* Brings the face that is meant to the front; the others keep their order. */
static enum fm_status put_first(
        const struct fm_embed_request *request, struct fm_faces *faces, struct fm_error *err)
{
	bool at = request->which == FM_EMBED_AT;
	float x_px = at ? request->x_px : (float)faces->image_width_px / 2;
	float y_px = at ? request->y_px : (float)faces->image_height_px / 2;
	float nearest = INFINITY;
	size_t chosen = faces->count;

	if (!at && request->which != FM_EMBED_CENTRAL)
		return FM_OK;
	for (size_t i = 0; i < faces->count; i++) {
		const struct fm_box *box = &faces->faces[i].box;
		float dx = box->x_px + box->width_px / 2 - x_px, dy = box->y_px + box->height_px / 2 - y_px;
		float distance = dx * dx + dy * dy;
		if ((at && !holds(box, x_px, y_px)) || distance >= nearest)
			continue;
		nearest = distance;
		chosen = i;
	}
	if (chosen == faces->count)
		return at ? fm_fail(err, FM_E_NO_FACE, "no face at %g,%g", (double)x_px, (double)y_px)
		          : FM_OK;
	struct fm_face face = faces->faces[chosen];
	memmove(faces->faces + 1, faces->faces, chosen * sizeof(face));
	faces->faces[0] = face;
	return FM_OK;
}

/* ---- one face ---- */

/* What of the photo a face is looked at in. */
static const struct frame *frame_of(
        const struct fm_face *face, const struct frame *whole, const struct frame *finer)
{
	return finer->image.pixels && !has_enough(face, whole->denominator) ? finer : whole;
}

/* The photo's landmarks in the frame's pixels. */
static void get_landmarks(
        const struct fm_face *face, const struct frame *frame, float ret_points[FM_POINTS][2])
{
	for (int i = 0; i < FM_POINTS; i++) {
		ret_points[i][0] = to_frame(face->landmarks[i][0], frame->x_px, frame);
		ret_points[i][1] = to_frame(face->landmarks[i][1], frame->y_px, frame);
	}
}

static enum fm_status refine_landmarks(
        struct fm_pipeline *pipeline, const struct frame *frame, struct fm_face *face, struct fm_error *err)
{
	float points[FM_POINTS][2];

	get_landmarks(face, frame, points);
	enum fm_status status = fm_detect_refine(pipeline->detector, &frame->image, points, err);
	if (status == FM_OK)
		set_landmarks(face, (const float(*)[2])points, frame);
	return status;
}

static enum fm_status find_landmarks(struct fm_pipeline *pipeline, const struct frame *frame,
        struct fm_face *face, float *ret_unrest, struct fm_error *err)
{
	float scale = (float)frame->denominator;
	struct fm_box box = {(face->box.x_px - (float)frame->x_px) / scale,
	        (face->box.y_px - (float)frame->y_px) / scale, face->box.width_px / scale,
	        face->box.height_px / scale};
	float points[FM_POINTS][2];
	enum fm_status status =
	        fm_landmarks_run(pipeline->landmarker, &frame->image, &box, points, ret_unrest, err);

	if (status != FM_OK)
		return status;
	set_landmarks(face, (const float(*)[2])points, frame);
	return FM_OK;
}

static enum fm_status align(
        struct fm_pipeline *pipeline, const struct frame *frame, struct fm_face *face, struct fm_error *err)
{
	float points[FM_POINTS][2];
	struct fm_similarity to_crop;

	get_landmarks(face, frame, points);
	enum fm_status status =
	        fm_align_fit((const float(*)[2])points, pipeline->aligned.width_px, &to_crop, err);
	if (status != FM_OK)
		return status;
	return fm_align_sample(&frame->image, &to_crop, &pipeline->aligned, err);
}

/*
 * Whether a detection is a face after all. Landmarks that do not come to rest speak against a doubtful one
 * alone, and against a sure one together with a mirror image that is somebody else's.
 */
static enum fm_status is_face(struct fm_pipeline *pipeline, const struct frame *frame, struct fm_face *face,
        float unrest, bool *ret_face, struct fm_error *err)
{
	float mirror_min = pipeline->models->embedding->mirror_min;

	*ret_face = unrest <= UNREST_MAX || face->score >= DOUBTFUL_SCORE;
	if (unrest <= UNREST_MAX || !*ret_face || mirror_min <= 0)
		return FM_OK;
	enum fm_status status = align(pipeline, frame, face, err);
	if (status == FM_OK)
		*ret_face = fm_embed_symmetry(pipeline->embed, &pipeline->aligned) >= (double)mirror_min;
	return status;
}

/* Landmarks of all faces; drops what they show to be none. */
static enum fm_status find_all_landmarks(struct fm_pipeline *pipeline, const struct frame *whole,
        const struct frame *finer, struct fm_faces *faces, struct fm_error *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < faces->count; i++) {
		struct fm_face face = faces->faces[i];
		const struct frame *frame = frame_of(&face, whole, finer);
		float unrest = 0;
		enum fm_status status = pipeline->landmarker
		                                ? find_landmarks(pipeline, frame, &face, &unrest, err)
		                                : refine_landmarks(pipeline, frame, &face, err);
		bool stays = false;
		if (status == FM_OK)
			status = is_face(pipeline, frame, &face, unrest, &stays, err);
		if (status != FM_OK)
			return status;
		if (stays)
			faces->faces[kept++] = face;
	}
	faces->count = kept;
	return FM_OK;
}

/* Quality of all faces, embeddings of those asked for. */
static enum fm_status look_at_faces(struct fm_pipeline *pipeline, const struct frame *whole,
        const struct frame *finer, const struct fm_embed_request *request, struct fm_faces *faces,
        struct fm_error *err)
{
	size_t wanted = request->which == FM_EMBED_NONE  ? 0
	                : request->which == FM_EMBED_ALL ? faces->count
	                                                 : 1;

	faces->dim = pipeline->models->embedding->dim;
	if (wanted > 0 && faces->count > 0) {
		faces->embeddings = fm_calloc(faces->count, faces->dim * sizeof(float));
		if (!faces->embeddings)
			return fm_fail(err, FM_E_NOMEM, "no memory for %zu embeddings", faces->count);
	}
	for (size_t i = 0; i < faces->count; i++) {
		struct fm_face *face = &faces->faces[i];
		double start_ms = now_ms();
		enum fm_status status = align(pipeline, frame_of(face, whole, finer), face, err);
		if (status != FM_OK)
			return status;
		fm_quality_measure(&pipeline->aligned, face, faces->image_width_px, faces->image_height_px,
		        &pipeline->options, &face->quality, &face->reasons);
		double looked_ms = now_ms();
		faces->detect_ms += looked_ms - start_ms;
		if (i >= wanted)
			continue;
		face->embedding = faces->embeddings + i * faces->dim;
		fm_embed_run(pipeline->embed, &pipeline->aligned, face->embedding);
		if (request->crop && i == 0)
			status = fm_image_encode_jpeg(
			        &pipeline->aligned, CROP_QUALITY, &faces->crop, &faces->crop_bytes, err);
		if (status != FM_OK)
			return status;
		faces->embed_ms += now_ms() - looked_ms;
	}
	return FM_OK;
}

static void frame_done(struct frame *frame)
{
	fm_image_done(&frame->image);
}

enum fm_status fm_pipeline_run(struct fm_pipeline *pipeline, const void *photo, size_t length,
        const struct fm_embed_request *request, struct fm_faces *ret_faces, struct fm_error *err)
{
	fm_cleanup(fm_faces_done) struct fm_faces faces = {0};
	fm_cleanup(frame_done) struct frame whole = {0};
	fm_cleanup(frame_done) struct frame finer = {0};
	struct fm_image_info info;
	double start_ms = now_ms();
	enum fm_status status = fm_image_probe(photo, length, &pipeline->options.limits, &info, err);

	if (status != FM_OK)
		return status;
	faces.image_width_px = info.width_px;
	faces.image_height_px = info.height_px;
	whole.denominator = detection_denominator(pipeline, &info);
	status = fm_image_decode(photo, length, &pipeline->options.limits, whole.denominator, &whole.image,
	        &faces.truncated, err);
	if (status != FM_OK)
		return status;
	double decoded_ms = now_ms();
	status = find_faces(pipeline, &whole, &faces, err);
	if (status != FM_OK)
		return status;
	double found_ms = now_ms();
	status = decode_finer(pipeline, photo, length, &faces, &whole, &finer, err);
	if (status != FM_OK)
		return status;
	double decoded_again_ms = now_ms();
	faces.decode_ms = decoded_ms - start_ms + decoded_again_ms - found_ms;
	status = find_all_landmarks(pipeline, &whole, &finer, &faces, err);
	if (status == FM_OK)
		status = put_first(request, &faces, err);
	if (status != FM_OK)
		return status;
	faces.detect_ms = found_ms - decoded_ms + now_ms() - decoded_again_ms;
	status = look_at_faces(pipeline, &whole, &finer, request, &faces, err);
	if (status != FM_OK)
		return status;
	*ret_faces = faces;
	faces = (struct fm_faces){0};
	return FM_OK;
}
