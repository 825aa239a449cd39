#include "lib/face/model.h"

#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/face/decoder.h"
#include "lib/face/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define MANIFEST_MAX_BYTES ((size_t)64 << 10)
#define NETWORK_MAX_BYTES  ((size_t)512 << 20)

const char *fm_model_role_name(enum fm_model_role role)
{
	static const char *const names[] = {"detection", "landmarks", "embedding"};

	return names[role];
}

const char *fm_color_order_name(enum fm_color_order color)
{
	static const char *const names[] = {"rgb", "bgr", "gray"};

	return names[color];
}

void fm_model_free(struct fm_model *model)
{
	if (!model)
		return;
	fm_net_free(model->net);
	for (size_t i = 0; i < model->wide_count; i++)
		fm_net_free(model->wide[i].net);
	free(model->wide);
	free(model->raw_scores);
	free(model->raw_boxes);
	free(model->name);
	free(model->file);
	free(model->license);
	free(model->source);
	free(model->calibration.description);
	free(model);
}
FM_DEFINE_CLEANUP(struct fm_model *, fm_model_free);

/* A tile for the photos of phones at a quarter of their size, 4032 x 3024 and what is nearly that, lying and
 * standing, with lib/face/levels.c's border. */
static const struct {
	int width_px, height_px;
} wide_inputs[] = {{1040, 784}, {784, 1040}};
#define WIDE_COUNT (sizeof(wide_inputs) / sizeof(wide_inputs[0]))

static enum fm_status load_wide(struct fm_model *model, const void *bytes, size_t length,
        enum fm_precision precision, struct fm_error *err)
{
	const char *const outputs[] = {model->raw_scores, model->raw_boxes};

	if (!model->raw_scores)
		return FM_OK;
	model->wide = fm_calloc(WIDE_COUNT, sizeof(*model->wide));
	if (!model->wide)
		return fm_fail(err, FM_E_NOMEM, "no memory for a model");
	for (size_t i = 0; i < WIDE_COUNT; i++) {
		struct fm_model *wide = &model->wide[i];
		const struct fm_net_options options = {.precision = precision,
		        .input_width_px = (size_t)wide_inputs[i].width_px,
		        .input_height_px = (size_t)wide_inputs[i].height_px,
		        .resize = true,
		        .outputs = outputs,
		        .output_count = FM_ARRAY_SIZE(outputs)};
		*wide = *model;
		wide->net = NULL;
		wide->wide = NULL;
		wide->wide_count = 0;
		wide->width_px = wide_inputs[i].width_px;
		wide->height_px = wide_inputs[i].height_px;
		wide->decoder = &fm_decoder_anchors;
		enum fm_status status = fm_net_load_memory(bytes, length, &options, &wide->net, err);
		if (status != FM_OK)
			return status;
		model->wide_count++;
		status = wide->decoder->check(wide, err);
		if (status != FM_OK)
			return status;
	}
	return FM_OK;
}

static enum fm_status load_network(
        struct fm_model *model, const char *models_dir, enum fm_precision precision, struct fm_error *err)
{
	const struct fm_net_options options = {.precision = precision,
	        .input_width_px = (size_t)model->width_px,
	        .input_height_px = (size_t)model->height_px};
	fm_autofree char *path = NULL;
	fm_autofree char *bytes = NULL;
	char digest[FM_SHA256_HEX];
	size_t length;

	if (asprintf(&path, "%s/%s", models_dir, model->file) < 0) {
		path = NULL;
		return fm_fail(err, FM_E_NOMEM, "no memory for a path");
	}
	enum fm_status status = fm_file_read(path, NETWORK_MAX_BYTES, &bytes, &length, err);
	if (status != FM_OK)
		return status;
	fm_sha256_hex(bytes, length, digest);
	if (strcmp(digest, model->sha256) != 0)
		return fm_fail(err, FM_E_CORRUPT, "%s: sha256 is %s, not %s as its manifest says", path,
		        digest, model->sha256);
	status = fm_net_load_memory(bytes, length, &options, &model->net, err);
	if (status == FM_OK)
		status = load_wide(model, bytes, length, precision, err);
	return status == FM_OK ? FM_OK : fm_fail_prefix(err, status, "%s", path);
}

