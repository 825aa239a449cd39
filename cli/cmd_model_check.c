#include "cli/cli.h"
#include "cli/json.h"
#include "cli/tensors.h"
#include "cli/trial.h"
#include "lib/base/size.h"
#include "lib/face/calibrate.h"
#include "lib/face/model.h"
#include "lib/face/paths.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

FM_DEFINE_CLEANUP(struct fm_model *, fm_model_free);

/* MANIFEST is a path, or the name of an installed manifest: "fr_feature" is fr_feature.conf among them. */
static enum fm_status load_model(const char *given, const char *models_dir, enum fm_precision precision,
        struct fm_model **ret_model, struct fm_error *err)
{
	fm_autofree char *networks = NULL, *manifests = NULL, *installed = NULL;

	enum fm_status status = fm_models_find(models_dir, &networks, &manifests, err);
	if (status)
		return status;
	if (!strchr(given, '/') && access(given, F_OK) < 0) {
		if (asprintf(&installed, "%s/%s.conf", manifests, given) < 0) {
			installed = NULL;
			return fm_fail(err, FM_E_NOMEM, "no memory for a path");
		}
	}
	return fm_model_load(installed ? installed : given, networks, precision, ret_model, err);
}

static void describe_calibration(const struct fm_calibration *calibration, json_t *json)
{
	json_object_set_new(json, "calibration_points", json_integer((json_int_t)calibration->count));
	if (calibration->count == 0) {
		json_object_set_new(json, "warning",
		        fm_json_text("no calibration, so nobody will ever match: facematchctl calibrate "
		                     "makes one"));
		return;
	}
	if (calibration->description)
		json_object_set_new(json, "calibrated_on", fm_json_text(calibration->description));
	json_object_set_new(
	        json, "calibration_impostor_pairs", json_integer((json_int_t)calibration->impostor_pairs));
	/* Rarer rates are extrapolated. */
	json_object_set_new(
	        json, "calibration_measured_to_fmr", fm_json_number(fm_calibrate_measured_fmr(calibration)));
	for (int exponent = -3; exponent >= -6; exponent--) {
		char key[32];
		snprintf(key, sizeof(key), "cosine_at_fmr_1e%d", exponent);
		json_object_set_new(
		        json, key, fm_json_number(fm_calibrate_cosine(calibration, pow(10, exponent))));
	}
}

static json_t *describe(const struct fm_model *model, const char *trial)
{
	char input[64];

	snprintf(input, sizeof(input), "%dx%d %s", model->width_px, model->height_px,
	        fm_color_order_name(model->color));
	json_t *json = json_pack("{s:o, s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:s}", "name",
	        fm_json_text(model->name), "role", fm_model_role_name(model->role), "file",
	        fm_json_text(model->file), "sha256", model->sha256, "input", input, "license",
	        fm_json_text(model->license ? model->license : ""), "source",
	        fm_json_text(model->source ? model->source : ""), "fingerprint",
	        fm_json_text(model->fingerprint), "precision",
	        fm_precision_name(fm_net_precision(model->net)));
	if (json)
		json_object_set_new(json, "self_test", fm_json_text(trial));
	if (json && model->role == FM_ROLE_EMBEDDING) {
		json_object_set_new(json, "dim", json_integer((json_int_t)model->dim));
		json_object_set_new(json, "flip", json_boolean(model->flip));
		describe_calibration(&model->calibration, json);
	}
	return json;
}

static int model_check_run(struct fm_call *call)
{
	const char *models_dir = call->models_dir;
	enum fm_precision precision = FM_INT8;
	bool as_json = false;
	const struct fm_option options[] = {
	        FM_OPTION_MODELS_ROW(&models_dir),
	        FM_OPTION_PRECISION_ROW(&precision),
	        {"json", FM_OPTION_FLAG, &as_json, NULL, "print one line of JSON"},
	};
	fm_cleanup(fm_model_freep) struct fm_model *model = NULL;
	char trial[FM_TRIAL_WORDS_MAX];
	struct fm_error err;
	int result;

	if (!fm_options_parse(call, options, FM_ARRAY_SIZE(options), 1, 1, &result))
		return result;
	enum fm_status status = load_model(call->operands[0], models_dir, precision, &model, &err);
	if (!status)
		status = fm_trial_run(model, trial, &err);
	if (!status)
		status = fm_json_print(describe(model, trial), as_json, &err);
	if (status)
		fm_complain("%s", err.message);
	return status ? FM_EXIT_FAILURE : FM_EXIT_OK;
}

const struct fm_command fm_cmd_model_check = {
        .name = "model check",
        .operands = "MANIFEST",
        .summary = "say whether a network fits its manifest and its role",
        .description =
                "Reads a manifest (a path, or the name of an installed one), verifies the network's "
                "checksum, loads\n"
                "it, compares its inputs and outputs with what the manifest and its role want, and runs it "
                "on pictures\n"
                "made for this. Prints role, input, licence, source, fingerprint and, for embeddings, what "
                "the\n"
                "calibration says; warns where there is none. Fails, and says why, where facematchd would "
                "refuse\n"
                "to start with it or the network does what none in its role does.",
        .example = "  facematchctl model check fr_feature",
        .run = model_check_run,
};
