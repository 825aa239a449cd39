/* 8-bit weights in ONNX: the codes, what stays, what the raised operators compute, what is refused. */
#include "lib/onnx/quantize.h"

#include "lib/base/cleanup.h"
#include "lib/base/size.h"
#include "lib/nn/session.h"
#include "tests/support/onnx_builder.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

FM_DEFINE_CLEANUP(struct fm_net *, fm_net_free);
FM_DEFINE_CLEANUP(struct fm_session *, fm_session_free);
FM_DEFINE_CLEANUP(struct fm_onnx_model *, fm_onnx_free);

#define MEMORY ((size_t)64 << 20)

struct file {
	uint8_t *bytes;
	size_t length;
};

static void file_done(struct file *file)
{
	free(file->bytes);
}

static struct file take(struct test_onnx *builder)
{
	struct file file;

	file.bytes = test_onnx_take(builder, &file.length);
	return file;
}

static struct fm_onnx_quantized quantize(const struct file *file, struct fm_onnx_quantize_options options)
{
	struct fm_onnx_quantized quantized;
	struct fm_error err = {0};

	cr_assert_eq(fm_onnx_quantize(file->bytes, file->length, &options, MEMORY, &quantized, &err), FM_OK,
	        "%s", err.message);
	return quantized;
}

static void refused(struct test_onnx *builder, enum fm_status status, const char *part)
{
	const struct fm_onnx_quantize_options options = {0};
	fm_cleanup(file_done) struct file file = take(builder);
	struct fm_onnx_quantized quantized = {0};
	struct fm_error err = {0};

	cr_expect_eq(fm_onnx_quantize(file.bytes, file.length, &options, MEMORY, &quantized, &err), status,
	        "%s: %s", fm_status_name(err.status), err.message);
	cr_expect(strstr(err.message, part), "%s", err.message);
	cr_expect_null(quantized.bytes);
}

static const struct fm_onnx_tensor *tensor_of(const struct fm_onnx_model *model, const char *name)
{
	for (size_t i = 0; i < model->initializer_count; i++)
		if (strcmp(model->initializers[i].name, name) == 0)
			return &model->initializers[i];
	return NULL;
}

static const struct fm_onnx_node *producer_of(const struct fm_onnx_model *model, const char *name)
{
	for (size_t i = 0; i < model->node_count; i++)
		if (strcmp(model->nodes[i].outputs[0], name) == 0)
			return &model->nodes[i];
	return NULL;
}

/* Every output value, one output after the other; input by a seed. Returns how many. */
static size_t run(
        const void *bytes, size_t length, enum fm_precision precision, float *ret_values, size_t most)
{
	const struct fm_net_options options = {.precision = precision};
	fm_cleanup(fm_net_freep) struct fm_net *net = NULL;
	fm_cleanup(fm_session_freep) struct fm_session *session = NULL;
	struct fm_error err = {0};
	float input[4096], *outputs[4];
	const float *inputs[1] = {input};
	size_t count = 0;

	cr_assert_eq(fm_net_load_memory(bytes, length, &options, &net, &err), FM_OK, "%s", err.message);
	cr_assert_eq(fm_net_input_count(net), 1);
	cr_assert_leq(fm_net_input(net, 0)->elements, FM_ARRAY_SIZE(input));
	cr_assert_leq(fm_net_output_count(net), FM_ARRAY_SIZE(outputs));
	test_onnx_noise(input, fm_net_input(net, 0)->elements, 7);
	for (size_t i = 0; i < fm_net_output_count(net); i++) {
		outputs[i] = ret_values + count;
		count += fm_net_output(net, i)->elements;
		cr_assert_leq(count, most);
	}
	cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
	fm_session_run(session, inputs, outputs);
	return count;
}

/* Conv 16x4x3x3, depthwise 16x1x5x5, Gemm 10x64 transposed, MatMul 10x30; a bias each but MatMul. */
static struct test_onnx *build_layers(int64_t opset, bool constant_node)
{
	static float conv[16 * 4 * 9], depthwise[16 * 25], gemm[10 * 64], matmul[10 * 30], bias[16];
	struct test_onnx *b = test_onnx_new(opset);

