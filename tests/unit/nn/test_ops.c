/* Every op by itself against what ONNX says of it, in naive code. */
#include "tests/unit/nn/net_fixture.h"

#include "lib/nn/math.h"

#include <float.h>

static void expect_close(const float *got, const float *wanted, size_t count, double worst)
{
	cr_expect_lt(relative_error(got, wanted, count), worst, "%g", relative_error(got, wanted, count));
}

/* A network of one op on x; its shape must come out as wanted. The builder's node must be named y. */
static void check(struct test_onnx *m, const float *x, size_t rank, const int64_t *dims, const float *wanted)
{
	test_onnx_output(m, "y");
	struct fm_net *net = load(m, &float32);
	const struct fm_tensor_info *out = fm_net_output(net, 0);

	cr_assert_eq(out->rank, rank, "rank %zu", out->rank);
	for (size_t i = 0; i < rank; i++)
		cr_assert_eq(out->dims[i], (size_t)dims[i], "dimension %zu is %zu", i, out->dims[i]);
	float *got = run(net, x);
	expect_close(got, wanted, out->elements, 1e-6);
	free(got);
	fm_net_free(net);
}

static struct test_onnx *start(int64_t opset, size_t rank, const int64_t *dims)
{
	struct test_onnx *m = test_onnx_new(opset);

	test_onnx_input(m, "x", rank, dims);
	return m;
}

/* ---- elementwise ----------------------------------------------------------------------------- */

static float reference(const char *op, float a, float b)
{
	switch (op[0]) {
	case 'A': return a + b;
	case 'S': return a - b;
	case 'M': return a * b;
	case 'D': return a / b;
	default: return a > 0 ? a : a * b;
	}
}

Test(ops, binary_ops_broadcast_like_numpy)
{
	static const char *const ops[] = {"Add", "Sub", "Mul", "Div", "PRelu"};
	static const struct {
		size_t rank;
		int64_t dims[4];
	} seconds[] = {{4, {1, 3, 4, 5}}, {3, {3, 1, 1}}, {1, {5}}, {0, {0}}, {2, {4, 1}}, {4, {1, 1, 4, 5}}};
	const int64_t dims[4] = {1, 3, 4, 5};

	for (size_t o = 0; o < 5; o++)
		for (size_t s = 0; s < sizeof(seconds) / sizeof(seconds[0]); s++) {
			size_t strides[4] = {0}, elements = 1, rank = seconds[s].rank;
			float *x = noise(60, 1), *b, wanted[60];

			for (size_t i = rank; i-- > 0;) {
				strides[4 - rank + i] = seconds[s].dims[i] == 1 ? 0 : elements;
				elements *= (size_t)seconds[s].dims[i];
			}
			b = noise(elements, 2);
			for (size_t i = 0; i < 60; i++)
				wanted[i] = reference(ops[o], x[i],
				        b[i / 20 % 3 * strides[1] + i / 5 % 4 * strides[2] +
				                i % 5 * strides[3]]);
			struct test_onnx *m = start(9, 4, dims);
			test_onnx_floats(m, "b", rank, seconds[s].dims, b);
			test_onnx_node(m, ops[o], "x,b", "y");
			check(m, x, 4, dims, wanted);
			free(b);
			free(x);
		}
}

Test(ops, both_sides_of_a_broadcast_may_grow)
{
	const float x[3] = {1, 2, 3}, b[2] = {10, 20}, wanted[6] = {11, 12, 13, 21, 22, 23};
	struct test_onnx *m = start(9, 2, (int64_t[]){1, 3});

	test_onnx_floats(m, "b", 2, (int64_t[]){2, 1}, b);
	test_onnx_node(m, "Add", "x,b", "y");
	check(m, x, 2, (int64_t[]){2, 3}, wanted);
}

