/* Layers that run by strips of rows: another order, the same bits. */
#include "lib/nn/net_internal.h"
#include "tests/unit/nn/net_fixture.h"

#define LAYERS_MAX 7

struct image {
	int64_t channels, height, width;
};

struct generator {
	struct test_onnx *model;
	uint32_t state;
	struct image image;
	char name[16];
	size_t index;
};

static int64_t pick(struct generator *g, int64_t low, int64_t high)
{
	g->state = g->state * 1664525 + 1013904223;
	return low + (int64_t)((g->state >> 8) % (uint32_t)(high - low + 1));
}

/* The next value's name; `inputs` are what its node reads. */
static void put(struct generator *g, const char *op, const char *inputs)
{
	char output[16];

	snprintf(output, sizeof(output), "v%zu", ++g->index);
	test_onnx_node(g->model, op, inputs, output);
	memcpy(g->name, output, sizeof(output));
}

static void put_conv(struct generator *g, int64_t out, int64_t kernel, int64_t group)
{
	const int64_t in = g->image.channels / group;
	float *values = noise((size_t)(out * in * kernel * kernel), (uint32_t)g->index);
	char w[16], inputs[64];

	snprintf(w, sizeof(w), "w%zu", g->index);
	snprintf(inputs, sizeof(inputs), "%s,%s", g->name, w);
	test_onnx_floats(g->model, w, 4, (int64_t[]){out, in, kernel, kernel}, values);
	put(g, "Conv", inputs);
	test_onnx_attribute_int(g->model, "group", group);
	g->image.channels = out;
	free(values);
}

/* Reads kernel rows, stride apart; the image shrinks by that. */
static void put_window(struct generator *g, bool pool)
{
	const int64_t kernel = pool ? pick(g, 2, 3) : pick(g, 1, 4), stride = pick(g, 1, 3);
	const int64_t dilation = pool ? 1 : pick(g, 1, 2), reach = (kernel - 1) * dilation + 1;
	const int64_t pad = pool ? pick(g, 0, 1) : pick(g, 0, 3), end = pool ? pick(g, 0, 1) : pick(g, 0, 3);

	if (pool)
		put(g, "MaxPool", g->name);
	else
		put_conv(g, g->image.channels, kernel, g->image.channels);
	if (pool)
		test_onnx_attribute_ints(g->model, "kernel_shape", 2, (int64_t[]){kernel, kernel});
	else
		test_onnx_attribute_ints(g->model, "dilations", 2, (int64_t[]){dilation, dilation});
	test_onnx_attribute_ints(g->model, "strides", 2, (int64_t[]){stride, stride});
	test_onnx_attribute_ints(g->model, "pads", 4, (int64_t[]){pad, pad, end, end});
	g->image.height = (g->image.height + pad + end - reach) / stride + 1;
	g->image.width = (g->image.width + pad + end - reach) / stride + 1;
}

/* Images of some hundred KiB, which windows do not hold whole. */
static struct test_onnx *random_model(uint32_t seed, size_t *ret_elements)
{
	struct generator g = {test_onnx_new(11), seed, {0}, "x", 0};
	const bool dense_first = pick(&g, 0, 1);

	g.image = (struct image){dense_first ? 3 : pick(&g, 8, 20), pick(&g, 60, 90), pick(&g, 150, 250)};
	*ret_elements = (size_t)(g.image.channels * g.image.height * g.image.width);
	test_onnx_input(g.model, "x", 4, (int64_t[]){1, g.image.channels, g.image.height, g.image.width});
	if (dense_first) {
		put_conv(&g, 16, 3, 1);
		test_onnx_attribute_ints(g.model, "pads", 4, (int64_t[]){1, 1, 1, 1});
	}
	const struct image before = g.image;
	char start[16];

	memcpy(start, g.name, sizeof(start));
	for (int64_t layers = pick(&g, 1, LAYERS_MAX); layers > 0 && g.image.height > 12; layers--) {
		const int64_t kind = pick(&g, 0, 4);

		if (kind < 2)
			put_conv(&g, pick(&g, 8, 24), 1, 1);
		else
			put_window(&g, kind == 4);
		if (pick(&g, 0, 1))
			put(&g, "Relu", g.name);
	}
	/* A residual of what the chain began with, which its output may replace. */
	if (before.height == g.image.height && before.width == g.image.width) {
		char inputs[40];

		put_conv(&g, before.channels, 1, 1);
		snprintf(inputs, sizeof(inputs), "%s,%s", g.name, start);
		put(&g, "Add", inputs);
	}
	test_onnx_node(g.model, "Relu", g.name, "y");
	test_onnx_output(g.model, "y");
	return g.model;
}

