#include "daemon/serving.h"

#include "daemon/selftest.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/face/paths.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

FM_DEFINE_CLEANUP(struct fm_serving *, fm_serving_put);

void fm_serving_put(struct fm_serving *serving)
{
	if (!serving || atomic_fetch_sub(&serving->holders, 1) != 1)
		return;
	for (size_t i = 0; serving->pipelines && i < serving->worker_count; i++)
		fm_pipeline_free(serving->pipelines[i]);
	free(serving->pipelines);
	fm_enrolled_free(serving->enrolled);
	fm_models_free(serving->models);
	free(serving);
}

const char *fm_serving_model(const struct fm_serving *serving)
{
	return serving->models->embedding->fingerprint;
}

static enum fm_status load(const struct fm_config *config, const char *embedding, enum fm_precision precision,
        struct fm_serving **ret_serving, struct fm_error *err)
{
	fm_cleanup(fm_serving_putp) struct fm_serving *serving = fm_calloc(1, sizeof(*serving));
	struct fm_models_options options = {
	        .detection = config->detection,
	        .landmarks = config->landmarks,
	        .embedding = embedding,
	        .precision = precision,
	};
	fm_autofree char *models_dir = NULL;
	fm_autofree char *manifests_dir = NULL;

	if (!serving)
		return fm_fail(err, FM_E_NOMEM, "no memory for the networks");
	atomic_init(&serving->holders, 1);
	enum fm_status status = fm_models_find(
	        config->models_dir[0] ? config->models_dir : NULL, &models_dir, &manifests_dir, err);

	if (status)
		return status;
	options.models_dir = models_dir;
	options.manifests_dir = config->manifests_dir[0] ? config->manifests_dir : manifests_dir;
	status = fm_models_load(&options, &serving->models, err);
	if (!status)
		*ret_serving = fm_steal(serving);
	return status;
}

enum fm_status fm_serving_load(
        const struct fm_config *config, struct fm_serving **ret_serving, struct fm_error *err)
{
	enum fm_precision precision;
	enum fm_status status = fm_precision_parse(config->precision, &precision, err);

	return status ? status : load(config, config->embedding, precision, ret_serving, err);
}

enum fm_status fm_serving_load_model(const struct fm_config *config, const char *model,
        struct fm_serving **ret_serving, struct fm_error *err)
{
	static const enum fm_precision precisions[] = {FM_INT8, FM_FLOAT32};
	fm_autofree char *name = strndup(model, strcspn(model, "@"));

	if (!name)
		return fm_fail(err, FM_E_NOMEM, "no memory for the networks");
	for (size_t i = 0; i < sizeof(precisions) / sizeof(precisions[0]); i++) {
		fm_cleanup(fm_serving_putp) struct fm_serving *serving = NULL;
		enum fm_status status = load(config, name, precisions[i], &serving, err);

		if (status)
			return status;
		if (strcmp(fm_serving_model(serving), model) == 0) {
			*ret_serving = fm_steal(serving);
			return FM_OK;
		}
	}
	return fm_fail(err, FM_E_NOT_FOUND,
	        "the files of network %s are not those that %s was computed with: put them back", name,
	        model);
}

enum fm_status fm_serving_ready(struct fm_serving *serving, const struct fm_pipeline_options *options,
        size_t worker_count, struct fm_error *err)
{
	enum fm_status status = FM_OK;

	serving->pipelines = fm_calloc(worker_count, sizeof(serving->pipelines[0]));
	if (!serving->pipelines)
		return fm_fail(err, FM_E_NOMEM, "no memory for the workers");
	serving->worker_count = worker_count;
	for (size_t i = 0; !status && i < worker_count; i++)
		status = fm_pipeline_create(serving->models, options, &serving->pipelines[i], err);
	return status ? status : fm_selftest_run(serving->models, serving->pipelines[0], err);
}

void fm_serving_take_enrolled(struct fm_serving *serving, struct fm_enrolled *enrolled)
{
	serving->enrolled = enrolled;
	serving->index = enrolled->index;
}

enum fm_status fm_serving_open_index(
        struct fm_serving *serving, struct fm_gallery *gallery, struct fm_error *err)
{
	struct fm_enrolled *enrolled;
	enum fm_status status = fm_enrolled_create(
	        gallery, fm_serving_model(serving), serving->models->embedding->dim, &enrolled, err);

	if (!status)
		fm_serving_take_enrolled(serving, enrolled);
	return status;
}

void fm_serving_slot_init(struct fm_serving_slot *slot)
{
	pthread_mutex_init(&slot->lock, NULL);
	slot->current = NULL;
}

void fm_serving_slot_done(struct fm_serving_slot *slot)
{
	fm_serving_put(slot->current);
	pthread_mutex_destroy(&slot->lock);
}

struct fm_serving *fm_serving_get(struct fm_serving_slot *slot)
{
	pthread_mutex_lock(&slot->lock);
	struct fm_serving *serving = slot->current;
	if (serving)
		atomic_fetch_add(&serving->holders, 1);
	pthread_mutex_unlock(&slot->lock);
	return serving;
}

struct fm_serving *fm_serving_exchange(struct fm_serving_slot *slot, struct fm_serving *next)
{
	pthread_mutex_lock(&slot->lock);
	struct fm_serving *old = slot->current;
	slot->current = next;
	pthread_mutex_unlock(&slot->lock);
	return old;
}