	test_onnx_noise(conv, FM_ARRAY_SIZE(conv), 1);
	test_onnx_noise(depthwise, FM_ARRAY_SIZE(depthwise), 2);
	test_onnx_noise(gemm, FM_ARRAY_SIZE(gemm), 3);
	test_onnx_noise(matmul, FM_ARRAY_SIZE(matmul), 4);
	test_onnx_noise(bias, FM_ARRAY_SIZE(bias), 5);
	memset(conv, 0, 36 * sizeof(*conv)); /* a channel of nothing */
	test_onnx_input(b, "x", 4, (int64_t[]){1, 4, 8, 8});
	test_onnx_input(b, "conv", 4, (int64_t[]){16, 4, 3, 3}); /* its default is the initializer */
	test_onnx_floats(b, "conv", 4, (int64_t[]){16, 4, 3, 3}, conv);
	test_onnx_floats(b, "depthwise", 4, (int64_t[]){16, 1, 5, 5}, depthwise);
	test_onnx_floats(b, "gemm", 2, (int64_t[]){10, 64}, gemm);
	test_onnx_floats(b, "bias", 1, (int64_t[]){16}, bias);
	test_onnx_floats(b, "gemm_bias", 1, (int64_t[]){10}, bias);
	if (constant_node) {
		test_onnx_node(b, "Constant", "", "matmul");
		test_onnx_attribute_tensor(b, "value", 2, (int64_t[]){10, 30}, matmul);
	} else {
		test_onnx_floats(b, "matmul", 2, (int64_t[]){10, 30}, matmul);
	}
	test_onnx_node(b, "Conv", "x,conv,bias", "a");
	test_onnx_node(b, "Conv", "a,depthwise,bias", "b");
	test_onnx_attribute_int(b, "group", 16);
	test_onnx_node(b, "Flatten", "b", "c");
	test_onnx_node(b, "Gemm", "c,gemm,gemm_bias", "d");
	test_onnx_attribute_int(b, "transB", 1);
	test_onnx_node(b, "MatMul", "d,matmul", "y");
	test_onnx_output(b, "y");
	return b;
}

Test(onnx_quantize, a_weight_becomes_codes_scales_and_a_node)
{
	for (int constant_node = 0; constant_node < 2; constant_node++) {
		fm_cleanup(file_done) struct file file =
		        take(build_layers(constant_node ? 9 : 13, constant_node));
		fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized quantized =
		        quantize(&file, (struct fm_onnx_quantize_options){0});
		static const struct {
			const char *name;
			size_t channels, elements;
			int64_t axis;
		} wanted[] = {{"conv", 16, 576, 0}, {"depthwise", 16, 400, 0}, {"gemm", 10, 640, 0},
		        {"matmul", 30, 300, 1}};
		fm_cleanup(fm_onnx_freep) struct fm_onnx_model *model = NULL, *before = NULL;

		cr_assert_eq(fm_onnx_parse(quantized.bytes, quantized.length, MEMORY, &model, NULL), FM_OK);
		cr_assert_eq(fm_onnx_parse(file.bytes, file.length, MEMORY, &before, NULL), FM_OK);
		cr_expect_eq(model->opset, 13);
		cr_expect_eq(quantized.opset, 13);
		cr_expect_eq(model->input_count, 1);
		cr_expect_lt(quantized.length, file.length / 2);
		cr_assert_eq(quantized.weight_count, 4);
		for (size_t w = 0; w < 4; w++) {
			const struct fm_onnx_quantized_weight *weight = &quantized.weights[w];
			const struct fm_onnx_node *node = producer_of(model, wanted[w].name);

			cr_expect_str_eq(weight->name, wanted[w].name);
			cr_expect_eq(weight->bits, 8);
			cr_expect_eq(weight->bytes_float32, 4 * wanted[w].elements);
			cr_expect_eq(weight->bytes, wanted[w].elements + 4 * wanted[w].channels);
			cr_expect(weight->snr_db > 35 && weight->snr_db < 55, "%f", weight->snr_db);
			cr_expect_null(tensor_of(model, wanted[w].name));
			cr_assert_not_null(node);
			cr_expect_str_eq(node->op, "DequantizeLinear");
			cr_assert_eq(node->input_count, 2);
			cr_expect_eq(fm_onnx_attribute(node, "axis")->i, wanted[w].axis);
			const struct fm_onnx_tensor *codes = tensor_of(model, node->inputs[0]);
			const struct fm_onnx_tensor *scale = tensor_of(model, node->inputs[1]);
			cr_assert(codes && scale);
			cr_expect_eq(codes->type, FM_ONNX_INT8);
			cr_expect_eq(codes->elements, wanted[w].elements);
			cr_expect_eq(scale->elements, wanted[w].channels);
		}

		/* The formula, on the first layer's channels. */
		const struct fm_onnx_node *node = producer_of(model, "conv");
		const int8_t *codes = tensor_of(model, node->inputs[0])->data;
		const float *scales = tensor_of(model, node->inputs[1])->data;
		const float *weights = tensor_of(before, "conv")->data;
		for (size_t c = 0; c < 16; c++) {
			float max = 0;
			for (size_t i = 0; i < 36; i++)
				max = fmaxf(max, fabsf(weights[36 * c + i]));
			cr_expect_eq(scales[c], c ? max / 127.0f : 1.0f);
			for (size_t i = 36 * c; i < 36 * (c + 1); i++)
				cr_expect_eq(codes[i], (int)nearbyintf(weights[i] / scales[c]));
		}
	}
}

