/*
 * LayerNormalization over the last axis, and what only fusion makes: GELU and cross-covariance attention. The
 * work is done by lib/kernels/transformer.h.
 */
#include "lib/nn/op.h"

#include "lib/nn/quantize.h"

#include "lib/base/banned.h"

struct norm_state {
	size_t rows, k;
	const float *scale, *shift;
	float epsilon;
};

static enum fm_status check_norm(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *x = fm_node_input(graph, node, 0);
	int64_t attribute;
	size_t axis;
	enum fm_status status = fm_check_float(graph, node, err);

	if (status || (status = fm_attribute_float(node, "epsilon", 1e-5f, node->params, err)) ||
	        (status = fm_attribute_int(node, "axis", -1, &attribute, err)) ||
	        (status = fm_axis(node, attribute, x->rank, &axis, err)))
		return status;
	if (axis + 1 != x->rank || x->constant)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "it does not normalize the last axis alone");
	for (size_t i = 1; i < 3; i++) {
		const float *values;

		if (!fm_node_input(graph, node, i) && i == 2)
			continue;
		if ((status = fm_node_floats(graph, node, i, &values, err)))
			return status;
		if (fm_node_input(graph, node, i)->elements != x->dims[axis])
			return fm_node_fail(node, err, FM_E_CORRUPT,
			        "its input %zu does not have %zu elements", i, x->dims[axis]);
	}
	return FM_OK;
}

/* n floats in the network's arena; zeros without a source. */
static enum fm_status keep(const struct fm_build *build, const struct fm_node *node, const float *from,
        size_t n, const float **ret_copy, struct fm_error *err)
{
	float *copy = from ? fm_arena_memdup(build->arena, from, n, sizeof(*copy))
	                   : fm_arena_alloc(build->arena, n, sizeof(*copy));

	if (!copy)
		return fm_node_nomem(node, err);
	if (!fm_weights_clean(copy, n))
		return fm_node_fail(
		        node, err, FM_E_UNSUPPORTED, "its parameters are infinite or not numbers");
	*ret_copy = copy;
	return FM_OK;
}

enum fm_status fm_layer_norm_prepare(const struct fm_build *build, const struct fm_node *node,
        struct fm_norm *ret_norm, struct fm_error *err)
{
	const struct fm_value *scale = fm_node_input(build->graph, node, 1);
	const struct fm_value *shift = fm_node_input(build->graph, node, 2);
	struct fm_norm norm = {.epsilon = *(const float *)node->params};
	enum fm_status status;

	if ((status = keep(build, node, scale->constant, scale->elements, &norm.scale, err)) ||
	        (status = keep(
	                 build, node, shift ? shift->constant : NULL, scale->elements, &norm.shift, err)))
		return status;
	*ret_norm = norm;
	return FM_OK;
}

static enum fm_status prepare_norm(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	const struct fm_value *x = fm_node_input(build->graph, node, 0);
	struct norm_state *state = fm_arena_alloc(build->arena, 1, sizeof(*state));
	struct fm_norm norm;
	enum fm_status status;

	if (!state)
		return fm_node_nomem(node, err);
	if ((status = fm_layer_norm_prepare(build, node, &norm, err)))
		return status;
	const size_t k = x->dims[x->rank - 1];
	*state = (struct norm_state){x->elements / k, k, norm.scale, norm.shift, norm.epsilon};
	step->state = state;
	step->input_count = 1;
	step->in_place = node->inputs[0];
	step->info.op = "layernorm";
	step->info.weight_bytes = step->info.weight_bytes_float32 = 2 * k * sizeof(float);
	return FM_OK;
}

static void run_norm(const struct fm_step *step, const struct fm_run *run)
{
	const struct norm_state *s = step->state;

	fm_transformer_kernels_for(run->kernels->isa)
	        ->layer_norm_f32(run->values[step->outputs[0]], s->k, run->values[step->inputs[0]], s->k,
	                s->rows, s->k, s->scale, s->shift, s->epsilon);
}

const struct fm_op fm_op_layer_normalization = {
        .name = "LayerNormalization",
        .inputs_min = 2,
        .inputs_max = 3,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .params_bytes = sizeof(float),
        .check = check_norm,
        .shape = fm_shape_same,
        .prepare = prepare_norm,
        .run = run_norm,
};

static enum fm_status prepare_gelu(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	size_t *elements = fm_arena_alloc(build->arena, 1, sizeof(*elements));

	if (!elements)
		return fm_node_nomem(node, err);
	*elements = build->graph->values[node->outputs[0]].elements;
	step->state = elements;
	step->in_place = node->inputs[0];
	step->info.op = "gelu";
	return FM_OK;
}

static void run_gelu(const struct fm_step *step, const struct fm_run *run)
{
	fm_transformer_kernels_for(run->kernels->isa)
	        ->gelu_f32(run->values[step->outputs[0]], run->values[step->inputs[0]],
	                *(const size_t *)step->state);
}

const struct fm_op fm_op_gelu = {
        .name = "Gelu",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .shape = fm_shape_same,
        .prepare = prepare_gelu,
        .run = run_gelu,
};

static enum fm_status prepare_attention(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	struct fm_attention *state =
	        fm_arena_memdup(build->arena, node->params, 1, sizeof(struct fm_attention));
	enum fm_status status;

	if (!state)
		return fm_node_nomem(node, err);
	if ((status = keep(build, node, state->temperature, state->heads, &state->temperature, err)))
		return status;
	step->state = state;
	step->scratch_bytes = fm_attention_scratch_floats(state) * sizeof(float);
	step->info.op = "attention";
	step->info.macs = 2 * (uint64_t)state->tokens * state->heads * state->size * state->size;
	return FM_OK;
}

static void run_attention(const struct fm_step *step, const struct fm_run *run)
{
	fm_transformer_kernels_for(run->kernels->isa)
	        ->attention_f32(run->values[step->outputs[0]], run->values[step->inputs[0]], run->scratch,
	                step->state);
}

const struct fm_op fm_op_attention = {
        .name = "attention",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .params_bytes = sizeof(struct fm_attention),
        .prepare = prepare_attention,
        .run = run_attention,
};
