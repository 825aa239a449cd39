/* Layers' rows against the engine's own products, their moments, and a small network tuned. */
#include "cli/tune.h"

#include "cli/moments.h"
#include "cli/tensors.h"
#include "lib/base/size.h"
#include "tests/support/onnx_builder.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

FM_DEFINE_CLEANUP(struct fm_onnx_model *, fm_onnx_free);

#define MEMORY ((size_t)64 << 20)

struct geometry {
	int64_t channels, side[2], out, group, kernel[2], strides[2], pads[4], dilations[2];
};

static const struct geometry geometries[] = {
        {3, {7, 6}, 4, 1, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}},
        {4, {9, 8}, 6, 2, {3, 2}, {2, 3}, {0, 2, 1, 0}, {1, 1}},
        {5, {8, 8}, 5, 5, {3, 3}, {2, 2}, {1, 0, 0, 1}, {2, 1}},
        {6, {4, 4}, 3, 1, {1, 1}, {1, 1}, {0, 0, 0, 0}, {1, 1}},
        {2, {5, 5}, 2, 2, {5, 5}, {1, 1}, {0, 0, 0, 0}, {1, 1}},
};

static uint8_t *build_conv(const struct geometry *g, const float *weights, size_t *ret_length)
{
	struct test_onnx *b = test_onnx_new(13);

	test_onnx_input(b, "x", 4, (int64_t[]){1, g->channels, g->side[0], g->side[1]});
	test_onnx_floats(
	        b, "w", 4, (int64_t[]){g->out, g->channels / g->group, g->kernel[0], g->kernel[1]}, weights);
	test_onnx_node(b, "Conv", "x,w", "y");
	test_onnx_attribute_int(b, "group", g->group);
	test_onnx_attribute_ints(b, "strides", 2, g->strides);
	test_onnx_attribute_ints(b, "pads", 4, g->pads);
	test_onnx_attribute_ints(b, "dilations", 2, g->dilations);
	test_onnx_output(b, "y");
	return test_onnx_take(b, ret_length);
}

Test(tune, rows_times_weights_are_the_convolution)
{
	for (size_t n = 0; n < FM_ARRAY_SIZE(geometries); n++) {
		const struct geometry *g = &geometries[n];
		const size_t dims[] = {(size_t)g->out, (size_t)(g->channels / g->group), (size_t)g->kernel[0],
		        (size_t)g->kernel[1]};
		const size_t input_dims[] = {1, (size_t)g->channels, (size_t)g->side[0], (size_t)g->side[1]};
		float weights[512], input[512], row[64];
		size_t length;
		struct fm_rows rows;
		fm_cleanup(fm_onnx_freep) struct fm_onnx_model *model = NULL;
		fm_cleanup(fm_net_freep) struct fm_net *net = NULL;
		fm_cleanup(fm_session_freep) struct fm_session *session = NULL;
		fm_cleanup(fm_tensors_done) struct fm_tensors tensors = {0};

		test_onnx_noise(weights, 512, 1);
		test_onnx_noise(input, 512, 2);
		fm_autofree uint8_t *bytes = build_conv(g, weights, &length);
		cr_assert_eq(fm_onnx_parse(bytes, length, MEMORY, &model, NULL), FM_OK);
		cr_assert(fm_rows_of(&model->nodes[0], 4, dims, 4, input_dims, &rows));
		cr_assert_eq(
		        fm_net_load_memory(bytes, length, &(struct fm_net_options){0}, &net, NULL), FM_OK);
		cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
		cr_assert_eq(fm_tensors_create(net, &tensors, NULL), FM_OK);
		memcpy(tensors.inputs[0], input, fm_net_input(net, 0)->elements * sizeof(*input));
		fm_tensors_run(&tensors, session);

		cr_assert_eq(rows.count * (size_t)g->out, fm_net_output(net, 0)->elements);
		cr_expect_eq(rows.groups, (size_t)g->group);
		for (size_t c = 0; c < (size_t)g->out; c++)
			for (size_t i = 0; i < rows.count; i++) {
				double sum = 0;

				fm_rows_get(&rows, input, c / ((size_t)g->out / rows.groups), i, row, 1);
				for (size_t j = 0; j < rows.k; j++)
					sum += (double)row[j] * (double)weights[c * rows.k + j];
				cr_expect_float_eq((float)sum, tensors.outputs[0][c * rows.count + i], 1e-5,
				        "case %zu, channel %zu, pixel %zu", n, c, i);
			}
	}
}

