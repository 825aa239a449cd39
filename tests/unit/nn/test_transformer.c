/* EdgeFace's ops and patterns, and those of detectors and quantized networks, in small. */
#include "tests/unit/nn/specimens.h"

#include "lib/nn/math.h"

static size_t count_layers(const struct fm_net *net, const char *op)
{
	size_t count = 0;

	for (size_t l = 0; l < fm_net_layer_count(net); l++)
		count += strcmp(fm_net_layer(net, l)->op, op) == 0;
	return count;
}

static struct test_onnx *start(size_t rank, const int64_t *dims)
{
	struct test_onnx *m = test_onnx_new(13);

	test_onnx_input(m, "x", rank, dims);
	return m;
}

/* One output y, with these dims and values. */
static void check(struct test_onnx *m, const float *x, size_t rank, const size_t *dims, const float *wanted)
{
	test_onnx_output(m, "y");
	struct fm_net *net = load(m, &float32);
	const struct fm_tensor_info *out = fm_net_output(net, 0);

	cr_assert_eq(out->rank, rank, "rank %zu", out->rank);
	for (size_t i = 0; i < rank; i++)
		cr_assert_eq(out->dims[i], dims[i], "dimension %zu is %zu", i, out->dims[i]);
	float *got = run(net, x);
	cr_expect_lt(relative_error(got, wanted, out->elements), 1e-6, "%g",
	        relative_error(got, wanted, out->elements));
	free(got);
	fm_net_free(net);
}

/* ---- ops by themselves ----------------------------------------------------------------------- */

Test(transformer_ops, functions_of_one_number)
{
	double worst[3] = {0};

	for (int i = -60000; i <= 60000; i++) {
		const float x = (float)i / 1000.0f;

		worst[0] = fmax(worst[0], fabs(fm_erff(x / 10) - erf((double)(x / 10))));
		worst[1] = fmax(worst[1], fabs(fm_sinf(x) - sin((double)x)));
		worst[2] = fmax(worst[2], fabs(fm_cosf(x) - cos((double)x)));
	}
	cr_expect_lt(worst[0], 2e-7, "erf %g", worst[0]);
	cr_expect_lt(worst[1], 6e-8, "sin %g", worst[1]);
	cr_expect_lt(worst[2], 6e-8, "cos %g", worst[2]);
	cr_expect(isnan(fm_sinf(NAN)) && isnan(fm_cosf(INFINITY)) && isnan(fm_erff(NAN)));
	cr_expect(fabsf(fm_sinf(3e38f)) <= 1.0f && fm_erff(INFINITY) == 1.0f && fm_erff(-9.0f) == -1.0f);
}

Test(transformer_ops, element_by_element)
{
	static const char *const ops[] = {"Sqrt", "Erf", "Sin", "Cos"};
	float *x = noise(24, 1), wanted[24];

	for (size_t i = 0; i < 24; i++)
		x[i] = fabsf(x[i]) * 3;
	for (int o = 0; o < 4; o++) {
		struct test_onnx *m = start(3, (int64_t[]){2, 3, 4});

		for (size_t i = 0; i < 24; i++)
			wanted[i] = (float)(o == 0   ? sqrt((double)x[i])
			                    : o == 1 ? erf((double)x[i])
			                    : o == 2 ? sin((double)x[i])
			                             : cos((double)x[i]));
		test_onnx_node(m, ops[o], "x", "y");
		check(m, x, 3, (size_t[]){2, 3, 4}, wanted);
	}
	for (int e = 0; e < 4; e++) {
		const float exponent = (float[]){0.5f, 2, 3, 4}[e];
		struct test_onnx *m = start(3, (int64_t[]){2, 3, 4});

		for (size_t i = 0; i < 24; i++)
			wanted[i] = (float)pow((double)x[i], (double)exponent);
		test_onnx_floats(m, "e", 0, NULL, &exponent);
		test_onnx_node(m, "Pow", "x,e", "y");
		check(m, x, 3, (size_t[]){2, 3, 4}, wanted);
	}
	free(x);
}

