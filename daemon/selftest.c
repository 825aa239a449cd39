#include "daemon/selftest.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/nn/session.h"

#include <math.h>
#include <stdlib.h>

#include "lib/base/banned.h"

FM_DEFINE_CLEANUP(struct fm_session *, fm_session_free);

#define PORTS_MAX 32 /* inputs or outputs of a network */

/* A checkerboard of 64 x 64 pixels, 8 x 8 fields, gray PNG: a photo without a face. */
static const unsigned char photo[] = {0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d,
        0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x40, 0x08, 0x00, 0x00, 0x00, 0x00,
        0x8f, 0x02, 0x2e, 0x02, 0x00, 0x00, 0x00, 0x38, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0xed, 0xd4, 0x21,
        0x0e, 0x00, 0x00, 0x08, 0xc3, 0x40, 0xfe, 0xff, 0x69, 0x30, 0x08, 0x82, 0xc4, 0x91, 0xdc, 0xdc, 0x4c,
        0x45, 0x45, 0x23, 0x7a, 0xd9, 0xbb, 0x7e, 0x80, 0xdf, 0x00, 0xf2, 0x00, 0xe6, 0xb8, 0xd0, 0x03, 0xf2,
        0x00, 0xb8, 0x00, 0xd0, 0x03, 0x00, 0x3d, 0x00, 0xd0, 0x03, 0x80, 0xf5, 0x0b, 0xdb, 0x9e, 0xf8, 0x6a,
        0x52, 0xa9, 0x08, 0xe7, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

struct buffers {
	float *inputs[PORTS_MAX], *outputs[PORTS_MAX];
};

static void buffers_done(struct buffers *buffers)
{
	for (size_t i = 0; i < PORTS_MAX; i++) {
		free(buffers->inputs[i]);
		free(buffers->outputs[i]);
	}
}

static enum fm_status check_output(
        const struct fm_model *model, const float *values, size_t count, struct fm_error *err)
{
	float low = INFINITY, high = -INFINITY;

	for (size_t i = 0; i < count; i++) {
		if (!isfinite(values[i]))
			return fm_fail(err, FM_E_INTERNAL,
			        "self-test: network %s gives a number that is not finite", model->name);
		low = fminf(low, values[i]);
		high = fmaxf(high, values[i]);
	}
	if (count > 1 && low == high)
		return fm_fail(err, FM_E_INTERNAL, "self-test: network %s gives the same number everywhere",
		        model->name);
	return FM_OK;
}

static enum fm_status run_network(const struct fm_model *model, struct fm_error *err)
{
	const struct fm_net *net = model->net;
	size_t inputs = fm_net_input_count(net), outputs = fm_net_output_count(net);
	fm_cleanup(buffers_done) struct buffers buffers = {0};
	fm_cleanup(fm_session_freep) struct fm_session *session = NULL;
	enum fm_status status = fm_session_create(net, &session, err);

	if (status)
		return status;
	if (inputs > PORTS_MAX || outputs > PORTS_MAX)
		return fm_fail(err, FM_E_UNSUPPORTED, "network %s has more than %d inputs or outputs",
		        model->name, PORTS_MAX);
	for (size_t i = 0; i < inputs; i++) {
		size_t count = fm_net_input(net, i)->elements;
		buffers.inputs[i] = fm_calloc(count, sizeof(float));
		if (!buffers.inputs[i])
			return fm_fail(err, FM_E_NOMEM, "no memory for the self-test");
		/* Every value from -1 to 1 in steps of 1/128, over and over: what a photo is scaled to. */
		for (size_t e = 0; e < count; e++)
			buffers.inputs[i][e] = (float)(e * 37 % 257) / 128.0f - 1.0f;
	}
	for (size_t i = 0; i < outputs; i++) {
		buffers.outputs[i] = fm_calloc(fm_net_output(net, i)->elements, sizeof(float));
		if (!buffers.outputs[i])
			return fm_fail(err, FM_E_NOMEM, "no memory for the self-test");
	}
	fm_session_run(session, (const float *const *)buffers.inputs, buffers.outputs);
	for (size_t i = 0; !status && i < outputs; i++)
		status = check_output(model, buffers.outputs[i], fm_net_output(net, i)->elements, err);
	return status;
}

enum fm_status fm_selftest_run(
        const struct fm_models *models, struct fm_pipeline *pipeline, struct fm_error *err)
{
	const struct fm_embed_request request = {.which = FM_EMBED_ALL};
	fm_cleanup(fm_faces_done) struct fm_faces faces = {0};
	enum fm_status status = run_network(models->detection, err);

	if (!status && models->landmarks)
		status = run_network(models->landmarks, err);
	if (!status)
		status = run_network(models->embedding, err);
	if (!status) {
		status = fm_pipeline_run(pipeline, photo, sizeof(photo), &request, &faces, err);
		if (status)
			fm_fail_prefix(err, status, "self-test: the pipeline refuses a photo");
	}
	return status;
}
