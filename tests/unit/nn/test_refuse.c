/* What cannot be run is refused at load, with node name and op. */
#include "tests/unit/nn/net_fixture.h"

static struct test_onnx *start(int64_t opset)
{
	struct test_onnx *m = test_onnx_new(opset);

	test_onnx_input(m, "x", 4, (int64_t[]){1, 3, 8, 8});
	return m;
}

Test(refuse, names_the_node_and_its_op)
{
	struct test_onnx *m = start(11);
	test_onnx_node(m, "Relu", "x", "a");
	test_onnx_node(m, "NonMaxSuppression", "a", "the_node");
	test_onnx_output(m, "the_node");
	refused(m, FM_E_UNSUPPORTED, "NonMaxSuppression", "the_node");
}

Test(refuse, graphs_that_are_none)
{
	struct test_onnx *m = start(11);
	test_onnx_node(m, "Add", "x,b", "a");
	test_onnx_node(m, "Relu", "a", "b");
	test_onnx_output(m, "b");
	refused(m, FM_E_CORRUPT, "Add", "'b' is not made");

	m = start(11);
	test_onnx_node(m, "Relu", "y", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "Relu", "'y' is not made");

	m = start(11);
	test_onnx_node(m, "Relu", "x", "y");
	test_onnx_node(m, "Exp", "x", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "'y'", "made twice");

	m = start(11);
	test_onnx_node(m, "Relu", "x", "x");
	test_onnx_output(m, "x");
	refused(m, FM_E_CORRUPT, "'x'", "made twice");

	m = start(11);
	test_onnx_node(m, "Relu", "x", "y");
	test_onnx_output(m, "z");
	refused(m, FM_E_CORRUPT, "'z'", "not made");

	m = start(11);
	test_onnx_node(m, "Relu", "x", "y");
	refused(m, FM_E_UNSUPPORTED, "no outputs", "");

	m = start(11);
	test_onnx_node(m, "Add", "x", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "Add", "1 inputs");

	m = start(11);
	test_onnx_node(m, "Add", ",x", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "Add", "left out");
}

Test(refuse, inputs_that_are_not_one_image)
{
	struct test_onnx *m = test_onnx_new(11);
	test_onnx_input(m, "x", 4, (int64_t[]){2, 3, 8, 8});
	test_onnx_node(m, "Relu", "x", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "'x'", "batch of 2");

	m = test_onnx_new(11);
	test_onnx_input(m, "x", 4, (int64_t[]){-1, 3, -1, 8});
	test_onnx_node(m, "Relu", "x", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "'x'", "dimension 2");

	m = test_onnx_new(11);
	test_onnx_input(m, "x", 4, (int64_t[]){1, 1 << 20, 1 << 20, 1 << 20});
	test_onnx_node(m, "Relu", "x", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_TOO_LARGE, "'x'", "elements");

	m = test_onnx_new(11);
	test_onnx_input(m, "x", 0, NULL);
	test_onnx_node(m, "Relu", "x", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "'x'", "no shape");
}

Test(refuse, opsets_out_of_range)
{
	for (int i = 0; i < 3; i++) {
		struct test_onnx *m = start((int64_t[]){6, 18, INT64_MAX}[i]);

		test_onnx_node(m, "Relu", "x", "y");
		test_onnx_output(m, "y");
		refused(m, FM_E_UNSUPPORTED, "opset", "7 to 17");
	}
}

Test(refuse, attributes_of_the_wrong_type)
{
	struct test_onnx *m = start(11);
	test_onnx_node(m, "Softmax", "x", "y");
	test_onnx_attribute_float(m, "axis", 1);
	test_onnx_output(m, "y");
	refused(m, FM_E_CORRUPT, "Softmax", "wrong type");
}

Test(refuse, normalization_by_position)
{
	struct test_onnx *m = start(7);
	const int64_t three = 3;
	const float p[3] = {1, 1, 1};

	test_onnx_floats(m, "p", 1, &three, p);
	test_onnx_node(m, "BatchNormalization", "x,p,p,p,p", "y");
	test_onnx_attribute_int(m, "spatial", 0);
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "BatchNormalization", "spatial");
}

Test(refuse, shapes_that_depend_on_the_photo)
{
	struct test_onnx *m = start(11);
	test_onnx_node(m, "Reshape", "x,x", "y");
	test_onnx_output(m, "y");
	refused(m, FM_E_UNSUPPORTED, "Reshape", "must be constant");
}

Test(refuse, doubling_until_memory_ends)
{
	struct test_onnx *m = start(11);
	char from[32] = "x,x", to[16];

	for (int i = 0; i < 60; i++) {
		snprintf(to, sizeof(to), "c%d", i);
		test_onnx_node(m, "Concat", from, to);
		test_onnx_attribute_int(m, "axis", 1);
		snprintf(from, sizeof(from), "c%d,c%d", i, i);
	}
	test_onnx_output(m, "c59");
	refused(m, FM_E_TOO_LARGE, "Concat", "elements");

	/* The same in constants, which folding would compute. */
	m = start(11);
	test_onnx_floats(m, "k", 1, (int64_t[]){1}, &(float){1});
	snprintf(from, sizeof(from), "k,k");
	for (int i = 0; i < 60; i++) {
		snprintf(to, sizeof(to), "c%d", i);
		test_onnx_node(m, "Concat", from, to);
		test_onnx_attribute_int(m, "axis", 0);
		snprintf(from, sizeof(from), "c%d,c%d", i, i);
	}
	test_onnx_node(m, "Add", "x,c59", "y");
	test_onnx_output(m, "y");
	struct fm_net *net = NULL;
	const struct fm_net_options small = {.memory_max_bytes = 1 << 20};
	cr_expect_eq(try_load(m, &small, &net, NULL), FM_E_NOMEM);
}
