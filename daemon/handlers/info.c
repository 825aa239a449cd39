/* GET /v1/info */
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"
#include "daemon/handlers/shape.h"
#include "lib/cpu/cpu.h"

#include "lib/base/banned.h"

static json_t *shape_model(const struct fm_model *model)
{
	return json_pack("{s:s, s:s, s:s, s:s?, s:s?}", "name", model->name, "fingerprint",
	        model->fingerprint, "precision", fm_precision_name(fm_net_precision(model->net)), "license",
	        model->license, "source", model->source);
}

enum fm_problem fm_handle_info(struct fm_exchange *exchange, struct fm_error *err)
{
	const struct fm_app *app = exchange->app;
	const struct fm_config *config = exchange->config;
	const struct fm_models *models = exchange->serving->models;
	struct fm_threshold verification = fm_match_verification(exchange->serving, config, 1, -1);

	json_t *body = json_pack("{s:s, s:s, s:s, s:I, s:{s:o, s:o*, s:o}, s:s, s:I, s:I, s:{s:f, s:f, s:o}, "
	                         "s:{s:I, s:I, s:I}}",
	        "version", FM_VERSION, "isa", fm_isa_name(fm_isa_best()), "quantization",
	        fm_precision_name(fm_net_precision(models->embedding->net)), "workers",
	        (json_int_t)app->worker_count, "models", "detection", shape_model(models->detection),
	        "landmarks", models->landmarks ? shape_model(models->landmarks) : NULL, "embedding",
	        shape_model(models->embedding), "configured_model", app->configured_model, "unsearched_faces",
	        (json_int_t)atomic_load(&app->unsearched_faces), "embedding_dim",
	        (json_int_t)models->embedding->dim, "thresholds", "false_match_rate",
	        config->false_match_rate, "false_positive_identification_rate",
	        config->false_positive_identification_rate, "verification", fm_shape_threshold(&verification),
	        "limits", "body_max_bytes", (json_int_t)config->body_max_bytes, "pixels_max",
	        (json_int_t)config->pixels_max, "min_face_px", (json_int_t)config->min_face_px);
	return fm_common_reply(exchange, 200, body, err);
}
