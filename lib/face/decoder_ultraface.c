/*
 * Ultra-Light-Fast-Generic-Face-Detector (Linzaer), exported with its anchors decoded: `scores` 1 x n x 2
 * (background, face; softmaxed) and `boxes` 1 x n x 4 (x1, y1, x2, y2 in 0..1 of the input).
 */
#include "lib/face/decoder.h"

#include <string.h>

#include "lib/base/banned.h"

enum { SCORES, BOXES };

static enum fm_status check(const struct fm_model *model, struct fm_error *err)
{
	const struct fm_tensor_info *scores = fm_decoder_output(model, "scores");
	const struct fm_tensor_info *boxes = fm_decoder_output(model, "boxes");

	if (!scores || !boxes || scores->rank != 3 || boxes->rank != 3 || scores->dims[2] != 2 ||
	        boxes->dims[2] != 4 || scores->dims[1] != boxes->dims[1] || scores->dims[0] != 1 ||
	        boxes->dims[0] != 1)
		return fm_fail(err, FM_E_INVALID,
		        "%s: decoder ultraface wants outputs scores 1 x n x 2 and boxes 1 x n x 4",
		        model->file);
	return FM_OK;
}

static size_t candidates_max(const struct fm_model *model)
{
	return fm_decoder_output(model, "scores")->dims[1];
}

static size_t decode(const struct fm_model *model, const float *const *outputs, float score_min,
        struct fm_candidate *ret_candidates)
{
	size_t anchors = candidates_max(model), count = 0;

	for (size_t i = 0; i < anchors; i++) {
		const float *corners = outputs[BOXES] + 4 * i;
		float score = outputs[SCORES][2 * i + 1];
		struct fm_candidate *candidate = &ret_candidates[count];

		/* the comparison also refuses NaN */
		if (!(score > score_min) || !fm_decoder_finite(corners, 4))
			continue;
		memcpy(candidate->corners, corners, sizeof(candidate->corners));
		candidate->score = score;
		count++;
	}
	return count;
}

const struct fm_decoder fm_decoder_ultraface = {
        .name = "ultraface",
        .output_count = 2,
        .outputs = {[SCORES] = "scores", [BOXES] = "boxes"},
        .check = check,
        .candidates_max = candidates_max,
        .decode = decode,
};