Test(onnx_quantize, int8_results_are_the_originals_bit_for_bit)
{
	for (int64_t opset = 9; opset <= 13; opset += 4) {
		fm_cleanup(file_done) struct file file = take(build_layers(opset, opset == 9));
		fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized quantized =
		        quantize(&file, (struct fm_onnx_quantize_options){.float_depthwise = true});
		float wanted[30], got[30];

		cr_expect_eq(quantized.weights[1].bits, 32);
		cr_expect_eq(quantized.weights[1].bytes, quantized.weights[1].bytes_float32);
		cr_assert_eq(run(file.bytes, file.length, FM_INT8, wanted, 30), 30);
		cr_assert_eq(run(quantized.bytes, quantized.length, FM_INT8, got, 30), 30);
		cr_expect_arr_eq(got, wanted, sizeof(wanted));
	}
}

Test(onnx_quantize, each_way_stays_near_the_original)
{
	static const struct fm_onnx_quantize_options ways[] = {
	        {0}, {.per_tensor = true}, {.asymmetric = true}, {.per_tensor = true, .asymmetric = true}};

	for (size_t i = 0; i < FM_ARRAY_SIZE(ways); i++) {
		fm_cleanup(file_done) struct file file = take(build_layers(9, false));
		fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized quantized =
		        quantize(&file, ways[i]);
		fm_cleanup(fm_onnx_freep) struct fm_onnx_model *model = NULL;
		float wanted[30], got[30], largest = 0, error = 0;

		cr_assert_eq(fm_onnx_parse(quantized.bytes, quantized.length, MEMORY, &model, NULL), FM_OK);
		const struct fm_onnx_node *node = producer_of(model, "gemm");
		cr_expect_eq(node->input_count, ways[i].asymmetric ? 3 : 2);
		cr_expect_eq(tensor_of(model, node->inputs[0])->type,
		        ways[i].asymmetric ? FM_ONNX_UINT8 : FM_ONNX_INT8);
		cr_expect_eq(tensor_of(model, node->inputs[1])->elements, ways[i].per_tensor ? 1 : 10);
		run(file.bytes, file.length, FM_FLOAT32, wanted, 30);
		run(quantized.bytes, quantized.length, FM_FLOAT32, got, 30);
		for (size_t j = 0; j < 30; j++) {
			largest = fmaxf(largest, fabsf(wanted[j]));
			error = fmaxf(error, fabsf(wanted[j] - got[j]));
		}
		cr_expect(error > 0 && error < 0.02f * largest, "way %zu: %g of %g", i, (double)error,
		        (double)largest);
	}
}

