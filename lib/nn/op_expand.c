/* Expand: a tensor broadcast to a shape, both ways as numpy does. Any element type. */
#include "lib/nn/nd.h"
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

struct expand {
	struct fm_nd nd;
	size_t element_bytes;
};

static enum fm_status shape(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(graph, node, 0);
	const int64_t *wanted;
	size_t count, rank, dims[FM_ONNX_RANK_MAX];
	enum fm_status status = fm_node_ints(graph, node, 1, &wanted, &count, err);

	if (status)
		return status;
	rank = count > in->rank ? count : in->rank;
	if (rank > FM_ONNX_RANK_MAX)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "it makes %zu dimensions", rank);
	for (size_t i = 0; i < rank; i++) {
		const int64_t have = (int64_t)fm_broadcast_dim(in, rank, i);
		const int64_t want = i + count < rank ? 1 : wanted[i + count - rank];

		if (want < 0 || want > (int64_t)FM_VALUE_ELEMENTS_MAX ||
		        (have != want && have != 1 && want != 1))
			return fm_node_fail(node, err, FM_E_CORRUPT, "it expands %lld to %lld",
			        (long long)have, (long long)want);
		dims[i] = (size_t)(have == 1 ? want : have);
	}
	return fm_value_set_shape(&graph->values[node->outputs[0]], in->type, rank, dims, node, err);
}

static enum fm_status prepare(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(build->graph, node, 0);
	const struct fm_value *out = &build->graph->values[node->outputs[0]];
	struct expand *expand = fm_arena_alloc(build->arena, 1, sizeof(*expand));

	if (!expand)
		return fm_node_nomem(node, err);
	expand->element_bytes = fm_onnx_type_bytes(out->type);
	expand->nd.rank = out->rank;
	memcpy(expand->nd.dims, out->dims, sizeof(out->dims));
	fm_value_strides(out, expand->nd.strides[0]);
	fm_broadcast_strides(in, out->rank, expand->nd.strides[1]);
	fm_nd_normalize(&expand->nd);
	step->state = expand;
	step->input_count = 1;
	step->view = out->elements == in->elements && fm_nd_same_order(&expand->nd);
	step->info.op = "expand";
	return FM_OK;
}

static void run_expand(const struct fm_step *step, const struct fm_run *run)
{
	const struct expand *expand = step->state;

	fm_nd_copy(&expand->nd, expand->element_bytes, run->values[step->outputs[0]],
	        run->values[step->inputs[0]]);
}

const struct fm_op fm_op_expand = {
        .name = "Expand",
        .inputs_min = 2,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .shape = shape,
        .prepare = prepare,
        .run = run_expand,
};
