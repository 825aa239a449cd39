/*
 * Small networks that between them have every op: what the mutation tests start from, and the seeds in
 * tests/fuzz/corpus/onnx.
 */
#ifndef FM_TESTS_UNIT_NN_SPECIMENS_H
#define FM_TESTS_UNIT_NN_SPECIMENS_H

#include "tests/unit/nn/net_fixture.h"

#define SPECIMENS 7

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

FIXTURE void layer_norm_spelled_out(struct test_onnx *m, const char *x, const char *y)
{
	char in[64], names[16][32];
	static const char *const parts[] = {"mean", "sub", "pow", "var", "eps", "root", "div", "scaled"};

	for (int i = 0; i < 8; i++)
		snprintf(names[i], sizeof(names[i]), "%s_%s", y, parts[i]);
	test_onnx_node(m, "ReduceMean", x, names[0]);
	test_onnx_attribute_ints(m, "axes", 1, (int64_t[]){-1});
	snprintf(in, sizeof(in), "%s,%s", x, names[0]);
	test_onnx_node(m, "Sub", in, names[1]);
	snprintf(in, sizeof(in), "%s,two", names[1]);
	test_onnx_node(m, "Pow", in, names[2]);
	test_onnx_node(m, "ReduceMean", names[2], names[3]);
	test_onnx_attribute_ints(m, "axes", 1, (int64_t[]){-1});
	snprintf(in, sizeof(in), "%s,epsilon", names[3]);
	test_onnx_node(m, "Add", in, names[4]);
	test_onnx_node(m, "Sqrt", names[4], names[5]);
	snprintf(in, sizeof(in), "%s,%s", names[1], names[5]);
	test_onnx_node(m, "Div", in, names[6]);
	snprintf(in, sizeof(in), "%s,norm_scale", names[6]);
	test_onnx_node(m, "Mul", in, names[7]);
	snprintf(in, sizeof(in), "%s,norm_shift", names[7]);
	test_onnx_node(m, "Add", in, y);
}

