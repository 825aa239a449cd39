#include "lib/onnx/edit.h"

#include "lib/base/size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define MARK_FORMAT "facematch%u."

static size_t count_marked(char *const *names, size_t count, const char *mark, size_t length)
{
	size_t marked = 0;

	for (size_t i = 0; i < count; i++)
		marked += strncmp(names[i], mark, length) == 0;
	return marked;
}

static bool is_used(const Onnx__GraphProto *graph, unsigned mark)
{
	char text[32];
	const size_t length = (size_t)snprintf(text, sizeof(text), MARK_FORMAT, mark);
	size_t used = 0;

	for (size_t i = 0; i < graph->n_input; i++)
		used += graph->input[i]->name && strncmp(graph->input[i]->name, text, length) == 0;
	for (size_t i = 0; i < graph->n_initializer; i++)
		used += graph->initializer[i]->name &&
		        strncmp(graph->initializer[i]->name, text, length) == 0;
	for (size_t i = 0; i < graph->n_node; i++)
		used += count_marked(graph->node[i]->output, graph->node[i]->n_output, text, length);
	return used > 0;
}

enum fm_status fm_onnx_edit_start(struct fm_onnx_edit *edit, const struct fm_onnx_model *model,
        Onnx__ModelProto *message, struct fm_error *err)
{
	*edit = (struct fm_onnx_edit){.model = model, .message = message};
	while (is_used(message->graph, edit->mark))
		if (++edit->mark > FM_ONNX_OPERANDS_MAX)
			return fm_fail(err, FM_E_UNSUPPORTED, "the model's names leave no room for others");
	return FM_OK;
}

void fm_onnx_edit_name(struct fm_onnx_edit *edit, const char *what, char ret_name[FM_ONNX_LABEL_BYTES])
{
	snprintf(ret_name, FM_ONNX_LABEL_BYTES, MARK_FORMAT "%zu.%s", edit->mark, edit->names++, what);
}

enum fm_status fm_onnx_set_text(char **text, const char *value, struct fm_error *err)
{
	char *copy = strdup(value);

	if (!copy)
		return fm_onnx_nomem(err);
	free(*text);
	*text = copy;
	return FM_OK;
}

/* ---- tensors --------------------------------------------------------------------------------- */

/* float_data and int64_data have no byte order to mind; what is one byte wide is raw. */
static bool set_data(Onnx__TensorProto *tensor, enum fm_onnx_type type, size_t elements, const void *data)
{
	size_t bytes;

	if (!fm_size_mul(elements, fm_onnx_type_bytes(type), &bytes))
		return false;
	void *copy = malloc(bytes ? bytes : 1);
	if (!copy)
		return false;
	if (bytes)
		memcpy(copy, data, bytes);
	switch (type) {
	case FM_ONNX_FLOAT32:
		tensor->float_data = copy;
		tensor->n_float_data = elements;
		return true;
	case FM_ONNX_INT64:
		tensor->int64_data = copy;
		tensor->n_int64_data = elements;
		return true;
	case FM_ONNX_INT32:
		tensor->int32_data = copy;
		tensor->n_int32_data = elements;
		return true;
	default:
		tensor->raw_data = (ProtobufCBinaryData){bytes, copy};
		tensor->has_raw_data = true;
		return true;
	}
}

enum fm_status fm_onnx_new_tensor(const char *name, enum fm_onnx_type type, size_t rank, const size_t *dims,
        const void *data, Onnx__TensorProto **ret_tensor, struct fm_error *err)
{
	Onnx__TensorProto *tensor = malloc(sizeof(*tensor));
	size_t elements = 1;

	if (!tensor)
		return fm_onnx_nomem(err);
	onnx__tensor_proto__init(tensor);
	tensor->has_data_type = true;
	tensor->data_type = (int32_t)type;
	tensor->name = strdup(name);
	tensor->dims = calloc(rank ? rank : 1, sizeof(*tensor->dims));
	for (size_t i = 0; tensor->dims && i < rank; i++) {
		tensor->dims[i] = (int64_t)dims[i];
		elements *= dims[i];
	}
	tensor->n_dims = tensor->dims ? rank : 0;
	if (!tensor->name || !tensor->dims || !set_data(tensor, type, elements, data)) {
		onnx__tensor_proto__free_unpacked(tensor, NULL);
		return fm_onnx_nomem(err);
	}
	*ret_tensor = tensor;
	return FM_OK;
}

