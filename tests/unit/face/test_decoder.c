/* What detectors' outputs mean: YuNet's arithmetic against libm's on made outputs. */
#include "lib/face/decoder.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "lib/base/banned.h"

enum { WIDTH = 96, HEIGHT = 64, STRIDES = 3 };

static const struct fm_model model = {.width_px = WIDTH, .height_px = HEIGHT, .decoder = &fm_decoder_yunet};

/* Outputs of YuNet that see nothing. */
static void make(float *outputs[FM_DECODER_OUTPUTS_MAX])
{
	static const size_t lengths[] = {1, 1, 4, 10};

	for (size_t i = 0; i < fm_decoder_yunet.output_count; i++) {
		size_t stride = (size_t)8 << i % STRIDES, cells = WIDTH / stride * (HEIGHT / stride);
		outputs[i] = calloc(cells * lengths[i / STRIDES], sizeof(float));
	}
}

static void drop(float *outputs[FM_DECODER_OUTPUTS_MAX])
{
	for (size_t i = 0; i < fm_decoder_yunet.output_count; i++)
		free(outputs[i]);
}

static size_t decode(float *outputs[], float score_min, struct fm_candidate *ret_candidates)
{
	return fm_decoder_yunet.decode(&model, (const float *const *)outputs, score_min, ret_candidates);
}

Test(decoder, knows_the_families_by_name)
{
	cr_expect_eq(fm_decoder_find("ultraface"), &fm_decoder_ultraface);
	cr_expect_eq(fm_decoder_find("yunet"), &fm_decoder_yunet);
	cr_expect_null(fm_decoder_find("YuNet"));
	cr_expect_null(fm_decoder_find(""));
}

Test(decoder, yunet_reads_cells_in_units_of_their_stride)
{
	struct fm_candidate seen[200];
	float *outputs[FM_DECODER_OUTPUTS_MAX];

	cr_assert_eq(fm_decoder_yunet.candidates_max(&model), 12 * 8 + 6 * 4 + 3 * 2);
	make(outputs);
	cr_expect_eq(decode(outputs, 0.5F, seen), 0);
	for (int s = 0; s < STRIDES; s++) {
		int stride = 8 << s, columns = WIDTH / stride, column = columns - 1, row = 1;
		int cell = row * columns + column;
		float *box = outputs[2 * STRIDES + s] + (size_t)cell * 4;
		float *points = outputs[3 * STRIDES + s] + (size_t)cell * 10;

		outputs[s][cell] = 0.9F;
		outputs[STRIDES + s][cell] = 1.6F; /* counts as 1 */
		box[0] = 0.25F;
		box[1] = -0.5F;
		box[2] = 0.7F + (float)s;
		box[3] = -1.1F;
		for (int i = 0; i < 10; i++)
			points[i] = (float)i / 4 - 1;
		cr_assert_eq(decode(outputs, 0.5F, seen), 1, "stride %d", stride);
		cr_expect_float_eq(seen[0].score, sqrt(0.9), 1e-6);
		double x = (column + 0.25) * stride, y = (row - 0.5) * stride;
		double width = exp(0.7 + s) * stride, height = exp(-1.1) * stride;
		cr_expect_float_eq(seen[0].corners[0] * WIDTH, x - width / 2, 1e-4);
		cr_expect_float_eq(seen[0].corners[1] * HEIGHT, y - height / 2, 1e-4);
		cr_expect_float_eq(seen[0].corners[2] * WIDTH, x + width / 2, 1e-4);
		cr_expect_float_eq(seen[0].corners[3] * HEIGHT, y + height / 2, 1e-4);
		for (int i = 0; i < FM_POINTS; i++) {
			double point_x = (column + 2 * i / 4.0 - 1) * stride;
			double point_y = (row + (2 * i + 1) / 4.0 - 1) * stride;
			cr_expect_float_eq(seen[0].points[i][0] * WIDTH, point_x, 1e-4);
			cr_expect_float_eq(seen[0].points[i][1] * HEIGHT, point_y, 1e-4);
		}
		outputs[s][cell] = 0.2F;
		cr_expect_eq(decode(outputs, 0.5F, seen), 0, "a score of sqrt(0.2)");
	}
	drop(outputs);
}

Test(decoder, yunet_believes_no_number_that_is_none)
{
	struct fm_candidate seen[200];
	float *outputs[FM_DECODER_OUTPUTS_MAX];

	make(outputs);
	for (size_t i = 0; i < 4; i++)
		outputs[0][i] = outputs[STRIDES][i] = 1;
	outputs[0][0] = NAN;
	outputs[2 * STRIDES][4 * 1 + 2] = INFINITY;
	outputs[3 * STRIDES][10 * 2 + 9] = NAN;
	outputs[2 * STRIDES][4 * 3 + 2] = 1e30F; /* finite, and far beyond any face */
	cr_assert_eq(decode(outputs, 0.5F, seen), 1);
	cr_expect(fm_decoder_finite(seen[0].corners, 4));
	cr_expect_gt(seen[0].corners[2] - seen[0].corners[0], 100);
	drop(outputs);
}
