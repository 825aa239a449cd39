#include "lib/onnx/onnx.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/onnx/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

/* Of the message unpacked, and of the description: 64 MiB for nodes, and four times the file for its weights.
 */
#define UNPACK_BYTES_FREE ((size_t)64 * 1024 * 1024)
#define UNPACK_FACTOR     4

struct owned_model {
	struct fm_onnx_model model; /* first, so that the pointer given out is this struct's */
	struct fm_arena arena;
};

static void message_freep(Onnx__ModelProto **message)
{
	if (*message)
		onnx__model_proto__free_unpacked(*message, NULL);
}
FM_DEFINE_CLEANUP(struct fm_onnx_model *, fm_onnx_free);

enum fm_status fm_onnx_nomem(struct fm_error *err)
{
	return fm_fail(err, FM_E_NOMEM, "the ONNX model needs more memory than there is or is allowed");
}

void fm_onnx_free(struct fm_onnx_model *model)
{
	if (!model)
		return;
	struct owned_model *owned = (struct owned_model *)model;
	fm_arena_done(&owned->arena);
	free(owned);
}

static size_t utf8_sequence(const unsigned char *at)
{
	size_t length = at[0] < 0x80 ? 1 : (at[0] & 0xe0) == 0xc0 ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 : 4;

	if (at[0] < 0x80)
		return at[0] >= 0x20 && at[0] != 0x7f ? 1 : 0;
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF. */
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	        (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return length;
}

enum fm_status fm_onnx_copy_name(struct fm_arena *arena, const char *name, const char *what,
        const char **ret_name, struct fm_error *err)
{
	if (!name)
		name = "";
	if (strlen(name) > FM_ONNX_NAME_BYTES_MAX)
		return fm_fail(err, FM_E_TOO_LARGE, "%s has a name longer than %d bytes", what,
		        FM_ONNX_NAME_BYTES_MAX);
	for (const unsigned char *at = (const unsigned char *)name; *at;) {
		size_t length = utf8_sequence(at);

		if (!length)
			return fm_fail(err, FM_E_CORRUPT,
			        "%s has a name that is not UTF-8 text without control characters", what);
		at += length;
	}
	*ret_name = fm_arena_strdup(arena, name);
	return *ret_name ? FM_OK : fm_onnx_nomem(err);
}

const char *fm_onnx_label(const char *name, char buffer[FM_ONNX_LABEL_BYTES])
{
	size_t length = strlen(name);

	if (length >= FM_ONNX_LABEL_BYTES) {
		length = FM_ONNX_LABEL_BYTES - 4;
		while (length && ((unsigned char)name[length] & 0xc0) == 0x80)
			length--;
		memcpy(buffer, name, length);
		memcpy(buffer + length, "...", 4);
	} else {
		memcpy(buffer, name, length + 1);
	}
	return buffer;
}

static enum fm_status copy_names(struct fm_arena *arena, char *const *names, size_t count, const char *what,
        const char *const **ret_names, struct fm_error *err)
{
	if (count > FM_ONNX_OPERANDS_MAX)
		return fm_fail(err, FM_E_TOO_LARGE, "%s has %zu inputs or outputs; the limit is %d", what,
		        count, FM_ONNX_OPERANDS_MAX);
	const char **copies = fm_arena_alloc(arena, count, sizeof(*copies));
	if (!copies)
		return fm_onnx_nomem(err);
	for (size_t i = 0; i < count; i++) {
		enum fm_status status = fm_onnx_copy_name(arena, names[i], what, &copies[i], err);
		if (status)
			return status;
	}
	*ret_names = copies;
	return FM_OK;
}

static enum fm_status copy_node(struct fm_arena *arena, const Onnx__NodeProto *message, size_t index,
        struct fm_onnx_node *node, struct fm_error *err)
{
	char what[160], name[FM_ONNX_LABEL_BYTES], op[FM_ONNX_LABEL_BYTES];
	enum fm_status status;

	snprintf(what, sizeof(what), "node %zu", index);
	if ((status = fm_onnx_copy_name(arena, message->name, what, &node->name, err)) ||
	        (status = fm_onnx_copy_name(arena, message->op_type, what, &node->op, err)))
		return status;
	snprintf(what, sizeof(what), "%s node %zu '%s'", fm_onnx_label(node->op, op), index,
	        fm_onnx_label(node->name, name));
	if (message->domain && message->domain[0] && strcmp(message->domain, "ai.onnx") != 0)
		return fm_fail(err, FM_E_UNSUPPORTED,
		        "%s belongs to an operator domain other than ONNX's own", what);
	if (message->n_attribute > FM_ONNX_OPERANDS_MAX)
		return fm_fail(err, FM_E_TOO_LARGE, "%s has %zu attributes; the limit is %d", what,
		        message->n_attribute, FM_ONNX_OPERANDS_MAX);
	node->input_count = message->n_input;
	node->output_count = message->n_output;
	if ((status = copy_names(arena, message->input, message->n_input, what, &node->inputs, err)) ||
	        (status = copy_names(arena, message->output, message->n_output, what, &node->outputs, err)))
		return status;

	struct fm_onnx_attribute *attributes =
	        fm_arena_alloc(arena, message->n_attribute, sizeof(*attributes));
	if (!attributes)
		return fm_onnx_nomem(err);
	for (size_t i = 0; i < message->n_attribute; i++)
		if ((status = fm_onnx_copy_attribute(
		             arena, message->attribute[i], what, &attributes[i], err)))
			return status;
	node->attributes = attributes;
	node->attribute_count = message->n_attribute;
	return FM_OK;
}

static enum fm_status copy_value(struct fm_arena *arena, const Onnx__ValueInfoProto *message,
        struct fm_onnx_value *value, struct fm_error *err)
{
	enum fm_status status =
	        fm_onnx_copy_name(arena, message->name, "an input or output", &value->name, err);
	char label[FM_ONNX_LABEL_BYTES];

	if (status)
		return status;
	fm_onnx_label(value->name, label);
	if (!message->type || message->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ||
	        !message->type->tensor_type)
		return fm_fail(
		        err, FM_E_UNSUPPORTED, "'%s' is an input or output that is not a tensor", label);
	const Onnx__TypeProto__Tensor *tensor = message->type->tensor_type;
	value->type = (enum fm_onnx_type)tensor->elem_type;
	if (!tensor->shape)
		return FM_OK;
	if (tensor->shape->n_dim > FM_ONNX_RANK_MAX)
		return fm_fail(err, FM_E_UNSUPPORTED, "'%s' has %zu dimensions; the limit is %d", label,
		        tensor->shape->n_dim, FM_ONNX_RANK_MAX);
	value->has_shape = true;
	value->rank = tensor->shape->n_dim;
	for (size_t i = 0; i < value->rank; i++) {
		const Onnx__TensorShapeProto__Dimension *dim = tensor->shape->dim[i];
		bool number = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
		bool named = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;

		if (number && (dim->dim_value < 0 || (uint64_t)dim->dim_value > FM_ONNX_ELEMENTS_MAX))
			return fm_fail(err, FM_E_CORRUPT, "'%s' has an impossible dimension: %lld", label,
			        (long long)dim->dim_value);
		value->dims[i] = number ? (size_t)dim->dim_value : 0;
		status = fm_onnx_copy_name(
		        arena, named ? dim->dim_param : "", label, &value->symbolic[i], err);
		if (status)
			return status;
	}
	return FM_OK;
}

static enum fm_status copy_opset(const Onnx__ModelProto *message, int64_t *ret_opset, struct fm_error *err)
{
	int64_t opset = 0;

	for (size_t i = 0; i < message->n_opset_import; i++) {
		const char *domain = message->opset_import[i]->domain;

		if (!domain || !domain[0] || strcmp(domain, "ai.onnx") == 0)
			opset = message->opset_import[i]->version;
	}
	if (opset < FM_ONNX_OPSET_MIN || opset > FM_ONNX_OPSET_MAX)
		return fm_fail(err, FM_E_UNSUPPORTED, "the model says opset %lld; %d to %d are read",
		        (long long)opset, FM_ONNX_OPSET_MIN, FM_ONNX_OPSET_MAX);
	*ret_opset = opset;
	return FM_OK;
}

static enum fm_status copy_initializers(struct fm_arena *arena, const Onnx__GraphProto *graph,
        struct fm_onnx_model *model, struct fm_error *err)
{
	struct fm_onnx_tensor *tensors = fm_arena_alloc(arena, graph->n_initializer, sizeof(*tensors));

	if (!tensors)
		return fm_onnx_nomem(err);
	for (size_t i = 0; i < graph->n_initializer; i++) {
		char what[FM_ONNX_LABEL_BYTES + 16], label[FM_ONNX_LABEL_BYTES];
		const char *name;
		enum fm_status status;

		if ((status = fm_onnx_copy_name(
		             arena, graph->initializer[i]->name, "an initializer", &name, err)))
			return status;
		snprintf(what, sizeof(what), "initializer '%s'", fm_onnx_label(name, label));
		if ((status = fm_onnx_copy_tensor(arena, graph->initializer[i], what, &tensors[i], err)))
			return status;
		tensors[i].name = name;
	}
	model->initializers = tensors;
	model->initializer_count = graph->n_initializer;
	return FM_OK;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Graph inputs that name an initializer are its default value, not something a caller gives. */
static enum fm_status copy_inputs(struct fm_arena *arena, const Onnx__GraphProto *graph,
        struct fm_onnx_model *model, struct fm_error *err)
{
	struct fm_onnx_value *inputs = fm_arena_alloc(arena, graph->n_input, sizeof(*inputs));
	const char **names = fm_arena_alloc(arena, model->initializer_count, sizeof(*names));

	if (!inputs || !names)
		return fm_onnx_nomem(err);
	for (size_t i = 0; i < model->initializer_count; i++)
		names[i] = model->initializers[i].name;
	qsort(names, model->initializer_count, sizeof(*names), compare_names);
	for (size_t i = 0; i < graph->n_input; i++) {
		const char *name = graph->input[i]->name ? graph->input[i]->name : "";

		if (bsearch(&name, names, model->initializer_count, sizeof(*names), compare_names))
			continue;
		enum fm_status status = copy_value(arena, graph->input[i], &inputs[model->input_count], err);
		if (status)
			return status;
		model->input_count++;
	}
	model->inputs = inputs;
	return FM_OK;
}

static enum fm_status copy_graph(struct fm_arena *arena, const Onnx__GraphProto *graph,
        struct fm_onnx_model *model, struct fm_error *err)
{
	enum fm_status status;

	if (graph->n_node > FM_ONNX_NODES_MAX || graph->n_initializer > FM_ONNX_TENSORS_MAX ||
	        graph->n_input > FM_ONNX_TENSORS_MAX || graph->n_output > FM_ONNX_OPERANDS_MAX)
		return fm_fail(err, FM_E_TOO_LARGE,
		        "the graph has %zu nodes, %zu initializers, %zu inputs, %zu outputs; the limits are "
		        "%d, %d, %d, %d",
		        graph->n_node, graph->n_initializer, graph->n_input, graph->n_output,
		        FM_ONNX_NODES_MAX, FM_ONNX_TENSORS_MAX, FM_ONNX_TENSORS_MAX, FM_ONNX_OPERANDS_MAX);
	if (graph->n_sparse_initializer)
		return fm_fail(err, FM_E_UNSUPPORTED, "the graph has sparse initializers");
	if ((status = copy_initializers(arena, graph, model, err)) ||
	        (status = copy_inputs(arena, graph, model, err)))
		return status;

	struct fm_onnx_value *outputs = fm_arena_alloc(arena, graph->n_output, sizeof(*outputs));
	struct fm_onnx_node *nodes = fm_arena_alloc(arena, graph->n_node, sizeof(*nodes));
	if (!outputs || !nodes)
		return fm_onnx_nomem(err);
	for (size_t i = 0; i < graph->n_output; i++)
		if ((status = copy_value(arena, graph->output[i], &outputs[i], err)))
			return status;
	for (size_t i = 0; i < graph->n_node; i++)
		if ((status = copy_node(arena, graph->node[i], i, &nodes[i], err)))
			return status;
	model->outputs = outputs;
	model->output_count = graph->n_output;
	model->nodes = nodes;
	model->node_count = graph->n_node;
	return FM_OK;
}

enum fm_status fm_onnx_parse(const void *bytes, size_t length, size_t memory_max_bytes,
        struct fm_onnx_model **ret_model, struct fm_error *err)
{
	fm_cleanup(message_freep) Onnx__ModelProto *message = NULL;
	fm_cleanup(fm_onnx_freep) struct fm_onnx_model *model = NULL;
	enum fm_status status;

	if (length > FM_ONNX_FILE_BYTES_MAX)
		return fm_fail(err, FM_E_TOO_LARGE, "the ONNX model has %zu bytes; the limit is %zu", length,
		        FM_ONNX_FILE_BYTES_MAX);
	/* A model is mostly weights: what needs many times its own size is made to. */
	if (memory_max_bytes > UNPACK_BYTES_FREE + UNPACK_FACTOR * length)
		memory_max_bytes = UNPACK_BYTES_FREE + UNPACK_FACTOR * length;
	if ((status = fm_onnx_scan(bytes, length, err)) ||
	        (status = fm_onnx_unpack(bytes, length, memory_max_bytes, &message, err)))
		return status;
	if (!message->graph)
		return fm_fail(err, FM_E_CORRUPT, "the ONNX model has no graph");

	struct owned_model *owned = fm_calloc(1, sizeof(*owned));
	if (!owned)
		return fm_onnx_nomem(err);
	model = &owned->model;
	fm_arena_init(&owned->arena, memory_max_bytes);
	if ((status = copy_opset(message, &model->opset, err)) ||
	        (status = copy_graph(&owned->arena, message->graph, model, err)))
		return status;
	*ret_model = fm_steal(model);
	return FM_OK;
}

const struct fm_onnx_attribute *fm_onnx_attribute(const struct fm_onnx_node *node, const char *name)
{
	for (size_t i = 0; i < node->attribute_count; i++)
		if (strcmp(node->attributes[i].name, name) == 0)
			return &node->attributes[i];
	return NULL;
}