Test(onnx_quantize, asymmetric_codes_fit_one_sided_weights)
{
	float weights[256];
	struct test_onnx *b = test_onnx_new(13);

	for (size_t i = 0; i < 256; i++)
		weights[i] = 1.0f + (float)i;
	test_onnx_input(b, "x", 2, (int64_t[]){1, 16});
	test_onnx_floats(b, "w", 2, (int64_t[]){16, 16}, weights);
	test_onnx_node(b, "MatMul", "x,w", "y");
	test_onnx_output(b, "y");
	fm_cleanup(file_done) struct file file = take(b);
	fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized quantized =
	        quantize(&file, (struct fm_onnx_quantize_options){.per_tensor = true, .asymmetric = true});
	fm_cleanup(fm_onnx_freep) struct fm_onnx_model *model = NULL;

	cr_assert_eq(fm_onnx_parse(quantized.bytes, quantized.length, MEMORY, &model, NULL), FM_OK);
	const struct fm_onnx_node *node = producer_of(model, "w");
	const uint8_t *codes = tensor_of(model, node->inputs[0])->data;
	cr_expect_eq(*(const uint8_t *)tensor_of(model, node->inputs[2])->data, 0);
	cr_expect_float_eq(*(const float *)tensor_of(model, node->inputs[1])->data, 256.0f / 255.0f, 1e-6);
	cr_expect_eq(codes[0], 1);
	cr_expect_eq(codes[255], 255);
}

Test(onnx_quantize, small_depthwise_weights_stay)
{
	float depthwise[64 * 9], weights[64 * 64];
	struct test_onnx *b = test_onnx_new(13);

	test_onnx_noise(depthwise, FM_ARRAY_SIZE(depthwise), 1);
	test_onnx_noise(weights, FM_ARRAY_SIZE(weights), 2);
	test_onnx_input(b, "x", 4, (int64_t[]){1, 64, 4, 4});
	test_onnx_floats(b, "depthwise", 4, (int64_t[]){64, 1, 3, 3}, depthwise);
	test_onnx_floats(b, "w", 4, (int64_t[]){64, 64, 1, 1}, weights);
	test_onnx_node(b, "Conv", "x,depthwise", "a");
	test_onnx_attribute_int(b, "group", 64);
	test_onnx_node(b, "Conv", "a,w", "y");
	test_onnx_output(b, "y");
	fm_cleanup(file_done) struct file file = take(b);
	fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized quantized =
	        quantize(&file, (struct fm_onnx_quantize_options){0});
	fm_cleanup(fm_onnx_freep) struct fm_onnx_model *model = NULL;

	cr_assert_eq(quantized.weight_count, 2);
	cr_expect_eq(quantized.weights[0].bits, 32);
	cr_expect_eq(quantized.weights[1].bits, 8);
	cr_assert_eq(fm_onnx_parse(quantized.bytes, quantized.length, MEMORY, &model, NULL), FM_OK);
	cr_assert_not_null(tensor_of(model, "depthwise"));
	cr_expect_arr_eq(tensor_of(model, "depthwise")->data, depthwise, sizeof(depthwise));
	cr_expect_null(tensor_of(model, "w"));
}

/* Two layers take "a" (and one is too small to quantize), nothing takes "y". */
static struct test_onnx *build_fork(void)
{
	static float weights[16 * 16];
	struct test_onnx *b = test_onnx_new(9);

