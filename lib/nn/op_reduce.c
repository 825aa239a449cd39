/*
 * ReduceMean and ReduceL2 over any axes. Sums are made in double, in the order of the ONNX dimensions, so
 * that they are the same everywhere and in every layout.
 */
#include "lib/nn/nd.h"
#include "lib/nn/op.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

struct reduce {
	bool reduced[FM_ONNX_RANK_MAX];
	bool keep_dims;
};

struct reduce_state {
	size_t rank;
	size_t dims[FM_ONNX_RANK_MAX]; /* the input's */
	bool reduced[FM_ONNX_RANK_MAX];
	ptrdiff_t in_strides[FM_ONNX_RANK_MAX], out_strides[FM_ONNX_RANK_MAX];
	size_t outer, inner; /* outputs; elements of each */
};

static enum fm_status check(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(graph, node, 0);
	struct reduce *reduce = node->params;
	const int64_t *axes;
	size_t count, axis;
	int64_t keep_dims;
	enum fm_status status = fm_check_float(graph, node, err);

	if (status || (status = fm_attribute_ints(node, "axes", &axes, &count, err)) ||
	        (status = fm_attribute_int(node, "keepdims", 1, &keep_dims, err)))
		return status;
	reduce->keep_dims = keep_dims != 0;
	for (size_t i = 0; i < in->rank; i++)
		reduce->reduced[i] = count == 0;
	for (size_t i = 0; i < count; i++) {
		if ((status = fm_axis(node, axes[i], in->rank, &axis, err)))
			return status;
		if (reduce->reduced[axis])
			return fm_node_fail(node, err, FM_E_CORRUPT, "axis %zu is named twice", axis);
		reduce->reduced[axis] = true;
	}
	return FM_OK;
}

bool fm_reduces_last(const struct fm_graph *graph, const struct fm_node *node)
{
	const struct reduce *reduce = node->params;
	const size_t rank = fm_node_input(graph, node, 0)->rank;

	for (size_t i = 0; i < rank; i++)
		if (reduce->reduced[i] != (i + 1 == rank))
			return false;
	return rank && reduce->keep_dims;
}

static enum fm_status shape(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(graph, node, 0);
	const struct reduce *reduce = node->params;
	size_t dims[FM_ONNX_RANK_MAX], rank = 0;

	for (size_t i = 0; i < in->rank; i++)
		if (!reduce->reduced[i])
			dims[rank++] = in->dims[i];
		else if (reduce->keep_dims)
			dims[rank++] = 1;
	return fm_value_set_shape(&graph->values[node->outputs[0]], FM_ONNX_FLOAT32, rank, dims, node, err);
}

static enum fm_status prepare(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(build->graph, node, 0);
	const struct fm_value *out = &build->graph->values[node->outputs[0]];
	const struct reduce *reduce = node->params;
	struct reduce_state *state = fm_arena_alloc(build->arena, 1, sizeof(*state));
	ptrdiff_t strides[FM_ONNX_RANK_MAX];

	if (!state)
		return fm_node_nomem(node, err);
	state->rank = in->rank;
	state->outer = state->inner = 1;
	memcpy(state->dims, in->dims, sizeof(state->dims));
	memcpy(state->reduced, reduce->reduced, sizeof(state->reduced));
	fm_value_strides(in, state->in_strides);
	fm_value_strides(out, strides);
	for (size_t i = 0, at = 0; i < in->rank; i++) {
		*(reduce->reduced[i] ? &state->inner : &state->outer) *= in->dims[i];
		if (!reduce->reduced[i])
			state->out_strides[i] = strides[at];
		at += !reduce->reduced[i] || reduce->keep_dims;
	}
	step->state = state;
	step->info.op = node->op == &fm_op_reduce_mean ? "mean" : "l2 norm";
	return FM_OK;
}

/* The next index among the dimensions that are reduced, or among those that are not. */
static void advance(const struct reduce_state *s, bool reduced, size_t *index, ptrdiff_t *in, ptrdiff_t *out)
{
	for (size_t i = s->rank; i-- > 0;) {
		if (s->reduced[i] != reduced)
			continue;
		*in += s->in_strides[i];
		*out += s->out_strides[i];
		if (++index[i] < s->dims[i])
			return;
		*in -= s->in_strides[i] * (ptrdiff_t)s->dims[i];
		*out -= s->out_strides[i] * (ptrdiff_t)s->dims[i];
		index[i] = 0;
	}
}

static void reduce(const struct fm_step *step, const struct fm_run *run, bool squares)
{
	const struct reduce_state *s = step->state;
	const float *in = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];
	size_t index[FM_ONNX_RANK_MAX] = {0};
	ptrdiff_t from = 0, to = 0, unused = 0;

	for (size_t i = 0; i < s->outer; i++) {
		double sum = 0.0;

		for (size_t j = 0; j < s->inner; j++) {
			const double x = in[from];

			sum += squares ? x * x : x;
			advance(s, true, index, &from, &unused);
		}
		out[to] = (float)(squares ? sqrt(sum) : sum / (double)s->inner);
		advance(s, false, index, &from, &to);
	}
}

static void run_mean(const struct fm_step *step, const struct fm_run *run)
{
	reduce(step, run, false);
}

static void run_l2(const struct fm_step *step, const struct fm_run *run)
{
	reduce(step, run, true);
}

const struct fm_op fm_op_reduce_mean = {
        .name = "ReduceMean",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .params_bytes = sizeof(struct reduce),
        .check = check,
        .shape = shape,
        .prepare = prepare,
        .run = run_mean,
};

const struct fm_op fm_op_reduce_l2 = {
        .name = "ReduceL2",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .params_bytes = sizeof(struct reduce),
        .check = check,
        .shape = shape,
        .prepare = prepare,
        .run = run_l2,
};
