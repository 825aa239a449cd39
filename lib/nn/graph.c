#include "lib/nn/graph.h"

#include "lib/base/size.h"
#include "lib/nn/names.h"
#include "lib/nn/op.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

enum fm_status fm_node_fail(
        const struct fm_node *node, struct fm_error *err, enum fm_status status, const char *format, ...)
{
	char text[FM_ERROR_MESSAGE_MAX], label[FM_ONNX_LABEL_BYTES];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return fm_fail(err, status, "%.40s node '%s': %s", node->op ? node->op->name : node->source->op,
	        fm_onnx_label(node->name, label), text);
}

enum fm_status fm_node_nomem(const struct fm_node *node, struct fm_error *err)
{
	return fm_node_fail(node, err, FM_E_NOMEM, "needs more memory than there is or is allowed");
}

uint32_t fm_graph_add_value(struct fm_graph *graph, const char *name)
{
	if (graph->value_count == graph->value_capacity)
		return FM_VALUE_NONE;
	uint32_t index = (uint32_t)graph->value_count++;
	graph->values[index] =
	        (struct fm_value){.name = name, .producer = FM_NODE_NONE, .consumer = FM_NODE_NONE};
	return index;
}

enum fm_status fm_value_set_shape(struct fm_value *value, enum fm_onnx_type type, size_t rank,
        const size_t *dims, const struct fm_node *node, struct fm_error *err)
{
	size_t elements = 1, product = 1; /* the product without zeros: what strides are made of */

	if (rank > FM_ONNX_RANK_MAX)
		return fm_node_fail(
		        node, err, FM_E_UNSUPPORTED, "its output would have %zu dimensions", rank);
	for (size_t i = 0; i < rank; i++) {
		if (!fm_size_mul(product, dims[i] ? dims[i] : 1, &product) || product > FM_VALUE_ELEMENTS_MAX)
			return fm_node_fail(node, err, FM_E_TOO_LARGE,
			        "its output would have more than %zu elements", FM_VALUE_ELEMENTS_MAX);
		elements *= dims[i];
	}
	value->type = type;
	value->rank = rank;
	memset(value->dims, 0, sizeof(value->dims));
	if (rank)
		memcpy(value->dims, dims, rank * sizeof(*dims));
	value->elements = elements;
	return FM_OK;
}

void fm_value_strides(const struct fm_value *value, ptrdiff_t ret_strides[FM_ONNX_RANK_MAX])
{
	static const size_t nhwc_order[4] = {0, 2, 3, 1}; /* outermost first */
	ptrdiff_t stride = 1;

	for (size_t i = value->rank; i-- > 0;) {
		size_t dim = value->layout == FM_LAYOUT_NHWC ? nhwc_order[i] : i;

		ret_strides[dim] = stride;
		stride *= (ptrdiff_t)value->dims[dim];
	}
}

bool fm_value_layout_free(const struct fm_value *value)
{
	return value->rank != 4 || value->dims[1] == 1 || value->dims[2] * value->dims[3] == 1;
}

void fm_graph_count_uses(struct fm_graph *graph)
{
	for (size_t v = 0; v < graph->value_count; v++) {
		graph->values[v].uses = 0;
		graph->values[v].consumer = FM_NODE_NONE;
	}
	for (size_t i = 0; i < graph->output_count; i++)
		graph->values[graph->outputs[i]].uses++;
	/* Backwards, so that a node that nobody needs does not keep its own inputs alive. */
	for (size_t n = graph->node_count; n-- > 0;) {
		struct fm_node *node = &graph->nodes[n];
		bool needed = false;

		for (size_t i = 0; i < node->output_count; i++)
			needed |= graph->values[node->outputs[i]].uses > 0;
		node->removed |= !needed;
		if (node->removed)
			continue;
		for (size_t i = 0; i <= node->input_count; i++) {
			uint32_t v = i < node->input_count ? node->inputs[i] : node->fused.residual;
			if (v == FM_VALUE_NONE)
				continue;
			if (graph->values[v].consumer == FM_NODE_NONE)
				graph->values[v].consumer = (uint32_t)n;
			graph->values[v].uses++;
		}
	}
}

/* ---- from the description -------------------------------------------------------------------- */

static enum fm_status define(struct fm_graph *graph, struct fm_names *names, const char *name,
        uint32_t *ret_value, struct fm_error *err)
{
	char label[FM_ONNX_LABEL_BYTES];
	uint32_t value = fm_graph_add_value(graph, name);

	if (value == FM_VALUE_NONE)
		return fm_fail(err, FM_E_INTERNAL, "the graph has more values than were counted");
	if (!fm_names_add(names, name, value))
		return fm_fail(err, FM_E_CORRUPT, "the value '%s' is made twice", fm_onnx_label(name, label));
	*ret_value = value;
	return FM_OK;
}

