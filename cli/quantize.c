#include "cli/quantize.h"

#include "cli/progress.h"
#include "cli/tensors.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/cpu/cpu.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

enum { ORIGINAL, QUANTIZED_FLOAT32, QUANTIZED_INT8, RUNNERS };

struct runner {
	struct fm_net *net;
	struct fm_session *session;
	struct fm_tensors tensors;
};

struct runners {
	struct runner at[RUNNERS];
};

static void runners_done(struct runners *runners)
{
	for (size_t i = 0; i < RUNNERS; i++) {
		fm_tensors_done(&runners->at[i].tensors);
		fm_session_free(runners->at[i].session);
		fm_net_free(runners->at[i].net);
	}
}

static enum fm_status load(const void *bytes, size_t length, enum fm_precision precision,
        struct fm_size_px size, struct runner *runner, struct fm_error *err)
{
	const struct fm_net_options options = {
	        .precision = precision, .input_height_px = size.height, .input_width_px = size.width};
	enum fm_status status = fm_net_load_memory(bytes, length, &options, &runner->net, err);

	if (!status)
		status = fm_session_create(runner->net, &runner->session, err);
	return status ? status : fm_tensors_create(runner->net, &runner->tensors, err);
}

static bool same_outputs(const struct fm_net *a, const struct fm_net *b)
{
	bool same = fm_net_input_count(a) == fm_net_input_count(b) &&
	            fm_net_output_count(a) == fm_net_output_count(b);

	for (size_t i = 0; same && i < fm_net_output_count(a); i++)
		same = fm_net_output(a, i)->elements == fm_net_output(b, i)->elements;
	return same;
}

/* 1 for two vectors of nothing but zeros; 0 when only one is. */
static double cosine(const float *a, const float *b, size_t count)
{
	double ab = 0, aa = 0, bb = 0;

	for (size_t i = 0; i < count; i++) {
		ab += (double)a[i] * (double)b[i];
		aa += (double)a[i] * (double)a[i];
		bb += (double)b[i] * (double)b[i];
	}
	if (aa == 0 || bb == 0)
		return aa == bb ? 1 : 0;
	return ab / sqrt(aa * bb);
}

static void compare(struct runners *runners, size_t inputs, struct fm_fidelity *fidelity)
{
	const struct fm_net *net = runners->at[ORIGINAL].net;

	for (size_t i = 0; i < fm_net_output_count(net); i++) {
		const size_t elements = fm_net_output(net, i)->elements;
		const float *wanted = runners->at[ORIGINAL].tensors.outputs[i];
		const double float32 =
		        cosine(wanted, runners->at[QUANTIZED_FLOAT32].tensors.outputs[i], elements);
		const double int8 = cosine(wanted, runners->at[QUANTIZED_INT8].tensors.outputs[i], elements);

		fidelity[i].float32_mean += float32 / (double)inputs;
		fidelity[i].int8_mean += int8 / (double)inputs;
		fidelity[i].float32_min = fmin(fidelity[i].float32_min, float32);
		fidelity[i].int8_min = fmin(fidelity[i].int8_min, int8);
	}
}

static void measure(struct runners *runners, const struct fm_crops *crops, struct fm_fidelity *fidelity)
{
	const struct fm_net *net = runners->at[ORIGINAL].net;
	const size_t inputs = crops ? crops->count : FM_FIDELITY_INPUTS;
	struct fm_progress progress;
	uint32_t states[RUNNERS] = {FM_TENSORS_SEED, FM_TENSORS_SEED, FM_TENSORS_SEED};

	for (size_t i = 0; i < fm_net_output_count(net); i++)
		fidelity[i] = (struct fm_fidelity){.float32_min = 1, .int8_min = 1};
	fm_cpu_flush_denormals();
	fm_progress_begin(&progress, crops ? "faces" : "inputs", inputs);
	for (size_t n = 0; n < inputs; n++) {
		for (size_t i = 0; i < RUNNERS; i++) {
			struct runner *runner = &runners->at[i];

			if (crops)
				memcpy(runner->tensors.inputs[0], crops->inputs + n * crops->elements,
				        crops->elements * sizeof(float));
			else
				fm_tensors_fill_next(&runner->tensors, runner->net, &states[i]);
			fm_tensors_run(&runner->tensors, runner->session);
		}
		compare(runners, inputs, fidelity);
		fm_progress_step(&progress);
	}
	fm_progress_end(&progress);
}

enum fm_status fm_fidelity_measure(const void *original, size_t original_length, const void *quantized,
        size_t quantized_length, const struct fm_crops *crops, struct fm_size_px size,
        struct fm_net **ret_net, struct fm_fidelity **ret_fidelity, struct fm_error *err)
{
	fm_cleanup(runners_done) struct runners runners = {0};
	struct runner *at = runners.at;
	enum fm_status status;

	if (crops)
		size = (struct fm_size_px){crops->width_px, crops->height_px};
	if ((status = load(original, original_length, FM_FLOAT32, size, &at[ORIGINAL], err)))
		return status;
	if ((status = load(quantized, quantized_length, FM_FLOAT32, size, &at[QUANTIZED_FLOAT32], err)) ||
	        (status = load(quantized, quantized_length, FM_INT8, size, &at[QUANTIZED_INT8], err)))
		return fm_fail_prefix(err, status, "the quantized network");
	if (!same_outputs(at[ORIGINAL].net, at[QUANTIZED_FLOAT32].net) ||
	        !same_outputs(at[ORIGINAL].net, at[QUANTIZED_INT8].net))
		return fm_fail(err, FM_E_INTERNAL, "the quantized network has other inputs or outputs");
	struct fm_fidelity *fidelity =
	        fm_calloc(fm_net_output_count(at[ORIGINAL].net) + 1, sizeof(*fidelity));
	if (!fidelity)
		return fm_fail(err, FM_E_NOMEM, "no memory for the comparison");
	measure(&runners, crops, fidelity);
	*ret_fidelity = fidelity;
	*ret_net = fm_steal(at[ORIGINAL].net);
	return FM_OK;
}
