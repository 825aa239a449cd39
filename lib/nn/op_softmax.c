/*
 * Softmax along one axis (opset 13 on), or over everything from the axis on (before: the tensor is seen as a
 * matrix split at the axis). The sum runs in index order.
 */
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

struct softmax {
	size_t outer, length, inner; /* length elements, inner apart, make one distribution */
};

static enum fm_status check(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = &graph->values[node->inputs[0]];
	struct softmax *softmax = node->params;
	const bool flat = graph->opset < 13;
	int64_t attribute;
	size_t axis;
	enum fm_status status = fm_check_float(graph, node, err);

	if (status || (status = fm_attribute_int(node, "axis", flat ? 1 : -1, &attribute, err)) ||
	        (status = fm_axis(node, attribute, in->rank, &axis, err)))
		return status;
	*softmax = (struct softmax){1, 1, 1};
	for (size_t i = 0; i < in->rank; i++) {
		if (i < axis)
			softmax->outer *= in->dims[i];
		else if (i == axis || flat)
			softmax->length *= in->dims[i];
		else
			softmax->inner *= in->dims[i];
	}
	return FM_OK;
}

bool fm_softmax_is_last(const struct fm_graph *graph, const struct fm_node *node)
{
	const struct softmax *softmax = node->params;
	const struct fm_value *in = fm_node_input(graph, node, 0);

	return in->rank && softmax->inner == 1 && softmax->length == in->dims[in->rank - 1];
}

static enum fm_status prepare(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	step->state = fm_arena_memdup(build->arena, node->params, 1, sizeof(struct softmax));
	if (!step->state)
		return fm_node_nomem(node, err);
	step->info.op = "softmax";
	step->in_place = node->inputs[0];
	return FM_OK;
}

/* May be in place. */
static void subtract_max(float *out, const float *in, size_t length, size_t stride)
{
	float max = in[0];

	for (size_t i = 1; i < length; i++)
		max = in[i * stride] > max ? in[i * stride] : max;
	for (size_t i = 0; i < length; i++)
		out[i * stride] = in[i * stride] - max;
}

static void divide_by_sum(float *x, size_t length, size_t stride)
{
	float sum = 0.0f;

	for (size_t i = 0; i < length; i++)
		sum += x[i * stride];
	for (size_t i = 0; i < length; i++)
		x[i * stride] /= sum;
}

/*
 * Distributions of two elements, one behind the other (a detector's face or none), two at a time: each
 * element with its partner beside it, by the operations of the loops above. `pairs` may be odd. May be in
 * place.
 */
typedef float four __attribute__((vector_size(16)));
typedef int32_t four_int __attribute__((vector_size(16)));

static void subtract_max_of_pairs(float *out, const float *in, size_t pairs)
{
	for (; pairs >= 2; pairs -= 2, in += 4, out += 4) {
		four v;

		memcpy(&v, in, sizeof(v));
		const four first = __builtin_shufflevector(v, v, 0, 0, 2, 2);
		const four second = __builtin_shufflevector(v, v, 1, 1, 3, 3);
		const four_int greater = second > first;

		v -= (four)((greater & (four_int)second) | (~greater & (four_int)first));
		memcpy(out, &v, sizeof(v));
	}
	if (pairs)
		subtract_max(out, in, 2, 1);
}

static void divide_pairs_by_sum(float *x, size_t pairs)
{
	for (; pairs >= 2; pairs -= 2, x += 4) {
		four v;

		memcpy(&v, x, sizeof(v));
		v /= v + __builtin_shufflevector(v, v, 1, 0, 3, 2);
		memcpy(x, &v, sizeof(v));
	}
	if (pairs)
		divide_by_sum(x, 2, 1);
}

/* The exponentials of all distributions at once, since one may be as short as two elements. */
static void run_softmax(const struct fm_step *step, const struct fm_run *run)
{
	const struct softmax *softmax = step->state;
	const size_t length = softmax->length, inner = softmax->inner, slab = length * inner;
	const float *in = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];

	const bool pairs = length == 2 && inner == 1;

	if (pairs)
		subtract_max_of_pairs(out, in, softmax->outer);
	for (size_t i = 0; !pairs && i < softmax->outer; i++)
		for (size_t j = 0; j < inner; j++)
			subtract_max(out + i * slab + j, in + i * slab + j, length, inner);
	fm_transformer_kernels_for(run->kernels->isa)->exp_f32(out, out, softmax->outer * slab);
	if (pairs)
		divide_pairs_by_sum(out, softmax->outer);
	for (size_t i = 0; !pairs && i < softmax->outer; i++)
		for (size_t j = 0; j < inner; j++)
			divide_by_sum(out + i * slab + j, length, inner);
}

const struct fm_op fm_op_softmax = {
        .name = "Softmax",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .params_bytes = sizeof(struct softmax),
        .check = check,
        .shape = fm_shape_same,
        .prepare = prepare,
        .run = run_softmax,
};