Test(transformer_ops, reductions_over_any_axes)
{
	float *x = noise(2 * 3 * 4, 2);

	for (unsigned axes = 1; axes < 8; axes++)
		for (int keep = 0; keep < 2; keep++)
			for (int l2 = 0; l2 < 2; l2++) {
				const size_t dims[3] = {2, 3, 4};
				size_t out[3], rank = 0, reduced = 1, outer = 1;
				int64_t list[3], count = 0;
				float wanted[24];
				double sums[24] = {0};

				for (size_t d = 0; d < 3; d++) {
					if (!(axes & 1u << d)) {
						out[rank++] = dims[d];
						outer *= dims[d];
						continue;
					}
					list[count++] = (int64_t)d - 3;
					reduced *= dims[d];
					if (keep)
						out[rank++] = 1;
				}
				for (size_t i = 0; i < 24; i++) {
					const size_t index[3] = {i / 12, i / 4 % 3, i % 4};
					size_t at = 0;

					for (size_t d = 0; d < 3; d++)
						at = axes & 1u << d ? at : at * dims[d] + index[d];
					sums[at] += l2 ? (double)x[i] * x[i] : x[i];
				}
				for (size_t i = 0; i < outer; i++)
					wanted[i] = (float)(l2 ? sqrt(sums[i]) : sums[i] / (double)reduced);
				struct test_onnx *m = start(3, (int64_t[]){2, 3, 4});
				test_onnx_node(m, l2 ? "ReduceL2" : "ReduceMean", "x", "y");
				test_onnx_attribute_ints(m, "axes", (size_t)count, list);
				test_onnx_attribute_int(m, "keepdims", keep);
				check(m, x, rank, out, wanted);
			}
	free(x);
}

Test(transformer_ops, max_pool_leaves_the_padding_out)
{
	float *x = noise(2 * 5 * 7, 3), wanted[2 * 3 * 4];

	for (int c = 0; c < 2; c++)
		for (int y = 0; y < 3; y++)
			for (int z = 0; z < 4; z++) {
				float largest = -INFINITY;

				for (int i = 2 * y - 1; i <= 2 * y + 1; i++)
					for (int j = 2 * z - 1; j <= 2 * z + 1; j++)
						if (i >= 0 && i < 5 && j >= 0 && j < 7)
							largest =
							        fmaxf(largest, x[c * 35 + i * 7 + j] - 5.0f);
				wanted[c * 12 + y * 4 + z] = largest;
			}
	struct test_onnx *m = start(4, (int64_t[]){1, 2, 5, 7});
	test_onnx_floats(m, "five", 0, NULL, &(float){5});
	test_onnx_node(m, "Sub", "x,five", "below"); /* zero is then larger than all */
	test_onnx_node(m, "MaxPool", "below", "y");
	test_onnx_attribute_ints(m, "kernel_shape", 2, (int64_t[]){3, 3});
	test_onnx_attribute_ints(m, "strides", 2, (int64_t[]){2, 2});
	test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){1, 1, 1, 1});
	check(m, x, 4, (size_t[]){1, 2, 3, 4}, wanted);
	free(x);
}

/* The formulas of ONNX's definition, once more and in one dimension. */
static int nearest(int at, double scale, int length, bool asymmetric, const char *rounding)
{
	double x = asymmetric ? at / scale : (at + 0.5) / scale - 0.5;

	x = strcmp(rounding, "floor") == 0                ? floor(x)
	    : strcmp(rounding, "ceil") == 0               ? ceil(x)
	    : strcmp(rounding, "round_prefer_floor") == 0 ? ceil(x - 0.5)
	                                                  : floor(x + 0.5);
	return x < 0 ? 0 : x > length - 1 ? length - 1 : (int)x;
}