/* A block of EdgeFace in small: 16 channels of 3 x 4 pixels, attention of 2 heads, and a residual MLP. */
FIXTURE struct test_onnx *specimen_transformer(void)
{
	struct test_onnx *m = test_onnx_new(13);
	float *w = noise(2000, 5);
	const int64_t sixteen = 16;

	test_onnx_input(m, "x", 4, (int64_t[]){1, 16, 3, 4});
	test_onnx_floats(m, "two", 0, NULL, &(float){2});
	test_onnx_floats(m, "epsilon", 0, NULL, &(float){1e-6f});
	test_onnx_floats(m, "least", 0, NULL, &(float){1e-12f});
	test_onnx_floats(m, "root2", 0, NULL, &(float){1.41421356f});
	test_onnx_floats(m, "one", 0, NULL, &(float){1});
	test_onnx_floats(m, "half", 0, NULL, &(float){0.5f});
	test_onnx_floats(m, "norm_scale", 1, &sixteen, w);
	test_onnx_floats(m, "norm_shift", 1, &sixteen, w + 16);
	test_onnx_floats(m, "to_qkv", 2, (int64_t[]){16, 48}, w + 32);
	test_onnx_floats(m, "temperature", 3, (int64_t[]){2, 1, 1}, (float[]){1.5f, 0.5f});
	test_onnx_floats(m, "up", 2, (int64_t[]){16, 32}, w + 800);
	test_onnx_floats(m, "down", 2, (int64_t[]){32, 16}, w + 1320);
	test_onnx_floats(m, "gamma", 1, &sixteen, w + 1900);
	test_onnx_ints(m, "flat", 3, (int64_t[]){1, 16, 12});
	test_onnx_ints(m, "split", 5, (int64_t[]){1, 12, 3, 2, -1});
	test_onnx_ints(m, "joined", 3, (int64_t[]){1, 12, 16});
	test_onnx_ints(m, "image", 4, (int64_t[]){1, 3, 4, 16});
	test_onnx_ints(m, "ones", 3, (int64_t[]){1, 1, 1});
	test_onnx_ints(m, "zero", 1, (int64_t[]){0});
	test_onnx_node(m, "Reshape", "x,flat", "f");
	test_onnx_node(m, "Transpose", "f", "rows");
	test_onnx_attribute_ints(m, "perm", 3, (int64_t[]){0, 2, 1});
	layer_norm_spelled_out(m, "rows", "n");
	test_onnx_node(m, "MatMul", "n,to_qkv", "qkv");
	test_onnx_node(m, "Reshape", "qkv,split", "qkv5");
	test_onnx_node(m, "Transpose", "qkv5", "heads");
	test_onnx_attribute_ints(m, "perm", 5, (int64_t[]){2, 0, 3, 4, 1});
	test_onnx_node(m, "Split", "heads,ones", "q1,k1,v1");
	test_onnx_node(m, "Squeeze", "q1,zero", "q");
	test_onnx_node(m, "Squeeze", "k1,zero", "k");
	test_onnx_node(m, "Squeeze", "v1,zero", "v");
	for (int i = 0; i < 2; i++) {
		test_onnx_node(m, "ReduceL2", i ? "k" : "q", i ? "lk" : "lq");
		test_onnx_attribute_ints(m, "axes", 1, (int64_t[]){-1});
		test_onnx_node(m, "Clip", i ? "lk,least," : "lq,least,", i ? "ck" : "cq");
		test_onnx_node(m, "Shape", i ? "k" : "q", i ? "sk" : "sq");
		test_onnx_node(m, "Expand", i ? "ck,sk" : "cq,sq", i ? "ek" : "eq");
		test_onnx_node(m, "Div", i ? "k,ek" : "q,eq", i ? "nk" : "nq");
	}
	test_onnx_node(m, "Transpose", "nk", "tk");
	test_onnx_attribute_ints(m, "perm", 4, (int64_t[]){0, 1, 3, 2});
	test_onnx_node(m, "MatMul", "nq,tk", "scores");
	test_onnx_node(m, "Mul", "scores,temperature", "scaled");
	test_onnx_node(m, "Softmax", "scaled", "weights");
	test_onnx_node(m, "MatMul", "weights,v", "mixed");
	test_onnx_node(m, "Transpose", "mixed", "tokens");
	test_onnx_attribute_ints(m, "perm", 4, (int64_t[]){0, 3, 1, 2});
	test_onnx_node(m, "Reshape", "tokens,joined", "attended");
	test_onnx_node(m, "Add", "rows,attended", "sum");
	test_onnx_node(m, "Reshape", "sum,image", "im");
	layer_norm_spelled_out(m, "im", "n2");
	test_onnx_node(m, "MatMul", "n2,up", "h");
	test_onnx_node(m, "Div", "h,root2", "hd");
	test_onnx_node(m, "Erf", "hd", "he");
	test_onnx_node(m, "Add", "he,one", "h1");
	test_onnx_node(m, "Mul", "h,h1", "hh");
	test_onnx_node(m, "Mul", "hh,half", "g");
	test_onnx_node(m, "MatMul", "g,down", "d");
	test_onnx_node(m, "Mul", "d,gamma", "dg");
	test_onnx_node(m, "Transpose", "dg", "dt");
	test_onnx_attribute_ints(m, "perm", 4, (int64_t[]){0, 3, 1, 2});
	test_onnx_node(m, "Add", "x,dt", "y");
	test_onnx_output(m, "y");
	free(w);
	return m;
}