static enum fm_status add_initializers(struct fm_graph *graph, struct fm_names *names,
        const struct fm_onnx_model *model, struct fm_error *err)
{
	for (size_t i = 0; i < model->initializer_count; i++) {
		const struct fm_onnx_tensor *tensor = &model->initializers[i];
		uint32_t v;
		enum fm_status status = define(graph, names, tensor->name, &v, err);

		if (status)
			return status;
		struct fm_value *value = &graph->values[v];
		value->type = tensor->type;
		value->rank = tensor->rank;
		memcpy(value->dims, tensor->dims, sizeof(value->dims));
		value->elements = tensor->elements;
		value->constant = tensor->data;
		graph->pointers[v] = (void *)(uintptr_t)tensor->data;
	}
	return FM_OK;
}

/* What the caller wants for dimension i of an image, or 0. */
static size_t wanted_dim(const struct fm_onnx_value *declared, struct fm_input_size size, size_t i)
{
	return declared->rank != 4 ? 0 : i == 2 ? size.height_px : i == 3 ? size.width_px : 0;
}

static enum fm_status add_input(struct fm_graph *graph, struct fm_names *names,
        const struct fm_onnx_value *declared, struct fm_input_size size, size_t index, struct fm_error *err)
{
	char label[FM_ONNX_LABEL_BYTES], symbol[FM_ONNX_LABEL_BYTES];
	uint32_t v;
	enum fm_status status = define(graph, names, declared->name, &v, err);

	if (status)
		return status;
	fm_onnx_label(declared->name, label);
	if (declared->type != FM_ONNX_FLOAT32)
		return fm_fail(err, FM_E_UNSUPPORTED, "the input '%s' is not float32", label);
	if (!declared->has_shape)
		return fm_fail(err, FM_E_UNSUPPORTED, "the input '%s' has no shape", label);
	struct fm_value *value = &graph->values[v];
	value->type = FM_ONNX_FLOAT32;
	value->rank = declared->rank;
	value->elements = 1;
	for (size_t i = 0; i < declared->rank; i++) {
		const size_t wanted = wanted_dim(declared, size, i);
		size_t dim = declared->dims[i];

		if (size.replace && wanted)
			dim = wanted;
		if (dim && wanted && dim != wanted)
			return fm_fail(err, FM_E_INVALID,
			        "the input '%s' is fixed at a %s of %zu, and cannot have %zu", label,
			        i == 2 ? "height" : "width", dim, wanted);
		if (!dim)
			dim = i == 0 ? 1 : wanted; /* a batch of unknown size is run one at a time */
		if (!dim && declared->rank == 4 && i > 1)
			return fm_fail(err, FM_E_UNSUPPORTED,
			        "the input '%s' leaves its %s open (dimension %zu, '%s'): give an input "
			        "height "
			        "and width in pixels",
			        label, i == 2 ? "height" : "width", i,
			        fm_onnx_label(declared->symbolic[i], symbol));
		if (!dim)
			return fm_fail(err, FM_E_UNSUPPORTED,
			        "the input '%s' has no fixed size in dimension %zu ('%s')", label, i,
			        fm_onnx_label(declared->symbolic[i], symbol));
		if (!fm_size_mul(value->elements, dim, &value->elements) ||
		        value->elements > FM_VALUE_ELEMENTS_MAX)
			return fm_fail(err, FM_E_TOO_LARGE, "the input '%s' has more than %zu elements",
			        label, FM_VALUE_ELEMENTS_MAX);
		value->dims[i] = dim;
	}
	if (value->rank == 4 && value->dims[0] != 1)
		return fm_fail(err, FM_E_UNSUPPORTED,
		        "the input '%s' has a batch of %zu; networks run one image at a time", label,
		        value->dims[0]);
	graph->inputs[index] = v;
	return FM_OK;
}

