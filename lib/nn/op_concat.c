/* Concat: each input copied, by its strides, to its place in the output. */
#include "lib/nn/nd.h"
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

struct part {
	struct fm_nd nd;
	ptrdiff_t start; /* in the output, elements */
};

struct concat {
	size_t element_bytes;
	const struct part *parts; /* one for each input */
};

static enum fm_status check(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	int64_t attribute;

	if (!fm_onnx_attribute(node->source, "axis"))
		return fm_node_fail(node, err, FM_E_CORRUPT, "it names no axis");
	enum fm_status status = fm_attribute_int(node, "axis", 0, &attribute, err);
	if (status)
		return status;
	for (size_t i = 1; i < node->input_count; i++)
		if (node->inputs[i] == FM_VALUE_NONE)
			return fm_node_fail(node, err, FM_E_CORRUPT, "its input %zu is left out", i);
	return fm_axis(node, attribute, graph->values[node->inputs[0]].rank, node->params, err);
}

static enum fm_status shape(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *first = &graph->values[node->inputs[0]];
	const size_t axis = *(size_t *)node->params;
	size_t dims[FM_ONNX_RANK_MAX];

	memcpy(dims, first->dims, sizeof(dims));
	for (size_t i = 1; i < node->input_count; i++) {
		const struct fm_value *in = &graph->values[node->inputs[i]];
		bool matches = in->rank == first->rank && in->type == first->type;

		for (size_t d = 0; matches && d < in->rank; d++)
			matches = d == axis || in->dims[d] == first->dims[d];
		if (!matches)
			return fm_node_fail(
			        node, err, FM_E_CORRUPT, "its input %zu does not fit the first", i);
		dims[axis] += in->dims[axis];
	}
	return fm_value_set_shape(
	        &graph->values[node->outputs[0]], first->type, first->rank, dims, node, err);
}

static enum fm_status prepare(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	const struct fm_value *out = &build->graph->values[node->outputs[0]];
	const size_t axis = *(size_t *)node->params;
	struct concat *concat = fm_arena_alloc(build->arena, 1, sizeof(*concat));
	struct part *parts = fm_arena_alloc(build->arena, node->input_count, sizeof(*parts));
	ptrdiff_t strides[FM_ONNX_RANK_MAX], start = 0;

	if (!concat || !parts)
		return fm_node_nomem(node, err);
	fm_value_strides(out, strides);
	for (size_t i = 0; i < node->input_count; i++) {
		const struct fm_value *in = &build->graph->values[node->inputs[i]];

		parts[i].start = start;
		parts[i].nd.rank = in->rank;
		memcpy(parts[i].nd.dims, in->dims, sizeof(in->dims));
		memcpy(parts[i].nd.strides[0], strides, sizeof(strides));
		fm_value_strides(in, parts[i].nd.strides[1]);
		fm_nd_normalize(&parts[i].nd);
		start += (ptrdiff_t)in->dims[axis] * strides[axis];
	}
	concat->element_bytes = fm_onnx_type_bytes(out->type);
	concat->parts = parts;
	step->state = concat;
	step->info.op = "concat";
	return FM_OK;
}

static void run_concat(const struct fm_step *step, const struct fm_run *run)
{
	const struct concat *concat = step->state;
	char *out = run->values[step->outputs[0]];

	for (size_t i = 0; i < step->input_count; i++)
		fm_nd_copy(&concat->parts[i].nd, concat->element_bytes,
		        out + concat->parts[i].start * (ptrdiff_t)concat->element_bytes,
		        run->values[step->inputs[i]]);
}

const struct fm_op fm_op_concat = {
        .name = "Concat",
        .inputs_min = 1,
        .inputs_max = FM_ONNX_OPERANDS_MAX,
        .outputs_max = 1,
        .layout = FM_OP_ANY,
        .params_bytes = sizeof(size_t),
        .check = check,
        .shape = shape,
        .prepare = prepare,
        .run = run_concat,
};
