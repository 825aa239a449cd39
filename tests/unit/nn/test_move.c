/* Ops that move elements or only rename shapes, and the constant folding of shape arithmetic. */
#include "tests/unit/nn/net_fixture.h"

static struct test_onnx *start(int64_t opset, size_t rank, const int64_t *dims)
{
	struct test_onnx *m = test_onnx_new(opset);

	test_onnx_input(m, "x", rank, dims);
	return m;
}

/* x counts from 0, so that the wanted values are indices. */
static void check(struct test_onnx *m, size_t rank, const int64_t *dims, const int *wanted)
{
	test_onnx_output(m, "y");
	struct fm_net *net = load(m, &float32);
	const struct fm_tensor_info *out = fm_net_output(net, 0);
	size_t count = fm_net_input(net, 0)->elements;
	float *x = calloc(count, sizeof(*x));

	for (size_t i = 0; i < count; i++)
		x[i] = (float)i;
	cr_assert_eq(out->rank, rank, "rank %zu", out->rank);
	for (size_t i = 0; i < rank; i++)
		cr_assert_eq(out->dims[i], (size_t)dims[i], "dimension %zu is %zu", i, out->dims[i]);
	float *got = run(net, x);
	for (size_t i = 0; i < out->elements; i++)
		cr_expect_eq(got[i], (float)wanted[i], "element %zu is %g", i, got[i]);
	free(got);
	free(x);
	fm_net_free(net);
}

Test(move, transpose)
{
	int wanted[24], reversed[24];

	for (int a = 0; a < 4; a++)
		for (int b = 0; b < 2; b++)
			for (int c = 0; c < 3; c++)
				wanted[(a * 2 + b) * 3 + c] = (b * 3 + c) * 4 + a;
	for (int a = 0; a < 4; a++)
		for (int b = 0; b < 3; b++)
			for (int c = 0; c < 2; c++)
				reversed[(a * 3 + b) * 2 + c] = (c * 3 + b) * 4 + a;
	struct test_onnx *m = start(9, 3, (int64_t[]){2, 3, 4});
	test_onnx_node(m, "Transpose", "x", "y");
	test_onnx_attribute_ints(m, "perm", 3, (int64_t[]){2, 0, 1});
	check(m, 3, (int64_t[]){4, 2, 3}, wanted);
	m = start(9, 3, (int64_t[]){2, 3, 4});
	test_onnx_node(m, "Transpose", "x", "y");
	check(m, 3, (int64_t[]){4, 3, 2}, reversed);
}

Test(move, transpositions_between_layouts_cost_nothing)
{
	/* A 1x1 convolution by the identity keeps the numbers and makes NHWC: the transpose behind it is a
	 * view. */
	const float identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
	int wanted[24];

	for (int p = 0; p < 8; p++)
		for (int c = 0; c < 3; c++)
			wanted[p * 3 + c] = c * 8 + p;
	struct test_onnx *m = start(9, 4, (int64_t[]){1, 3, 2, 4});
	test_onnx_floats(m, "w", 4, (int64_t[]){3, 3, 1, 1}, identity);
	test_onnx_node(m, "Conv", "x,w", "c");
	test_onnx_node(m, "Transpose", "c", "y");
	test_onnx_attribute_ints(m, "perm", 4, (int64_t[]){0, 2, 3, 1});
	test_onnx_output(m, "y");
	struct fm_net *net = load(m, &float32);
	float x[24];
	for (int i = 0; i < 24; i++)
		x[i] = (float)i;
	float *got = run(net, x);
	for (int i = 0; i < 24; i++)
		cr_expect_eq(got[i], (float)wanted[i]);
	for (size_t l = 0; l < fm_net_layer_count(net); l++)
		cr_expect_str_neq(fm_net_layer(net, l)->op, "transpose");
	free(got);
	fm_net_free(net);

	/* And back: what is N, H, W, C by its dims becomes an image without a copy. */
	m = start(9, 4, (int64_t[]){1, 2, 4, 3});
	test_onnx_floats(m, "w", 4, (int64_t[]){3, 3, 1, 1}, identity);
	test_onnx_node(m, "Transpose", "x", "t");
	test_onnx_attribute_ints(m, "perm", 4, (int64_t[]){0, 3, 1, 2});
	test_onnx_node(m, "Conv", "t,w", "c");
	test_onnx_node(m, "Transpose", "c", "y");
	test_onnx_attribute_ints(m, "perm", 4, (int64_t[]){0, 2, 3, 1});
	test_onnx_output(m, "y");
	net = load(m, &float32);
	cr_expect_eq(fm_net_layer_count(net), 1u);
	got = run(net, x);
	for (int i = 0; i < 24; i++)
		cr_expect_eq(got[i], x[i]);
	free(got);
	fm_net_free(net);
}