static enum fm_status add_node(struct fm_graph *graph, struct fm_names *names,
        const struct fm_onnx_node *source, size_t index, struct fm_error *err)
{
	struct fm_node *node = &graph->nodes[index];
	char label[FM_ONNX_LABEL_BYTES];

	*node = (struct fm_node){.name = source->name,
	        .source = source,
	        .input_count = source->input_count,
	        .fused = {.residual = FM_VALUE_NONE}};
	node->op = fm_op_find(source->op);
	if (!node->op)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "this operator is not supported");
	/* Trailing outputs may be left out by an empty name; nothing can read them then. */
	node->output_count = source->output_count;
	while (node->output_count && !source->outputs[node->output_count - 1][0])
		node->output_count--;
	if (source->input_count < node->op->inputs_min || source->input_count > node->op->inputs_max ||
	        node->output_count < 1 || node->output_count > node->op->outputs_max)
		return fm_node_fail(node, err, FM_E_CORRUPT, "it has %zu inputs and %zu outputs",
		        source->input_count, node->output_count);
	node->inputs = fm_arena_alloc(graph->arena, node->input_count, sizeof(*node->inputs));
	node->outputs = fm_arena_alloc(graph->arena, node->output_count, sizeof(*node->outputs));
	node->params = fm_arena_alloc(graph->arena, 1, node->op->params_bytes);
	if (!node->inputs || !node->outputs || !node->params)
		return fm_node_nomem(node, err);

	for (size_t i = 0; i < node->input_count; i++) {
		node->inputs[i] = FM_VALUE_NONE;
		if (source->inputs[i][0] && !fm_names_find(names, source->inputs[i], &node->inputs[i]))
			return fm_node_fail(node, err, FM_E_CORRUPT,
			        "its input '%s' is not made by anything before it",
			        fm_onnx_label(source->inputs[i], label));
		if (!source->inputs[i][0] && i < node->op->inputs_min)
			return fm_node_fail(node, err, FM_E_CORRUPT, "its input %zu is left out", i);
	}
	for (size_t i = 0; i < node->output_count; i++) {
		enum fm_status status = define(graph, names, source->outputs[i], &node->outputs[i], err);
		if (status)
			return status;
		graph->values[node->outputs[i]].producer = (uint32_t)index;
	}
	return FM_OK;
}

static enum fm_status add_outputs(struct fm_graph *graph, struct fm_names *names,
        const struct fm_onnx_model *model, struct fm_output_names wanted, struct fm_error *err)
{
	char label[FM_ONNX_LABEL_BYTES];

	for (size_t i = 0; i < graph->output_count; i++) {
		const char *name = wanted.count ? wanted.names[i] : model->outputs[i].name;
		if (!fm_names_find(names, name, &graph->outputs[i]))
			return fm_fail(err, wanted.count ? FM_E_INVALID : FM_E_CORRUPT,
			        "the output '%s' is not made by any node", fm_onnx_label(name, label));
	}
	return FM_OK;
}

enum fm_status fm_graph_build(struct fm_graph *graph, struct fm_arena *arena,
        const struct fm_onnx_model *model, struct fm_input_size size, struct fm_output_names wanted,
        struct fm_error *err)
{
	const size_t output_count = wanted.count ? wanted.count : model->output_count;
	struct fm_names names;
	size_t outputs = 0;
	enum fm_status status;

	if (!model->node_count || !model->input_count || !model->output_count)
		return fm_fail(err, FM_E_UNSUPPORTED, "the graph has no nodes, no inputs or no outputs");
	for (size_t i = 0; i < model->node_count; i++)
		outputs += model->nodes[i].output_count;
	*graph = (struct fm_graph){.arena = arena, .opset = model->opset};
	/* The layout pass adds at most one conversion each way for every value. */
	size_t values = model->initializer_count + model->input_count + outputs;
	graph->value_capacity = 3 * values;
	graph->values = fm_arena_alloc(arena, graph->value_capacity, sizeof(*graph->values));
	graph->pointers = fm_arena_alloc(arena, graph->value_capacity, sizeof(*graph->pointers));
	graph->nodes = fm_arena_alloc(arena, model->node_count, sizeof(*graph->nodes));
	graph->inputs = fm_arena_alloc(arena, model->input_count, sizeof(*graph->inputs));
	graph->outputs = fm_arena_alloc(arena, output_count, sizeof(*graph->outputs));
	if (!graph->values || !graph->pointers || !graph->nodes || !graph->inputs || !graph->outputs ||
	        !fm_names_init(&names, arena, values))
		return fm_fail(err, FM_E_NOMEM, "the graph needs more memory than there is or is allowed");

	graph->node_count = model->node_count;
	graph->input_count = model->input_count;
	graph->output_count = output_count;
	if ((status = add_initializers(graph, &names, model, err)))
		return status;
	for (size_t i = 0; i < model->input_count; i++)
		if ((status = add_input(graph, &names, &model->inputs[i], size, i, err)))
			return status;
	for (size_t i = 0; i < model->node_count; i++)
		if ((status = add_node(graph, &names, &model->nodes[i], i, err)))
			return status;
	if ((status = add_outputs(graph, &names, model, wanted, err)))
		return status;
	fm_graph_count_uses(graph);
	return FM_OK;
}
