/*
 * Ops that exporters leave where shapes are computed: ConstantOfShape, Equal, Where. They run at load only;
 * one that depends on the network's input is refused.
 */
#include "lib/nn/nd.h"
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

static enum fm_status shape_constant_of_shape(
        struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_onnx_attribute *attribute = fm_onnx_attribute(node->source, "value");
	struct fm_value *out = &graph->values[node->outputs[0]];
	static const float zero = 0.0f;
	const struct fm_onnx_tensor fallback = {.type = FM_ONNX_FLOAT32, .elements = 1, .data = &zero};
	const struct fm_onnx_tensor *fill = &fallback;
	const int64_t *wanted;
	size_t rank, dims[FM_ONNX_RANK_MAX];
	enum fm_status status = fm_node_ints(graph, node, 0, &wanted, &rank, err);

	if (status)
		return status;
	if (attribute && attribute->kind == FM_ONNX_ATTRIBUTE_TENSOR)
		fill = attribute->t;
	if (rank > FM_ONNX_RANK_MAX || fill->elements != 1)
		return fm_node_fail(node, err, FM_E_CORRUPT, "it fills %zu dimensions with %zu elements",
		        rank, fill->elements);
	for (size_t i = 0; i < rank; i++) {
		if (wanted[i] < 0 || wanted[i] > (int64_t)FM_VALUE_ELEMENTS_MAX)
			return fm_node_fail(
			        node, err, FM_E_CORRUPT, "it wants the dimension %lld", (long long)wanted[i]);
		dims[i] = (size_t)wanted[i];
	}
	if ((status = fm_value_set_shape(out, fill->type, rank, dims, node, err)))
		return status;
	const size_t size = fm_onnx_type_bytes(fill->type);
	char *data = fm_arena_alloc(graph->arena, out->elements, size);
	if (!data)
		return fm_node_nomem(node, err);
	for (size_t i = 0; i < out->elements; i++)
		memcpy(data + i * size, fill->data, size);
	out->constant = data;
	return FM_OK;
}

const struct fm_op fm_op_constant_of_shape = {
        .name = "ConstantOfShape",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .shape = shape_constant_of_shape,
};

static enum fm_status check_constants(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	for (size_t i = 0; i < node->input_count; i++)
		if (!fm_node_input(graph, node, i) || !fm_node_input(graph, node, i)->constant)
			return fm_node_fail(node, err, FM_E_UNSUPPORTED,
			        "its input %zu must be constant, and depends on the network's input", i);
	return FM_OK;
}

/* The broadcast shape of all inputs. */
static enum fm_status shape_broadcast(
        struct fm_graph *graph, struct fm_node *node, enum fm_onnx_type type, struct fm_error *err)
{
	size_t rank = 0, dims[FM_ONNX_RANK_MAX];

	for (size_t i = 0; i < node->input_count; i++)
		rank = fm_node_input(graph, node, i)->rank > rank ? fm_node_input(graph, node, i)->rank
		                                                  : rank;
	for (size_t d = 0; d < rank; d++) {
		dims[d] = 1;
		for (size_t i = 0; i < node->input_count; i++) {
			const size_t dim = fm_broadcast_dim(fm_node_input(graph, node, i), rank, d);

			if (dims[d] != 1 && dim != 1 && dims[d] != dim)
				return fm_node_fail(node, err, FM_E_CORRUPT,
				        "its inputs do not broadcast: %zu against %zu in dimension %zu",
				        dims[d], dim, d);
			dims[d] = dims[d] == 1 ? dim : dims[d];
		}
	}
	return fm_value_set_shape(&graph->values[node->outputs[0]], type, rank, dims, node, err);
}

/* Where in a broadcast operand the output's element `index` comes from. */
static size_t source_of(const struct fm_value *operand, const struct fm_value *out, size_t index)
{
	size_t at = 0, stride = 1;

	for (size_t d = out->rank; d-- > 0;) {
		const size_t i = index % out->dims[d], dim = fm_broadcast_dim(operand, out->rank, d);

		index /= out->dims[d];
		at += dim == 1 ? 0 : i * stride;
		stride *= dim;
	}
	return at;
}

static enum fm_status prepare_graph(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	(void)node;
	(void)err;
	step->state = build->graph->values;
	return FM_OK;
}

static enum fm_status shape_equal(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	enum fm_status status = check_constants(graph, node, err);

	if (status)
		return status;
	if (graph->values[node->inputs[0]].type != FM_ONNX_INT64 ||
	        graph->values[node->inputs[1]].type != FM_ONNX_INT64)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "it does not compare int64 with int64");
	return shape_broadcast(graph, node, FM_ONNX_BOOL, err);
}

static void run_equal(const struct fm_step *step, const struct fm_run *run)
{
	const struct fm_value *values = step->state, *out = &values[step->outputs[0]];
	const struct fm_value *a = &values[step->inputs[0]], *b = &values[step->inputs[1]];
	uint8_t *to = run->values[step->outputs[0]];

	for (size_t i = 0; i < out->elements; i++)
		to[i] = ((const int64_t *)a->constant)[source_of(a, out, i)] ==
		        ((const int64_t *)b->constant)[source_of(b, out, i)];
}

const struct fm_op fm_op_equal = {
        .name = "Equal",
        .inputs_min = 2,
        .inputs_max = 2,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .shape = shape_equal,
        .prepare = prepare_graph,
        .run = run_equal,
};

static enum fm_status shape_where(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *condition = &graph->values[node->inputs[0]];
	const struct fm_value *x = &graph->values[node->inputs[1]], *y = &graph->values[node->inputs[2]];
	enum fm_status status = check_constants(graph, node, err);

	if (status)
		return status;
	if (condition->type != FM_ONNX_BOOL || x->type != y->type)
		return fm_node_fail(node, err, FM_E_CORRUPT, "it chooses by %s between %s and %s",
		        fm_onnx_type_name(condition->type), fm_onnx_type_name(x->type),
		        fm_onnx_type_name(y->type));
	return shape_broadcast(graph, node, x->type, err);
}

static void run_where(const struct fm_step *step, const struct fm_run *run)
{
	const struct fm_value *values = step->state, *out = &values[step->outputs[0]];
	const struct fm_value *condition = &values[step->inputs[0]];
	const size_t size = fm_onnx_type_bytes(out->type);
	char *to = run->values[step->outputs[0]];

	for (size_t i = 0; i < out->elements; i++) {
		const bool chosen = ((const uint8_t *)condition->constant)[source_of(condition, out, i)] != 0;
		const struct fm_value *from = &values[step->inputs[chosen ? 1 : 2]];

		memcpy(to + i * size, (const char *)from->constant + source_of(from, out, i) * size, size);
	}
}

const struct fm_op fm_op_where = {
        .name = "Where",
        .inputs_min = 3,
        .inputs_max = 3,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .shape = shape_where,
        .prepare = prepare_graph,
        .run = run_where,
};
