/*
 * A network trained quantization-aware elsewhere, as its exporter writes it: fake quantization on every
 * weight and activation, a residual addition between grids. Its products run in integers, and give what its
 * grids say.
 */
#include "lib/base/size.h"
#include "tests/unit/nn/net_fixture.h"

enum { C = 8, SIDE = 6, PIXELS = SIDE * SIDE, OUT = 5, UINT8 = 2, INT8 = 3, INT32 = 6 };

/* One tensor's grid. The scales are such that no sum lies halfway between two steps. */
struct grid {
	const char *name;
	float scale;
	int zero;
	bool is_signed;
};

static const struct grid grid_x = {"x", 0.0213f, 121, false}, grid_a = {"a", 0.0371f, 0, false},
                         grid_b = {"b", 0.0407f, -7, true}, grid_sum = {"sum", 0.0529f, 3, true};

static struct codes {
	int8_t first[C * C], second[C * C * 9], last[OUT * C];
	float first_scale[C], second_scale[C], last_scale[OUT];
	int32_t first_bias[C];
} codes;

static void fill_codes(int8_t *ret_codes, float *ret_scales, size_t count, size_t channels, uint32_t seed)
{
	float *values = noise(count, seed);

	for (size_t i = 0; i < count; i++)
		ret_codes[i] = (int8_t)lrintf(127 * values[i]);
	for (size_t i = 0; i < channels; i++)
		ret_scales[i] = 0.002f + 0.0005f * (float)i;
	free(values);
}

static void fill_all(void)
{
	fill_codes(codes.first, codes.first_scale, C * C, C, 1);
	fill_codes(codes.second, codes.second_scale, C * C * 9, C, 2);
	fill_codes(codes.last, codes.last_scale, (size_t)OUT * C, OUT, 3);
	for (size_t i = 0; i < C; i++)
		codes.first_bias[i] = (int32_t)(i * 400) - 1500;
}

static void put_grid(struct test_onnx *m, const struct grid *grid)
{
	char scale[32], zero[32];

	snprintf(scale, sizeof(scale), "%s_scale", grid->name);
	snprintf(zero, sizeof(zero), "%s_zero", grid->name);
	test_onnx_floats(m, scale, 0, NULL, &grid->scale);
	test_onnx_raw(m, zero, grid->is_signed ? INT8 : UINT8, 0, NULL, &(uint8_t){(uint8_t)grid->zero}, 1);
}

/* in -> NAME_fake by way of NAME_q. */
static void fake_quantize(struct test_onnx *m, const struct grid *grid, const char *in)
{
	char inputs[96], quantized[32], fake[32];

	snprintf(quantized, sizeof(quantized), "%s_q", grid->name);
	snprintf(fake, sizeof(fake), "%s_fake", grid->name);
	snprintf(inputs, sizeof(inputs), "%s,%s_scale,%s_zero", in, grid->name, grid->name);
	test_onnx_node(m, "QuantizeLinear", inputs, quantized);
	snprintf(inputs, sizeof(inputs), "%s,%s_scale,%s_zero", quantized, grid->name, grid->name);
	test_onnx_node(m, "DequantizeLinear", inputs, fake);
}

static void put_weight(struct test_onnx *m, const char *name, size_t rank, const int64_t *dims,
        const int8_t *values, size_t count, const float *scales)
{
	char q[32], scale[32], zero[32], inputs[128];
	const int8_t zeros[C] = {0};

	snprintf(q, sizeof(q), "%s_q", name);
	snprintf(scale, sizeof(scale), "%s_scale", name);
	snprintf(zero, sizeof(zero), "%s_zero", name);
	snprintf(inputs, sizeof(inputs), "%s,%s,%s", q, scale, zero);
	test_onnx_raw(m, q, INT8, rank, dims, values, count);
	test_onnx_floats(m, scale, 1, dims, scales);
	test_onnx_raw(m, zero, INT8, 1, dims, zeros, (size_t)dims[0]);
	test_onnx_node(m, "DequantizeLinear", inputs, name);
	test_onnx_attribute_int(m, "axis", 0);
}

static struct test_onnx *build(void)
{
	struct test_onnx *m = test_onnx_new(13);
	float bias_scale[C];

