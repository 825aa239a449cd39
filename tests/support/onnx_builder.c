#include "tests/support/onnx_builder.h"

#include <stdlib.h>
#include <string.h>

struct bytes {
	uint8_t *data;
	size_t length, capacity;
};

struct test_onnx {
	int64_t opset;
	struct bytes graph, node; /* node: the last one, still open */
};

static void put(struct bytes *to, const void *from, size_t length)
{
	while (to->length + length > to->capacity) {
		to->capacity = to->capacity ? 2 * to->capacity : 256;
		to->data = realloc(to->data, to->capacity);
		if (!to->data)
			abort();
	}
	if (length)
		memcpy(to->data + to->length, from, length);
	to->length += length;
}

static void put_varint(struct bytes *to, uint64_t value)
{
	do {
		uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));

		put(to, &byte, 1);
		value >>= 7;
	} while (value);
}

static void put_int(struct bytes *to, unsigned field, int64_t value)
{
	put_varint(to, field << 3);
	put_varint(to, (uint64_t)value);
}

static void put_bytes(struct bytes *to, unsigned field, const void *data, size_t length)
{
	put_varint(to, field << 3 | 2);
	put_varint(to, length);
	put(to, data, length);
}

static void put_text(struct bytes *to, unsigned field, const char *text)
{
	put_bytes(to, field, text, strlen(text));
}

/* Moves a finished message into a field, and empties it. */
static void put_message(struct bytes *to, unsigned field, struct bytes *message)
{
	put_bytes(to, field, message->data, message->length);
	free(message->data);
	*message = (struct bytes){0};
}

struct test_onnx *test_onnx_new(int64_t opset)
{
	struct test_onnx *model = calloc(1, sizeof(*model));

	if (!model)
		abort();
	model->opset = opset;
	return model;
}

static void close_node(struct test_onnx *model)
{
	if (model->node.length)
		put_message(&model->graph, 1, &model->node);
}

uint8_t *test_onnx_take(struct test_onnx *model, size_t *ret_length)
{
	struct bytes file = {0}, opset = {0};

	close_node(model);
	put_int(&file, 1, 7); /* ir_version */
	put_int(&opset, 2, model->opset);
	put_message(&file, 8, &opset);
	put_message(&file, 7, &model->graph);
	free(model);
	*ret_length = file.length;
	return file.data;
}

static void put_value(struct bytes *to, unsigned field, const char *name, size_t rank, const int64_t *dims)
{
	struct bytes value = {0}, type = {0}, tensor = {0}, shape = {0}, dim = {0};

	put_int(&tensor, 1, 1); /* float */
	for (size_t i = 0; i < rank; i++) {
		if (dims[i] < 0)
			put_text(&dim, 2, "N");
		else
			put_int(&dim, 1, dims[i]);
		put_message(&shape, 1, &dim);
	}
	if (dims)
		put_message(&tensor, 2, &shape);
	put_message(&type, 1, &tensor);
	put_text(&value, 1, name);
	put_message(&value, 2, &type);
	put_message(to, field, &value);
}

void test_onnx_input(struct test_onnx *model, const char *name, size_t rank, const int64_t *dims)
{
	put_value(&model->graph, 11, name, rank, dims);
}

void test_onnx_output(struct test_onnx *model, const char *name)
{
	put_value(&model->graph, 12, name, 0, NULL);
}

static struct bytes tensor_message(
        const char *name, int type, size_t rank, const int64_t *dims, const void *data, size_t length)
{
	struct bytes tensor = {0};

	for (size_t i = 0; i < rank; i++)
		put_int(&tensor, 1, dims[i]);
	put_int(&tensor, 2, type);
	put_text(&tensor, 8, name);
	put_bytes(&tensor, 9, data, length);
	return tensor;
}

static size_t float_bytes(size_t rank, const int64_t *dims)
{
	size_t elements = 1;

	for (size_t i = 0; i < rank; i++)
		elements *= (size_t)dims[i];
	return elements * sizeof(float);
}

void test_onnx_raw(struct test_onnx *model, const char *name, int type, size_t rank, const int64_t *dims,
        const void *bytes, size_t length)
{
	struct bytes tensor = tensor_message(name, type, rank, dims, bytes, length);

	put_message(&model->graph, 5, &tensor);
}

void test_onnx_floats(
        struct test_onnx *model, const char *name, size_t rank, const int64_t *dims, const float *data)
{
	test_onnx_raw(model, name, 1, rank, dims, data, float_bytes(rank, dims));
}

void test_onnx_ints(struct test_onnx *model, const char *name, size_t count, const int64_t *data)
{
	test_onnx_raw(model, name, 7, 1, (int64_t[]){(int64_t)count}, data, count * sizeof(*data));
}

static void put_names(struct bytes *to, unsigned field, const char *names)
{
	while (*names) {
		size_t length = strcspn(names, ",");

		put_bytes(to, field, names, length);
		names += length;
		if (*names == ',')
			names++;
	}
}

void test_onnx_node(struct test_onnx *model, const char *op, const char *inputs, const char *outputs)
{
	close_node(model);
	put_names(&model->node, 1, inputs);
	put_names(&model->node, 2, outputs);
	put_text(&model->node, 3, outputs);
	put_text(&model->node, 4, op);
}

static void put_attribute(struct test_onnx *model, const char *name, int type, struct bytes *attribute)
{
	put_text(attribute, 1, name);
	put_int(attribute, 20, type);
	put_message(&model->node, 5, attribute);
}

void test_onnx_attribute_int(struct test_onnx *model, const char *name, int64_t value)
{
	struct bytes attribute = {0};

	put_int(&attribute, 3, value);
	put_attribute(model, name, 2, &attribute);
}

void test_onnx_attribute_float(struct test_onnx *model, const char *name, float value)
{
	struct bytes attribute = {0};

	put_varint(&attribute, 2 << 3 | 5);
	put(&attribute, &value, sizeof(value));
	put_attribute(model, name, 1, &attribute);
}

void test_onnx_attribute_string(struct test_onnx *model, const char *name, const char *value)
{
	struct bytes attribute = {0};

	put_text(&attribute, 4, value);
	put_attribute(model, name, 3, &attribute);
}

void test_onnx_attribute_ints(struct test_onnx *model, const char *name, size_t count, const int64_t *values)
{
	struct bytes attribute = {0};

	for (size_t i = 0; i < count; i++)
		put_int(&attribute, 8, values[i]);
	put_attribute(model, name, 7, &attribute);
}

void test_onnx_attribute_tensor(
        struct test_onnx *model, const char *name, size_t rank, const int64_t *dims, const float *data)
{
	struct bytes attribute = {0},
	             tensor = tensor_message("", 1, rank, dims, data, float_bytes(rank, dims));

	put_message(&attribute, 5, &tensor);
	put_attribute(model, name, 4, &attribute);
}

void test_onnx_noise(float *ret_values, size_t count, uint32_t seed)
{
	uint32_t state = seed * 2654435761u + 1;

	for (size_t i = 0; i < count; i++) {
		state = state * 1664525u + 1013904223u;
		ret_values[i] = (float)((int32_t)(state >> 8) - (1 << 23)) / (float)(1 << 23);
	}
}
