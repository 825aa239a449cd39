/* Element by element, in whatever layout: Relu, Exp, Sigmoid, Clip. */
#include "lib/nn/op.h"

#include <math.h>

#include "lib/base/banned.h"

struct clip {
	float low, high;
};

static enum fm_status prepare(const struct fm_build *build, struct fm_node *node, struct fm_step *step,
        const char *op, struct fm_error *err)
{
	size_t *elements = fm_arena_alloc(build->arena, 1, sizeof(*elements));

	if (!elements)
		return fm_node_nomem(node, err);
	*elements = build->graph->values[node->outputs[0]].elements;
	step->state = elements;
	step->info.op = op;
	step->in_place = node->inputs[0];
	return FM_OK;
}

static enum fm_status prepare_relu(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	return prepare(build, node, step, "relu", err);
}

static void run_relu(const struct fm_step *step, const struct fm_run *run)
{
	const float *in = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];

	for (size_t i = 0, n = *(const size_t *)step->state; i < n; i++)
		out[i] = in[i] > 0.0f ? in[i] : 0.0f;
}

const struct fm_op fm_op_relu = {
        .name = "Relu",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .check = fm_check_float,
        .shape = fm_shape_same,
        .prepare = prepare_relu,
        .run = run_relu,
};

static enum fm_status prepare_exp(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	return prepare(build, node, step, "exp", err);
}

static void run_exp(const struct fm_step *step, const struct fm_run *run)
{
	const float *in = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];

	fm_transformer_kernels_for(run->kernels->isa)->exp_f32(out, in, *(const size_t *)step->state);
}

const struct fm_op fm_op_exp = {
        .name = "Exp",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .check = fm_check_float,
        .shape = fm_shape_same,
        .prepare = prepare_exp,
        .run = run_exp,
};

static enum fm_status prepare_sigmoid(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	return prepare(build, node, step, "sigmoid", err);
}

static void run_sigmoid(const struct fm_step *step, const struct fm_run *run)
{
	const float *in = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];
	const size_t n = *(const size_t *)step->state;

	for (size_t i = 0; i < n; i++)
		out[i] = -in[i];
	fm_transformer_kernels_for(run->kernels->isa)->exp_f32(out, out, n);
	for (size_t i = 0; i < n; i++)
		out[i] = 1.0f / (1.0f + out[i]);
}

const struct fm_op fm_op_sigmoid = {
        .name = "Sigmoid",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .check = fm_check_float,
        .shape = fm_shape_same,
        .prepare = prepare_sigmoid,
        .run = run_sigmoid,
};

/* Bounds are attributes before opset 11, constant scalars since; either may be left out. */
static enum fm_status clip_bound(const struct fm_graph *graph, const struct fm_node *node, size_t index,
        const char *attribute, float fallback, float *ret_bound, struct fm_error *err)
{
	const float *values;
	enum fm_status status;

	if (graph->opset < 11)
		return fm_attribute_float(node, attribute, fallback, ret_bound, err);
	*ret_bound = fallback;
	if (!fm_node_input(graph, node, index))
		return FM_OK;
	if ((status = fm_node_floats(graph, node, index, &values, err)))
		return status;
	if (fm_node_input(graph, node, index)->elements != 1)
		return fm_node_fail(node, err, FM_E_CORRUPT, "its bounds are not scalars");
	*ret_bound = values[0];
	return FM_OK;
}

static enum fm_status check_clip(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	struct clip *clip = node->params;
	enum fm_status status = fm_check_float(graph, node, err);

	if (status || (status = clip_bound(graph, node, 1, "min", -INFINITY, &clip->low, err)) ||
	        (status = clip_bound(graph, node, 2, "max", INFINITY, &clip->high, err)))
		return status;
	if (!(clip->low <= clip->high))
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "its lower bound is above the upper one");
	return FM_OK;
}

void fm_clip_bounds(const struct fm_node *node, float *ret_low, float *ret_high)
{
	const struct clip *clip = node->params;

	*ret_low = clip->low;
	*ret_high = clip->high;
}

struct clip_state {
	size_t elements;
	struct clip bounds;
};

static enum fm_status prepare_clip(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	struct clip_state *state = fm_arena_alloc(build->arena, 1, sizeof(*state));

	if (!state)
		return fm_node_nomem(node, err);
	state->elements = build->graph->values[node->outputs[0]].elements;
	state->bounds = *(const struct clip *)node->params;
	step->state = state;
	step->info.op = "clip";
	step->input_count = 1;
	step->in_place = node->inputs[0];
	return FM_OK;
}

static void run_clip(const struct fm_step *step, const struct fm_run *run)
{
	const struct clip_state *state = step->state;
	const float *in = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];
	const float low = state->bounds.low, high = state->bounds.high;

	for (size_t i = 0; i < state->elements; i++) {
		float v = in[i] > low ? in[i] : low;

		out[i] = v < high ? v : high;
	}
}

const struct fm_op fm_op_clip = {
        .name = "Clip",
        .inputs_min = 1,
        .inputs_max = 3,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .params_bytes = sizeof(struct clip),
        .check = check_clip,
        .shape = fm_shape_same,
        .prepare = prepare_clip,
        .run = run_clip,
};
