#include "cli/crops.h"

#include "cli/labelled.h"
#include "cli/photo.h"
#include "cli/progress.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/sha256.h"
#include "lib/face/align.h"
#include "lib/face/input.h"
#include "lib/face/paths.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

void fm_crops_done(struct fm_crops *crops)
{
	if (crops->inputs)
		fm_wipe(crops->inputs, crops->count * crops->elements * sizeof(*crops->inputs));
	free(crops->inputs);
	*crops = (struct fm_crops){0};
}

static enum fm_status load_models(
        const char *models_dir, const char *manifest, struct fm_models **ret_models, struct fm_error *err)
{
	fm_autofree char *networks = NULL, *manifests = NULL;
	struct fm_models_options options = fm_models_defaults;
	enum fm_status status = fm_models_find(models_dir, &networks, &manifests, err);

	if (status)
		return status;
	options.models_dir = networks;
	options.manifests_dir = manifests;
	options.embedding = manifest;
	options.precision = FM_FLOAT32;
	return fm_models_load(&options, ret_models, err);
}

/* FM_E_NO_FACE, or what decoding said, for a photo that gives no crop. */
static enum fm_status crop_photo(struct fm_pipeline *pipeline, const struct fm_model *model, const char *path,
        float *ret_input, struct fm_error *err)
{
	const struct fm_embed_request request = {.which = FM_EMBED_CENTRAL};
	fm_cleanup(fm_faces_done) struct fm_faces faces = {0};
	fm_cleanup(fm_image_done) struct fm_image photo = {0}, crop = {0};
	fm_autofree char *bytes = NULL;
	struct fm_similarity to_crop;
	size_t length;
	enum fm_status status;

	if ((status = fm_file_read(path, FM_PHOTO_BYTES_MAX, &bytes, &length, err)) ||
	        (status = fm_pipeline_run(pipeline, bytes, length, &request, &faces, err)))
		return status;
	if (faces.count == 0)
		return fm_fail(err, FM_E_NO_FACE, "%s shows no face", path);
	if ((status = fm_image_decode(bytes, length, &fm_pipeline_defaults.limits, 1, &photo, NULL, err)) ||
	        (status = fm_image_create(model->width_px, model->height_px, &crop, err)) ||
	        (status = fm_align_fit(
	                 (const float(*)[2])faces.faces[0].landmarks, model->width_px, &to_crop, err)) ||
	        (status = fm_align_sample(&photo, &to_crop, &crop, err)))
		return status;
	fm_input_fill(model, &crop, ret_input);
	return FM_OK;
}

static enum fm_status crop_photos(const char *dir, const struct fm_labelled *photos, size_t most,
        const struct fm_models *models, struct fm_crops *crops, struct fm_error *err)
{
	fm_cleanup(fm_pipeline_freep) struct fm_pipeline *pipeline = NULL;
	enum fm_status status = fm_pipeline_create(models, &fm_pipeline_defaults, &pipeline, err);
	struct fm_progress progress;

	if (status)
		return status;
	fm_progress_begin(&progress, "photos", most);
	for (size_t i = 0; !status && i < most; i++) {
		fm_autofree char *path = NULL;

		if (asprintf(&path, "%s/%s", dir, photos->photos[i * photos->count / most].path) < 0) {
			path = NULL;
			status = fm_fail(err, FM_E_NOMEM, "no memory for a path");
			break;
		}
		status = crop_photo(pipeline, models->embedding, path,
		        crops->inputs + crops->count * crops->elements, err);
		crops->count += !status;
		if (status && status != FM_E_NOMEM && status != FM_E_INTERNAL) {
			crops->misses++;
			status = FM_OK;
		}
		fm_progress_step(&progress);
	}
	fm_progress_end(&progress);
	if (!status && crops->count == 0)
		return fm_fail(err, FM_E_INVALID, "none of %zu photos in %s shows a face", most, dir);
	return status;
}

enum fm_status fm_crops_load(const char *dir, size_t most, const char *models_dir, const char *manifest,
        const void *bytes, size_t length, struct fm_crops *ret_crops, struct fm_error *err)
{
	fm_cleanup(fm_labelled_done) struct fm_labelled photos = {0};
	fm_cleanup(fm_models_freep) struct fm_models *models = NULL;
	fm_cleanup(fm_crops_done) struct fm_crops crops = {0};
	char sha256[FM_SHA256_HEX];
	enum fm_status status = load_models(models_dir, manifest, &models, err);

	if (status || (status = fm_labelled_scan(dir, &photos, err)))
		return status;
	fm_sha256_hex(bytes, length, sha256);
	if (strcmp(sha256, models->embedding->sha256) != 0)
		return fm_fail(err, FM_E_INVALID,
		        "the network is not that of the manifest %s, which says how photos become its input; "
		        "name its own with --manifest",
		        manifest);
	if (most > photos.count)
		most = photos.count;
	crops.elements = fm_net_input(models->embedding->net, 0)->elements;
	crops.width_px = (size_t)models->embedding->width_px;
	crops.height_px = (size_t)models->embedding->height_px;
	crops.inputs = fm_calloc(most * crops.elements, sizeof(*crops.inputs));
	if (!crops.inputs)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu faces", most);
	status = crop_photos(dir, &photos, most, models, &crops, err);
	if (status)
		return status;
	*ret_crops = crops;
	crops = (struct fm_crops){0};
	return FM_OK;
}
