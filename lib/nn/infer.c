/* Shapes in node order, and constant folding: a node whose inputs are all known runs here, once, at load. */
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

static enum fm_status fold(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_build build = {
	        .graph = graph, .arena = graph->arena, .kernels = fm_kernels_best(), .precision = FM_FLOAT32};
	struct fm_step step = {.inputs = node->inputs,
	        .input_count = node->input_count,
	        .outputs = node->outputs,
	        .output_count = node->output_count,
	        .in_place = FM_VALUE_NONE};
	struct fm_value *out = &graph->values[node->outputs[0]];
	enum fm_status status = node->op->prepare(&build, node, &step, err);

	if (status)
		return status;
	if (step.view) {
		out->constant = graph->values[node->inputs[0]].constant;
		return FM_OK;
	}
	void *data = fm_arena_alloc(graph->arena, out->elements, fm_onnx_type_bytes(out->type));
	void *scratch = fm_arena_alloc(graph->arena, step.scratch_bytes, 1);
	if (!data || !scratch)
		return fm_node_nomem(node, err);
	graph->pointers[node->outputs[0]] = data;
	if (out->elements)
		node->op->run(&step,
		        &(struct fm_run){
		                .kernels = build.kernels, .values = graph->pointers, .scratch = scratch});
	out->constant = data;
	return FM_OK;
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
	if ((node->op->check && (status = node->op->check(graph, node, err))) ||
	        (status = node->op->shape(graph, node, err)))
		return status;
	if (!out->constant && all_constant(graph, node)) {
		if (node->op->layout == FM_OP_NHWC)
			return fm_node_fail(
			        node, err, FM_E_UNSUPPORTED, "it does not depend on the network's input");
		if ((status = fold(graph, node, err)))
			return status;
	}
	if (out->constant) {
		graph->pointers[node->outputs[0]] = (void *)(uintptr_t)out->constant;
		node->removed = true;
		return FM_OK;
	}
	if (out->type != FM_ONNX_FLOAT32)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED,
		        "it makes %s values that depend on the network's input",
		        fm_onnx_type_name(out->type));
	if (!out->elements)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "it makes a tensor without elements");
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
