#include "cli/trial.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/face/decoder.h"
#include "lib/face/detect.h"
#include "lib/face/embed.h"
#include "lib/face/landmarks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

/* Embeddings of pictures that have nothing in common are less alike than this. */
#define ALIKE_MAX 0.99
/* Landmarks lie within so many sides of the picture's middle. */
#define ASTRAY_MAX 2.0F

FM_DEFINE_CLEANUP(struct fm_detector *, fm_detect_free);
FM_DEFINE_CLEANUP(struct fm_landmarker *, fm_landmarks_free);
FM_DEFINE_CLEANUP(struct fm_embed *, fm_embed_free);

/* Waves of every colour around gray; contrast 0 is even gray. */
static enum fm_status draw(int width_px, int height_px, int kind, double contrast, struct fm_image *ret_image,
        struct fm_error *err)
{
	enum fm_status status = fm_image_create(width_px, height_px, ret_image, err);

	if (status != FM_OK)
		return status;
	for (int y = 0; y < height_px; y++) {
		uint8_t *row = ret_image->pixels + (size_t)y * ret_image->stride_bytes;
		for (int x = 0; x < width_px; x++) {
			for (int c = 0; c < 3; c++) {
				double along = kind == 0 ? x + c * y : y - (c + 1) * x / 2.0;
				row[3 * x + c] = (uint8_t)(127 + contrast * sin(along / (4 + 3 * kind + c)));
			}
		}
	}
	return FM_OK;
}

static enum fm_status try_detection(
        const struct fm_model *model, char ret_words[FM_TRIAL_WORDS_MAX], struct fm_error *err)
{
	fm_cleanup(fm_detect_freep) struct fm_detector *detector = NULL;
	fm_cleanup(fm_image_done) struct fm_image gray = {0};
	const struct fm_detection *found;
	size_t count;
	enum fm_status status = fm_detect_create(model, &detector, err);

	if (status == FM_OK)
		status = draw(640, 480, 0, 0, &gray, err);
	if (status == FM_OK)
		status = fm_detect_run(detector, &gray, 80, &found, &count, err);
	if (status != FM_OK)
		return status;
	if (count > 0)
		return fm_fail(err, FM_E_INVALID,
		        "%s: finds %zu faces in an even gray picture: do color, mean and scale suit the "
		        "network?",
		        model->file, count);
	snprintf(ret_words, FM_TRIAL_WORDS_MAX, "decoder %s%s; finds no face in an even gray picture",
	        model->decoder->name, model->decoder->has_points ? ", with five points" : "");
	return FM_OK;
}

static enum fm_status try_landmarks(
        const struct fm_model *model, char ret_words[FM_TRIAL_WORDS_MAX], struct fm_error *err)
{
	fm_cleanup(fm_landmarks_freep) struct fm_landmarker *landmarker = NULL;
	fm_cleanup(fm_image_done) struct fm_image picture = {0};
	const struct fm_box box = {0, 0, (float)model->width_px, (float)model->height_px};
	float points[FM_POINTS][2], unrest;
	enum fm_status status = fm_landmarks_create(model, &landmarker, err);

	if (status == FM_OK)
		status = draw(model->width_px, model->height_px, 0, 100, &picture, err);
	if (status == FM_OK)
		status = fm_landmarks_run(landmarker, &picture, &box, points, &unrest, err);
	if (status != FM_OK)
		return status;
	for (int i = 0; i < FM_POINTS; i++) {
		float dx = points[i][0] / box.width_px - 0.5F, dy = points[i][1] / box.height_px - 0.5F;
		/* the comparisons also refuse NaN */
		if (!(fabsf(dx) < ASTRAY_MAX) || !(fabsf(dy) < ASTRAY_MAX))
			return fm_fail(err, FM_E_INVALID,
			        "%s: a landmark lies at (%g, %g) of a picture of %d x %d: is the output 68 x "
			        "(x, "
			        "y) in 0..1?",
			        model->file, (double)points[i][0], (double)points[i][1], model->width_px,
			        model->height_px);
	}
	snprintf(ret_words, FM_TRIAL_WORDS_MAX, "landmarks stay with the picture");
	return FM_OK;
}

static double dot(const float *a, const float *b, size_t dim)
{
	double sum = 0;

	for (size_t i = 0; i < dim; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

static enum fm_status try_embedding(
        const struct fm_model *model, char ret_words[FM_TRIAL_WORDS_MAX], struct fm_error *err)
{
	fm_cleanup(fm_embed_freep) struct fm_embed *embed = NULL;
	fm_autofree float *embeddings = fm_calloc(3 * model->dim, sizeof(*embeddings));
	float *first = embeddings, *other = embeddings + model->dim, *again = embeddings + 2 * model->dim;
	enum fm_status status = fm_embed_create(model, &embed, err);

	if (!embeddings)
		return fm_fail(err, FM_E_NOMEM, "no memory for embeddings");
	for (int run = 0; status == FM_OK && run < 3; run++) {
		fm_cleanup(fm_image_done) struct fm_image picture = {0};
		status = draw(model->width_px, model->height_px, run == 1, 100, &picture, err);
		if (status == FM_OK)
			fm_embed_run(embed, &picture, run == 0 ? first : run == 1 ? other : again);
	}
	if (status != FM_OK)
		return status;
	double length = dot(first, first, model->dim), alike = dot(first, other, model->dim);
	/* written so that NaN fails too */
	if (!(fabs(length - 1) < 1e-3) || !isfinite(alike))
		return fm_fail(err, FM_E_INVALID,
		        "%s: the embedding of a picture is zero or not finite: do mean and scale suit the "
		        "network?",
		        model->file);
	if (alike > ALIKE_MAX)
		return fm_fail(err, FM_E_INVALID,
		        "%s: two pictures that have nothing in common get the same embedding (cosine %.4f): "
		        "do "
		        "color, mean and scale suit the network?",
		        model->file, alike);
	if (memcmp(first, again, model->dim * sizeof(*first)) != 0)
		return fm_fail(
		        err, FM_E_INVALID, "%s: the same picture gets two different embeddings", model->file);
	snprintf(ret_words, FM_TRIAL_WORDS_MAX,
	        "finite, the same each time, cosine %.2f between two pictures that have nothing in common",
	        alike);
	return FM_OK;
}

enum fm_status fm_trial_run(
        const struct fm_model *model, char ret_words[FM_TRIAL_WORDS_MAX], struct fm_error *err)
{
	switch (model->role) {
	case FM_ROLE_DETECTION: return try_detection(model, ret_words, err);
	case FM_ROLE_LANDMARKS: return try_landmarks(model, ret_words, err);
	case FM_ROLE_EMBEDDING: return try_embedding(model, ret_words, err);
	}
	return fm_fail(err, FM_E_INTERNAL, "role %d", (int)model->role);
}