/* A detector's neck, and position codes as exporters leave them: constants through Sin, Cos, Where, Conv. */
FIXTURE struct test_onnx *specimen_detector(void)
{
	struct test_onnx *m = test_onnx_new(13);
	float *w = noise(64, 6);

	test_onnx_input(m, "x", 4, (int64_t[]){1, 2, 4, 6});
	test_onnx_floats(m, "steps", 2, (int64_t[]){4, 1}, w);
	test_onnx_floats(m, "roi", 1, (int64_t[]){0}, w);
	test_onnx_floats(m, "scales", 1, (int64_t[]){4}, (float[]){1, 1, 2, 2});
	test_onnx_floats(m, "k", 4, (int64_t[]){2, 1, 1, 1}, w + 8);
	test_onnx_ints(m, "rank", 1, (int64_t[]){2});
	test_onnx_ints(m, "wanted", 2, (int64_t[]){-1, 6});
	test_onnx_ints(m, "minus", 1, (int64_t[]){-1});
	test_onnx_ints(m, "front", 2, (int64_t[]){0, 1});
	test_onnx_node(m, "ConstantOfShape", "rank", "filled");
	test_onnx_node(m, "Shape", "steps", "own");
	test_onnx_node(m, "Equal", "wanted,minus", "open");
	test_onnx_node(m, "Where", "open,own,wanted", "size");
	test_onnx_node(m, "Expand", "steps,size", "grid");
	test_onnx_node(m, "Sin", "grid", "sine");
	test_onnx_node(m, "Cos", "sine", "cosine");
	test_onnx_node(m, "Unsqueeze", "cosine,front", "code");
	test_onnx_node(m, "Conv", "code,k", "position");
	test_onnx_node(m, "Add", "x,position", "placed");
	test_onnx_node(m, "MaxPool", "placed", "small");
	test_onnx_attribute_ints(m, "kernel_shape", 2, (int64_t[]){3, 3});
	test_onnx_attribute_ints(m, "strides", 2, (int64_t[]){2, 2});
	test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){1, 1, 1, 1});
	test_onnx_node(m, "Resize", "small,roi,scales", "large");
	test_onnx_attribute_string(m, "mode", "nearest");
	test_onnx_attribute_string(m, "coordinate_transformation_mode", "asymmetric");
	test_onnx_attribute_string(m, "nearest_mode", "floor");
	test_onnx_node(m, "Add", "large,x", "sum");
	test_onnx_node(m, "ReduceMean", "sum", "mean");
	test_onnx_attribute_ints(m, "axes", 2, (int64_t[]){2, 3});
	test_onnx_node(m, "Sigmoid", "mean", "y");
	test_onnx_output(m, "y");
	test_onnx_node(m, "ReduceMean", "filled", "unused");
	free(w);
	return m;
}

/* Two convolutions quantized statically, with a residual: every tensor between them on a grid. */
FIXTURE struct test_onnx *specimen_quantized(void)
{
	struct test_onnx *m = test_onnx_new(13);
	const int64_t four = 4;
	int8_t codes[4 * 4 * 9], zeros[4] = {0};

	for (size_t i = 0; i < sizeof(codes); i++)
		codes[i] = (int8_t)((int)(i * 37 % 255) - 127);
	test_onnx_input(m, "x", 4, (int64_t[]){1, 4, 5, 6});
	test_onnx_floats(m, "s", 0, NULL, &(float){0.0123f});
	test_onnx_raw(m, "z", 2, 0, NULL, &(uint8_t){119}, 1);
	test_onnx_raw(m, "z8", 3, 0, NULL, &(int8_t){-5}, 1);
	test_onnx_raw(m, "wq", 3, 4, (int64_t[]){4, 4, 3, 3}, codes, 144);
	test_onnx_raw(m, "dq", 3, 4, (int64_t[]){4, 1, 3, 3}, codes, 36);
	test_onnx_floats(m, "ws", 1, &four, (float[]){0.003f, 0.002f, 0.001f, 0.004f});
	test_onnx_raw(m, "wz", 3, 1, &four, zeros, 4);
	test_onnx_raw(m, "bq", 6, 1, &four, (int32_t[]){100, -200, 300, 0}, 16);
	test_onnx_floats(m, "bs", 1, &four, (float[]){0.001f, 0.001f, 0.002f, 0.001f});
	test_onnx_floats(m, "slope", 3, (int64_t[]){4, 1, 1}, (float[]){0.25f, -0.5f, 0, 1});
	test_onnx_node(m, "QuantizeLinear", "x,s,z", "xq");
	test_onnx_node(m, "DequantizeLinear", "xq,s,z", "xd");
	test_onnx_node(m, "DequantizeLinear", "wq,ws,wz", "w");
	test_onnx_attribute_int(m, "axis", 0);
	test_onnx_node(m, "DequantizeLinear", "dq,ws,wz", "d");
	test_onnx_attribute_int(m, "axis", 0);
	test_onnx_node(m, "DequantizeLinear", "bq,bs", "b");
	test_onnx_attribute_int(m, "axis", 0);
	test_onnx_node(m, "Conv", "xd,w,b", "c");
	test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){1, 1, 1, 1});
	test_onnx_node(m, "QuantizeLinear", "c,s,z8", "cq");
	test_onnx_node(m, "DequantizeLinear", "cq,s,z8", "cd");
	test_onnx_node(m, "PRelu", "cd,slope", "p");
	test_onnx_node(m, "QuantizeLinear", "p,s,z", "pq");
	test_onnx_node(m, "DequantizeLinear", "pq,s,z", "pd");
	test_onnx_node(m, "Conv", "pd,d,b", "e");
	test_onnx_attribute_int(m, "group", 4);
	test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){1, 1, 1, 1});
	test_onnx_node(m, "QuantizeLinear", "e,s,z", "eq");
	test_onnx_node(m, "DequantizeLinear", "eq,s,z", "ed");
	test_onnx_node(m, "Add", "xd,ed", "y");
	test_onnx_output(m, "y");
	return m;
}

