/* The three networks that a pipeline stands on. */
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/face/decoder.h"
#include "lib/face/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

const struct fm_models_options fm_models_defaults = {
        .detection = "fr_detect",
        .landmarks = "fr_landmark",
        .embedding = "fr_feature",
        .precision = FM_INT8,
};

FM_DEFINE_CLEANUP(struct fm_model *, fm_model_free);

/* Measured, docs/MODELS.md. */
#define DETECTION_PRECISION FM_INT8
#define LANDMARKS_PRECISION FM_INT8

static enum fm_status load_one(const struct fm_models_options *options, const char *name,
        enum fm_model_role role, enum fm_precision precision, struct fm_model **ret_model,
        struct fm_error *err)
{
	fm_cleanup(fm_model_freep) struct fm_model *model = NULL;
	fm_autofree char *path = NULL;

	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/'))
		return fm_fail(err, FM_E_INVALID, "\"%s\" is not the name of a model", name);
	if (asprintf(&path, "%s/%s.conf", options->manifests_dir, name) < 0) {
		path = NULL;
		return fm_fail(err, FM_E_NOMEM, "no memory for a path");
	}
	enum fm_status status = fm_model_load(path, options->models_dir, precision, &model, err);
	if (status != FM_OK)
		return status;
	if (model->role != role)
		return fm_fail(err, FM_E_INVALID, "%s: role is %s where %s is wanted", path,
		        fm_model_role_name(model->role), fm_model_role_name(role));
	*ret_model = fm_steal(model);
	return FM_OK;
}

/* No name: the detector must have points of its own. */
static enum fm_status load_landmarks(
        const struct fm_models_options *options, struct fm_models *models, struct fm_error *err)
{
	if (options->landmarks && options->landmarks[0] != '\0')
		return load_one(options, options->landmarks, FM_ROLE_LANDMARKS, LANDMARKS_PRECISION,
		        &models->landmarks, err);
	if (!models->detection->decoder->has_points)
		return fm_fail(err, FM_E_INVALID,
		        "network %s finds no landmarks by itself: name a network that does as landmarks",
		        models->detection->name);
	return FM_OK;
}

void fm_models_free(struct fm_models *models)
{
	if (!models)
		return;
	fm_model_free(models->detection);
	fm_model_free(models->landmarks);
	fm_model_free(models->embedding);
	free(models);
}
FM_DEFINE_CLEANUP(struct fm_models *, fm_models_free);

enum fm_status fm_models_load(
        const struct fm_models_options *options, struct fm_models **ret_models, struct fm_error *err)
{
	fm_cleanup(fm_models_freep) struct fm_models *models = fm_calloc(1, sizeof(*models));

	if (!models)
		return fm_fail(err, FM_E_NOMEM, "no memory for models");
	enum fm_status status = load_one(
	        options, options->detection, FM_ROLE_DETECTION, DETECTION_PRECISION, &models->detection, err);
	if (status == FM_OK)
		status = load_landmarks(options, models, err);
	if (status == FM_OK)
		status = load_one(options, options->embedding, FM_ROLE_EMBEDDING, options->precision,
		        &models->embedding, err);
	if (status != FM_OK)
		return status;
	*ret_models = fm_steal(models);
	return FM_OK;
}
