#include "cli/tensors.h"

#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <stdio.h>

#include "lib/base/banned.h"

void fm_shape_format(const size_t *dims, size_t rank, char ret_text[FM_SHAPE_TEXT])
{
	size_t used = (size_t)snprintf(ret_text, FM_SHAPE_TEXT, "%s", rank ? "" : "scalar");

	for (size_t i = 0; i < rank && used < FM_SHAPE_TEXT; i++)
		used += (size_t)snprintf(
		        ret_text + used, FM_SHAPE_TEXT - used, "%s%zu", i ? "x" : "", dims[i]);
}

json_t *fm_shape_json(const size_t *dims, size_t rank)
{
	json_t *shape = json_array();

	for (size_t i = 0; i < rank; i++)
		json_array_append_new(shape, json_integer((json_int_t)dims[i]));
	return shape;
}

static float *create_buffer(size_t elements)
{
	size_t bytes;

	return fm_size_mul(elements, sizeof(float), &bytes) ? fm_aligned_alloc(bytes ? bytes : 1) : NULL;
}

enum fm_status fm_tensors_create(
        const struct fm_net *net, struct fm_tensors *ret_tensors, struct fm_error *err)
{
	fm_cleanup(fm_tensors_done) struct fm_tensors tensors = {
	        .input_count = fm_net_input_count(net), .output_count = fm_net_output_count(net)};
	bool complete;

	tensors.inputs = fm_calloc(tensors.input_count, sizeof(*tensors.inputs));
	tensors.outputs = fm_calloc(tensors.output_count, sizeof(*tensors.outputs));
	complete = tensors.inputs && tensors.outputs;
	for (size_t i = 0; complete && i < tensors.input_count; i++)
		complete = (tensors.inputs[i] = create_buffer(fm_net_input(net, i)->elements)) != NULL;
	for (size_t i = 0; complete && i < tensors.output_count; i++)
		complete = (tensors.outputs[i] = create_buffer(fm_net_output(net, i)->elements)) != NULL;
	if (!complete)
		return fm_fail(err, FM_E_NOMEM, "no memory for the network's inputs and outputs");
	*ret_tensors = tensors;
	tensors = (struct fm_tensors){0};
	return FM_OK;
}

void fm_tensors_done(struct fm_tensors *tensors)
{
	for (size_t i = 0; tensors->inputs && i < tensors->input_count; i++)
		free(tensors->inputs[i]);
	for (size_t i = 0; tensors->outputs && i < tensors->output_count; i++)
		free(tensors->outputs[i]);
	free(tensors->inputs);
	free(tensors->outputs);
	*tensors = (struct fm_tensors){0};
}

void fm_tensors_run(struct fm_tensors *tensors, struct fm_session *session)
{
	fm_session_run(session, (const float *const *)tensors->inputs, tensors->outputs);
}

void fm_tensors_fill(struct fm_tensors *tensors, const struct fm_net *net)
{
	uint32_t state = FM_TENSORS_SEED;

	fm_tensors_fill_next(tensors, net, &state);
}

void fm_tensors_fill_next(struct fm_tensors *tensors, const struct fm_net *net, uint32_t *state)
{
	uint32_t x = *state; /* xorshift, Marsaglia 2003 */

	for (size_t i = 0; i < tensors->input_count; i++)
		for (size_t j = 0; j < fm_net_input(net, i)->elements; j++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			tensors->inputs[i][j] = (float)(int32_t)x * 0x1p-31f;
		}
	*state = x;
}