Test(tune, moments_are_means_of_products)
{
	enum { K = 5, COUNT = 300 };
	const struct fm_rows rows = {.groups = 1, .k = K, .count = COUNT};
	fm_cleanup(fm_moments_done) struct fm_moments moments = {0};
	static float x[COUNT * K], quantized[COUNT * K];

	test_onnx_noise(x, COUNT * K, 3);
	test_onnx_noise(quantized, COUNT * K, 4);
	cr_assert_eq(fm_moments_create(1, K, &moments, NULL), FM_OK);
	fm_moments_add(&moments, &rows, x, quantized, 2 * COUNT, 17);
	fm_moments_finish(&moments);
	cr_expect_eq(moments.rows, COUNT);
	for (size_t a = 0; a <= K; a++)
		for (size_t b = 0; b <= K; b++) {
			double square = 0, cross = 0;

			for (size_t i = 0; i < COUNT; i++) {
				const double left = a < K ? (double)quantized[i * K + a] : 1;

				square += left * (b < K ? (double)quantized[i * K + b] : 1) / COUNT;
				cross += left * (b < K ? (double)x[i * K + b] : 1) / COUNT;
			}
			cr_expect_float_eq(moments.square[a * (K + 1) + b], square, 1e-6);
			cr_expect_float_eq(moments.cross[a * (K + 1) + b], cross, 1e-6);
		}
	cr_expect_eq(fm_moments_create(1, 100000, &moments, NULL), FM_E_TOO_LARGE);
}

enum { SIDE = 12, CHANNELS = 16, INPUTS = 24, OUTPUTS = 20 };
#define INPUT ((size_t)3 * SIDE * SIDE)

/* Conv, depthwise Conv, Conv without a bias, MatMul and Add: each way to a bias, one of which is a node. */
static uint8_t *build_network(size_t *ret_length)
{
	static float w[4][OUTPUTS * CHANNELS * 9];
	float b[OUTPUTS], zeros[CHANNELS] = {0};
	struct test_onnx *m = test_onnx_new(13);

	for (uint32_t i = 0; i < 4; i++)
		test_onnx_noise(w[i], FM_ARRAY_SIZE(w[i]), 20 + i);
	test_onnx_noise(b, OUTPUTS, 30);
	test_onnx_input(m, "x", 4, (int64_t[]){1, 3, SIDE, SIDE});
	test_onnx_floats(m, "w0", 4, (int64_t[]){CHANNELS, 3, 3, 3}, w[0]);
	test_onnx_floats(m, "b0", 1, (int64_t[]){CHANNELS}, zeros);
	test_onnx_node(m, "Conv", "x,w0,b0", "a");
	test_onnx_node(m, "Relu", "a", "b");
	test_onnx_floats(m, "w1", 4, (int64_t[]){CHANNELS, CHANNELS, 3, 3}, w[1]);
	test_onnx_node(m, "Conv", "b,w1", "c");
	test_onnx_attribute_ints(m, "strides", 2, (int64_t[]){2, 2});
	test_onnx_node(m, "Relu", "c", "d");
	test_onnx_floats(m, "w2", 4, (int64_t[]){CHANNELS, 1, 4, 4}, w[2]);
	test_onnx_node(m, "Conv", "d,w2", "e");
	test_onnx_attribute_int(m, "group", CHANNELS);
	test_onnx_node(m, "Flatten", "e", "f");
	test_onnx_floats(m, "w3", 2, (int64_t[]){CHANNELS, OUTPUTS}, w[3]);
	test_onnx_node(m, "Constant", "", "b3");
	test_onnx_attribute_tensor(m, "value", 1, (int64_t[]){OUTPUTS}, b);
	test_onnx_node(m, "MatMul", "f,w3", "g");
	test_onnx_node(m, "Add", "b3,g", "y");
	test_onnx_output(m, "y");
	return test_onnx_take(m, ret_length);
}

/* Smooth pictures, as photos are: each pixel resembles those beside it. */
static struct fm_crops make_crops(uint32_t seed)
{
	struct fm_crops crops = {.count = INPUTS, .elements = INPUT};

	crops.inputs = calloc(INPUTS * INPUT, sizeof(*crops.inputs));
	test_onnx_noise(crops.inputs, INPUTS * INPUT, seed);
	for (size_t i = 1; i < INPUTS * INPUT; i++)
		crops.inputs[i] = 0.9f * crops.inputs[i - 1] + 0.4f * crops.inputs[i];
	return crops;
}

