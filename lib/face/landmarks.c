#include "lib/face/landmarks.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/face/input.h"
#include "lib/nn/session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define IBUG_POINTS 68

/* Means over LFW: the box is this many times as high as the span of the 68 points, and its centre lies this
 * part of that span above the middle of the points. */
#define BOX_TO_SPAN 1.346
#define BOX_ABOVE   0.16

struct fm_landmarker {
	const struct fm_model *model;
	struct fm_session *session;
	struct fm_image crop;
	float *input;
};

/*
 * A square of an image, turned by the angle (from x to y) of that cosine and sine. No angle proper: the C
 * library's trigonometry may round differently from CPU to CPU, and the embedding must not.
 */
struct square {
	double x_px, y_px, side_px, cosine, sine;
};

void fm_landmarks_free(struct fm_landmarker *landmarker)
{
	if (!landmarker)
		return;
	fm_session_free(landmarker->session);
	fm_image_done(&landmarker->crop);
	free(landmarker->input);
	free(landmarker);
}
FM_DEFINE_CLEANUP(struct fm_landmarker *, fm_landmarks_free);

enum fm_status fm_landmarks_create(
        const struct fm_model *model, struct fm_landmarker **ret_landmarker, struct fm_error *err)
{
	fm_cleanup(fm_landmarks_freep) struct fm_landmarker *landmarker = fm_calloc(1, sizeof(*landmarker));

	if (!landmarker)
		return fm_fail(err, FM_E_NOMEM, "no memory for landmarks");
	landmarker->model = model;
	landmarker->input = fm_aligned_alloc(fm_net_input(model->net, 0)->elements * sizeof(float));
	if (!landmarker->input)
		return fm_fail(err, FM_E_NOMEM, "no memory for landmarks");
	enum fm_status status = fm_image_create(model->width_px, model->height_px, &landmarker->crop, err);
	if (status == FM_OK)
		status = fm_session_create(model->net, &landmarker->session, err);
	if (status != FM_OK)
		return status;
	*ret_landmarker = fm_steal(landmarker);
	return FM_OK;
}

static enum fm_status run_square(struct fm_landmarker *landmarker, const struct fm_image *image,
        const struct square *square, float ret_points[IBUG_POINTS][2], struct fm_error *err)
{
	double side = landmarker->model->width_px, scale = side / square->side_px;
	struct fm_similarity to_crop = {.a = scale * square->cosine, .b = -scale * square->sine};
	float output[2 * IBUG_POINTS];

	to_crop.tx = side / 2 - (to_crop.a * square->x_px - to_crop.b * square->y_px);
	to_crop.ty = side / 2 - (to_crop.b * square->x_px + to_crop.a * square->y_px);
	enum fm_status status = fm_align_sample(image, &to_crop, &landmarker->crop, err);
	if (status != FM_OK)
		return status;
	fm_input_fill(landmarker->model, &landmarker->crop, landmarker->input);
	fm_session_run(
	        landmarker->session, (const float *const[]){landmarker->input}, (float *const[]){output});

	struct fm_similarity back = fm_similarity_invert(&to_crop);
	for (int i = 0; i < IBUG_POINTS; i++) {
		double u = output[2 * i] * side, v = output[2 * i + 1] * side;
		ret_points[i][0] = (float)(back.a * u - back.b * v + back.tx);
		ret_points[i][1] = (float)(back.b * u + back.a * v + back.ty);
	}
	return FM_OK;
}

static void reduce_to_five(const float points[IBUG_POINTS][2], float ret_five[FM_POINTS][2])
{
	/* iBUG numbers from 0: eyelids without the eyes' corners, nose tip, outer and inner mouth corners */
	static const struct {
		int count, index[4];
	} sources[FM_POINTS] = {
	        {4, {37, 38, 40, 41}},
	        {4, {43, 44, 46, 47}},
	        {1, {30}},
	        {2, {48, 60}},
	        {2, {54, 64}},
	};

	for (int i = 0; i < FM_POINTS; i++) {
		for (int c = 0; c < 2; c++) {
			float sum = 0;
			for (int k = 0; k < sources[i].count; k++)
				sum += points[sources[i].index[k]][c];
			ret_five[i][c] = sum / (float)sources[i].count;
		}
	}
}

/* The square for the second look: upright to the face, half way between the box and what the points span. */
static struct square upright_square(const struct square *first, const float points[IBUG_POINTS][2])
{
	double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
	float five[FM_POINTS][2];

	reduce_to_five(points, five);
	/* eyes and mouth corners together say how the face leans */
	double along_x = (five[1][0] - five[0][0]) + (five[4][0] - five[3][0]);
	double along_y = (five[1][1] - five[0][1]) + (five[4][1] - five[3][1]);
	double length = sqrt(along_x * along_x + along_y * along_y);
	double cosine = length > 0 ? along_x / length : 1, sine = length > 0 ? along_y / length : 0;
	for (int i = 0; i < IBUG_POINTS; i++) {
		double turned[2] = {cosine * points[i][0] + sine * points[i][1],
		        cosine * points[i][1] - sine * points[i][0]};
		for (int c = 0; c < 2; c++) {
			low[c] = fmin(low[c], turned[c]);
			high[c] = fmax(high[c], turned[c]);
		}
	}
	double span = high[1] - low[1];
	double middle_x = (low[0] + high[0]) / 2, middle_y = (low[1] + high[1]) / 2 - BOX_ABOVE * span;

	return (struct square){
	        .x_px = (first->x_px + cosine * middle_x - sine * middle_y) / 2,
	        .y_px = (first->y_px + sine * middle_x + cosine * middle_y) / 2,
	        .side_px = (first->side_px + BOX_TO_SPAN * span) / 2,
	        .cosine = cosine,
	        .sine = sine,
	};
}

static float distance(const float a[IBUG_POINTS][2], const float b[IBUG_POINTS][2])
{
	double sum = 0;

	for (int i = 0; i < IBUG_POINTS; i++) {
		double x = (double)a[i][0] - b[i][0], y = (double)a[i][1] - b[i][1];
		sum += x * x + y * y;
	}
	return (float)sqrt(sum / IBUG_POINTS);
}

enum fm_status fm_landmarks_run(struct fm_landmarker *landmarker, const struct fm_image *image,
        const struct fm_box *box, float ret_points[FM_POINTS][2], float *ret_unrest, struct fm_error *err)
{
	struct square around_box = {
	        .x_px = box->x_px + box->width_px / 2,
	        .y_px = box->y_px + box->height_px / 2,
	        .side_px = box->height_px,
	        .cosine = 1,
	};
	float first[IBUG_POINTS][2], second[IBUG_POINTS][2];
	enum fm_status status = run_square(landmarker, image, &around_box, first, err);

	if (status != FM_OK)
		return status;
	struct square upright = upright_square(&around_box, (const float(*)[2])first);
	status = run_square(landmarker, image, &upright, second, err);
	if (status != FM_OK)
		return status;
	reduce_to_five((const float(*)[2])second, ret_points);
	*ret_unrest = distance((const float(*)[2])first, (const float(*)[2])second) / box->height_px;
	return FM_OK;
}
