/*
 * The family of decoder_ultraface.c before its anchors are applied: scores 1 x n x 2 (background, face; not
 * softmaxed) and boxes 1 x n x 4 (centre, logarithm of the size). So a network runs at input sizes other than
 * that of its file, whose anchors are constants for one size. The anchors are those that the family was
 * trained with: at each stride, for each cell, some squares around the cell's middle, cut at 0 and 1;
 *
 *	centre = anchor + 0.1 * boxes[0..1] * anchor's size,	size = anchor's size * exp(0.2 * boxes[2..3])
 */
#include "lib/face/decoder.h"

#include <math.h>

#include "lib/base/banned.h"

#define CENTRE_VARIANCE 0.1F
#define SIZE_VARIANCE   0.2F
#define SQUARES_MAX     3

enum { SCORES, BOXES };

static const struct stride {
	int px, squares, side_px[SQUARES_MAX];
} strides[] = {
        {8, 3, {10, 16, 24}},
        {16, 2, {32, 48}},
        {32, 2, {64, 96}},
        {64, 3, {128, 192, 256}},
};
#define STRIDE_COUNT (sizeof(strides) / sizeof(strides[0]))

static int cells(int length_px, int stride_px)
{
	return (length_px + stride_px - 1) / stride_px;
}

static size_t candidates_max(const struct fm_model *model)
{
	size_t count = 0;

	for (size_t s = 0; s < STRIDE_COUNT; s++)
		count += (size_t)cells(model->width_px, strides[s].px) *
		         (size_t)cells(model->height_px, strides[s].px) * (size_t)strides[s].squares;
	return count;
}

static enum fm_status check(const struct fm_model *model, struct fm_error *err)
{
	static const size_t lengths[] = {[SCORES] = 2, [BOXES] = 4};
	const size_t anchors = candidates_max(model);

	for (size_t i = 0; i < fm_net_output_count(model->net); i++) {
		const struct fm_tensor_info *output = fm_net_output(model->net, i);
		if (output->rank != 3 || output->dims[0] != 1 || output->dims[1] != anchors ||
		        output->dims[2] != lengths[i])
			return fm_fail(err, FM_E_INVALID,
			        "%s: \"%s\" is not 1 x %zu x %zu at an input of %d x %d px", model->file,
			        output->name, anchors, lengths[i], model->width_px, model->height_px);
	}
	return FM_OK;
}

static float clamp(float value, float low, float high)
{
	return value < low ? low : value > high ? high : value;
}

/*
 * Middle of an anchor along one axis. Where the trained input is no multiple of the stride, the anchors of
 * the file are closer than the cells: they fit into it what the cells exceed it by. The network has learnt to
 * make up for the mean of that, half of the excess; the rest, which depends on the cell, it cannot see.
 */
static float middle(int cell, int stride_px, int trained_px)
{
	int excess_px = cells(trained_px, stride_px) * stride_px - trained_px;

	return ((float)cell + 0.5F) * (float)stride_px - (float)excess_px / 2;
}

/* Along one axis; the logarithm is bounded, so that what is said of the size is finite. */
static void place(float middle_px, int side_px, int length_px, float offset, float log_size, float *ret_low,
        float *ret_high)
{
	float centre = clamp(middle_px / (float)length_px, 0, 1);
	float side = clamp((float)side_px / (float)length_px, 0, 1);
	float bounded = clamp(log_size * SIZE_VARIANCE, -FM_DECODER_EXP_MAX, FM_DECODER_EXP_MAX);
	float half = side * (float)fm_decoder_exp((double)bounded) / 2;

	centre += offset * CENTRE_VARIANCE * side;
	*ret_low = centre - half;
	*ret_high = centre + half;
}

static float probability(const float scores[2])
{
	float against = clamp(scores[0] - scores[1], -FM_DECODER_EXP_MAX, FM_DECODER_EXP_MAX);

	return (float)(1 / (1 + fm_decoder_exp((double)against)));
}

static size_t decode(const struct fm_model *model, const float *const *outputs, float score_min,
        struct fm_candidate *ret_candidates)
{
	/* what is certainly below score_min is not worth an exponential */
	const float lead_min =
	        score_min > 0 && score_min < 1 ? logf(score_min / (1 - score_min)) - 0.01F : -INFINITY;
	const float *scores = outputs[SCORES], *box = outputs[BOXES];
	size_t count = 0;

	for (size_t s = 0; s < STRIDE_COUNT; s++) {
		const struct stride *stride = &strides[s];
		const int columns = cells(model->width_px, stride->px),
		          anchors = columns * cells(model->height_px, stride->px) * stride->squares;
		for (int i = 0; i < anchors; i++, scores += 2, box += 4) {
			struct fm_candidate *candidate = &ret_candidates[count];
			const int cell = i / stride->squares, side_px = stride->side_px[i % stride->squares];

			/* the comparisons also refuse NaN */
			if (!(scores[1] - scores[0] > lead_min) || !fm_decoder_finite(box, 4))
				continue;
			candidate->score = probability(scores);
			if (!(candidate->score > score_min))
				continue;
			place(middle(cell % columns, stride->px, model->trained_width_px), side_px,
			        model->width_px, box[0], box[2], &candidate->corners[0],
			        &candidate->corners[2]);
			place(middle(cell / columns, stride->px, model->trained_height_px), side_px,
			        model->height_px, box[1], box[3], &candidate->corners[1],
			        &candidate->corners[3]);
			count += fm_decoder_finite(candidate->corners, 4);
		}
	}
	return count;
}

const struct fm_decoder fm_decoder_anchors = {
        .name = "anchors",
        .output_count = 2,
        .check = check,
        .candidates_max = candidates_max,
        .decode = decode,
};