Test(ops, a_value_may_meet_itself)
{
	const float x[3] = {1, -2, 3}, wanted[3] = {1, 4, 9};
	struct test_onnx *m = start(9, 2, (int64_t[]){1, 3});

	test_onnx_node(m, "Identity", "x", "i");
	test_onnx_node(m, "Relu", "x", "r");
	test_onnx_node(m, "Sub", "i,r", "negative");
	test_onnx_node(m, "Add", "negative,r", "sum");
	test_onnx_node(m, "Mul", "sum,sum", "y");
	check(m, x, 2, (int64_t[]){1, 3}, wanted);
}

Test(ops, unary_ops)
{
	float *x = noise(60, 5), wanted[4][60];
	const float bounds[2] = {-0.25f, 0.5f};

	for (size_t i = 0; i < 60; i++) {
		x[i] *= 8;
		wanted[0][i] = x[i] > 0 ? x[i] : 0;
		wanted[1][i] = (float)exp((double)x[i]);
		wanted[2][i] = (float)(1 / (1 + exp(-(double)x[i])));
		wanted[3][i] = fminf(fmaxf(x[i], -0.25f), 0.5f);
	}
	static const char *const ops[] = {"Relu", "Exp", "Sigmoid"};
	for (size_t o = 0; o < 3; o++) {
		struct test_onnx *m = start(9, 3, (int64_t[]){3, 4, 5});

		test_onnx_node(m, ops[o], "x", "y");
		check(m, x, 3, (int64_t[]){3, 4, 5}, wanted[o]);
	}
	struct test_onnx *m = start(9, 3, (int64_t[]){3, 4, 5});
	test_onnx_node(m, "Clip", "x", "y");
	test_onnx_attribute_float(m, "min", bounds[0]);
	test_onnx_attribute_float(m, "max", bounds[1]);
	check(m, x, 3, (int64_t[]){3, 4, 5}, wanted[3]);
	m = start(11, 3, (int64_t[]){3, 4, 5});
	test_onnx_floats(m, "low", 0, NULL, &bounds[0]);
	test_onnx_floats(m, "high", 0, NULL, &bounds[1]);
	test_onnx_node(m, "Clip", "x,low,high", "y");
	check(m, x, 3, (int64_t[]){3, 4, 5}, wanted[3]);
	for (size_t i = 0; i < 60; i++)
		wanted[3][i] = fminf(x[i], 0.5f);
	m = start(11, 3, (int64_t[]){3, 4, 5});
	test_onnx_floats(m, "high", 0, NULL, &bounds[1]);
	test_onnx_node(m, "Clip", "x,,high", "y");
	check(m, x, 3, (int64_t[]){3, 4, 5}, wanted[3]);
	free(x);
}

Test(ops, exp_is_within_an_ulp_everywhere)
{
	for (double x = -87.33; x < 88.72; x += 0.00731) {
		float f = (float)x, got = fm_expf(f);
		double wanted = exp((double)f), ulp = ldexp(1.0, ilogb(wanted) - 23);

		cr_assert_lt(fabs(got - wanted), 0.51 * ulp, "exp(%.9g) = %.9g", (double)f, (double)got);
	}
	cr_expect_eq(fm_expf(0.0f), 1.0f);
	cr_expect(isinf(fm_expf(88.73f)) && isinf(fm_expf(INFINITY)));
	cr_expect_eq(fm_expf(-87.34f), 0.0f);
	cr_expect_eq(fm_expf(-INFINITY), 0.0f);
	cr_expect(isnan(fm_expf(NAN)));
	cr_expect_geq(fm_expf(-87.33f), FLT_MIN);
	cr_expect_leq(fm_expf(88.72f), FLT_MAX);
}

/* ---- normalization --------------------------------------------------------------------------- */