	test_onnx_noise(weights, FM_ARRAY_SIZE(weights), 1);
	test_onnx_input(b, "x", 2, (int64_t[]){1, 16});
	test_onnx_floats(b, "v", 2, (int64_t[]){16, 16}, weights);
	test_onnx_floats(b, "w", 2, (int64_t[]){16, 16}, weights);
	test_onnx_floats(b, "u", 2, (int64_t[]){16, 1}, weights);
	test_onnx_node(b, "Relu", "x", "a");
	test_onnx_node(b, "MatMul", "a,v", "b");
	test_onnx_node(b, "MatMul", "a,w", "c");
	test_onnx_node(b, "MatMul", "a,u", "d");
	test_onnx_node(b, "Add", "b,c", "e");
	test_onnx_node(b, "Add", "e,d", "y");
	test_onnx_output(b, "y");
	return b;
}

Test(onnx_quantize, activations_with_a_range_are_quantized_once)
{
	static const struct fm_onnx_range ranges[] = {{"a", 0.25f, 0.75f}, {"y", -1, 1}};
	fm_cleanup(file_done) struct file file = take(build_fork());
	fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized quantized =
	        quantize(&file, (struct fm_onnx_quantize_options){.ranges = ranges, .range_count = 2});
	fm_cleanup(fm_onnx_freep) struct fm_onnx_model *model = NULL;
	float wanted[16], got[16];

	cr_expect_eq(quantized.activation_count, 1);
	cr_expect_str_eq(quantized.weights[0].input, "a");
	cr_assert_eq(fm_onnx_parse(quantized.bytes, quantized.length, MEMORY, &model, NULL), FM_OK);
	const struct fm_onnx_node *b = producer_of(model, "b"), *c = producer_of(model, "c");
	const struct fm_onnx_node *values = producer_of(model, b->inputs[0]);
	const struct fm_onnx_node *codes = producer_of(model, values->inputs[0]);
	cr_expect_str_eq(b->inputs[0], c->inputs[0]);
	cr_expect_str_eq(producer_of(model, "d")->inputs[0], "a");
	cr_expect_str_eq(values->op, "DequantizeLinear");
	cr_expect_str_eq(codes->op, "QuantizeLinear");
	cr_expect_str_eq(codes->inputs[0], "a");
	/* Widened to hold 0. */
	cr_expect_float_eq(*(const float *)tensor_of(model, codes->inputs[1])->data, 0.75f / 255.0f, 1e-9);
	cr_expect_eq(tensor_of(model, codes->inputs[2])->type, FM_ONNX_UINT8);
	cr_expect_eq(*(const uint8_t *)tensor_of(model, codes->inputs[2])->data, 0);
	cr_expect_eq(*(const float *)tensor_of(model, values->inputs[1])->data,
	        *(const float *)tensor_of(model, codes->inputs[1])->data);

	/* The noise goes up to 1: what is beyond the range is cut off, so compare with a Clip there. */
	struct test_onnx *clipped = test_onnx_new(9);
	float weights[256], pairs[16 * 16];
	test_onnx_noise(weights, 256, 1);
	for (size_t i = 0; i < 256; i++)
		pairs[i] = 2 * weights[i];
	test_onnx_input(clipped, "x", 2, (int64_t[]){1, 16});
	test_onnx_floats(clipped, "w", 2, (int64_t[]){16, 16}, pairs);
	test_onnx_floats(clipped, "u", 2, (int64_t[]){16, 1}, weights);
	test_onnx_node(clipped, "Relu", "x", "a");
	test_onnx_node(clipped, "Clip", "a", "k");
	test_onnx_attribute_float(clipped, "max", 0.75f);
	test_onnx_node(clipped, "MatMul", "k,w", "e");
	test_onnx_node(clipped, "MatMul", "a,u", "d");
	test_onnx_node(clipped, "Add", "e,d", "y");
	test_onnx_output(clipped, "y");
	fm_cleanup(file_done) struct file reference = take(clipped);
	cr_assert_eq(run(reference.bytes, reference.length, FM_FLOAT32, wanted, 16), 16);
	for (int precision = 0; precision < 2; precision++) {
		cr_assert_eq(run(quantized.bytes, quantized.length, precision, got, 16), 16);
		for (size_t i = 0; i < 16; i++)
			cr_expect_float_eq(
			        got[i], wanted[i], 0.05, "%g for %g", (double)got[i], (double)wanted[i]);
	}
}

