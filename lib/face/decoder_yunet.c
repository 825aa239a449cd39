/*
 * YuNet (Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", 2023; libfacedetection.train). No
 * anchors: each cell of the grids at strides 8, 16 and 32 says by itself, in units of its stride,
 *
 *	score  = sqrt(cls * obj)
 *	centre = (cell + bbox[0..1]) * stride,	size = exp(bbox[2..3]) * stride
 *	point  = (cell + kps[2i, 2i + 1]) * stride, in the order of FM_POINTS
 */
#include "lib/face/decoder.h"

#include <math.h>

#include "lib/base/banned.h"

#define STRIDES      3
#define FIRST_PX     8
#define COARSEST     (FIRST_PX << (STRIDES - 1))
#define SIZE_LOG_MAX 10.0F /* e^10 cells: beyond any input */

enum { CLASS = 0, OBJECT = STRIDES, BOX = 2 * STRIDES, POINTS = 3 * STRIDES };

static size_t cells(const struct fm_model *model, int stride_px)
{
	return (size_t)(model->width_px / stride_px) * (size_t)(model->height_px / stride_px);
}

static enum fm_status check(const struct fm_model *model, struct fm_error *err)
{
	static const size_t lengths[] = {1, 1, 4, 2 * FM_POINTS};

	if (model->width_px % COARSEST != 0 || model->height_px % COARSEST != 0)
		return fm_fail(err, FM_E_INVALID, "%s: decoder yunet wants sides that are multiples of %d px",
		        model->file, COARSEST);
	for (size_t i = 0; i < fm_decoder_yunet.output_count; i++) {
		const char *name = fm_decoder_yunet.outputs[i];
		const struct fm_tensor_info *output = fm_decoder_output(model, name);
		size_t wanted = cells(model, FIRST_PX << (i % STRIDES)), length = lengths[i / STRIDES];

		if (!output || output->rank != 3 || output->dims[0] != 1 || output->dims[1] != wanted ||
		        output->dims[2] != length)
			return fm_fail(err, FM_E_INVALID,
			        "%s: decoder yunet wants an output %s of 1 x %zu x %zu", model->file, name,
			        wanted, length);
	}
	return FM_OK;
}

static size_t candidates_max(const struct fm_model *model)
{
	size_t count = 0;

	for (int s = 0; s < STRIDES; s++)
		count += cells(model, FIRST_PX << s);
	return count;
}

static float clamp(float value, float low, float high)
{
	return value < low ? low : value > high ? high : value;
}

static void place(const struct fm_model *model, int stride_px, size_t cell, const float *box,
        const float *points, struct fm_candidate *ret_candidate)
{
	const double columns = (double)model->width_px / stride_px,
	             rows = (double)model->height_px / stride_px;
	double column = (double)(cell % (size_t)columns), row = (double)(cell / (size_t)columns);
	double x = column + (double)box[0], y = row + (double)box[1];
	double half_width = fm_decoder_exp((double)clamp(box[2], -SIZE_LOG_MAX, SIZE_LOG_MAX)) / 2;
	double half_height = fm_decoder_exp((double)clamp(box[3], -SIZE_LOG_MAX, SIZE_LOG_MAX)) / 2;

	ret_candidate->corners[0] = (float)((x - half_width) / columns);
	ret_candidate->corners[1] = (float)((y - half_height) / rows);
	ret_candidate->corners[2] = (float)((x + half_width) / columns);
	ret_candidate->corners[3] = (float)((y + half_height) / rows);
	for (int i = 0; i < FM_POINTS; i++) {
		ret_candidate->points[i][0] = (float)((column + (double)points[2 * i]) / columns);
		ret_candidate->points[i][1] = (float)((row + (double)points[2 * i + 1]) / rows);
	}
}

static size_t decode(const struct fm_model *model, const float *const *outputs, float score_min,
        struct fm_candidate *ret_candidates)
{
	size_t count = 0;

	for (int s = 0; s < STRIDES; s++) {
		size_t total = cells(model, FIRST_PX << s);
		for (size_t cell = 0; cell < total; cell++) {
			const float *box = outputs[BOX + s] + 4 * cell;
			const float *points = outputs[POINTS + s] + (size_t)2 * FM_POINTS * cell;
			float score = sqrtf(clamp(outputs[CLASS + s][cell], 0, 1) *
			                    clamp(outputs[OBJECT + s][cell], 0, 1));

			/* the comparison also refuses NaN */
			if (!(score > score_min) || !fm_decoder_finite(box, 4) ||
			        !fm_decoder_finite(points, (size_t)2 * FM_POINTS))
				continue;
			place(model, FIRST_PX << s, cell, box, points, &ret_candidates[count]);
			ret_candidates[count++].score = score;
		}
	}
	return count;
}

const struct fm_decoder fm_decoder_yunet = {
        .name = "yunet",
        .has_points = true,
        .output_count = (size_t)4 * STRIDES,
        .outputs = {"cls_8", "cls_16", "cls_32", "obj_8", "obj_16", "obj_32", "bbox_8", "bbox_16", "bbox_32",
                "kps_8", "kps_16", "kps_32"},
        .check = check,
        .candidates_max = candidates_max,
        .decode = decode,
};
