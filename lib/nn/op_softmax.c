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
 * Distributions of two elements, one behind the other (a detector's face or none). The larger one's
 * exponential is that of 0, which is 1; so there is one to compute, by the operations of the loops above.
 */
typedef float four __attribute__((vector_size(16)));
typedef int32_t four_int __attribute__((vector_size(16)));

#define PAIRS 128 /* whose exponentials are computed together; a multiple of four */

static four choose(four_int mask, four a, four b)
{
	return (four)((mask & (four_int)a) | (~mask & (four_int)b));
}

/* The first and the second of four pairs. */
static void load_pairs(four *ret_first, four *ret_second, const float *from)
{
	four v[2];

	memcpy(v, from, sizeof(v));
	*ret_first = __builtin_shufflevector(v[0], v[1], 0, 2, 4, 6);
	*ret_second = __builtin_shufflevector(v[0], v[1], 1, 3, 5, 7);
}

/* PAIRS at most, a multiple of four. May be in place. */
static void softmax_of_pairs(
        const struct fm_transformer_kernels *kernels, float *out, const float *in, size_t pairs)
{
	float exps[PAIRS];
	four first, second;

	for (size_t i = 0; i < pairs; i += 4) {
		load_pairs(&first, &second, in + 2 * i);
		const four lower = choose(second > first, first - second, second - first);
		memcpy(exps + i, &lower, sizeof(lower));
	}
	kernels->exp_f32(exps, exps, pairs);
	for (size_t i = 0; i < pairs; i += 4) {
		const four one = {1.0f, 1.0f, 1.0f, 1.0f};
		four e;

		load_pairs(&first, &second, in + 2 * i);
		memcpy(&e, exps + i, sizeof(e));
		const four_int greater = second > first;
		const four sum = one + e, larger = one / sum, smaller = e / sum;
		first = choose(greater, smaller, larger);
		second = choose(greater, larger, smaller);
		const four v[2] = {__builtin_shufflevector(first, second, 0, 4, 1, 5),
		        __builtin_shufflevector(first, second, 2, 6, 3, 7)};
		memcpy(out + 2 * i, v, sizeof(v));
	}
}

/* The exponentials of all distributions at once, since one may be as short as two elements. */
static void run_softmax(const struct fm_step *step, const struct fm_run *run)
{
	const struct softmax *softmax = step->state;
	const struct fm_transformer_kernels *kernels = fm_transformer_kernels_for(run->kernels->isa);
	const size_t length = softmax->length, inner = softmax->inner, slab = length * inner;
	const float *in = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];
	size_t outer = softmax->outer;

	while (length == 2 && inner == 1 && outer >= 4) {
		const size_t pairs = outer < PAIRS ? outer / 4 * 4 : PAIRS;

		softmax_of_pairs(kernels, out, in, pairs);
		in += 2 * pairs;
		out += 2 * pairs;
		outer -= pairs;
	}
	for (size_t i = 0; i < outer; i++)
		for (size_t j = 0; j < inner; j++)
			subtract_max(out + i * slab + j, in + i * slab + j, length, inner);
	kernels->exp_f32(out, out, outer * slab);
	for (size_t i = 0; i < outer; i++)
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
