/* The detector with inputs larger than its file's: the same answers, and the same faces as by small tiles. */
#include "lib/base/file.h"
#include "lib/cpu/cpu.h"
#include "lib/face/decoder.h"
#include "lib/face/detect.h"
#include "lib/face/levels.h"
#include "lib/image/decode.h"
#include "lib/image/warp.h"
#include "lib/nn/session.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/banned.h"

enum { WIDTH = 1008, HEIGHT = 756, PHOTOS = 6 };

static struct fm_model *model;

static void load(enum fm_precision precision)
{
	struct fm_error err = {0};
	enum fm_status status =
	        fm_model_load("config/models/fr_detect.conf", "build/models", precision, &model, &err);

	if (status == FM_E_NOT_FOUND)
		cr_skip_test("%s: make models", err.message);
	cr_assert_eq(status, FM_OK, "%s", err.message);
	cr_assert_gt(model->wide_count, 0);
}

static void setup(void)
{
	fm_cpu_flush_denormals();
}

static void teardown(void)
{
	fm_model_free(model);
}

TestSuite(wide, .init = setup, .fini = teardown);

/* Every candidate of a picture, whatever its score, in the order of the anchors. */
static size_t look(const struct fm_net *net, const struct fm_model *as, const float *input,
        struct fm_candidate **ret_candidates)
{
	struct fm_session *session = NULL;
	float *outputs[2];

	cr_assert_eq(fm_net_output_count(net), 2);
	for (size_t i = 0; i < 2; i++)
		outputs[i] = malloc(fm_net_output(net, i)->elements * sizeof(float));
	cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
	fm_session_run(session, (const float *const[]){input}, outputs);
	*ret_candidates = calloc(as->decoder->candidates_max(as), sizeof(**ret_candidates));
	size_t count = as->decoder->decode(as, (const float *const *)outputs, -1, *ret_candidates);
	for (size_t i = 0; i < 2; i++)
		free(outputs[i]);
	fm_session_free(session);
	return count;
}

Test(wide, anchors_are_those_of_the_file)
{
	load(FM_FLOAT32);
	const char *const raw_names[] = {model->raw_scores, model->raw_boxes};
	const struct fm_net_options options = {.outputs = raw_names, .output_count = 2};
	struct fm_model raw = *model;
	struct fm_candidate *baked, *made;
	struct fm_error err = {0};
	size_t elements = fm_net_input(model->net, 0)->elements;
	double shifts_px = 0;
	float *input = malloc(elements * sizeof(*input));

	raw.net = NULL;
	raw.decoder = &fm_decoder_anchors;
	cr_assert_eq(fm_net_load("build/models/fr_detect.onnx", &options, &raw.net, &err), FM_OK, "%s",
	        err.message);
	cr_assert_eq(raw.decoder->check(&raw, &err), FM_OK, "%s", err.message);
	for (size_t i = 0; i < elements; i++) /* waves, for scores and boxes of all kinds */
		input[i] = sinf((float)(i % 320) * 0.11F) * cosf((float)(i / 320) * 0.07F);
	size_t count = look(model->net, model, input, &baked);
	cr_assert_eq(count, 4420);
	cr_assert_eq(look(raw.net, &raw, input, &made), count);
	for (size_t i = 0; i < count; i++) {
		cr_expect_float_eq(made[i].score, baked[i].score, 1e-6);
		/* 240 px are no multiple of 32 and 64: there the file's anchors stand up to 8 px elsewhere,
		 * and on the mean nowhere else */
		double shift_px = (double)(made[i].corners[1] - baked[i].corners[1]) * 240;
		cr_expect_leq(fabs(shift_px), i < 4200 ? 1e-3 : 8, "anchor %zu: %g px", i, shift_px);
		shifts_px += shift_px;
		cr_expect_float_eq(made[i].corners[0], baked[i].corners[0], 1e-6);
		cr_expect_float_eq(made[i].corners[2], baked[i].corners[2], 1e-6);
		cr_expect_float_eq(made[i].corners[3] - made[i].corners[1],
		        baked[i].corners[3] - baked[i].corners[1], 1e-6);
	}
	cr_expect_float_eq(shifts_px / (double)count, 0, 1e-3);
	raw.width_px += 64;
	cr_expect_eq(raw.decoder->check(&raw, &err), FM_E_INVALID, "another number of anchors");
	free(baked);
	free(made);
	free(input);
	fm_net_free(raw.net);
}

/* The group photos beside and below each other: 22 faces. */
static struct fm_image crowd(void)
{
	struct fm_image image;
	int columns = 3, width = WIDTH / columns, height = HEIGHT / (PHOTOS / columns);

	cr_assert_eq(fm_image_create(WIDTH, HEIGHT, &image, NULL), FM_OK);
	for (int i = 0; i < PHOTOS; i++) {
		struct fm_image_limits limits = {.pixels_max = 50000000, .side_max_px = 16384};
		struct fm_image photo, part = image;
		struct fm_error err = {0};
		char path[64], *bytes;
		size_t length;

		snprintf(path, sizeof(path), "build/demo/sample%d.jpg", i + 1);
		if (fm_file_read(path, (size_t)32 << 20, &bytes, &length, &err) == FM_E_NOT_FOUND)
			cr_skip_test("%s: make demo-photos", err.message);
		cr_assert_eq(fm_image_decode(bytes, length, &limits, 1, &photo, NULL, &err), FM_OK, "%s",
		        err.message);
		part.width_px = width;
		part.height_px = height;
		part.pixels += (size_t)(i / columns * height) * image.stride_bytes +
		               (size_t)(i % columns * width) * 3;
		fm_image_resize_rect(&photo, 0, 0, photo.width_px, photo.height_px, 127, &part);
		fm_image_done(&photo);
		free(bytes);
	}
	return image;
}

