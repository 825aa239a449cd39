/*
 * ONNX files made for tests, written field by field in protobuf's wire format, so that malformed ones can be
 *made too. Aborts when memory ends.
 *
 *	struct test_onnx *m = test_onnx_new(13);
 *	test_onnx_input(m, "x", 4, (int64_t[]){1, 3, 8, 8});
 *	test_onnx_floats(m, "w", 4, (int64_t[]){5, 3, 1, 1}, weights);
 *	test_onnx_node(m, "Conv", "x,w", "y");
 *	test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){1, 1, 1, 1});
 *	test_onnx_output(m, "y");
 *	size_t length; uint8_t *bytes = test_onnx_take(m, &length);
 */
#ifndef FM_TESTS_SUPPORT_ONNX_BUILDER_H
#define FM_TESTS_SUPPORT_ONNX_BUILDER_H

#include <stddef.h>
#include <stdint.h>

struct test_onnx;

struct test_onnx *test_onnx_new(int64_t opset);
/* The file; frees the builder. */
uint8_t *test_onnx_take(struct test_onnx *model, size_t *ret_length);

/* A dimension below 0 is symbolic. */
void test_onnx_input(struct test_onnx *model, const char *name, size_t rank, const int64_t *dims);
void test_onnx_output(struct test_onnx *model, const char *name);

/* Initializers. */
void test_onnx_floats(
        struct test_onnx *model, const char *name, size_t rank, const int64_t *dims, const float *data);
void test_onnx_ints(struct test_onnx *model, const char *name, size_t count, const int64_t *data);
/* Any data type, any bytes, right or wrong. */
void test_onnx_raw(struct test_onnx *model, const char *name, int type, size_t rank, const int64_t *dims,
        const void *bytes, size_t length);

/* inputs and outputs: names between commas; an empty name is an operand left out. Its attributes follow. */
void test_onnx_node(struct test_onnx *model, const char *op, const char *inputs, const char *outputs);
void test_onnx_attribute_int(struct test_onnx *model, const char *name, int64_t value);
void test_onnx_attribute_float(struct test_onnx *model, const char *name, float value);
void test_onnx_attribute_string(struct test_onnx *model, const char *name, const char *value);
void test_onnx_attribute_ints(struct test_onnx *model, const char *name, size_t count, const int64_t *values);
/* A float tensor. */
void test_onnx_attribute_tensor(
        struct test_onnx *model, const char *name, size_t rank, const int64_t *dims, const float *data);

/* A deterministic stream for weights and inputs: uniform in [-1, 1), multiples of 2^-23. */
void test_onnx_noise(float *ret_values, size_t count, uint32_t seed);

#endif