	for (size_t i = 0; i < C; i++)
		bias_scale[i] = grid_x.scale * codes.first_scale[i];
	test_onnx_input(m, "x", 4, (int64_t[]){1, C, SIDE, SIDE});
	put_grid(m, &grid_x);
	put_grid(m, &grid_a);
	put_grid(m, &grid_b);
	put_grid(m, &grid_sum);
	put_weight(m, "w1", 4, (int64_t[]){C, C, 1, 1}, codes.first, sizeof(codes.first), codes.first_scale);
	put_weight(
	        m, "w2", 4, (int64_t[]){C, C, 3, 3}, codes.second, sizeof(codes.second), codes.second_scale);
	put_weight(m, "w3", 2, (int64_t[]){OUT, C}, codes.last, sizeof(codes.last), codes.last_scale);
	test_onnx_raw(m, "bias_q", INT32, 1, (int64_t[]){C}, codes.first_bias, sizeof(codes.first_bias));
	test_onnx_floats(m, "bias_scale", 1, (int64_t[]){C}, bias_scale);
	test_onnx_node(m, "DequantizeLinear", "bias_q,bias_scale", "bias");
	test_onnx_attribute_int(m, "axis", 0);
	fake_quantize(m, &grid_x, "x");
	test_onnx_node(m, "Conv", "x_fake,w1,bias", "c1");
	test_onnx_node(m, "Relu", "c1", "r1");
	fake_quantize(m, &grid_a, "r1");
	test_onnx_node(m, "Conv", "a_fake,w2", "c2");
	test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){1, 1, 1, 1});
	fake_quantize(m, &grid_b, "c2");
	test_onnx_node(m, "Add", "x_fake,b_fake", "s");
	fake_quantize(m, &grid_sum, "s");
	test_onnx_ints(m, "rows", 2, (int64_t[]){PIXELS, C});
	test_onnx_node(m, "Transpose", "sum_fake", "t");
	test_onnx_attribute_ints(m, "perm", 4, (int64_t[]){0, 2, 3, 1});
	test_onnx_node(m, "Reshape", "t,rows", "f");
	test_onnx_node(m, "Gemm", "f,w3", "y");
	test_onnx_attribute_int(m, "transB", 1);
	test_onnx_output(m, "y");
	return m;
}

/* As QuantizeLinear says, in units of the grid. */
static int steps(const struct grid *grid, double value)
{
	const double low = grid->is_signed ? -128 : 0;
	const double q = nearbyint(value / (double)grid->scale) + grid->zero;

	return (int)fmax(low, fmin(low + 255, q)) - grid->zero;
}

/* The whole network in integers between its grids. */
static void expected(const float *x, double *ret_y)
{
	static int first[C * PIXELS], a[C * PIXELS], sum[C * PIXELS];

	for (size_t i = 0; i < (size_t)C * PIXELS; i++)
		first[i] = steps(&grid_x, (double)x[i]);
	for (size_t c = 0; c < C; c++)
		for (size_t p = 0; p < PIXELS; p++) {
			int s = codes.first_bias[c];

			for (size_t i = 0; i < C; i++)
				s += codes.first[c * C + i] * first[i * PIXELS + p];
			a[c * PIXELS + p] = steps(
			        &grid_a, fmax(0, s * (double)grid_x.scale * (double)codes.first_scale[c]));
		}
	for (size_t c = 0; c < C; c++)
		for (int p = 0; p < PIXELS; p++) {
			int s = 0;

			for (size_t i = 0; i < C; i++)
				for (int n = 0; n < 9; n++) {
					const int row = p / SIDE + n / 3 - 1, column = p % SIDE + n % 3 - 1;

					if (row >= 0 && row < SIDE && column >= 0 && column < SIDE)
						s += codes.second[(c * C + i) * 9 + (size_t)n] *
						     a[i * PIXELS + (size_t)(row * SIDE + column)];
				}
			const size_t at = c * PIXELS + (size_t)p;
			const int b =
			        steps(&grid_b, s * (double)grid_a.scale * (double)codes.second_scale[c]);
			sum[at] =
			        steps(&grid_sum, first[at] * (double)grid_x.scale + b * (double)grid_b.scale);
		}
	for (size_t p = 0; p < PIXELS; p++)
		for (size_t o = 0; o < OUT; o++) {
			int s = 0;

			for (size_t c = 0; c < C; c++)
				s += codes.last[o * C + c] * sum[c * PIXELS + p];
			ret_y[p * OUT + o] = s * (double)grid_sum.scale * (double)codes.last_scale[o];
		}
}

Test(trained, runs_in_integers_and_gives_what_its_grids_say)
{
	double wanted[PIXELS * OUT];
	float *x = noise((size_t)C * PIXELS, 7);

	fill_all();
	for (size_t i = 0; i < (size_t)C * PIXELS; i++)
		x[i] *= 2.5f;
	expected(x, wanted);
	for (int precision = FM_FLOAT32; precision <= FM_INT8; precision++) {
		const struct fm_net_options options = {.precision = (enum fm_precision)precision};
		struct fm_net *net = load(build(), &options);
		size_t products = 0;

		/* Whatever was asked for: the file says int8. */
		for (size_t i = 0; i < fm_net_layer_count(net); i++)
			if (fm_net_layer(net, i)->macs) {
				cr_expect_eq(fm_net_layer(net, i)->precision, FM_INT8, "layer %zu", i);
				products++;
			}
		cr_expect_eq(products, 3);
		float *got = run(net, x);
		for (size_t i = 0; i < FM_ARRAY_SIZE(wanted); i++)
			cr_expect_float_eq((double)got[i], wanted[i], 1e-5, "%zu: %g, not %g", i,
			        (double)got[i], wanted[i]);
		free(got);
		fm_net_free(net);
	}
	free(x);
}

