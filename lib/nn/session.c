#include "lib/nn/session.h"

#include "lib/base/mem.h"
#include "lib/nn/net_internal.h"
#include "lib/nn/strips.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

struct fm_session {
	const struct fm_net *net;
	char *memory;  /* activations, then scratch */
	void **values; /* [net->value_count]; those of inputs are set by each run */
};

enum fm_status fm_session_create(
        const struct fm_net *net, struct fm_session **ret_session, struct fm_error *err)
{
	struct fm_session *session = fm_calloc(1, sizeof(*session));

	if (session) {
		session->net = net;
		session->memory = fm_aligned_alloc(fm_net_arena_bytes(net));
		session->values = fm_calloc(net->value_count, sizeof(*session->values));
	}
	if (!session || !session->memory || !session->values) {
		fm_session_free(session);
		return fm_fail(
		        err, FM_E_NOMEM, "no memory for a session of %zu bytes", fm_net_arena_bytes(net));
	}
	for (size_t v = 0; v < net->value_count; v++) {
		const struct fm_slot *slot = &net->slots[v];

		if (slot->kind == FM_SLOT_ARENA)
			session->values[v] = session->memory + slot->offset;
		else if (slot->kind == FM_SLOT_CONSTANT)
			session->values[v] = (void *)(uintptr_t)slot->constant;
	}
	*ret_session = session;
	return FM_OK;
}

void fm_session_free(struct fm_session *session)
{
	if (!session)
		return;
	/* Activations of a face are biometric data. */
	if (session->memory)
		fm_wipe(session->memory, fm_net_arena_bytes(session->net));
	free(session->memory);
	free(session->values);
	free(session);
}

void fm_session_run_timed(struct fm_session *session, const float *const *inputs, float *const *ret_outputs,
        uint64_t *ret_layer_ns)
{
	const struct fm_net *net = session->net;
	struct fm_run run = {.kernels = net->kernels,
	        .values = session->values,
	        .scratch = session->memory + net->activation_bytes};

	/* Steps never write to an input: the plan gives outputs memory of their own. */
	for (size_t v = 0; v < net->value_count; v++)
		if (net->slots[v].kind == FM_SLOT_INPUT)
			session->values[v] = (void *)(uintptr_t)inputs[net->slots[v].input];
	for (size_t s = 0, layer = 0; s < net->step_count; s++) {
		const struct fm_step *step = &net->steps[s];
		const uint64_t start = ret_layer_ns ? fm_clock_ns() : 0;

		run.layer_ns = ret_layer_ns && step->layers ? ret_layer_ns + layer : NULL;
		step->run(step, &run);
		if (ret_layer_ns && !step->layers)
			ret_layer_ns[layer] = fm_clock_ns() - start;
		layer += step->layers ? step->layer_count : 1;
	}
	for (size_t i = 0; i < net->output_count; i++)
		if (ret_outputs[i])
			memcpy(ret_outputs[i], session->values[net->output_values[i]],
			        net->outputs[i].elements * sizeof(float));
}

void fm_session_run(struct fm_session *session, const float *const *inputs, float *const *ret_outputs)
{
	fm_session_run_timed(session, inputs, ret_outputs, NULL);
}