static struct fm_detection *detect(
        const struct fm_model *detection, const struct fm_image *image, size_t *ret_count)
{
	struct fm_detector *detector = NULL;
	const struct fm_detection *found;
	struct fm_error err = {0};

	cr_assert_eq(fm_detect_create(detection, &detector, &err), FM_OK, "%s", err.message);
	for (int turn = 0; turn < 2; turn++) /* the second finds the large tile made */
		cr_assert_eq(fm_detect_run(detector, image, 20, &found, ret_count, &err), FM_OK, "%s",
		        err.message);
	struct fm_detection *copy = calloc(*ret_count + 1, sizeof(*copy));
	for (size_t i = 0; i < *ret_count; i++)
		copy[i] = found[i];
	fm_detect_free(detector);
	return copy;
}

static struct fm_image turned(const struct fm_image *image)
{
	struct fm_image out;

	cr_assert_eq(fm_image_create(image->width_px, image->height_px, &out, NULL), FM_OK);
	for (int y = 0; y < image->height_px; y++)
		for (int x = 0; x < image->width_px; x++)
			for (int c = 0; c < 3; c++)
				out.pixels[(size_t)y * out.stride_bytes + (size_t)x * 3 + (size_t)c] =
				        image->pixels[(size_t)y * image->stride_bytes +
				                      (size_t)(image->width_px - 1 - x) * 3 + (size_t)c];
	return out;
}

static void expect_same_faces(const struct fm_image *image)
{
	struct fm_level levels[FM_LEVELS_MAX];
	struct fm_model narrow = *model;
	size_t wide_count, narrow_count;

	narrow.wide = NULL;
	narrow.wide_count = 0;
	int count = fm_levels_plan(model, image->width_px, image->height_px, 20, levels);
	cr_assert_eq(count, 2);
	cr_assert_eq(levels[1].input, &model->wide[0]);
	struct fm_detection *wide = detect(model, image, &wide_count);
	struct fm_detection *tiled = detect(&narrow, image, &narrow_count);
	cr_expect_geq(wide_count, 21);
	cr_expect_eq(wide_count, narrow_count);
	for (size_t i = 0; i < narrow_count; i++) {
		const struct fm_detection *best = NULL;
		float best_share = 0;
		for (size_t k = 0; k < wide_count; k++) {
			float shared = fm_box_overlap(&tiled[i].box, &wide[k].box),
			      both = fm_box_area(&tiled[i].box) + fm_box_area(&wide[k].box) - shared;
			if (shared / both > best_share) {
				best = &wide[k];
				best_share = shared / both;
			}
		}
		cr_assert(best && best_share > 0.6F, "%g,%g: %g", (double)tiled[i].box.x_px,
		        (double)tiled[i].box.y_px, (double)best_share);
		cr_expect_float_eq(best->score, tiled[i].score, 0.1, "%g,%g: %g, %g by tiles",
		        (double)best->box.x_px, (double)best->box.y_px, (double)best->score,
		        (double)tiled[i].score);
	}
	free(wide);
	free(tiled);
}

Test(wide, finds_the_faces_that_small_tiles_find)
{
	load(FM_INT8);
	struct fm_image image = crowd(), mirrored = turned(&image);

	expect_same_faces(&image);
	expect_same_faces(&mirrored);
	fm_image_done(&image);
	fm_image_done(&mirrored);
}

/* As malloc counts it: the address sanitizer keeps another heap. */
#ifdef __SANITIZE_ADDRESS__
#define COUNTED false
#else
#define COUNTED true
#endif
static double held_mib(void)
{
	const struct mallinfo2 info = mallinfo2();

	return (double)(info.uordblks + info.hblkhd) / (1 << 20);
}

Test(wide, scratch_that_no_photo_needs_is_given_back)
{
	struct fm_detector *detector = NULL;
	const struct fm_detection *found;
	struct fm_error err = {0};
	size_t count, again;

	load(FM_INT8);
	struct fm_image image = crowd();
	cr_assert_eq(fm_detect_create(model, &detector, &err), FM_OK, "%s", err.message);
	double narrow_mib = held_mib();
	for (int turn = 0; turn < 2; turn++) {
		cr_assert_eq(fm_detect_run(detector, &image, 20, &found, turn ? &again : &count, &err), FM_OK,
		        "%s", err.message);
		double wide_mib = held_mib();
		fm_detect_tidy(detector);
		cr_expect_float_eq(held_mib(), wide_mib, 0.01, "it was used just now");
		fm_detect_tidy(detector);
		cr_expect(!COUNTED || wide_mib - narrow_mib > 10, "%g MiB", wide_mib - narrow_mib);
		cr_expect_lt(held_mib() - narrow_mib, 1, "%g MiB are kept", held_mib() - narrow_mib);
	}
	cr_expect_geq(count, 21);
	cr_expect_eq(again, count);
	fm_detect_free(detector);
	fm_image_done(&image);
}
