/* Codes of 6 and 4 bits: packed, unpacked by the file's own nodes, and what they are worth. */
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

/* Odd sizes, so that both kinds of padding occur. The second weight is a Constant node's. */
enum { K = 17, N = 19, LAST = 23 };

struct weights {
	float first[K * N], second[N * LAST];
};

static const struct weights *make_weights(void)
{
	static struct weights weights;

	test_onnx_noise(weights.first, K * N, 5);
	test_onnx_noise(weights.second, N * LAST, 6);
	return &weights;
}

/* The identity matrix goes in, so that each product gives its own weights out. */
static uint8_t *build(size_t *ret_length)
{
	const struct weights *weights = make_weights();
	float eye[N * N] = {0};
	struct test_onnx *b = test_onnx_new(13);

	for (size_t i = 0; i < N; i++)
		eye[i * N + i] = 1.0f;
	test_onnx_input(b, "x", 2, (int64_t[]){K, K});
	test_onnx_floats(b, "w", 2, (int64_t[]){K, N}, weights->first);
	test_onnx_node(b, "Constant", "", "v");
	test_onnx_attribute_tensor(b, "value", 2, (int64_t[]){N, LAST}, weights->second);
	test_onnx_node(b, "MatMul", "x,w", "y");
	/* x times 0 plus the identity: an input of the second product that a run makes. */
	test_onnx_floats(b, "none", 0, NULL, (const float[]){0});
	test_onnx_floats(b, "eye", 2, (int64_t[]){N, N}, eye);
	test_onnx_node(b, "Mul", "y,none", "nothing");
	test_onnx_node(b, "ReduceMean", "nothing", "row");
	test_onnx_attribute_ints(b, "axes", 1, (int64_t[]){0});
	test_onnx_node(b, "Add", "row,eye", "identity");
	test_onnx_node(b, "MatMul", "identity,v", "z");
	test_onnx_output(b, "y");
	test_onnx_output(b, "z");
	return test_onnx_take(b, ret_length);
}

struct ways {
	unsigned bits;
	bool per_tensor, asymmetric;
};

static const struct ways ways[] = {{8, false, false}, {6, false, false}, {4, false, false}, {6, true, false},
        {4, true, false}, {6, false, true}, {4, false, true}, {4, true, true}};

static struct fm_onnx_quantized quantize(struct ways way)
{
	const struct fm_onnx_quantize_options options = {
	        .bits = way.bits, .per_tensor = way.per_tensor, .asymmetric = way.asymmetric};
	struct fm_onnx_quantized quantized = {0};
	size_t length;
	fm_autofree uint8_t *bytes = build(&length);
	struct fm_error err = {0};

	cr_assert_eq(fm_onnx_quantize(bytes, length, &options, MEMORY, &quantized, &err), FM_OK, "%s",
	        err.message);
	return quantized;
}

static void run(const struct fm_onnx_quantized *quantized, enum fm_precision precision, float *y, float *z)
{
	const struct fm_net_options options = {.precision = precision};
	fm_cleanup(fm_net_freep) struct fm_net *net = NULL;
	fm_cleanup(fm_session_freep) struct fm_session *session = NULL;
	float x[K * K] = {0};
	struct fm_error err = {0};

	for (size_t i = 0; i < K; i++)
		x[i * K + i] = 1.0f;
	cr_assert_eq(fm_net_load_memory(quantized->bytes, quantized->length, &options, &net, &err), FM_OK,
	        "%s", err.message);
	cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
	fm_session_run(session, (const float *[]){x}, (float *[]){y, z});
}

