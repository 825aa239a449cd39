/* Elementary functions, element by element, in whatever layout: Sqrt, Erf, Sin, Cos, and Pow by a constant.
 */
#include "lib/nn/math.h"
#include "lib/nn/op.h"

#include <math.h>

#include "lib/base/banned.h"

typedef float (*function)(float x);

struct math_state {
	size_t elements;
	function apply;
};

static enum fm_status prepare(const struct fm_build *build, struct fm_node *node, struct fm_step *step,
        const char *op, function apply, struct fm_error *err)
{
	struct math_state *state = fm_arena_alloc(build->arena, 1, sizeof(*state));

	if (!state)
		return fm_node_nomem(node, err);
	state->elements = build->graph->values[node->outputs[0]].elements;
	state->apply = apply;
	step->state = state;
	step->input_count = 1;
	step->info.op = op;
	step->in_place = node->inputs[0];
	return FM_OK;
}

static void run_math(const struct fm_step *step, const struct fm_run *run)
{
	const struct math_state *state = step->state;
	const float *in = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];

	for (size_t i = 0; i < state->elements; i++)
		out[i] = state->apply(in[i]);
}

static float square_root(float x)
{
	return sqrtf(x);
}

static enum fm_status prepare_sqrt(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	return prepare(build, node, step, "sqrt", square_root, err);
}

const struct fm_op fm_op_sqrt = {
        .name = "Sqrt",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .check = fm_check_float,
        .shape = fm_shape_same,
        .prepare = prepare_sqrt,
        .run = run_math,
};

static enum fm_status prepare_erf(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	return prepare(build, node, step, "erf", fm_erff, err);
}

const struct fm_op fm_op_erf = {
        .name = "Erf",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .check = fm_check_float,
        .shape = fm_shape_same,
        .prepare = prepare_erf,
        .run = run_math,
};

static enum fm_status prepare_sin(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	return prepare(build, node, step, "sin", fm_sinf, err);
}

const struct fm_op fm_op_sin = {
        .name = "Sin",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .check = fm_check_float,
        .shape = fm_shape_same,
        .prepare = prepare_sin,
        .run = run_math,
};

static enum fm_status prepare_cos(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	return prepare(build, node, step, "cos", fm_cosf, err);
}

const struct fm_op fm_op_cos = {
        .name = "Cos",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .check = fm_check_float,
        .shape = fm_shape_same,
        .prepare = prepare_cos,
        .run = run_math,
};

/* The exponents that networks use; any other would need a pow of our own. */
static float power_2(float x)
{
	return x * x;
}

static float power_3(float x)
{
	return x * x * x;
}

static float power_4(float x)
{
	return x * x * (x * x);
}

static const struct {
	float exponent;
	function apply;
} powers[] = {{0.5f, square_root}, {2.0f, power_2}, {3.0f, power_3}, {4.0f, power_4}};

static enum fm_status check_pow(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const float *exponent;
	function *apply = node->params;
	enum fm_status status = fm_check_float(graph, node, err);

	if (status || (status = fm_node_floats(graph, node, 1, &exponent, err)))
		return status;
	for (size_t i = 0;
	        fm_node_input(graph, node, 1)->elements == 1 && i < sizeof(powers) / sizeof(*powers); i++)
		if (*exponent == powers[i].exponent)
			*apply = powers[i].apply;
	if (!*apply)
		return fm_node_fail(
		        node, err, FM_E_UNSUPPORTED, "its exponent must be one constant: 0.5, 2, 3 or 4");
	return FM_OK;
}

bool fm_pow_is_square(const struct fm_node *node)
{
	return *(const function *)node->params == power_2;
}

static enum fm_status prepare_pow(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	return prepare(build, node, step, "pow", *(function *)node->params, err);
}

const struct fm_op fm_op_pow = {
        .name = "Pow",
        .inputs_min = 2,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .params_bytes = sizeof(function),
        .check = check_pow,
        .shape = fm_shape_same,
        .prepare = prepare_pow,
        .run = run_math,
};
