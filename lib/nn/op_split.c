/* Split: each output is a strided copy of its part of the input. Any element type. */
#include "lib/nn/nd.h"
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

struct part {
	struct fm_nd nd;
	ptrdiff_t start; /* in the input, elements */
};

struct split {
	size_t element_bytes;
	const struct part *parts; /* one for each output */
};

/* Lengths along the axis: an attribute before opset 13, an input since, or equal parts. */
static enum fm_status read_lengths(struct fm_graph *graph, const struct fm_node *node, size_t length,
        const int64_t **ret_lengths, struct fm_error *err)
{
	size_t count;
	enum fm_status status = graph->opset < 13 ? fm_attribute_ints(node, "split", ret_lengths, &count, err)
	                                          : fm_node_ints(graph, node, 1, ret_lengths, &count, err);

	if (status || (*ret_lengths && count == node->output_count))
		return status;
	if (*ret_lengths || length % node->output_count)
		return fm_node_fail(node, err, FM_E_CORRUPT, "it does not split %zu into its %zu outputs",
		        length, node->output_count);
	int64_t *equal = fm_arena_alloc(graph->arena, node->output_count, sizeof(*equal));
	if (!equal)
		return fm_node_nomem(node, err);
	for (size_t i = 0; i < node->output_count; i++)
		equal[i] = (int64_t)(length / node->output_count);
	*ret_lengths = equal;
	return FM_OK;
}

static enum fm_status check(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	int64_t attribute;
	enum fm_status status = fm_attribute_int(node, "axis", 0, &attribute, err);

	if (status)
		return status;
	return fm_axis(node, attribute, fm_node_input(graph, node, 0)->rank, node->params, err);
}

static enum fm_status shape(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(graph, node, 0);
	const size_t axis = *(size_t *)node->params;
	const int64_t *lengths;
	size_t dims[FM_ONNX_RANK_MAX], left = in->dims[axis];
	enum fm_status status = read_lengths(graph, node, left, &lengths, err);

	memcpy(dims, in->dims, sizeof(dims));
	for (size_t i = 0; !status && i < node->output_count; i++) {
		if (lengths[i] < 0 || lengths[i] > (int64_t)left)
			return fm_node_fail(node, err, FM_E_CORRUPT, "its part %zu has a length of %lld", i,
			        (long long)lengths[i]);
		dims[axis] = (size_t)lengths[i];
		left -= dims[axis];
		status = fm_value_set_shape(
		        &graph->values[node->outputs[i]], in->type, in->rank, dims, node, err);
	}
	if (!status && left)
		return fm_node_fail(node, err, FM_E_CORRUPT, "its parts leave %zu over", left);
	return status;
}

static enum fm_status prepare(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(build->graph, node, 0);
	const size_t axis = *(size_t *)node->params;
	struct split *split = fm_arena_alloc(build->arena, 1, sizeof(*split));
	struct part *parts = fm_arena_alloc(build->arena, node->output_count, sizeof(*parts));
	ptrdiff_t strides[FM_ONNX_RANK_MAX], start = 0;

	if (!split || !parts)
		return fm_node_nomem(node, err);
	fm_value_strides(in, strides);
	for (size_t i = 0; i < node->output_count; i++) {
		const struct fm_value *out = &build->graph->values[node->outputs[i]];

		parts[i].start = start;
		parts[i].nd.rank = in->rank;
		memcpy(parts[i].nd.dims, out->dims, sizeof(out->dims));
		fm_value_strides(out, parts[i].nd.strides[0]);
		memcpy(parts[i].nd.strides[1], strides, sizeof(strides));
		fm_nd_normalize(&parts[i].nd);
		start += (ptrdiff_t)out->dims[axis] * strides[axis];
	}
	split->element_bytes = fm_onnx_type_bytes(in->type);
	split->parts = parts;
	step->state = split;
	step->input_count = 1;
	step->info.op = "split";
	return FM_OK;
}

static void run_split(const struct fm_step *step, const struct fm_run *run)
{
	const struct split *split = step->state;
	const char *in = run->values[step->inputs[0]];

	for (size_t i = 0; i < step->output_count; i++)
		fm_nd_copy(&split->parts[i].nd, split->element_bytes, run->values[step->outputs[i]],
		        in + split->parts[i].start * (ptrdiff_t)split->element_bytes);
}

const struct fm_op fm_op_split = {
        .name = "Split",
        .inputs_min = 1,
        .inputs_max = 2,
        .outputs_max = FM_ONNX_OPERANDS_MAX,
        .layout = FM_OP_ANY,
        .params_bytes = sizeof(size_t),
        .check = check,
        .shape = shape,
        .prepare = prepare,
        .run = run_split,
};