/* What the definition says of one weight [rows][columns], channels across. */
static void expected(const float *weights, size_t rows, size_t columns, struct ways way, float *ret_values)
{
	const float most = (float)((1 << (way.bits - 1)) - 1), codes_most = 2 * most + 1;

	for (size_t c = 0; c < columns; c++) {
		float low = 0, high = 0;

		for (size_t i = 0; i < rows * columns; i++)
			if (way.per_tensor || i % columns == c) {
				low = fminf(low, weights[i]);
				high = fmaxf(high, weights[i]);
			}
		const float scale = way.asymmetric
		                            ? (float)(((double)high - (double)low) / (double)codes_most)
		                            : fmaxf(high, -low) / most;
		const float zero = way.asymmetric ? nearbyintf(-low / scale) : 0;
		for (size_t r = 0; r < rows; r++) {
			const float q = nearbyintf(weights[r * columns + c] / scale) + zero;
			const float cut = way.asymmetric ? fmaxf(0, fminf(codes_most, q))
			                                 : fmaxf(-most, fminf(most, q));

			ret_values[r * columns + c] = (float)((double)(cut - zero) * (double)scale);
		}
	}
}

Test(onnx_pack, the_file_unpacks_to_the_rounded_weights)
{
	const struct weights *weights = make_weights();

	for (size_t i = 0; i < FM_ARRAY_SIZE(ways); i++) {
		fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized quantized = quantize(ways[i]);
		float y[K * N], z[N * LAST], wanted_y[K * N], wanted_z[N * LAST];

		expected(weights->first, K, N, ways[i], wanted_y);
		expected(weights->second, N, LAST, ways[i], wanted_z);
		run(&quantized, FM_FLOAT32, y, z);
		cr_expect_arr_eq(y, wanted_y, sizeof(y), "way %zu", i);
		cr_expect_arr_eq(z, wanted_z, sizeof(z), "way %zu", i);
		for (size_t w = 0; w < 2; w++)
			cr_expect_eq(quantized.weights[w].bits, ways[i].bits);
	}
}

/* Rounded anew to 8 bits, 127 / 7 to a step, the weights would be off by up to a part in 254. */
Test(onnx_pack, int8_multiplies_by_the_files_own_integers)
{
	for (size_t i = 0; i < FM_ARRAY_SIZE(ways); i++) {
		fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized quantized = quantize(ways[i]);
		float y[K * N], z[N * LAST], float_y[K * N], float_z[N * LAST];

		run(&quantized, FM_FLOAT32, float_y, float_z);
		run(&quantized, FM_INT8, y, z);
		for (size_t j = 0; j < K * N; j++)
			cr_expect_float_eq(y[j], float_y[j], 1e-5f * fabsf(float_y[j]), "way %zu", i);
		for (size_t j = 0; j < N * LAST; j++)
			cr_expect_float_eq(z[j], float_z[j], 1e-5f * fabsf(float_z[j]), "way %zu", i);
	}
}

Test(onnx_pack, bytes_are_what_the_bits_say)
{
	static const struct {
		unsigned bits;
		size_t bytes;
	} cases[] = {{4, (K * N + N * LAST + 1) / 2}, {6, 3 * ((K * N + N * LAST + 3) / 4)}};

	for (size_t i = 0; i < FM_ARRAY_SIZE(cases); i++) {
		fm_cleanup(fm_onnx_quantized_done) struct fm_onnx_quantized quantized =
		        quantize((struct ways){cases[i].bits, false, false});
		fm_cleanup(fm_onnx_freep) struct fm_onnx_model *model = NULL;
		size_t packed = 0;

		cr_assert_eq(fm_onnx_parse(quantized.bytes, quantized.length, MEMORY, &model, NULL), FM_OK);
		for (size_t j = 0; j < model->initializer_count; j++)
			if (model->initializers[j].rank == 2 && model->initializers[j].type == FM_ONNX_UINT8)
				packed += model->initializers[j].elements;
		cr_expect_eq(packed, cases[i].bytes);
		cr_expect_eq(model->opset, 13);
	}
}

Test(onnx_pack, other_bits_are_refused)
{
	const struct fm_onnx_quantize_options options = {.bits = 5};
	struct fm_onnx_quantized quantized = {0};
	size_t length;
	fm_autofree uint8_t *bytes = build(&length);
	struct fm_error err = {0};

	cr_expect_eq(fm_onnx_quantize(bytes, length, &options, MEMORY, &quantized, &err), FM_E_INVALID);
	cr_expect(strstr(err.message, "not 5"), "%s", err.message);
}