Test(onnx_quantize, a_tapped_model_gives_its_activations)
{
	static const char *const names[] = {"a", "e"};
	fm_cleanup(file_done) struct file file = take(build_fork());
	fm_autofree void *bytes = NULL;
	float input[16], got[32];
	struct fm_error err;
	size_t length;

	cr_assert_eq(fm_onnx_tap(file.bytes, file.length, names, 2, MEMORY, &bytes, &length, &err), FM_OK);
	cr_assert_eq(run(bytes, length, FM_FLOAT32, got, 32), 32);
	test_onnx_noise(input, 16, 7);
	for (size_t i = 0; i < 16; i++)
		cr_expect_eq(got[i], fmaxf(0, input[i]));
	cr_expect_neq(got[16], 0);

	fm_autofree void *none = NULL;
	cr_expect_eq(fm_onnx_tap("none", 4, names, 2, MEMORY, &none, &length, &err), FM_E_CORRUPT);
	cr_expect_eq(fm_onnx_tap(file.bytes, file.length, names, FM_ONNX_OPERANDS_MAX + 1, MEMORY, &none,
	                     &length, &err),
	        FM_E_TOO_LARGE);
	cr_expect_null(none);
}

/* Opset 9's Slice, Clip, Unsqueeze, Squeeze, Split, Softmax over two axes, BatchNormalization, Dropout. */
Test(onnx_quantize, raised_operators_compute_the_same)
{
	float weights[16 * 16], ones[16];
	struct test_onnx *b = test_onnx_new(9);

	test_onnx_noise(weights, FM_ARRAY_SIZE(weights), 1);
	for (size_t i = 0; i < 16; i++)
		ones[i] = 1.0f + (float)i / 16;
	test_onnx_input(b, "x", 4, (int64_t[]){1, 16, 4, 4});
	test_onnx_floats(b, "w", 4, (int64_t[]){16, 16, 1, 1}, weights);
	test_onnx_floats(b, "facematch0.0.flat", 1, (int64_t[]){16}, ones); /* a name that is taken */
	test_onnx_node(b, "Conv", "x,w", "a");
	test_onnx_node(b, "BatchNormalization",
	        "a,facematch0.0.flat,facematch0.0.flat,facematch0.0.flat,facematch0.0.flat", "b");
	test_onnx_node(b, "Dropout", "b", "c");
	test_onnx_attribute_float(b, "ratio", 0.5f);
	test_onnx_node(b, "Slice", "c", "d");
	test_onnx_attribute_ints(b, "starts", 2, (int64_t[]){1, 0});
	test_onnx_attribute_ints(b, "ends", 2, (int64_t[]){4, 3});
	test_onnx_attribute_ints(b, "axes", 2, (int64_t[]){2, 3});
	test_onnx_node(b, "Clip", "d", "e");
	test_onnx_attribute_float(b, "max", 0.75f);
	test_onnx_node(b, "Clip", "e", "f");
	test_onnx_attribute_float(b, "min", -0.5f);
	test_onnx_node(b, "Unsqueeze", "f", "g");
	test_onnx_attribute_ints(b, "axes", 1, (int64_t[]){0});
	test_onnx_node(b, "Squeeze", "g", "h");
	test_onnx_attribute_ints(b, "axes", 1, (int64_t[]){0});
	test_onnx_node(b, "Split", "h", "i,j");
	test_onnx_attribute_int(b, "axis", 1);
	test_onnx_attribute_ints(b, "split", 2, (int64_t[]){6, 10});
	test_onnx_node(b, "Softmax", "i", "y"); /* axis 1: over 6 x 3 x 3 values at once */
	test_onnx_node(b, "Softmax", "j", "z");
	test_onnx_attribute_int(b, "axis", 3);
	test_onnx_output(b, "y");
	test_onnx_output(b, "z");
	fm_cleanup(file_done) struct file file = take(b);
	fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized quantized =
	        quantize(&file, (struct fm_onnx_quantize_options){0});
	float wanted[144], got[144], error = 0, sum = 0;

	cr_assert_eq(run(file.bytes, file.length, FM_FLOAT32, wanted, 144), 144);
	cr_assert_eq(run(quantized.bytes, quantized.length, FM_FLOAT32, got, 144), 144);
	for (size_t i = 0; i < 144; i++)
		error = fmaxf(error, fabsf(wanted[i] - got[i]));
	for (size_t i = 0; i < 54; i++)
		sum += got[i];
	cr_expect(error > 0 && error < 0.01f, "%g", (double)error);
	cr_expect_float_eq(sum, 1.0f, 1e-5);
}