Test(ops, softmax_flattens_before_opset_13_and_not_since)
{
	float *x = noise(24, 7), wanted[24];

	for (int flat = 0; flat < 2; flat++)
		for (size_t axis = 0; axis < 3; axis++) {
			const size_t dims[3] = {2, 3, 4};
			size_t outer = 1, length = 1, inner = 1;

			for (size_t i = 0; i < 3; i++)
				*(i < axis ? &outer : i == axis || flat ? &length : &inner) *= dims[i];
			for (size_t o = 0; o < outer; o++)
				for (size_t n = 0; n < inner; n++) {
					double sum = 0;

					for (size_t i = 0; i < length; i++)
						sum += exp(x[(o * length + i) * inner + n]);
					for (size_t i = 0; i < length; i++)
						wanted[(o * length + i) * inner + n] =
						        (float)(exp(x[(o * length + i) * inner + n]) / sum);
				}
			struct test_onnx *m = start(flat ? 12 : 13, 3, (int64_t[]){2, 3, 4});
			test_onnx_node(m, "Softmax", "x", "y");
			test_onnx_attribute_int(m, "axis", flat ? (int64_t)axis - 3 : (int64_t)axis);
			check(m, x, 3, (int64_t[]){2, 3, 4}, wanted);
		}
	free(x);
}

Test(ops, softmax_of_pairs)
{
	static const int64_t pairs[] = {1, 4, 5, 128, 135};
	float *x = noise(270, 8), wanted[270];

	for (size_t i = 0; i < 270; i++)
		wanted[i] = (float)(exp(x[i]) / (exp(x[i]) + exp(x[i ^ 1])));
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct test_onnx *m = start(13, 2, (int64_t[]){pairs[i], 2});

		test_onnx_node(m, "Softmax", "x", "y");
		check(m, x, 2, (int64_t[]){pairs[i], 2}, wanted);
	}
	free(x);
}

Test(ops, softmax_survives_large_numbers)
{
	const float x[3] = {1000, 1001, -1e30f}, wanted[3] = {0.26894142f, 0.73105858f, 0};
	struct test_onnx *m = start(13, 2, (int64_t[]){1, 3});

	test_onnx_node(m, "Softmax", "x", "y");
	check(m, x, 2, (int64_t[]){1, 3}, wanted);
}

Test(ops, batch_normalization_alone)
{
	float *x = noise(24, 1), *p[4], wanted[24];

	for (uint32_t i = 0; i < 4; i++)
		p[i] = noise(3, 10 + i);
	for (size_t i = 0; i < 3; i++)
		p[3][i] = fabsf(p[3][i]) + 0.1f;
	for (size_t i = 0; i < 24; i++) {
		size_t c = i / 8;

		wanted[i] = (float)(p[0][c] * (x[i] - p[2][c]) / sqrt((double)p[3][c] + 1e-3) + p[1][c]);
	}
	struct test_onnx *m = start(9, 4, (int64_t[]){1, 3, 2, 4});
	test_onnx_floats(m, "gamma", 1, (int64_t[]){3}, p[0]);
	test_onnx_floats(m, "beta", 1, (int64_t[]){3}, p[1]);
	test_onnx_floats(m, "mean", 1, (int64_t[]){3}, p[2]);
	test_onnx_floats(m, "var", 1, (int64_t[]){3}, p[3]);
	test_onnx_node(m, "BatchNormalization", "x,gamma,beta,mean,var", "y");
	test_onnx_attribute_float(m, "epsilon", 1e-3f);
	check(m, x, 4, (int64_t[]){1, 3, 2, 4}, wanted);
	for (int i = 0; i < 4; i++)
		free(p[i]);
	free(x);
}

/* ---- products -------------------------------------------------------------------------------- */

