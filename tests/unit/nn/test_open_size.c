/* Networks whose file leaves height and width open. */
#include "tests/unit/nn/net_fixture.h"

static struct test_onnx *pooling(int64_t h, int64_t w)
{
	struct test_onnx *m = test_onnx_new(11);

	test_onnx_input(m, "x", 4, (int64_t[]){-1, 2, h, w});
	test_onnx_node(m, "MaxPool", "x", "y");
	test_onnx_attribute_ints(m, "kernel_shape", 2, (int64_t[]){2, 2});
	test_onnx_attribute_ints(m, "strides", 2, (int64_t[]){2, 2});
	test_onnx_output(m, "y");
	return m;
}

Test(open_size, the_caller_gives_what_the_file_leaves_open)
{
	const struct fm_net_options size = {.input_height_px = 6, .input_width_px = 8};
	struct fm_net *net = load(pooling(-1, -1), &size);

	cr_expect_eq(fm_net_input(net, 0)->dims[0], 1u);
	cr_expect_eq(fm_net_input(net, 0)->dims[2], 6u);
	cr_expect_eq(fm_net_input(net, 0)->dims[3], 8u);
	cr_expect_eq(fm_net_output(net, 0)->dims[2], 3u);
	cr_expect_eq(fm_net_output(net, 0)->dims[3], 4u);
	fm_net_free(net);
}

Test(open_size, without_it_the_network_is_refused_and_says_what_is_missing)
{
	refused(pooling(-1, 8), FM_E_UNSUPPORTED, "height", "give an input height and width");
	refused(pooling(8, -1), FM_E_UNSUPPORTED, "width", "give an input height and width");
}

Test(open_size, what_the_file_fixes_stays)
{
	const struct fm_net_options same = {.input_height_px = 8, .input_width_px = 8},
	                            other = {.input_height_px = 8, .input_width_px = 10};
	struct fm_net *net = load(pooling(8, 8), &same);
	struct fm_error err = {0};

	fm_net_free(net);
	net = NULL;
	cr_expect_eq(try_load(pooling(8, 8), &other, &net, &err), FM_E_INVALID);
	cr_expect(strstr(err.message, "fixed at a width of 8"), "%s", err.message);
	cr_expect_null(net);
}

Test(open_size, a_size_beyond_all_bounds_is_refused)
{
	const struct fm_net_options size = {
	        .input_height_px = (size_t)1 << 40, .input_width_px = (size_t)1 << 40};
	struct fm_net *net = NULL;

	cr_expect_eq(try_load(pooling(-1, -1), &size, &net, NULL), FM_E_TOO_LARGE);
}

Test(open_size, resize_replaces_what_the_file_fixes)
{
	const struct fm_net_options other = {.input_height_px = 6, .input_width_px = 10, .resize = true};
	struct fm_net *net = load(pooling(8, 8), &other);

	cr_expect_eq(fm_net_input(net, 0)->dims[2], 6u);
	cr_expect_eq(fm_net_output(net, 0)->dims[3], 5u);
	fm_net_free(net);
}

/* What follows the tensor that is wanted would not fit the new size: 2 x 4 x 4 alone can be added. */
static struct test_onnx *pooling_and_sum(void)
{
	struct test_onnx *m = pooling(8, 8);
	float weights[32];

	test_onnx_noise(weights, 32, 1);
	test_onnx_floats(m, "w", 4, (int64_t[]){1, 2, 4, 4}, weights);
	test_onnx_node(m, "Add", "y,w", "z");
	return m;
}

Test(open_size, outputs_may_be_tensors_inside)
{
	const char *const inside[] = {"y"}, *const none[] = {"v"};
	const struct fm_net_options cut = {.input_height_px = 6,
	                                    .input_width_px = 10,
	                                    .resize = true,
	                                    .outputs = inside,
	                                    .output_count = 1},
	                            wrong = {.outputs = none, .output_count = 1};
	struct fm_error err = {0};
	struct fm_net *net = load(pooling_and_sum(), &cut);

	cr_expect_eq(fm_net_output_count(net), 1u);
	cr_expect_str_eq(fm_net_output(net, 0)->name, "y");
	cr_expect_eq(fm_net_output(net, 0)->dims[2], 3u);
	cr_expect_eq(fm_net_output(net, 0)->dims[3], 5u);
	fm_net_free(net);
	net = NULL;
	cr_expect_eq(try_load(pooling_and_sum(), &wrong, &net, &err), FM_E_INVALID);
	cr_expect(strstr(err.message, "'v' is not made by any node"), "%s", err.message);
	cr_expect_null(net);
}
