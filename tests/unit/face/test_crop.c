/* A crop that is kept stands for its photo: another run on it gives nearly the same embedding. */
#include "lib/base/file.h"
#include "lib/face/embed.h"
#include "lib/face/pipeline.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/banned.h"

static const struct fm_image_limits limits = {.pixels_max = 1 << 20, .side_max_px = 4096};

Test(crop, is_as_good_as_the_photo)
{
	struct fm_models_options options = fm_models_defaults;
	struct fm_models *models = NULL;
	struct fm_pipeline *pipeline = NULL;
	struct fm_embed *embed = NULL;
	struct fm_error err = {0};

	options.models_dir = "build/models";
	options.manifests_dir = "config/models";
	options.precision = FM_INT8;
	enum fm_status status = fm_models_load(&options, &models, &err);

	if (status == FM_E_NOT_FOUND)
		cr_skip_test("%s: make models", err.message);
	cr_assert_eq(status, FM_OK, "%s", err.message);
	cr_assert_eq(fm_pipeline_create(models, &fm_pipeline_defaults, &pipeline, &err), FM_OK);
	cr_assert_eq(fm_embed_create(models->embedding, &embed, &err), FM_OK);
	float *again = calloc(models->embedding->dim, sizeof(*again));

	for (int number = 1; number <= 6; number++) {
		struct fm_embed_request request = {.which = FM_EMBED_LARGEST, .crop = true};
		struct fm_faces faces = {0};
		struct fm_image crop = {0};
		char path[64], *photo;
		size_t length;
		double cosine = 0;

		snprintf(path, sizeof(path), "build/demo/sample%d.jpg", number);
		if (fm_file_read(path, 1 << 24, &photo, &length, &err) != FM_OK)
			cr_skip_test("%s: make demo-photos", err.message);
		cr_assert_eq(fm_pipeline_run(pipeline, photo, length, &request, &faces, &err), FM_OK);
		cr_assert_not_null(faces.crop);
		cr_assert_eq(fm_image_decode(faces.crop, faces.crop_bytes, &limits, 1, &crop, NULL, &err),
		        FM_OK, "%s", err.message);
		cr_expect_eq(crop.width_px, models->embedding->width_px);
		cr_expect_eq(crop.height_px, models->embedding->height_px);
		fm_embed_run(embed, &crop, again);
		for (size_t i = 0; i < faces.dim; i++)
			cosine += (double)again[i] * faces.faces[0].embedding[i];
		cr_expect_gt(
		        cosine, 0.99, "sample%d: %zu bytes, cosine %f", number, faces.crop_bytes, cosine);
		fm_image_done(&crop);
		fm_faces_done(&faces);
		request.crop = false;
		cr_assert_eq(fm_pipeline_run(pipeline, photo, length, &request, &faces, &err), FM_OK);
		cr_expect_null(faces.crop);
		fm_faces_done(&faces);
		free(photo);
	}
	free(again);
	fm_embed_free(embed);
	fm_pipeline_free(pipeline);
	fm_models_free(models);
}