enum fm_status fm_onnx_add_initializer(
        struct fm_onnx_edit *edit, Onnx__TensorProto *tensor, struct fm_error *err)
{
	Onnx__GraphProto *graph = edit->message->graph;
	void *grown = reallocarray(graph->initializer, graph->n_initializer + 1, sizeof(*graph->initializer));

	if (!grown) {
		onnx__tensor_proto__free_unpacked(tensor, NULL);
		return fm_onnx_nomem(err);
	}
	graph->initializer = grown;
	graph->initializer[graph->n_initializer++] = tensor;
	return FM_OK;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

enum fm_status fm_onnx_new_node(
        const char *op, const char *output, Onnx__NodeProto **ret_node, struct fm_error *err)
{
	Onnx__NodeProto *node = malloc(sizeof(*node));

	if (!node)
		return fm_onnx_nomem(err);
	onnx__node_proto__init(node);
	node->op_type = strdup(op);
	node->output = calloc(1, sizeof(*node->output));
	if (node->output && (node->output[0] = strdup(output)))
		node->n_output = 1;
	if (!node->op_type || !node->n_output) {
		onnx__node_proto__free_unpacked(node, NULL);
		return fm_onnx_nomem(err);
	}
	*ret_node = node;
	return FM_OK;
}

enum fm_status fm_onnx_insert_node(
        struct fm_onnx_edit *edit, size_t at, Onnx__NodeProto *node, struct fm_error *err)
{
	Onnx__GraphProto *graph = edit->message->graph;
	Onnx__NodeProto **grown = reallocarray(graph->node, graph->n_node + 1, sizeof(*grown));

	if (!grown) {
		onnx__node_proto__free_unpacked(node, NULL);
		return fm_onnx_nomem(err);
	}
	memmove(grown + at + 1, grown + at, (graph->n_node - at) * sizeof(*grown));
	grown[at] = node;
	graph->node = grown;
	graph->n_node++;
	return FM_OK;
}

enum fm_status fm_onnx_set_input(Onnx__NodeProto *node, size_t index, const char *name, struct fm_error *err)
{
	if (index >= node->n_input) {
		char **grown = reallocarray(node->input, index + 1, sizeof(*grown));

		if (!grown)
			return fm_onnx_nomem(err);
		node->input = grown;
		while (node->n_input <= index) {
			if (!(grown[node->n_input] = strdup("")))
				return fm_onnx_nomem(err);
			node->n_input++;
		}
	}
	return fm_onnx_set_text(&node->input[index], name, err);
}

void fm_onnx_drop_attribute(Onnx__NodeProto *node, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < node->n_attribute; i++)
		if (node->attribute[i]->name && strcmp(node->attribute[i]->name, name) == 0)
			onnx__attribute_proto__free_unpacked(node->attribute[i], NULL);
		else
			node->attribute[kept++] = node->attribute[i];
	node->n_attribute = kept;
}

/* A new attribute in place of any of that name. */
static enum fm_status new_attribute(Onnx__NodeProto *node, const char *name,
        Onnx__AttributeProto__AttributeType type, Onnx__AttributeProto **ret_attribute, struct fm_error *err)
{
	Onnx__AttributeProto **grown, *attribute;

	fm_onnx_drop_attribute(node, name);
	grown = reallocarray(node->attribute, node->n_attribute + 1, sizeof(*grown));
	if (!grown)
		return fm_onnx_nomem(err);
	node->attribute = grown;
	attribute = malloc(sizeof(*attribute));
	if (!attribute)
		return fm_onnx_nomem(err);
	onnx__attribute_proto__init(attribute);
	grown[node->n_attribute++] = attribute;
	attribute->has_type = true;
	attribute->type = type;
	*ret_attribute = attribute;
	return fm_onnx_set_text(&attribute->name, name, err);
}

