#include "cli/photo.h"

#include "lib/base/file.h"
#include "lib/face/paths.h"

#include <string.h>

#include "lib/base/banned.h"

enum fm_status fm_photo_models_load(const struct fm_networks *networks, enum fm_precision precision,
        struct fm_models **ret_models, struct fm_error *err)
{
	fm_autofree char *models_dir = NULL, *manifests_dir = NULL;
	struct fm_models_options options = fm_models_defaults;

	enum fm_status status = fm_models_find(networks->dir, &models_dir, &manifests_dir, err);
	if (status)
		return status;
	options.models_dir = models_dir;
	options.manifests_dir = manifests_dir;
	options.precision = precision;
	if (networks->detection)
		options.detection = networks->detection;
	if (networks->landmarks)
		options.landmarks = strcmp(networks->landmarks, "none") == 0 ? "" : networks->landmarks;
	if (networks->embedding)
		options.embedding = networks->embedding;
	return fm_models_load(&options, ret_models, err);
}

enum fm_status fm_photo_run(struct fm_pipeline *pipeline, const char *path, enum fm_embed_which which,
        struct fm_faces *ret_faces, struct fm_error *err)
{
	const struct fm_embed_request request = {.which = which};
	fm_autofree char *bytes = NULL;
	size_t length;

	enum fm_status status = fm_file_read(path, FM_PHOTO_BYTES_MAX, &bytes, &length, err);
	if (status)
		return status;
	status = fm_pipeline_run(pipeline, bytes, length, &request, ret_faces, err);
	return status ? fm_fail_prefix(err, status, "%s", path) : FM_OK;
}