Test(move, reshape_reads_image_order_after_a_convolution)
{
	const float identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
	int wanted[24];

	for (int i = 0; i < 24; i++)
		wanted[i] = i;
	struct test_onnx *m = start(9, 4, (int64_t[]){1, 3, 2, 4});
	test_onnx_floats(m, "w", 4, (int64_t[]){3, 3, 1, 1}, identity);
	test_onnx_ints(m, "shape", 3, (int64_t[]){0, -1, 6});
	test_onnx_node(m, "Conv", "x,w", "c");
	test_onnx_node(m, "Reshape", "c,shape", "y");
	check(m, 3, (int64_t[]){1, 4, 6}, wanted);
	m = start(9, 4, (int64_t[]){1, 3, 2, 4});
	test_onnx_floats(m, "w", 4, (int64_t[]){3, 3, 1, 1}, identity);
	test_onnx_node(m, "Conv", "x,w", "c");
	test_onnx_node(m, "Flatten", "c", "y");
	test_onnx_attribute_int(m, "axis", 2);
	check(m, 2, (int64_t[]){3, 8}, wanted);
}

Test(move, slice_by_attributes_and_by_inputs)
{
	/* x is 3 x 5; rows 1 on, columns 1 to 3. */
	const int wanted[4] = {6, 7, 11, 12};
	struct test_onnx *m = start(9, 2, (int64_t[]){3, 5});

	test_onnx_node(m, "Slice", "x", "y");
	test_onnx_attribute_ints(m, "starts", 2, (int64_t[]){1, -2});
	test_onnx_attribute_ints(m, "ends", 2, (int64_t[]){-2, INT64_MAX});
	test_onnx_attribute_ints(m, "axes", 2, (int64_t[]){1, 0});
	check(m, 2, (int64_t[]){2, 2}, wanted);

	const int backwards[4] = {14, 12, 9, 7};
	m = start(13, 2, (int64_t[]){3, 5});
	test_onnx_ints(m, "starts", 2, (int64_t[]){100, -1});
	test_onnx_ints(m, "ends", 2, (int64_t[]){0, 1});
	test_onnx_ints(m, "axes", 2, (int64_t[]){-2, 1});
	test_onnx_ints(m, "steps", 2, (int64_t[]){-1, -2});
	test_onnx_node(m, "Slice", "x,starts,ends,axes,steps", "y");
	check(m, 2, (int64_t[]){2, 2}, backwards);
}

Test(move, concat_on_every_axis_and_layout)
{
	const int rows[8] = {0, 1, 2, 3, 0, 1, 2, 3}, columns[8] = {0, 1, 0, 1, 2, 3, 2, 3};
	const float identity[4] = {1, 0, 0, 1};
	struct test_onnx *m = start(9, 2, (int64_t[]){2, 2});

	test_onnx_node(m, "Concat", "x,x", "y");
	test_onnx_attribute_int(m, "axis", 0);
	check(m, 2, (int64_t[]){4, 2}, rows);
	m = start(9, 2, (int64_t[]){2, 2});
	test_onnx_node(m, "Concat", "x,x", "y");
	test_onnx_attribute_int(m, "axis", -1);
	check(m, 2, (int64_t[]){2, 4}, columns);
	/* One part is an image in NHWC, the other is the input as it came. */
	int both[16];
	for (int i = 0; i < 16; i++)
		both[i] = i % 8;
	m = start(9, 4, (int64_t[]){1, 2, 2, 2});
	test_onnx_floats(m, "w", 4, (int64_t[]){2, 2, 1, 1}, identity);
	test_onnx_node(m, "Conv", "x,w", "c");
	test_onnx_node(m, "Concat", "c,x", "y");
	test_onnx_attribute_int(m, "axis", 1);
	check(m, 4, (int64_t[]){1, 4, 2, 2}, both);
}

Test(move, gather_rows_and_columns)
{
	const int wanted[6] = {2, 0, 6, 4, 10, 8};
	struct test_onnx *m = start(9, 2, (int64_t[]){3, 4});

	test_onnx_ints(m, "at", 2, (int64_t[]){-2, 0});
	test_onnx_node(m, "Gather", "x,at", "y");
	test_onnx_attribute_int(m, "axis", 1);
	check(m, 2, (int64_t[]){3, 2}, wanted);
}

Test(move, squeeze_and_unsqueeze_before_and_after_opset_13)
{
	const int wanted[3] = {0, 1, 2};

	for (int input = 0; input < 2; input++) {
		struct test_onnx *m = start(input ? 13 : 11, 3, (int64_t[]){1, 3, 1});

		if (input)
			test_onnx_ints(m, "two", 1, (int64_t[]){2});
		test_onnx_node(m, "Squeeze", input ? "x,two" : "x", "s");
		if (!input)
			test_onnx_attribute_ints(m, "axes", 1, (int64_t[]){-1});
		if (input)
			test_onnx_ints(m, "ends", 2, (int64_t[]){0, -1});
		test_onnx_node(m, "Unsqueeze", input ? "s,ends" : "s", "y");
		if (!input)
			test_onnx_attribute_ints(m, "axes", 2, (int64_t[]){0, 3});
		check(m, 4, (int64_t[]){1, 1, 3, 1}, wanted);
	}
	struct test_onnx *m = start(11, 3, (int64_t[]){1, 3, 1});
	test_onnx_node(m, "Squeeze", "x", "y");
	check(m, 1, (int64_t[]){3}, wanted);
}

