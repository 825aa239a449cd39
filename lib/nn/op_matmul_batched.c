/*
 * MatMul whose second operand is computed too, or has more than two dimensions: numpy's matmul, in float32,
 * one matrix after another. Each output is a sum over k, ascending. Products with constant weights are in
 * op_gemm.c.
 */
#include "lib/nn/nd.h"
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

struct batched {
	size_t m, n, k;
	struct fm_nd batch; /* strides count matrices' elements; rank - 2 outer dimensions and two of 1 */
};

static enum fm_status check(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *a = fm_node_input(graph, node, 0), *b = fm_node_input(graph, node, 1);

	if (a->type != FM_ONNX_FLOAT32 || b->type != FM_ONNX_FLOAT32)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "it multiplies %s by %s",
		        fm_onnx_type_name(a->type), fm_onnx_type_name(b->type));
	if (a->rank < 2 || b->rank < 2)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "its operands have %zu and %zu dimensions",
		        a->rank, b->rank);
	if (!a->elements || !b->elements)
		return fm_node_fail(node, err, FM_E_CORRUPT, "an operand has no elements");
	if (a->dims[a->rank - 1] != b->dims[b->rank - 2])
		return fm_node_fail(node, err, FM_E_CORRUPT, "it multiplies rows of %zu by columns of %zu",
		        a->dims[a->rank - 1], b->dims[b->rank - 2]);
	return FM_OK;
}

static enum fm_status shape(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *a = fm_node_input(graph, node, 0), *b = fm_node_input(graph, node, 1);
	const size_t rank = a->rank > b->rank ? a->rank : b->rank;
	size_t dims[FM_ONNX_RANK_MAX];

	for (size_t i = 0; i + 2 < rank; i++) {
		const size_t da = fm_broadcast_dim(a, rank, i), db = fm_broadcast_dim(b, rank, i);

		if (da != db && da != 1 && db != 1)
			return fm_node_fail(node, err, FM_E_CORRUPT,
			        "its operands do not broadcast: %zu against %zu in dimension %zu", da, db, i);
		dims[i] = da == 1 ? db : da;
	}
	dims[rank - 2] = a->dims[a->rank - 2];
	dims[rank - 1] = b->dims[b->rank - 1];
	return fm_value_set_shape(&graph->values[node->outputs[0]], FM_ONNX_FLOAT32, rank, dims, node, err);
}

static enum fm_status prepare(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	const struct fm_value *a = fm_node_input(build->graph, node, 0);
	const struct fm_value *b = fm_node_input(build->graph, node, 1);
	const struct fm_value *out = &build->graph->values[node->outputs[0]];
	struct batched *state = fm_arena_alloc(build->arena, 1, sizeof(*state));
	const size_t rank = out->rank;

	if (!state)
		return fm_node_nomem(node, err);
	state->m = out->dims[rank - 2];
	state->n = out->dims[rank - 1];
	state->k = a->dims[a->rank - 1];
	state->batch.rank = rank;
	memcpy(state->batch.dims, out->dims, sizeof(out->dims));
	state->batch.dims[rank - 2] = state->batch.dims[rank - 1] = 1;
	fm_value_strides(out, state->batch.strides[0]);
	fm_broadcast_strides(a, rank, state->batch.strides[1]);
	fm_broadcast_strides(b, rank, state->batch.strides[2]);
	step->state = state;
	step->info.op = "matmul";
	step->info.macs = (uint64_t)out->elements * state->k;
	return FM_OK;
}

static void multiply(const struct batched *state, float *out, const float *a, const float *b)
{
	for (size_t i = 0; i < state->m; i++, out += state->n, a += state->k) {
		memset(out, 0, state->n * sizeof(*out));
		for (size_t k = 0; k < state->k; k++)
			for (size_t j = 0; j < state->n; j++)
				out[j] += a[k] * b[k * state->n + j];
	}
}

static void run_batched(const struct fm_step *step, const struct fm_run *run)
{
	const struct batched *state = step->state;
	const struct fm_nd *nd = &state->batch;
	const float *a = run->values[step->inputs[0]], *b = run->values[step->inputs[1]];
	float *out = run->values[step->outputs[0]];
	size_t index[FM_ONNX_RANK_MAX] = {0};

	for (;;) {
		size_t i = nd->rank - 2;

		multiply(state, out, a, b);
		for (; i-- > 0;) {
			out += nd->strides[0][i];
			a += nd->strides[1][i];
			b += nd->strides[2][i];
			if (++index[i] < nd->dims[i])
				break;
			out -= nd->strides[0][i] * (ptrdiff_t)nd->dims[i];
			a -= nd->strides[1][i] * (ptrdiff_t)nd->dims[i];
			b -= nd->strides[2][i] * (ptrdiff_t)nd->dims[i];
			index[i] = 0;
		}
		if (i == SIZE_MAX)
			return;
	}
}

const struct fm_op fm_op_matmul_batched = {
        .name = "MatMul",
        .inputs_min = 2,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .check = check,
        .shape = shape,
        .prepare = prepare,
        .run = run_batched,
};
