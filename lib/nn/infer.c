/* Shapes in node order, and constant folding: a node whose inputs are all known runs here, once, at load. */
#include "lib/nn/nd.h"
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

static bool all_constant(const struct fm_graph *graph, const struct fm_node *node)
{
	for (size_t i = 0; i < node->input_count; i++)
		if (node->inputs[i] != FM_VALUE_NONE && !graph->values[node->inputs[i]].constant)
			return false;
	return node->input_count > 0;
}

/* The same value as an op with NHWC images sees it: fold() converts around the run. */
static enum fm_status change_layout(struct fm_graph *graph, const struct fm_node *node, uint32_t v,
        enum fm_layout wanted, struct fm_error *err)
{
	struct fm_value from = graph->values[v], to = graph->values[v];
	struct fm_nd nd = {.rank = from.rank};
	void *data = fm_arena_alloc(graph->arena, from.elements, fm_onnx_type_bytes(from.type));

	if (!data)
		return fm_node_nomem(node, err);
	from.layout = wanted == FM_LAYOUT_NHWC ? FM_LAYOUT_ROW_MAJOR : FM_LAYOUT_NHWC;
	to.layout = wanted;
	memcpy(nd.dims, from.dims, sizeof(nd.dims));
	fm_value_strides(&to, nd.strides[0]);
	fm_value_strides(&from, nd.strides[1]);
	fm_nd_normalize(&nd);
	fm_nd_copy(&nd, fm_onnx_type_bytes(from.type), data, graph->pointers[v]);
	graph->pointers[v] = data;
	return FM_OK;
}

static enum fm_status fold(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_build build = {
	        .graph = graph, .arena = graph->arena, .kernels = fm_kernels_best(), .precision = FM_FLOAT32};
	struct fm_step step = {.inputs = node->inputs,
	        .input_count = node->input_count,
	        .outputs = node->outputs,
	        .output_count = node->output_count,
	        .in_place = FM_VALUE_NONE};
	const bool nhwc = node->op->layout == FM_OP_NHWC && graph->values[node->outputs[0]].rank == 4;
	bool empty = true;
	enum fm_status status = node->op->prepare(&build, node, &step, err);

	if (status)
		return status;
	if (step.view) {
		graph->pointers[node->outputs[0]] = graph->pointers[node->inputs[0]];
		return FM_OK;
	}
	for (size_t i = 0; i < node->output_count; i++) {
		const struct fm_value *out = &graph->values[node->outputs[i]];

		graph->pointers[node->outputs[i]] =
		        fm_arena_alloc(graph->arena, out->elements, fm_onnx_type_bytes(out->type));
		if (!graph->pointers[node->outputs[i]])
			return fm_node_nomem(node, err);
		empty &= out->elements == 0;
	}
	void *scratch = fm_arena_alloc(graph->arena, step.scratch_bytes + 64, 1);
	if (!scratch)
		return fm_node_nomem(node, err);
	/* Small allocations are only 16-byte aligned. */
	scratch = (char *)scratch + (-(uintptr_t)scratch & 63);
	if (empty)
		return FM_OK;
	void *given = graph->pointers[node->inputs[0]];
	if (nhwc && (status = change_layout(graph, node, node->inputs[0], FM_LAYOUT_NHWC, err)))
		return status;
	node->op->run(&step,
	        &(struct fm_run){.kernels = build.kernels, .values = graph->pointers, .scratch = scratch});
	graph->pointers[node->inputs[0]] = given;
	return nhwc ? change_layout(graph, node, node->outputs[0], FM_LAYOUT_ROW_MAJOR, err) : FM_OK;
}

static enum fm_status infer_node(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	struct fm_value *out = &graph->values[node->outputs[0]];
	enum fm_status status;

	for (size_t i = 0; i < node->input_count; i++)
		if (node->inputs[i] != FM_VALUE_NONE && !graph->values[node->inputs[i]].type)
			return fm_node_fail(node, err, FM_E_UNSUPPORTED,
			        "its input %zu is an output without a meaning "
			        "at inference",
			        i);
	for (size_t i = 0; i < node->input_count; i++)
		if (node->inputs[i] != FM_VALUE_NONE && graph->values[node->inputs[i]].encoded &&
		        node->op != &fm_op_dequantize_linear)
			return fm_node_fail(node, err, FM_E_UNSUPPORTED,
			        "its input %zu is quantized; only DequantizeLinear may read that", i);
	if ((node->op->check && (status = node->op->check(graph, node, err))) ||
	        (status = node->op->shape(graph, node, err)))
		return status;
	if (!out->constant && all_constant(graph, node)) {
		if ((status = fold(graph, node, err)))
			return status;
		for (size_t i = 0; i < node->output_count; i++)
			graph->values[node->outputs[i]].constant = graph->pointers[node->outputs[i]];
	}
	if (out->constant) {
		graph->pointers[node->outputs[0]] = (void *)(uintptr_t)out->constant;
		node->removed = true;
		return FM_OK;
	}
	for (size_t i = 0; i < node->output_count; i++) {
		out = &graph->values[node->outputs[i]];
		if (out->type != FM_ONNX_FLOAT32)
			return fm_node_fail(node, err, FM_E_UNSUPPORTED,
			        "it makes %s values that depend on the network's input",
			        fm_onnx_type_name(out->type));
		if (!out->elements)
			return fm_node_fail(
			        node, err, FM_E_UNSUPPORTED, "it makes a tensor without elements");
	}
	return FM_OK;
}

enum fm_status fm_graph_infer(struct fm_graph *graph, struct fm_error *err)
{
	for (size_t n = 0; n < graph->node_count; n++) {
		if (graph->nodes[n].removed)
			continue;
		enum fm_status status = infer_node(graph, &graph->nodes[n], err);
		if (status)
			return status;
	}
	fm_graph_count_uses(graph);
	return FM_OK;
}