Test(move, shape_arithmetic_is_folded)
{
	/* reshape(x, concat(unsqueeze(shape(x)[0] * 3 / 3), [-1, 2])), as exporters write it. */
	const int wanted[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
	struct test_onnx *m = start(9, 3, (int64_t[]){2, 3, 2});

	test_onnx_raw(m, "zero", 7, 0, NULL, &(int64_t){0}, 8);
	test_onnx_ints(m, "tail", 2, (int64_t[]){-1, 2});
	test_onnx_raw(m, "three", 7, 0, NULL, &(int64_t){3}, 8);
	test_onnx_node(m, "Shape", "x", "shape");
	test_onnx_node(m, "Gather", "shape,zero", "batch");
	test_onnx_node(m, "Mul", "batch,three", "tripled");
	test_onnx_node(m, "Div", "tripled,three", "same");
	test_onnx_node(m, "Unsqueeze", "same", "list");
	test_onnx_attribute_ints(m, "axes", 1, (int64_t[]){0});
	test_onnx_node(m, "Concat", "list,tail", "wanted");
	test_onnx_attribute_int(m, "axis", 0);
	test_onnx_node(m, "Reshape", "x,wanted", "r");
	test_onnx_node(m, "Dropout", "r", "y");
	test_onnx_output(m, "y");
	struct fm_net *net = load(m, &float32);
	cr_expect_eq(fm_net_layer_count(net), 0u, "nothing is left to run");
	fm_net_free(net);

	m = start(9, 3, (int64_t[]){2, 3, 2});
	test_onnx_ints(m, "shape", 1, (int64_t[]){-1});
	test_onnx_node(m, "Reshape", "x,shape", "y");
	check(m, 1, (int64_t[]){12}, wanted);
}

Test(move, float_constants_are_folded_too)
{
	const float table[2] = {3, 4}, two = 2;
	const int wanted[2] = {7, 11};
	struct test_onnx *m = start(9, 1, (int64_t[]){2});

	test_onnx_node(m, "Constant", "", "t");
	test_onnx_attribute_tensor(m, "value", 1, (int64_t[]){2}, table);
	test_onnx_floats(m, "two", 0, NULL, &two);
	test_onnx_floats(m, "seven", 0, NULL, &(float){7});
	test_onnx_node(m, "Mul", "t,two", "doubled");      /* 6 8 */
	test_onnx_node(m, "Sub", "seven,doubled", "rest"); /* 1 -1 */
	test_onnx_node(m, "Div", "doubled,rest", "q");     /* 6 -8 */
	test_onnx_node(m, "Sub", "x,q", "z");              /* -6 9 */
	test_onnx_node(m, "Add", "z,doubled", "z2");       /* 0 17 */
	test_onnx_node(m, "Sub", "z2,doubled", "z3");      /* -6 9 */
	test_onnx_floats(m, "last", 1, (int64_t[]){2}, (float[]){13, 2});
	test_onnx_node(m, "Add", "z3,last", "y"); /* 7 11 */
	check(m, 1, (int64_t[]){2}, wanted);
}

Test(move, refuses_shapes_that_do_not_work_out)
{
	struct test_onnx *m = start(9, 2, (int64_t[]){2, 3});
	test_onnx_ints(m, "shape", 2, (int64_t[]){4, 2});
	test_onnx_node(m, "Reshape", "x,shape", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "Reshape", "8 elements out of 6");

	m = start(9, 2, (int64_t[]){2, 3});
	test_onnx_ints(m, "shape", 3, (int64_t[]){INT64_C(1) << 28, INT64_C(1) << 28, INT64_C(1) << 28});
	test_onnx_node(m, "Reshape", "x,shape", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "Reshape", "overflow");

	m = start(9, 2, (int64_t[]){2, 3});
	test_onnx_node(m, "Transpose", "x", "y");
	test_onnx_attribute_ints(m, "perm", 2, (int64_t[]){1, 1});
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "Transpose", "permutation");

	m = start(9, 2, (int64_t[]){2, 3});
	test_onnx_ints(m, "at", 1, (int64_t[]){3});
	test_onnx_node(m, "Gather", "x,at", "y");
	test_onnx_attribute_int(m, "axis", 1);
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "Gather", "index 3 of 3");

	m = start(9, 2, (int64_t[]){2, 3});
	test_onnx_floats(m, "b", 1, (int64_t[]){2}, (float[]){1, 2});
	test_onnx_node(m, "Add", "x,b", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "Add", "3 against 2");

	m = start(9, 2, (int64_t[]){2, 3});
	test_onnx_node(m, "Slice", "x", "y");
	test_onnx_attribute_ints(m, "starts", 1, (int64_t[]){2});
	test_onnx_attribute_ints(m, "ends", 1, (int64_t[]){2});
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "Slice", "without elements");
}