Test(transformer_ops, resize_takes_the_nearest_pixel)
{
	static const char *const roundings[] = {"floor", "ceil", "round_prefer_floor", "round_prefer_ceil"};
	static const float factors[][2] = {{2, 2}, {1.5f, 3}, {0.5f, 0.5f}};
	float *x = noise(2 * 4 * 6, 4), wanted[2 * 8 * 18];

	for (int r = 0; r < 4; r++)
		for (int asymmetric = 0; asymmetric < 2; asymmetric++)
			for (int f = 0; f < 3; f++) {
				const int h = (int)(4 * factors[f][0]), w = (int)(6 * factors[f][1]);
				const float scales[4] = {1, 1, factors[f][0], factors[f][1]};

				for (int i = 0; i < 2 * h * w; i++)
					wanted[i] = x[i / (h * w) * 24 +
					              nearest(i / w % h, (double)scales[2], 4, asymmetric,
					                      roundings[r]) *
					                      6 +
					              nearest(i % w, (double)scales[3], 6, asymmetric,
					                      roundings[r])];
				for (int by_sizes = 0; by_sizes < 2; by_sizes++) {
					struct test_onnx *m = start(4, (int64_t[]){1, 2, 4, 6});

					test_onnx_floats(m, "s", 1, (int64_t[]){4}, scales);
					test_onnx_ints(m, "n", 4, (int64_t[]){1, 2, h, w});
					test_onnx_node(m, "Resize", by_sizes ? "x,,,n" : "x,,s", "y");
					test_onnx_attribute_string(m, "mode", "nearest");
					test_onnx_attribute_string(m, "nearest_mode", roundings[r]);
					test_onnx_attribute_string(m, "coordinate_transformation_mode",
					        asymmetric ? "asymmetric" : "half_pixel");
					check(m, x, 4, (size_t[]){1, 2, (size_t)h, (size_t)w}, wanted);
				}
			}
	free(x);
}

Test(transformer_ops, split_and_expand)
{
	float *x = noise(2 * 6, 5), wanted[36];

	for (size_t i = 0; i < 6; i++)
		wanted[i] = x[i / 3 * 6 + 1 + i % 3];
	struct test_onnx *m = start(2, (int64_t[]){2, 6});
	test_onnx_ints(m, "parts", 3, (int64_t[]){1, 3, 2});
	test_onnx_node(m, "Split", "x,parts", "a,y,c");
	test_onnx_attribute_int(m, "axis", -1);
	check(m, x, 2, (size_t[]){2, 3}, wanted);

	for (size_t i = 0; i < 36; i++)
		wanted[i] = x[i / 18 * 6 + i % 6];
	m = start(3, (int64_t[]){2, 1, 6});
	test_onnx_ints(m, "shape", 2, (int64_t[]){3, 1});
	test_onnx_node(m, "Expand", "x,shape", "y");
	check(m, x, 3, (size_t[]){2, 3, 6}, wanted);
	free(x);
}

/* Batches broadcast: [2][1][3][4] by [5][4][2]. */
Test(transformer_ops, matmul_of_two_activations)
{
	float *x = noise(24, 6), *b = noise(40, 7), wanted[2 * 5 * 3 * 2];

	for (size_t i = 0; i < 60; i++) {
		const size_t p = i / 30, q = i / 6 % 5, row = i / 2 % 3, column = i % 2;
		double sum = 0;

		for (size_t k = 0; k < 4; k++)
			sum += (double)x[p * 12 + row * 4 + k] * b[q * 8 + k * 2 + column];
		wanted[i] = (float)sum;
	}
	struct test_onnx *m = start(4, (int64_t[]){2, 1, 3, 4});
	test_onnx_floats(m, "b", 3, (int64_t[]){5, 4, 2}, b);
	test_onnx_node(m, "MatMul", "x,b", "y");
	/* Rank 4 with a batch is no image: an input's first dimension must be 1 there. */
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "'x'", "batch of 2");

	m = start(5, (int64_t[]){1, 2, 1, 3, 4});
	test_onnx_floats(m, "b", 3, (int64_t[]){5, 4, 2}, b);
	test_onnx_node(m, "MatMul", "x,b", "y");
	check(m, x, 5, (size_t[]){1, 2, 5, 3, 2}, wanted);
	free(x);
	free(b);
}

