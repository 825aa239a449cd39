/* Manifests from strangers: one that is accepted can be used for decisions. */
#include "lib/face/calibrate.h"
#include "lib/face/manifest.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* Similarity rises with the cosine and stays in its range; rarer false matches ask for more. */
static void decide(const struct fm_calibration *calibration)
{
	double before = 0, stricter = -INFINITY;

	for (double cosine = -1; cosine <= 1; cosine += 0.01) {
		double similarity = fm_calibrate_similarity(calibration, cosine);
		require(similarity >= before && similarity <= 1);
		before = similarity;
	}
	for (double rate = 0.5; rate > 1e-12; rate /= 7) {
		double cosine = fm_calibrate_cosine(calibration, rate);
		require(cosine >= stricter);
		stricter = cosine;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fm_model *model = calloc(1, sizeof(*model));
	struct fm_error err;
	char *text = strndup((const char *)data, size);

	require(model && text);
	if (fm_manifest_parse(text, model, &err) == FM_OK) {
		require(model->name && model->file && !strchr(model->file, '/'));
		require(model->width_px > 0 && model->height_px > 0);
		if (model->role == FM_ROLE_EMBEDDING && model->calibration.count >= 2)
			decide(&model->calibration);
	}
	fm_model_free(model);
	free(text);
	return 0;
}