Test(ops, gemm_with_every_transposition)
{
	enum { M = 5, K = 19, N = 7 };
	float *a = noise(M * K, 1), *b = noise(K * N, 2), *c = noise(N, 3), wanted[M * N];

	for (int t = 0; t < 4; t++) {
		int ta = t & 1, tb = t >> 1;

		for (int i = 0; i < M; i++)
			for (int j = 0; j < N; j++) {
				double sum = 0;

				for (int k = 0; k < K; k++)
					sum += (double)a[ta ? k * M + i : i * K + k] *
					       b[tb ? j * K + k : k * N + j];
				wanted[i * N + j] = (float)(0.5 * sum + 2.0 * c[j]);
			}
		struct test_onnx *m = start(11, 2, ta ? (int64_t[]){K, M} : (int64_t[]){M, K});
		test_onnx_floats(m, "b", 2, tb ? (int64_t[]){N, K} : (int64_t[]){K, N}, b);
		test_onnx_floats(m, "c", 1, (int64_t[]){N}, c);
		test_onnx_node(m, "Gemm", "x,b,c", "y");
		test_onnx_attribute_int(m, "transA", ta);
		test_onnx_attribute_int(m, "transB", tb);
		test_onnx_attribute_float(m, "alpha", 0.5f);
		test_onnx_attribute_float(m, "beta", 2.0f);
		check(m, a, 2, (int64_t[]){M, N}, wanted);
	}
	free(c);
	free(b);
	free(a);
}

Test(ops, gemm_adds_a_whole_matrix)
{
	const float x[4] = {1, -2, 3, -4}, b[4] = {1, 2, 3, 4};
	const float wanted[4] = {1 * 1 - 2 * 3 + 1, 1 * 2 - 2 * 4 - 0, 3 * 1 - 4 * 3 + 3, 3 * 2 - 4 * 4 - 0};
	struct test_onnx *m = start(11, 2, (int64_t[]){2, 2});

	test_onnx_floats(m, "b", 2, (int64_t[]){2, 2}, b);
	test_onnx_node(m, "Relu", "x", "r");
	test_onnx_node(m, "Gemm", "x,b,r", "y");
	check(m, x, 2, (int64_t[]){2, 2}, wanted);
}

Test(ops, matmul_multiplies_the_last_dimension)
{
	float *a = noise(2 * 3 * 8, 1), *b = noise(8 * 5, 2), wanted[30];

	for (int i = 0; i < 6; i++)
		for (int j = 0; j < 5; j++) {
			double sum = 0;

			for (int k = 0; k < 8; k++)
				sum += (double)a[i * 8 + k] * b[k * 5 + j];
			wanted[i * 5 + j] = (float)sum;
		}
	struct test_onnx *m = start(11, 3, (int64_t[]){2, 3, 8});
	test_onnx_floats(m, "b", 2, (int64_t[]){8, 5}, b);
	test_onnx_node(m, "MatMul", "x,b", "y");
	check(m, a, 3, (int64_t[]){2, 3, 5}, wanted);
	free(b);
	free(a);
}

Test(ops, int8_products_stay_close)
{
	enum { M = 4, K = 300, N = 33 };
	float *a = noise(M * K, 1), *b = noise(K * N, 2), wanted[M * N];

	for (int i = 0; i < M; i++)
		for (int j = 0; j < N; j++) {
			double sum = 0;

			for (int k = 0; k < K; k++)
				sum += (double)a[i * K + k] * b[k * N + j];
			wanted[i * N + j] = (float)sum;
		}
	struct test_onnx *m = start(11, 2, (int64_t[]){M, K});
	test_onnx_floats(m, "b", 2, (int64_t[]){K, N}, b);
	test_onnx_node(m, "MatMul", "x,b", "y");
	test_onnx_output(m, "y");
	struct fm_net *net = load(m, &int8);
	cr_expect_eq(fm_net_layer(net, 0)->precision, FM_INT8);
	float *got = run(net, a);
	cr_expect_gt(cosine(got, wanted, M * N), 0.9998, "%g", cosine(got, wanted, M * N));
	cr_expect_lt(fm_net_layer(net, 0)->weight_bytes, fm_net_layer(net, 0)->weight_bytes_float32);
	free(got);
	fm_net_free(net);
	free(b);
	free(a);
}