Test(transformer_ops, layer_normalization_of_opset_17)
{
	float *x = noise(3 * 8, 8), *scale = noise(8, 9), *shift = noise(8, 10), wanted[24];

	for (size_t r = 0; r < 3; r++) {
		double mean = 0, variance = 0;

		for (size_t i = 0; i < 8; i++)
			mean += x[r * 8 + i] / 8.0;
		for (size_t i = 0; i < 8; i++)
			variance += (x[r * 8 + i] - mean) * (x[r * 8 + i] - mean) / 8.0;
		for (size_t i = 0; i < 8; i++)
			wanted[r * 8 + i] =
			        (float)((x[r * 8 + i] - mean) / sqrt(variance + 0.01) * scale[i] + shift[i]);
	}
	struct test_onnx *m = test_onnx_new(17);
	test_onnx_input(m, "x", 2, (int64_t[]){3, 8});
	test_onnx_floats(m, "s", 1, (int64_t[]){8}, scale);
	test_onnx_floats(m, "b", 1, (int64_t[]){8}, shift);
	test_onnx_node(m, "LayerNormalization", "x,s,b", "y");
	test_onnx_attribute_float(m, "epsilon", 0.01f);
	check(m, x, 2, (size_t[]){3, 8}, wanted);
	free(x);
	free(scale);
	free(shift);
}

/* ---- whole patterns -------------------------------------------------------------------------- */

static float *run_specimen(struct test_onnx *m, const struct fm_net_options *options, size_t *ret_count)
{
	struct fm_net *net = load(m, options);
	float *x = noise(fm_net_input(net, 0)->elements, 11), *y = run(net, x);

	*ret_count = fm_net_output(net, 0)->elements;
	fm_net_free(net);
	free(x);
	return y;
}

Test(transformer, a_block_is_recognized_and_stays_the_same)
{
	size_t count;
	float *fused = run_specimen(specimen_transformer(), &float32, &count);
	float *plain = run_specimen(specimen_transformer(), &unfused, &count);
	float *coarse = run_specimen(specimen_transformer(), &int8, &count);
	struct fm_net *net = load(specimen_transformer(), &float32);

	cr_expect_eq(count_layers(net, "attention"), 1u);
	cr_expect_eq(count_layers(net, "matmul"), 3u);
	cr_expect_eq(count_layers(net, "add"), 1u, "rows + attended; the other is a residual");
	/* Besides, x comes row-major: it is turned once as rows, once as a residual, and back at the end. */
	cr_expect_eq(fm_net_layer_count(net), 8u, "%zu", fm_net_layer_count(net));
	cr_expect_lt(relative_error(fused, plain, count), 1e-5, "%g", relative_error(fused, plain, count));
	cr_expect_gt(cosine(coarse, plain, count), 0.999);
	fm_net_free(net);
	free(fused);
	free(plain);
	free(coarse);
}

