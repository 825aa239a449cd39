/*
 * Small networks that between them have every op: what the mutation tests start from, and the seeds in
 * tests/fuzz/corpus/onnx.
 */
#ifndef FM_TESTS_UNIT_NN_SPECIMENS_H
#define FM_TESTS_UNIT_NN_SPECIMENS_H

#include "tests/unit/nn/net_fixture.h"

#define SPECIMENS 3

/* An embedding network in small: convolutions, image order, a matrix. */
FIXTURE struct test_onnx *specimen_embedding(void)
{
	struct test_onnx *m = test_onnx_new(9);
	float *w = noise(4 * 3 * 9 + 64, 1);

	test_onnx_input(m, "x", 4, (int64_t[]){1, 3, 8, 8});
	test_onnx_floats(m, "w", 4, (int64_t[]){4, 3, 3, 3}, w);
	test_onnx_floats(m, "d", 4, (int64_t[]){4, 1, 3, 3}, w);
	test_onnx_floats(m, "slope", 3, (int64_t[]){4, 1, 1}, w);
	test_onnx_floats(m, "g", 2, (int64_t[]){16, 4}, w);
	test_onnx_ints(m, "shape", 2, (int64_t[]){1, -1});
	test_onnx_ints(m, "at", 2, (int64_t[]){0, 2});
	test_onnx_node(m, "Conv", "x,w", "c");
	test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){1, 1, 1, 1});
	test_onnx_attribute_ints(m, "strides", 2, (int64_t[]){2, 2});
	test_onnx_node(m, "PRelu", "c,slope", "p");
	test_onnx_node(m, "Conv", "p,d", "dw");
	test_onnx_attribute_int(m, "group", 4);
	test_onnx_node(m, "Transpose", "dw", "t");
	test_onnx_attribute_ints(m, "perm", 4, (int64_t[]){0, 2, 3, 1});
	test_onnx_node(m, "Reshape", "t,shape", "r");
	test_onnx_node(m, "Gemm", "r,g", "m");
	test_onnx_node(m, "Gather", "m,at", "ga");
	test_onnx_attribute_int(m, "axis", 1);
	test_onnx_node(m, "Slice", "m", "s");
	test_onnx_attribute_ints(m, "starts", 1, (int64_t[]){1});
	test_onnx_attribute_ints(m, "ends", 1, (int64_t[]){3});
	test_onnx_attribute_ints(m, "axes", 1, (int64_t[]){1});
	test_onnx_node(m, "Concat", "ga,s", "cc");
	test_onnx_attribute_int(m, "axis", 1);
	test_onnx_node(m, "Softmax", "cc", "y");
	test_onnx_output(m, "y");
	free(w);
	return m;
}

/* Residuals, normalization, groups, and the operands that became inputs with opset 10, 11 and 13. */
FIXTURE struct test_onnx *specimen_residual(void)
{
	struct test_onnx *m = test_onnx_new(13);
	float *w = noise(400, 2);
	const int64_t four = 4;

	for (int i = 0; i < 4; i++)
		w[380 + i] = fabsf(w[380 + i]) + 0.5f;
	test_onnx_input(m, "x", 4, (int64_t[]){-1, 4, 5, 6});
	test_onnx_floats(m, "w", 4, (int64_t[]){4, 2, 3, 3}, w);
	test_onnx_floats(m, "v", 4, (int64_t[]){4, 4, 1, 1}, w + 100);
	test_onnx_floats(m, "b", 1, &four, w + 360);
	test_onnx_floats(m, "var", 1, &four, w + 380);
	test_onnx_floats(m, "high", 0, NULL, w + 380);
	test_onnx_floats(m, "m", 2, (int64_t[]){6, 3}, w + 200);
	test_onnx_ints(m, "start", 1, (int64_t[]){0});
	test_onnx_ints(m, "end", 1, (int64_t[]){-9});
	test_onnx_ints(m, "minus", 1, (int64_t[]){-1});
	test_onnx_ints(m, "axis", 1, (int64_t[]){2});
	test_onnx_node(m, "Conv", "x,w,b", "c");
	test_onnx_attribute_int(m, "group", 2);
	test_onnx_attribute_string(m, "auto_pad", "SAME_UPPER");
	test_onnx_attribute_ints(m, "dilations", 2, (int64_t[]){1, 2});
	test_onnx_node(m, "BatchNormalization", "c,b,b,b,var", "n");
	test_onnx_node(m, "Conv", "n,v", "p");
	test_onnx_node(m, "Add", "p,x", "a");
	test_onnx_node(m, "Clip", "a,,high", "k");
	test_onnx_node(m, "BatchNormalization", "k,b,b,b,var", "o");
	test_onnx_node(m, "Slice", "o,start,end,axis,minus", "s");
	test_onnx_node(m, "MatMul", "s,m", "q");
	test_onnx_node(m, "Squeeze", "q,axis", "u");
	test_onnx_node(m, "Sigmoid", "u", "i");
	test_onnx_node(m, "Unsqueeze", "i,minus", "e");
	test_onnx_node(m, "Div", "e,high", "f");
	test_onnx_node(m, "Flatten", "f", "g");
	test_onnx_node(m, "Identity", "g", "h");
	test_onnx_node(m, "Softmax", "h", "y");
	test_onnx_output(m, "y");
	test_onnx_output(m, "k");
	free(w);
	return m;
}

