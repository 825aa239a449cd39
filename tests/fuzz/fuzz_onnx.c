/* Models from strangers: load in both precisions under small caps; what loads, runs. */
#include "lib/nn/session.h"

#include <stdint.h>
#include <stdlib.h>

#include "lib/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPERANDS_MAX = 64, MEMORY_MAX_BYTES = 4 << 20 };

static void require(bool condition)
{
	if (!condition)
		abort();
}

static float *values(size_t count)
{
	float *x = malloc(count * sizeof(*x));

	require(x != NULL);
	for (size_t i = 0; i < count; i++)
		x[i] = (float)(i % 17) - 8.0f;
	return x;
}

static void run(const struct fm_net *net)
{
	const float *inputs[OPERANDS_MAX];
	float *outputs[OPERANDS_MAX];
	struct fm_session *session;
	uint64_t macs = 0;

	for (size_t i = 0; i < fm_net_layer_count(net); i++)
		macs += fm_net_layer(net, i)->macs;
	/* A few bytes can ask for hours of work: that is the operator's to judge, not a defect. */
	if (macs > 10000000 || fm_net_layer_count(net) > 1000 || fm_net_input_count(net) > OPERANDS_MAX ||
	        fm_net_output_count(net) > OPERANDS_MAX || fm_session_create(net, &session, NULL))
		return;
	size_t given = 0;
	for (size_t i = 0; i < fm_net_input_count(net); i++)
		given += fm_net_input(net, i)->elements;
	for (size_t i = 0; i < fm_net_output_count(net); i++)
		given += fm_net_output(net, i)->elements;
	if (given < MEMORY_MAX_BYTES) {
		for (size_t i = 0; i < fm_net_input_count(net); i++)
			inputs[i] = values(fm_net_input(net, i)->elements);
		for (size_t i = 0; i < fm_net_output_count(net); i++)
			outputs[i] = values(fm_net_output(net, i)->elements);
		fm_session_run(session, inputs, outputs);
		for (size_t i = 0; i < fm_net_input_count(net); i++)
			free((void *)(uintptr_t)inputs[i]);
		for (size_t i = 0; i < fm_net_output_count(net); i++)
			free(outputs[i]);
	}
	fm_session_free(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int precision = 0; precision < 2; precision++) {
		const struct fm_net_options options = {
		        .precision = (enum fm_precision)precision, .memory_max_bytes = MEMORY_MAX_BYTES};
		struct fm_net *net = NULL;
		struct fm_error err = {0};
		enum fm_status status = fm_net_load_memory(data, size, &options, &net, &err);

		require(status == FM_OK ? net != NULL : !net && err.status == status && err.message[0]);
		require(status != FM_E_INTERNAL);
		if (net)
			run(net);
		fm_net_free(net);
	}
	return 0;
}