/* The same but for one thing each: not the pattern, and computed as it stands. */
Test(transformer, what_only_looks_like_it_is_left_alone)
{
	for (int wrong = 0; wrong < 4; wrong++) {
		struct test_onnx *models[2];

		for (int i = 0; i < 2; i++) {
			struct test_onnx *m = models[i] = start(2, (int64_t[]){3, 16});
			float *w = noise(32, 12);

			test_onnx_floats(m, "two", 0, NULL, &(float){wrong == 0 ? 3.0f : 2.0f});
			test_onnx_floats(m, "epsilon", 0, NULL, &(float){1e-3f});
			test_onnx_floats(m, "norm_scale", 1, (int64_t[]){wrong == 1 ? 1 : 16}, w);
			test_onnx_floats(m, "norm_shift", 1, (int64_t[]){16}, w + 16);
			test_onnx_floats(m, "root", 0, NULL, &(float){wrong == 2 ? 1.5f : 1.41421356f});
			test_onnx_floats(m, "one", 0, NULL, &(float){1});
			test_onnx_floats(m, "half", 0, NULL, &(float){wrong == 3 ? 0.25f : 0.5f});
			if (wrong == 0) {
				test_onnx_node(m, "Mul", "x,x", "square");
				test_onnx_node(m, "Pow", "x,two", "n");
			} else {
				layer_norm_spelled_out(m, "x", "n");
			}
			test_onnx_node(m, "Div", "n,root", "a");
			test_onnx_node(m, "Erf", "a", "b");
			test_onnx_node(m, "Add", "one,b", "c");
			test_onnx_node(m, "Mul", "n,half", "h");
			test_onnx_node(m, "Mul", "c,h", "y");
			test_onnx_output(m, "y");
			free(w);
		}
		size_t count;
		struct fm_net *net = load(models[0], &float32);
		cr_expect_eq(count_layers(net, "layernorm"), wrong >= 2 ? 1u : 0u, "%d", wrong);
		cr_expect_eq(count_layers(net, "gelu"), wrong <= 1 ? 1u : 0u, "%d", wrong);
		float *x = noise(48, 11), *fused = run(net, x),
		      *plain = run_specimen(models[1], &unfused, &count);
		cr_expect_lt(relative_error(fused, plain, count), 1e-5, "%d: %g", wrong,
		        relative_error(fused, plain, count));
		fm_net_free(net);
		free(x);
		free(fused);
		free(plain);
	}
}

Test(transformer, constants_are_computed_at_load)
{
	struct fm_net *net = load(specimen_detector(), &float32);
	size_t count;
	float *fused = run_specimen(specimen_detector(), &float32, &count);
	float *plain = run_specimen(specimen_detector(), &unfused, &count);

	cr_expect_eq(
	        count_layers(net, "conv1x1") + count_layers(net, "sin") + count_layers(net, "expand"), 0u);
	cr_expect_eq(count_layers(net, "maxpool"), 1u);
	cr_expect_lt(relative_error(fused, plain, count), 1e-6);
	fm_net_free(net);
	free(fused);
	free(plain);
}

Test(transformer, a_quantized_network_computes_by_its_own_scales)
{
	struct fm_net *net = load(specimen_quantized(), &float32);
	size_t count;
	float *fused = run_specimen(specimen_quantized(), &float32, &count);
	float *plain = run_specimen(specimen_quantized(), &unfused, &count);

	cr_expect_eq(count_layers(net, "conv3x3"), 1u);
	cr_expect_eq(count_layers(net, "depthwise"), 1u);
	for (size_t l = 0; l < fm_net_layer_count(net); l++)
		if (strcmp(fm_net_layer(net, l)->op, "conv3x3") == 0)
			cr_expect_eq(fm_net_layer(net, l)->precision, FM_INT8);
	/* Few sums, none at a half: integers and floats round alike. */
	cr_expect_lt(relative_error(fused, plain, count), 1e-5, "%g", relative_error(fused, plain, count));
	for (size_t i = 0; i < count; i++) {
		const double steps = fused[i] / 0.0123;

		cr_expect_float_eq(steps, nearbyint(steps), 1e-3, "%g is not on the grid", fused[i]);
	}
	fm_net_free(net);
	free(fused);
	free(plain);
}

/* ---- refusals -------------------------------------------------------------------------------- */

