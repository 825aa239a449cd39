/* BatchNormalization at inference: y = x * scale[c] + shift[c]. Where it follows a product, fuse.c folds it
 * away. */
#include "lib/nn/op.h"

#include "lib/nn/quantize.h"

#include <math.h>

#include "lib/base/banned.h"

struct affine {
	size_t rows, channels;
	const float *scale, *shift; /* [channels] */
};

static enum fm_status check(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *x = fm_node_input(graph, node, 0);
	float *epsilon = node->params;
	int64_t training, spatial;
	enum fm_status status;

	if ((status = fm_check_float(graph, node, err)) ||
	        (status = fm_attribute_float(node, "epsilon", 1e-5f, epsilon, err)) ||
	        (status = fm_attribute_int(node, "training_mode", 0, &training, err)) ||
	        (status = fm_attribute_int(node, "spatial", 1, &spatial, err)))
		return status;
	if (!spatial)
		return fm_node_fail(
		        node, err, FM_E_UNSUPPORTED, "it normalizes each position by itself (spatial 0)");
	if (training || (x->rank != 2 && x->rank != 4))
		return fm_node_fail(node, err, FM_E_UNSUPPORTED,
		        "it normalizes %zu dimensions%s; 2 and 4 at inference are supported", x->rank,
		        training ? " in training mode" : "");
	for (size_t i = 1; i < 5; i++) {
		const float *values;

		if ((status = fm_node_floats(graph, node, i, &values, err)))
			return status;
		if (fm_node_input(graph, node, i)->elements != x->dims[1])
			return fm_node_fail(node, err, FM_E_CORRUPT,
			        "its input %zu does not have %zu elements", i, x->dims[1]);
	}
	return FM_OK;
}

enum fm_status fm_batch_normalization_affine(const struct fm_graph *graph, const struct fm_node *node,
        struct fm_arena *arena, const float **ret_scale, const float **ret_shift, struct fm_error *err)
{
	const size_t channels = fm_node_input(graph, node, 0)->dims[1];
	const float *gamma = fm_node_input(graph, node, 1)->constant,
	            *beta = fm_node_input(graph, node, 2)->constant;
	const float *mean = fm_node_input(graph, node, 3)->constant,
	            *var = fm_node_input(graph, node, 4)->constant;
	const float epsilon = *(const float *)node->params;
	float *scale = fm_arena_alloc(arena, channels, sizeof(*scale));
	float *shift = fm_arena_alloc(arena, channels, sizeof(*shift));

	if (!scale || !shift)
		return fm_node_nomem(node, err);
	for (size_t i = 0; i < channels; i++) {
		const double factor = gamma[i] / sqrt((double)var[i] + epsilon);

		scale[i] = (float)factor;
		shift[i] = (float)(beta[i] - mean[i] * factor);
	}
	if (!fm_weights_clean(scale, channels) || !fm_weights_clean(shift, channels))
		return fm_node_fail(
		        node, err, FM_E_UNSUPPORTED, "its parameters are infinite or not numbers");
	*ret_scale = scale;
	*ret_shift = shift;
	return FM_OK;
}

static enum fm_status prepare(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	const struct fm_value *x = fm_node_input(build->graph, node, 0);
	struct affine *affine = fm_arena_alloc(build->arena, 1, sizeof(*affine));

	if (!affine)
		return fm_node_nomem(node, err);
	affine->channels = x->dims[1];
	affine->rows = x->elements / x->dims[1];
	step->state = affine;
	step->input_count = 1;
	step->in_place = node->inputs[0];
	step->info.op = "batchnorm";
	step->info.weight_bytes = step->info.weight_bytes_float32 = 2 * affine->channels * sizeof(float);
	return fm_batch_normalization_affine(
	        build->graph, node, build->arena, &affine->scale, &affine->shift, err);
}

static void run_affine(const struct fm_step *step, const struct fm_run *run)
{
	const struct affine *affine = step->state;
	const float *in = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];

	for (size_t i = 0; i < affine->rows; i++, in += affine->channels, out += affine->channels)
		for (size_t c = 0; c < affine->channels; c++)
			out[c] = in[c] * affine->scale[c] + affine->shift[c];
}

const struct fm_op fm_op_batch_normalization = {
        .name = "BatchNormalization",
        .inputs_min = 5,
        .inputs_max = 5,
        .outputs_max = 1,
        .layout = FM_OP_NHWC,
        .params_bytes = sizeof(float),
        .check = check,
        .shape = fm_shape_same,
        .prepare = prepare,
        .run = run_affine,
};