/* Scales along the inputs' axis, of which there are as many as outputs, are no output channels' scales. */
Test(trained, scales_along_another_axis_are_not_the_outputs)
{
	float *x = noise((size_t)C * PIXELS, 8);

	fill_all();
	for (int on_inputs = 0; on_inputs <= 1; on_inputs++) {
		const int8_t zeros[C] = {0};
		struct test_onnx *m = test_onnx_new(13);
		struct fm_net *net;

		test_onnx_input(m, "x", 4, (int64_t[]){1, C, SIDE, SIDE});
		put_grid(m, &grid_x);
		test_onnx_raw(m, "q", INT8, 4, (int64_t[]){C, C, 1, 1}, codes.first, sizeof(codes.first));
		test_onnx_floats(m, "s", 1, (int64_t[]){C}, codes.first_scale);
		test_onnx_raw(m, "z", INT8, 1, (int64_t[]){C}, zeros, C);
		test_onnx_node(m, "DequantizeLinear", "q,s,z", "w");
		test_onnx_attribute_int(m, "axis", on_inputs);
		fake_quantize(m, &grid_x, "x");
		test_onnx_node(m, "Conv", "x_fake,w", "y");
		test_onnx_output(m, "y");
		net = load(m, NULL);
		float *got = run(net, x);
		for (size_t c = 0; c < C; c++)
			for (size_t p = 0; p < PIXELS; p++) {
				double sum = 0;

				for (size_t i = 0; i < C; i++)
					sum += (double)codes.first_scale[on_inputs ? i : c] *
					       codes.first[c * C + i] *
					       steps(&grid_x, (double)x[i * PIXELS + p]) *
					       (double)grid_x.scale;
				cr_expect_float_eq(
				        (double)got[c * PIXELS + p], sum, 1e-5, "axis %d", on_inputs);
			}
		free(got);
		fm_net_free(net);
	}
	free(x);
}

/*
 * x -> Conv -> grid a -> Conv -> c2. Where c2 is all that reads a, it is quantized once, when it is read;
 * shown beside c2 it must lie on its grid. Either way c2 has the same bits.
 */
Test(trained, a_grid_is_dropped_only_where_nobody_sees_it)
{
	const size_t half = (size_t)C * PIXELS;
	float *x = noise(half, 9), *got[2];

	fill_all();
	for (int shown = 0; shown <= 1; shown++) {
		struct test_onnx *m = test_onnx_new(13);

		test_onnx_input(m, "x", 4, (int64_t[]){1, C, SIDE, SIDE});
		put_grid(m, &grid_x);
		put_grid(m, &grid_a);
		put_weight(m, "w1", 4, (int64_t[]){C, C, 1, 1}, codes.first, sizeof(codes.first),
		        codes.first_scale);
		put_weight(m, "w2", 4, (int64_t[]){C, C, 3, 3}, codes.second, sizeof(codes.second),
		        codes.second_scale);
		fake_quantize(m, &grid_x, "x");
		test_onnx_node(m, "Conv", "x_fake,w1", "c1");
		fake_quantize(m, &grid_a, "c1");
		test_onnx_node(m, "Conv", "a_fake,w2", shown ? "c2" : "y");
		test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){1, 1, 1, 1});
		if (shown) {
			test_onnx_node(m, "Concat", "c2,a_fake", "y");
			test_onnx_attribute_int(m, "axis", 1);
		}
		test_onnx_output(m, "y");
		got[shown] = load_and_run(m, NULL, x);
	}
	cr_expect_arr_eq(got[0], got[1], half * sizeof(float));
	for (size_t i = half; i < 2 * half; i++) {
		const double at = (double)got[1][i] / (double)grid_a.scale;

		cr_expect_float_eq(at, nearbyint(at), 1e-4, "%g is not on the grid", at);
	}
	free(got[0]);
	free(got[1]);
	free(x);
}

/* Position encodings are constants that exporters quantize like any activation. */
Test(trained, constants_snap_to_their_grid_at_load)
{
	const float constant[] = {0.5f, -1.0f, 0.03f, 100.0f}, zeros[4] = {0};

	for (int broken = 0; broken <= 1; broken++) {
		float values[4];
		struct test_onnx *m = test_onnx_new(13);

		memcpy(values, constant, sizeof(values));
		values[3] = broken ? INFINITY : values[3];
		test_onnx_input(m, "x", 1, (int64_t[]){4});
		put_grid(m, &grid_x);
		test_onnx_floats(m, "c", 1, (int64_t[]){4}, values);
		fake_quantize(m, &grid_x, "c");
		test_onnx_node(m, "Add", "x,x_fake", "y");
		test_onnx_output(m, "y");
		if (broken) {
			refused(m, FM_E_UNSUPPORTED, "QuantizeLinear", "infinite");
			continue;
		}
		float *got = load_and_run(m, NULL, zeros);
		for (size_t i = 0; i < 4; i++)
			cr_expect_float_eq(
			        got[i], (float)steps(&grid_x, (double)constant[i]) * grid_x.scale, 1e-6);
		free(got);
	}
}