Test(transformer, malformed_ops_are_refused)
{
	struct test_onnx *m = start(4, (int64_t[]){1, 2, 4, 4});
	test_onnx_node(m, "MaxPool", "x", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "MaxPool", "kernel_shape");

	m = start(4, (int64_t[]){1, 2, 4, 4});
	test_onnx_node(m, "MaxPool", "x", "y");
	test_onnx_attribute_ints(m, "kernel_shape", 2, (int64_t[]){2, 2});
	test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){2, 2, 2, 2});
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "MaxPool", "padding");

	m = start(4, (int64_t[]){1, 2, 4, 4});
	test_onnx_floats(m, "s", 1, (int64_t[]){4}, (float[]){1, 1, 1e30f, 2});
	test_onnx_node(m, "Resize", "x,,s", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_TOO_LARGE, "Resize", "image of");

	m = start(4, (int64_t[]){1, 2, 4, 4});
	test_onnx_floats(m, "s", 1, (int64_t[]){4}, (float[]){1, 2, 2, NAN});
	test_onnx_node(m, "Resize", "x,,s", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "Resize", "scales");

	m = start(4, (int64_t[]){1, 2, 4, 4});
	test_onnx_floats(m, "s", 1, (int64_t[]){4}, (float[]){1, 1, 2, 2});
	test_onnx_node(m, "Resize", "x,,s", "y");
	test_onnx_attribute_string(m, "mode", "cubic");
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "Resize", "cubic");

	m = start(2, (int64_t[]){2, 6});
	test_onnx_ints(m, "parts", 2, (int64_t[]){4, 3});
	test_onnx_node(m, "Split", "x,parts", "y,z");
	test_onnx_attribute_int(m, "axis", 1);
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "Split", "length of 3");

	m = start(2, (int64_t[]){2, 6});
	test_onnx_ints(m, "shape", 2, (int64_t[]){2, 5});
	test_onnx_node(m, "Expand", "x,shape", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "Expand", "6 to 5");

	m = start(2, (int64_t[]){2, 6});
	test_onnx_node(m, "MatMul", "x,x", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "MatMul", "rows of 6");

	m = start(2, (int64_t[]){2, 6});
	test_onnx_floats(m, "e", 0, NULL, &(float){1.7f});
	test_onnx_node(m, "Pow", "x,e", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "Pow", "exponent");

	m = start(2, (int64_t[]){2, 6});
	test_onnx_node(m, "Equal", "x,x", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "Equal", "constant");

	m = start(2, (int64_t[]){2, 6});
	test_onnx_ints(m, "shape", 2, (int64_t[]){INT64_MAX, 2});
	test_onnx_node(m, "ConstantOfShape", "shape", "c");
	test_onnx_node(m, "Add", "x,c", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "ConstantOfShape", "dimension");

	m = start(2, (int64_t[]){2, 6});
	test_onnx_node(m, "ReduceMean", "x", "y");
	test_onnx_attribute_ints(m, "axes", 2, (int64_t[]){1, -1});
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "ReduceMean", "named twice");
}

Test(transformer, quantization_that_makes_no_sense_is_refused)
{
	for (int wrong = 0; wrong < 5; wrong++) {
		static const struct {
			enum fm_status status;
			const char *op, *text;
		} wanted[] = {{FM_E_CORRUPT, "QuantizeLinear", "scale"},
		        {FM_E_UNSUPPORTED, "Relu", "quantized"},
		        {FM_E_UNSUPPORTED, "DequantizeLinear", "not QuantizeLinear's"},
		        {FM_E_UNSUPPORTED, "QuantizeLinear", "zero point"},
		        {FM_E_UNSUPPORTED, "DequantizeLinear", "does not come from"}};
		struct test_onnx *m = start(2, (int64_t[]){2, 6});

		test_onnx_floats(m, "s", 0, NULL, &(float){wrong == 0 ? -1.0f : 0.5f});
		test_onnx_floats(m, "t", 0, NULL, &(float){0.25f});
		test_onnx_raw(m, "z", wrong == 3 ? 6 : 2, 0, NULL, &(int32_t){3}, wrong == 3 ? 4 : 1);
		test_onnx_node(m, "QuantizeLinear", "x,s,z", "q");
		test_onnx_node(m, wrong == 1 ? "Relu" : "DequantizeLinear",
		        wrong == 1   ? "q"
		        : wrong == 2 ? "q,t,z"
		        : wrong == 4 ? "x,s,z"
		                     : "q,s,z",
		        "y");
		test_onnx_output(m, "y");
		refused(m, wanted[wrong].status, wanted[wrong].op, wanted[wrong].text);
	}
}