Test(strips, give_the_bits_of_whole_layers)
{
	size_t joined = 0;

	for (uint32_t seed = 1; seed <= 60; seed++) {
		struct fm_net_options options = {.precision = seed % 2 ? FM_INT8 : FM_FLOAT32};
		size_t elements;
		struct fm_net *by_strips, *by_layers;

		options.no_strips = true;
		by_layers = load(random_model(seed, &elements), &options);
		options.no_strips = false;
		options.strips_bytes_min = 1;
		by_strips = load(random_model(seed, &elements), &options);
		float *x = noise(elements, seed), *wanted = run(by_layers, x), *got = run(by_strips, x);

		cr_expect_arr_eq(
		        got, wanted, fm_net_output(by_layers, 0)->elements * sizeof(*got), "seed %u", seed);
		cr_expect_eq(fm_net_layer_count(by_strips), fm_net_layer_count(by_layers));
		cr_expect_leq(by_strips->activation_bytes, by_layers->activation_bytes);
		joined += by_strips->step_count < by_layers->step_count;
		free(x);
		free(wanted);
		free(got);
		fm_net_free(by_strips);
		fm_net_free(by_layers);
	}
	cr_expect_gt(joined, 30u, "only %zu of the networks had a chain", joined);
}

/* x -> 1x1 -> depthwise 3x3 -> 1x1 + residual: which tensor the residual is decides what may be overwritten.
 */
static struct test_onnx *block(bool depthwise_first)
{
	struct generator g = {test_onnx_new(11), 1, {16, 80, 200}, "x", 0};
	char start[16], inputs[40];

	test_onnx_input(g.model, "x", 4, (int64_t[]){1, 16, 80, 200});
	put_conv(&g, 16, 1, 1);
	put(&g, "Sigmoid", g.name); /* begins a chain behind it, in the arena */
	memcpy(start, g.name, sizeof(start));
	if (!depthwise_first)
		put_conv(&g, 16, 1, 1);
	put_conv(&g, 16, 3, 16);
	test_onnx_attribute_ints(g.model, "pads", 4, (int64_t[]){1, 1, 1, 1});
	put_conv(&g, 16, 1, 1);
	snprintf(inputs, sizeof(inputs), "%s,%s", g.name, start);
	put(&g, "Add", inputs);
	test_onnx_node(g.model, "Exp", g.name, "y");
	test_onnx_output(g.model, "y");
	return g.model;
}

Test(strips, replace_a_residual_only_where_nobody_reads_it_again)
{
	const struct fm_net_options by_strips = {.strips_bytes_min = 1}, by_layers = {.no_strips = true};
	float *x = noise(16 * 80 * 200, 5);

	for (int depthwise_first = 0; depthwise_first < 2; depthwise_first++) {
		struct fm_net *net = load(block(depthwise_first), &by_strips);
		float *got = run(net, x), *wanted = load_and_run(block(depthwise_first), &by_layers, x);
		size_t chains = 0;

		for (size_t s = 0; s < net->step_count; s++) {
			const struct fm_step *step = &net->steps[s];

			if (!step->layers)
				continue;
			chains++;
			cr_expect_eq(
			        net->slots[step->outputs[0]].offset == net->slots[step->inputs[0]].offset,
			        !depthwise_first);
		}
		cr_expect_eq(chains, 1u);
		cr_expect_arr_eq(got, wanted, 16 * 80 * 200 * sizeof(*got));
		fm_net_free(net);
		free(got);
		free(wanted);
	}
	free(x);
}

Test(strips, are_timed_layer_by_layer)
{
	const struct fm_net_options by_strips = {.strips_bytes_min = 1};
	struct fm_net *net = load(block(false), &by_strips);
	struct fm_session *session = NULL;
	uint64_t *ns = calloc(fm_net_layer_count(net), sizeof(*ns));
	float *x = noise(16 * 80 * 200, 5);

	cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
	fm_session_run_timed(session, (const float *const[]){x}, (float *const[]){NULL}, ns);
	for (size_t l = 0; l < fm_net_layer_count(net); l++)
		cr_expect_gt(ns[l], 0u, "%s took no time", fm_net_layer(net, l)->name);
	fm_session_free(session);
	fm_net_free(net);
	free(ns);
	free(x);
}