static enum fm_status check_input(const struct fm_model *model, struct fm_error *err)
{
	size_t channels = model->color == FM_COLOR_GRAY ? 1 : 3;

	if (fm_net_input_count(model->net) != 1)
		return fm_fail(err, FM_E_UNSUPPORTED, "%s: one input is wanted, not %zu", model->file,
		        fm_net_input_count(model->net));
	const struct fm_tensor_info *input = fm_net_input(model->net, 0);
	if (input->rank != 4 || input->dims[0] != 1 || input->dims[1] != channels ||
	        input->dims[2] != (size_t)model->height_px || input->dims[3] != (size_t)model->width_px)
		return fm_fail(err, FM_E_INVALID,
		        "%s: input \"%s\" is not 1 x %zu x %d x %d as its manifest says", model->file,
		        input->name, channels, model->height_px, model->width_px);
	return FM_OK;
}

static enum fm_status check_single_output(const struct fm_model *model, size_t elements, struct fm_error *err)
{
	if (model->role == FM_ROLE_EMBEDDING && model->width_px != model->height_px)
		return fm_fail(err, FM_E_INVALID, "%s: the template is for a square input", model->file);
	if (fm_net_output_count(model->net) != 1 || fm_net_output(model->net, 0)->elements != elements)
		return fm_fail(
		        err, FM_E_INVALID, "%s: one output of %zu numbers is wanted", model->file, elements);
	return FM_OK;
}

static enum fm_status check_network(const struct fm_model *model, struct fm_error *err)
{
	enum fm_status status = check_input(model, err);

	if (status != FM_OK)
		return status;
	switch (model->role) {
	case FM_ROLE_DETECTION: return model->decoder->check(model, err);
	case FM_ROLE_LANDMARKS: return check_single_output(model, (size_t)2 * 68, err);
	case FM_ROLE_EMBEDDING: return check_single_output(model, model->dim, err);
	}
	return fm_fail(err, FM_E_INTERNAL, "role %d", (int)model->role);
}

/* All that changes what the network says about a photo goes into the digest, as text. */
static void set_fingerprint(struct fm_model *model, enum fm_precision precision)
{
	char text[512], digest[FM_SHA256_HEX];
	int length = snprintf(text, sizeof(text),
	        "%s %s %s %dx%d %s mean %.9g %.9g %.9g scale %.9g %.9g %.9g%s", model->sha256,
	        fm_model_role_name(model->role), fm_precision_name(precision), model->width_px,
	        model->height_px, fm_color_order_name(model->color), (double)model->mean[0],
	        (double)model->mean[1], (double)model->mean[2], (double)model->scale[0],
	        (double)model->scale[1], (double)model->scale[2], model->flip ? " flip" : "");

	fm_sha256_hex(text, (size_t)length, digest);
	snprintf(model->fingerprint, sizeof(model->fingerprint), "%s@%.16s", model->name, digest);
}

enum fm_status fm_model_load(const char *manifest_path, const char *models_dir, enum fm_precision precision,
        struct fm_model **ret_model, struct fm_error *err)
{
	fm_cleanup(fm_model_freep) struct fm_model *model = fm_calloc(1, sizeof(*model));
	fm_autofree char *text = NULL;
	size_t length;

	if (!model)
		return fm_fail(err, FM_E_NOMEM, "no memory for a model");
	enum fm_status status = fm_file_read(manifest_path, MANIFEST_MAX_BYTES, &text, &length, err);
	if (status != FM_OK)
		return status;
	status = fm_manifest_parse(text, model, err);
	model->trained_width_px = model->width_px;
	model->trained_height_px = model->height_px;
	if (status == FM_OK)
		status = load_network(model, models_dir, precision, err);
	if (status == FM_OK)
		status = check_network(model, err);
	if (status != FM_OK)
		return fm_fail_prefix(err, status, "%s", manifest_path);
	set_fingerprint(model, precision);
	*ret_model = fm_steal(model);
	return FM_OK;
}