enum fm_status fm_onnx_set_int(Onnx__NodeProto *node, const char *name, int64_t value, struct fm_error *err)
{
	Onnx__AttributeProto *attribute;
	enum fm_status status =
	        new_attribute(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT, &attribute, err);

	if (status)
		return status;
	attribute->has_i = true;
	attribute->i = value;
	return FM_OK;
}

enum fm_status fm_onnx_set_string(
        Onnx__NodeProto *node, const char *name, const char *value, struct fm_error *err)
{
	Onnx__AttributeProto *attribute;
	enum fm_status status =
	        new_attribute(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING, &attribute, err);
	char *copy = status ? NULL : strdup(value);

	if (status)
		return status;
	if (!copy)
		return fm_onnx_nomem(err);
	attribute->has_s = true;
	attribute->s = (ProtobufCBinaryData){strlen(copy), (uint8_t *)copy};
	return FM_OK;
}

enum fm_status fm_onnx_add_constant(struct fm_onnx_edit *edit, Onnx__NodeProto *node, size_t input,
        const char *what, enum fm_onnx_type type, size_t rank, const size_t *dims, const void *data,
        struct fm_error *err)
{
	char name[FM_ONNX_LABEL_BYTES];
	Onnx__TensorProto *tensor;
	enum fm_status status;

	fm_onnx_edit_name(edit, what, name);
	if ((status = fm_onnx_new_tensor(name, type, rank, dims, data, &tensor, err)) ||
	        (status = fm_onnx_add_initializer(edit, tensor, err)))
		return status;
	return fm_onnx_set_input(node, input, name, err);
}

/* ---- the model ------------------------------------------------------------------------------- */

static Onnx__ValueInfoProto *new_value(const char *name)
{
	Onnx__ValueInfoProto *value = malloc(sizeof(*value));
	Onnx__TypeProto *type = malloc(sizeof(*type));
	Onnx__TypeProto__Tensor *tensor = malloc(sizeof(*tensor));
	char *copy = strdup(name);

	if (!value || !type || !tensor || !copy) {
		free(value);
		free(type);
		free(tensor);
		free(copy);
		return NULL;
	}
	onnx__value_info_proto__init(value);
	onnx__type_proto__init(type);
	onnx__type_proto__tensor__init(tensor);
	tensor->has_elem_type = true;
	tensor->elem_type = FM_ONNX_FLOAT32;
	type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
	type->tensor_type = tensor;
	value->type = type;
	value->name = copy;
	return value;
}

enum fm_status fm_onnx_set_outputs(
        struct fm_onnx_edit *edit, const char *const *names, size_t count, struct fm_error *err)
{
	Onnx__GraphProto *graph = edit->message->graph;
	Onnx__ValueInfoProto **outputs = calloc(count ? count : 1, sizeof(*outputs));

	if (!outputs)
		return fm_onnx_nomem(err);
	for (size_t i = 0; i < graph->n_output; i++)
		onnx__value_info_proto__free_unpacked(graph->output[i], NULL);
	free(graph->output);
	graph->output = outputs;
	graph->n_output = 0;
	while (graph->n_output < count) {
		if (!(outputs[graph->n_output] = new_value(names[graph->n_output])))
			return fm_onnx_nomem(err);
		graph->n_output++;
	}
	return FM_OK;
}

void fm_onnx_message_freep(Onnx__ModelProto **message)
{
	if (*message)
		onnx__model_proto__free_unpacked(*message, NULL);
}

enum fm_status fm_onnx_pack(
        const Onnx__ModelProto *message, void **ret_bytes, size_t *ret_length, struct fm_error *err)
{
	const size_t length = onnx__model_proto__get_packed_size(message);
	void *bytes;

	if (length > FM_ONNX_FILE_BYTES_MAX)
		return fm_fail(err, FM_E_TOO_LARGE, "the changed model has %zu bytes; the limit is %zu",
		        length, FM_ONNX_FILE_BYTES_MAX);
	if (!(bytes = malloc(length ? length : 1)))
		return fm_onnx_nomem(err);
	onnx__model_proto__pack(message, bytes);
	*ret_bytes = bytes;
	*ret_length = length;
	return FM_OK;
}