static void run_network(const void *bytes, size_t length, const struct fm_crops *crops, float *ret_outputs)
{
	fm_cleanup(fm_net_freep) struct fm_net *net = NULL;
	fm_cleanup(fm_session_freep) struct fm_session *session = NULL;
	struct fm_error err = {0};

	cr_assert_eq(fm_net_load_memory(bytes, length, &(struct fm_net_options){0}, &net, &err), FM_OK, "%s",
	        err.message);
	cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
	for (size_t n = 0; n < crops->count; n++)
		fm_session_run(session, (const float *[]){crops->inputs + n * INPUT},
		        (float *[]){ret_outputs + n * OUTPUTS});
}

static double error_of(const float *wanted, const float *got)
{
	double sum = 0;

	for (size_t i = 0; i < INPUTS * OUTPUTS; i++)
		sum += ((double)wanted[i] - (double)got[i]) * ((double)wanted[i] - (double)got[i]);
	return sum;
}

Test(tune, a_network_comes_nearer_to_the_original_on_inputs_it_was_not_tuned_on)
{
	for (unsigned bits = 4; bits <= 8; bits += 2) {
		struct fm_onnx_quantize_options options = {.bits = bits};
		fm_cleanup(fm_crops_done) struct fm_crops crops = make_crops(40), others = make_crops(41);
		fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized before = {0}, after = {0};
		fm_cleanup(fm_tuning_done) struct fm_tuning tuning = {0};
		float wanted[INPUTS * OUTPUTS], untuned[INPUTS * OUTPUTS], tuned[INPUTS * OUTPUTS];
		struct fm_error err = {0};
		size_t length;
		fm_autofree uint8_t *bytes = build_network(&length);

		cr_assert_eq(fm_onnx_quantize(bytes, length, &options, MEMORY, &before, &err), FM_OK);
		cr_assert_eq(fm_tune(bytes, length, &options, &before, &crops, &tuning, &err), FM_OK, "%s",
		        err.message);
		cr_expect_eq(tuning.count, 4);
		cr_expect_eq(tuning.skipped, 0);
		options.tuned = tuning.weights;
		options.tuned_count = tuning.count;
		cr_assert_eq(fm_onnx_quantize(bytes, length, &options, MEMORY, &after, &err), FM_OK);
		run_network(bytes, length, &others, wanted);
		run_network(before.bytes, before.length, &others, untuned);
		run_network(after.bytes, after.length, &others, tuned);
		cr_expect_lt(error_of(wanted, tuned), 0.6 * error_of(wanted, untuned), "%u bits: %g of %g",
		        bits, error_of(wanted, tuned), error_of(wanted, untuned));
		/* The biases that were replaced are gone: one more, the Conv's that had none. */
		fm_cleanup(fm_onnx_freep) struct fm_onnx_model *model = NULL;
		cr_assert_eq(fm_onnx_parse(after.bytes, after.length, MEMORY, &model, NULL), FM_OK);
		for (size_t i = 0; i < model->initializer_count; i++) {
			cr_expect_str_neq(model->initializers[i].name, "b0");
		}
		for (size_t i = 0; i < model->node_count; i++)
			cr_expect_str_neq(model->nodes[i].op, "Constant", "b3");
	}
}

Test(tune, the_same_twice)
{
	const struct fm_onnx_quantize_options options = {.bits = 4};
	fm_cleanup(fm_crops_done) struct fm_crops crops = make_crops(50);
	fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized quantized = {0};
	fm_cleanup(fm_tuning_done) struct fm_tuning first = {0}, second = {0};
	size_t length;
	fm_autofree uint8_t *bytes = build_network(&length);

	cr_assert_eq(fm_onnx_quantize(bytes, length, &options, MEMORY, &quantized, NULL), FM_OK);
	cr_assert_eq(fm_tune(bytes, length, &options, &quantized, &crops, &first, NULL), FM_OK);
	cr_assert_eq(fm_tune(bytes, length, &options, &quantized, &crops, &second, NULL), FM_OK);
	cr_assert_eq(first.count, second.count);
	for (size_t i = 0; i < first.count; i++) {
		cr_expect_eq(first.weights[i].scales[0], second.weights[i].scales[0]);
		cr_expect_eq(first.weights[i].bias[0], second.weights[i].bias[0]);
	}
}