/* Weights in 6 bits, packed, as lib/onnx writes them: unpacked before anything runs. */
FIXTURE struct test_onnx *specimen_packed(void)
{
	struct test_onnx *m = test_onnx_new(13);
	const int64_t channels = 4;
	uint8_t packed[3 * 10], zeros[4] = {32, 32, 32, 32};

	for (size_t i = 0; i < sizeof(packed); i++)
		packed[i] = (uint8_t)(i * 73 + 11);
	test_onnx_input(m, "x", 4, (int64_t[]){1, 3, 4, 4});
	test_onnx_raw(m, "packed", 2, 2, (int64_t[]){3, 10}, packed, sizeof(packed));
	test_onnx_raw(m, "two", 2, 0, NULL, &(uint8_t){2}, 1);
	test_onnx_raw(m, "six", 2, 0, NULL, &(uint8_t){6}, 1);
	test_onnx_floats(m, "places", 2, (int64_t[]){1, 3}, (float[]){16, 4, 1});
	test_onnx_ints(m, "flat", 1, (int64_t[]){-1});
	test_onnx_ints(m, "sizes", 3, (int64_t[]){12, 24, 4});
	test_onnx_ints(m, "shape_w", 4, (int64_t[]){4, 3, 1, 1});
	test_onnx_ints(m, "shape_v", 2, (int64_t[]){4, 6});
	test_onnx_floats(m, "ws", 1, &channels, (float[]){0.03f, 0.02f, 0.01f, 0.04f});
	test_onnx_raw(m, "wz", 2, 1, &channels, zeros, 4);
	test_onnx_floats(m, "vs", 0, NULL, &(float){0.05f});
	test_onnx_raw(m, "vz", 2, 0, NULL, zeros, 1);
	test_onnx_node(m, "BitShift", "packed,two", "up");
	test_onnx_attribute_string(m, "direction", "LEFT");
	test_onnx_node(m, "BitShift", "up,two", "low");
	test_onnx_attribute_string(m, "direction", "RIGHT");
	test_onnx_node(m, "BitShift", "packed,six", "high");
	test_onnx_attribute_string(m, "direction", "RIGHT");
	test_onnx_node(m, "Cast", "high", "floats");
	test_onnx_attribute_int(m, "to", 1);
	test_onnx_node(m, "MatMul", "places,floats", "sums");
	test_onnx_node(m, "Cast", "sums", "last");
	test_onnx_attribute_int(m, "to", 2);
	test_onnx_node(m, "Concat", "low,last", "rows");
	test_onnx_attribute_int(m, "axis", 0);
	test_onnx_node(m, "Reshape", "rows,flat", "codes");
	test_onnx_node(m, "Split", "codes,sizes", "part_w,part_v,rest");
	test_onnx_node(m, "Reshape", "part_w,shape_w", "wq");
	test_onnx_node(m, "DequantizeLinear", "wq,ws,wz", "w");
	test_onnx_attribute_int(m, "axis", 0);
	test_onnx_node(m, "Reshape", "part_v,shape_v", "vq");
	test_onnx_node(m, "DequantizeLinear", "vq,vs,vz", "v");
	test_onnx_node(m, "Conv", "x,w", "c");
	test_onnx_node(m, "Relu", "c", "r");
	test_onnx_node(m, "MatMul", "r,v", "y");
	test_onnx_output(m, "y");
	return m;
}

FIXTURE uint8_t *specimen(size_t index, size_t *ret_length)
{
	struct test_onnx *(*const make[SPECIMENS])(void) = {specimen_embedding, specimen_residual,
	        specimen_boxes, specimen_transformer, specimen_detector, specimen_quantized, specimen_packed};

	return test_onnx_take(make[index](), ret_length);
}

#endif