/* Shape arithmetic as exporters write it, and boxes as detectors decode them. */
FIXTURE struct test_onnx *specimen_boxes(void)
{
	struct test_onnx *m = test_onnx_new(9);
	float *w = noise(64, 3);

	test_onnx_input(m, "x", 4, (int64_t[]){1, 4, 2, 3});
	test_onnx_floats(m, "priors", 3, (int64_t[]){1, 6, 2}, w);
	test_onnx_floats(m, "scale", 0, NULL, &(float){0.1f});
	test_onnx_raw(m, "zero", 7, 0, NULL, &(int64_t){0}, 8);
	test_onnx_ints(m, "tail", 2, (int64_t[]){-1, 4});
	test_onnx_node(m, "Transpose", "x", "t");
	test_onnx_attribute_ints(m, "perm", 4, (int64_t[]){0, 2, 3, 1});
	test_onnx_node(m, "Shape", "t", "shape");
	test_onnx_node(m, "Gather", "shape,zero", "batch");
	test_onnx_node(m, "Unsqueeze", "batch", "list");
	test_onnx_attribute_ints(m, "axes", 1, (int64_t[]){0});
	test_onnx_node(m, "Concat", "list,tail", "wanted");
	test_onnx_attribute_int(m, "axis", 0);
	test_onnx_node(m, "Reshape", "t,wanted", "r");
	for (int i = 0; i < 2; i++) {
		test_onnx_node(m, "Slice", "r", i ? "size" : "centre");
		test_onnx_attribute_ints(m, "axes", 1, (int64_t[]){2});
		test_onnx_attribute_ints(m, "starts", 1, (int64_t[]){i ? 2 : 0});
		test_onnx_attribute_ints(m, "ends", 1, (int64_t[]){i ? INT64_MAX : 2});
	}
	test_onnx_node(m, "Mul", "centre,scale", "moved");
	test_onnx_node(m, "Add", "moved,priors", "at");
	test_onnx_node(m, "Exp", "size", "grown");
	test_onnx_node(m, "Mul", "grown,priors", "extent");
	test_onnx_node(m, "Constant", "", "two");
	test_onnx_attribute_tensor(m, "value", 0, NULL, &(float){2});
	test_onnx_node(m, "Div", "extent,two", "half");
	test_onnx_node(m, "Sub", "at,half", "low");
	test_onnx_node(m, "Add", "at,half", "high");
	test_onnx_node(m, "Concat", "low,high", "boxes");
	test_onnx_attribute_int(m, "axis", 2);
	test_onnx_node(m, "Dropout", "boxes", "d");
	test_onnx_node(m, "Relu", "d", "y");
	test_onnx_output(m, "y");
	free(w);
	return m;
}

FIXTURE uint8_t *specimen(size_t index, size_t *ret_length)
{
	struct test_onnx *(*const make[SPECIMENS])(void) = {
	        specimen_embedding, specimen_residual, specimen_boxes};

	return test_onnx_take(make[index](), ret_length);
}

#endif