/* ---- refused --------------------------------------------------------------------------------- */

static struct test_onnx *start_matmul(int64_t opset, const float *weights, int64_t rows)
{
	struct test_onnx *b = test_onnx_new(opset);

	test_onnx_input(b, "x", 2, (int64_t[]){1, rows});
	test_onnx_floats(b, "w", 2, (int64_t[]){rows, 16}, weights);
	test_onnx_node(b, "MatMul", "x,w", "a");
	return b;
}

Test(onnx_quantize, refuses_an_operator_that_may_change_its_meaning)
{
	float weights[256] = {1};
	struct test_onnx *b = start_matmul(9, weights, 16);

	test_onnx_node(b, "Upsample", "a", "y");
	test_onnx_output(b, "y");
	refused(b, FM_E_UNSUPPORTED, "Upsample node 'y' cannot be raised from opset 9 to 13");

	b = start_matmul(10, weights, 16);
	test_onnx_node(b, "Resize", "a,s", "y");
	test_onnx_output(b, "y");
	refused(b, FM_E_UNSUPPORTED, "Resize node 'y' cannot be raised from opset 10");

	b = start_matmul(8, weights, 16);
	test_onnx_node(b, "BatchNormalization", "a,w,w,w,w", "y");
	test_onnx_attribute_int(b, "spatial", 0);
	test_onnx_output(b, "y");
	refused(b, FM_E_UNSUPPORTED, "its statistics are not per channel");

	b = start_matmul(9, weights, 16);
	test_onnx_node(b, "Slice", "a", "y");
	test_onnx_attribute_string(b, "starts", "0");
	test_onnx_output(b, "y");
	refused(b, FM_E_UNSUPPORTED, "an attribute of it is of the wrong type");
}

Test(onnx_quantize, refuses_a_model_without_weights_to_quantize)
{
	float weights[240] = {1};
	struct test_onnx *b = start_matmul(13, weights, 15);

	test_onnx_output(b, "a");
	refused(b, FM_E_INVALID, "no Conv, Gemm or MatMul with a constant float32 weight of 256 elements");
}

Test(onnx_quantize, refuses_weights_that_are_no_numbers)
{
	float weights[256] = {1};
	struct test_onnx *b;

	weights[200] = INFINITY;
	b = start_matmul(13, weights, 16);
	test_onnx_output(b, "a");
	refused(b, FM_E_CORRUPT, "weight 'w' is infinite or not a number");
}

Test(onnx_quantize, refuses_bytes_that_are_no_model)
{
	const struct fm_onnx_quantize_options options = {0};
	fm_cleanup(file_done) struct file file = take(build_layers(13, false));
	struct fm_onnx_quantized quantized = {0};
	struct fm_error err;

	for (size_t length = 0; length < file.length; length += 97) {
		enum fm_status status =
		        fm_onnx_quantize(file.bytes, length, &options, MEMORY, &quantized, &err);
		/* Cut between two fields a message is whole: then it lacks what it needs. */
		cr_expect_lt(status, 0, "%zu bytes of %zu", length, file.length);
		cr_expect_null(quantized.bytes);
	}
	cr_expect_eq(
	        fm_onnx_quantize(file.bytes, file.length, &options, 64, &quantized, &err), FM_E_TOO_LARGE);
}
