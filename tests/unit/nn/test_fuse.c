/* Fusion changes the steps, not the numbers. */
#include "tests/unit/nn/net_fixture.h"

struct tail {
	const char *const *nodes; /* op, inputs, output; NULL ends */
	size_t layers;            /* that remain when fused, conversions not counted */
};

/* x -> Conv c (3 -> 4, 3x3) -> the nodes given -> y; another convolution d of x for residuals. */
static struct test_onnx *build(const char *const *nodes)
{
	const int64_t four = 4;
	float *w = noise(4 * 3 * 9, 1), *w2 = noise(4 * 3 * 9, 2), *p = noise(32, 3);
	struct test_onnx *m = test_onnx_new(11);

	test_onnx_input(m, "x", 4, (int64_t[]){1, 3, 6, 5});
	test_onnx_floats(m, "w", 4, (int64_t[]){4, 3, 3, 3}, w);
	test_onnx_floats(m, "w2", 4, (int64_t[]){4, 3, 3, 3}, w2);
	test_onnx_floats(m, "b", 1, &four, p);
	test_onnx_floats(m, "gamma", 1, &four, p + 4);
	test_onnx_floats(m, "beta", 1, &four, p + 8);
	test_onnx_floats(m, "mean", 1, &four, p + 12);
	test_onnx_floats(m, "var", 1, &four, (float[]){0.5f, 1, 2, 3});
	test_onnx_floats(m, "slope", 3, (int64_t[]){4, 1, 1}, p + 16);
	test_onnx_floats(m, "scale", 4, (int64_t[]){1, 4, 1, 1}, p + 20);
	test_onnx_floats(m, "wide", 4, (int64_t[]){1, 1, 4, 3}, p + 20);
	test_onnx_floats(m, "one", 0, NULL, &(float){1});
	test_onnx_floats(m, "low", 0, NULL, &(float){0});
	test_onnx_floats(m, "six", 0, NULL, &(float){0.6f});
	test_onnx_node(m, "Conv", "x,w,b", "c");
	test_onnx_node(m, "Conv", "x,w2", "d");
	for (; *nodes; nodes += 3)
		test_onnx_node(m, nodes[0], nodes[1], nodes[2]);
	test_onnx_output(m, "y");
	free(p);
	free(w2);
	free(w);
	return m;
}

static size_t computing_layers(const struct fm_net *net)
{
	size_t count = 0;

	for (size_t i = 0; i < fm_net_layer_count(net); i++)
		count += strcmp(fm_net_layer(net, i)->op, "layout") != 0;
	return count;
}

Test(fuse, gives_the_same_numbers_with_fewer_steps)
{
	static const char *const relu[] = {"Relu", "c", "y", NULL};
	static const char *const prelu[] = {"PRelu", "c,slope", "y", NULL};
	static const char *const clip[] = {"Clip", "c,low,six", "y", NULL};
	static const char *const normalized[] = {
	        "BatchNormalization", "c,gamma,beta,mean,var", "n", "Relu", "n", "y", NULL};
	static const char *const scaled[] = {
	        "Mul", "c,scale", "s", "Add", "slope,s", "t", "Mul", "t,one", "y", NULL};
	static const char *const residual[] = {"Add", "c,d", "s", "PRelu", "s,slope", "y", NULL};
	static const char *const everything[] = {"BatchNormalization", "d,gamma,beta,mean,var", "n", "Mul",
	        "one,c", "e", "Add", "n,e", "s", "Relu", "s", "y", NULL};
	/* Not fusable: the sum is used twice; a residual after an activation; a constant that is no
	 * channel's. */
	static const char *const shared[] = {"Relu", "c", "r", "Add", "c,r", "y", NULL};
	static const char *const late[] = {"Relu", "c", "r", "Relu", "d", "q", "Add", "r,q", "y", NULL};
	static const char *const affine_late[] = {"Relu", "c", "r", "Mul", "r,scale", "y", NULL};
	static const char *const twice[] = {"Add", "c,c", "y", NULL};
	const struct tail tails[] = {{relu, 1}, {prelu, 1}, {clip, 1}, {normalized, 1}, {scaled, 1},
	        {residual, 2}, {everything, 2}, {shared, 3}, {late, 3}, {affine_late, 2}, {twice, 2}};
	float *x = noise(90, 9);

	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		struct fm_net *net = load(build(tails[i].nodes), &float32);
		float *fused = run(net, x), *plain = load_and_run(build(tails[i].nodes), &unfused, x);

		cr_expect_eq(computing_layers(net), tails[i].layers, "case %zu has %zu layers", i,
		        computing_layers(net));
		cr_expect_lt(relative_error(fused, plain, fm_net_output(net, 0)->elements), 1e-6,
		        "case %zu: %g", i, relative_error(fused, plain, fm_net_output(net, 0)->elements));
		fm_net_free(net);
		free(fused);
		free(plain);
	}
	free(x);
}

Test(fuse, works_for_matrices)
{
	const int64_t five = 5;
	float *w = noise(40, 1), *p = noise(25, 2), *x = noise(16, 3), *results[2];

	for (int i = 0; i < 2; i++) {
		struct test_onnx *m = test_onnx_new(11);

		test_onnx_input(m, "x", 2, (int64_t[]){2, 8});
		test_onnx_floats(m, "w", 2, (int64_t[]){8, 5}, w);
		test_onnx_floats(m, "bias", 1, &five, p);
		test_onnx_floats(m, "gamma", 1, &five, p + 5);
		test_onnx_floats(m, "beta", 1, &five, p + 10);
		test_onnx_floats(m, "mean", 1, &five, p + 15);
		test_onnx_floats(m, "var", 1, &five, (float[]){1, 2, 3, 4, 5});
		test_onnx_node(m, "MatMul", "x,w", "p");
		test_onnx_node(m, "Add", "p,bias", "q");
		test_onnx_node(m, "BatchNormalization", "q,gamma,beta,mean,var", "n");
		test_onnx_node(m, "PRelu", "n,bias", "y");
		test_onnx_output(m, "y");
		struct fm_net *net = load(m, i ? &float32 : &unfused);
		cr_expect_eq(fm_net_layer_count(net), i ? 1u : 4u);
		results[i] = run(net, x);
		fm_net_free(net);
	}
	cr_expect_lt(relative_error(results[1], results[0], 10), 1e-6);
	free(results[0]);
	free(results[1]);
	free(x);
	free(p);
	free(w);
}

Test(fuse, keeps_what_the_network_gives_out)
{
	/* c itself is an output: its Relu must not swallow it. */
	static const char *const nodes[] = {"Relu", "c", "y", NULL};
	struct test_onnx *m = build(nodes);
	float *x = noise(90, 9), *outputs[2];
	struct fm_session *session;

	test_onnx_output(m, "c");
	struct fm_net *net = load(m, &float32);
	cr_assert_eq(fm_net_output_count(net), 2u);
	cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
	for (int i = 0; i < 2; i++)
		outputs[i] = calloc(120, sizeof(float));
	fm_session_run(session, (const float *const[]){x}, outputs);
	size_t negative = 0;
	for (size_t i = 0; i < 120; i++) {
		cr_expect_eq(outputs[0][i], outputs[1][i] > 0 ? outputs[1][i] : 0);
		negative += outputs[1][i] < 0;
	}
	cr_expect_gt(negative, 10u);
	/* An output that is not wanted is left alone. */
	outputs[0][0] = 77;
	fm_session_run(session, (const float *const[]){x}, (float *const[]){NULL, outputs[1]});
	cr_expect_eq(outputs[0][0], 77);
	fm_session_free(session);
	fm_net_free(net);
	free(outputs[0]);
	free(outputs[1]);
	free(x);
}

/* Three heads of an image of 5 channels, with 1, 4 and 2 channels, then y of all three. */
static struct test_onnx *heads(bool one_after_the_other)
{
	static const size_t channels[3] = {1, 4, 2};
	static const char *const ending[3] = {"0", "1", "2"};
	struct test_onnx *m = test_onnx_new(11);
	char inputs[32], output[8];

	test_onnx_input(m, "x", 4, (int64_t[]){1, 5, 6, 7});
	for (size_t i = 0; i < 3; i++) {
		const int64_t n = (int64_t)channels[i];
		float *w = noise(100, (unsigned)i + 1);

		test_onnx_floats(m, (char[]){'w', ending[i][0], 0}, 4, (int64_t[]){n, 5, 1, 1}, w);
		test_onnx_floats(m, (char[]){'b', ending[i][0], 0}, 1, &n, w + 20);
		test_onnx_floats(m, (char[]){'d', ending[i][0], 0}, 4, (int64_t[]){n, 1, 3, 3}, w + 30);
		test_onnx_floats(m, (char[]){'e', ending[i][0], 0}, 1, &n, w + 80);
		free(w);
	}
	for (size_t i = 0; i < 6; i++) {
		/* All six convolutions and then what reads them, or head by head. */
		const size_t head = i % 3, step = i / 3;
		const char c = ending[head][0];

		for (size_t s = one_after_the_other ? 0 : step; s <= (one_after_the_other ? 2 : step); s++) {
			if (one_after_the_other && step)
				break;
			if (s == 0) {
				snprintf(inputs, sizeof(inputs), "x,w%c,b%c", c, c);
				snprintf(output, sizeof(output), "p%c", c);
				test_onnx_node(m, "Conv", inputs, output);
			} else if (s == 1) {
				snprintf(inputs, sizeof(inputs), "p%c,d%c,e%c", c, c, c);
				snprintf(output, sizeof(output), "q%c", c);
				test_onnx_node(m, "Conv", inputs, output);
				test_onnx_attribute_int(m, "group", (int64_t)channels[head]);
				test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){1, 1, 1, 1});
			} else {
				test_onnx_node(m, "Sigmoid", (char[]){'q', c, 0}, (char[]){'s', c, 0});
			}
		}
	}
	for (size_t i = 0; i < 3 && !one_after_the_other; i++)
		test_onnx_node(m, "Sigmoid", (char[]){'q', ending[i][0], 0}, (char[]){'s', ending[i][0], 0});
	test_onnx_node(m, "Concat", "s0,s1,s2", "y");
	test_onnx_attribute_int(m, "axis", 1);
	test_onnx_output(m, "y");
	return m;
}

/* In int8 too: a row's range does not depend on how many products follow. */
Test(fuse, heads_of_one_image_become_one)
{
	float *x = noise(210, 9);

	for (int precision = FM_FLOAT32; precision <= FM_INT8; precision++) {
		const struct fm_net_options apart = {.precision = precision, .no_fusion = true};
		const struct fm_net_options joined = {.precision = precision};
		float *plain = load_and_run(heads(false), &apart, x);

		for (int i = 0; i < 2; i++) {
			/* Head by head, the first is read before the third's convolutions. */
			struct fm_net *net = load(heads(i == 1), &joined);
			float *together = run(net, x);

			cr_expect_eq(
			        computing_layers(net), i ? 10u : 7u, "%zu layers", computing_layers(net));
			cr_expect_eq(
			        memcmp(together, plain, fm_net_output(net, 0)->elements * sizeof(*plain)), 0);
			fm_net_free(net);
			free(together);
		}
		free(plain);
	}
	free(x);
}

/*
 * Three branches of an image of 5 channels, each with a 3 x 3 convolution that stands before the next branch,
 * and y of all three.
 */
static struct test_onnx *branches(void)
{
	static const char *const ending[3] = {"0", "1", "2"};
	struct test_onnx *m = test_onnx_new(11);
	char inputs[32];

	test_onnx_input(m, "x", 4, (int64_t[]){1, 5, 6, 7});
	for (size_t i = 0; i < 3; i++) {
		const int64_t n = (int64_t)i + 2, two = 2;
		const char c = ending[i][0];
		float *w = noise(200, (unsigned)i + 1);

		test_onnx_floats(m, (char[]){'w', c, 0}, 4, (int64_t[]){n, 5, 1, 1}, w);
		test_onnx_floats(m, (char[]){'b', c, 0}, 1, &n, w + 30);
		test_onnx_floats(m, (char[]){'d', c, 0}, 4, (int64_t[]){2, n, 3, 3}, w + 40);
		test_onnx_floats(m, (char[]){'e', c, 0}, 1, &two, w + 150);
		snprintf(inputs, sizeof(inputs), "x,w%c,b%c", c, c);
		test_onnx_node(m, "Conv", inputs, (char[]){'p', c, 0});
		snprintf(inputs, sizeof(inputs), "p%c,d%c,e%c", c, c, c);
		test_onnx_node(m, "Conv", inputs, (char[]){'q', c, 0});
		test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){1, 1, 1, 1});
		test_onnx_node(m, "Relu", (char[]){'q', c, 0}, (char[]){'s', c, 0});
		free(w);
	}
	test_onnx_node(m, "Concat", "s0,s1,s2", "y");
	test_onnx_attribute_int(m, "axis", 1);
	test_onnx_output(m, "y");
	return m;
}

Test(fuse, branches_of_one_image_begin_as_one)
{
	float *x = noise(210, 9);

	for (int precision = FM_FLOAT32; precision <= FM_INT8; precision++) {
		const struct fm_net_options apart = {.precision = precision, .no_fusion = true};
		struct fm_net *net = load(branches(), &(struct fm_net_options){.precision = precision});
		float *plain = load_and_run(branches(), &apart, x), *together = run(net, x);

		cr_expect_eq(computing_layers(net), 6u, "%zu layers", computing_layers(net));
		cr_expect_eq(memcmp(together, plain, fm_net_output(net, 0)->elements * sizeof(*plain)), 0);
		fm_net_free(net);
		free(together);
		free(plain);
	}
	free(x);
}

#define BOXES 259 /* two blocks of boxes, and three */

/* A detector's decoding of boxes [1][count][4]; `divisor` is 2 in real ones. */
static struct test_onnx *boxes(int64_t count, bool two_sizes, float divisor)
{
	struct test_onnx *m = test_onnx_new(13);
	float *priors = noise(6 * BOXES, 4);

	test_onnx_input(m, "x", 3, (int64_t[]){1, count, 4});
	test_onnx_floats(m, "centres", 3, (int64_t[]){1, count, 2}, priors);
	test_onnx_floats(m, "spans", 2, (int64_t[]){count, 2}, priors + 2 * BOXES);
	test_onnx_floats(m, "sizes", 2, (int64_t[]){count, 2}, priors + (two_sizes ? 4 : 2) * BOXES);
	test_onnx_floats(m, "tenth", 0, NULL, &(float){0.1f});
	test_onnx_floats(m, "fifth", 0, NULL, &(float){0.2f});
	test_onnx_floats(m, "divisor", 0, NULL, &divisor);
	test_onnx_ints(m, "from", 1, &(int64_t){0});
	test_onnx_ints(m, "half", 1, &(int64_t){2});
	test_onnx_ints(m, "to", 1, &(int64_t){INT64_MAX});
	test_onnx_ints(m, "axis", 1, &(int64_t){2});
	test_onnx_node(m, "Slice", "x,from,half,axis", "a0");
	test_onnx_node(m, "Mul", "a0,tenth", "a1");
	test_onnx_node(m, "Mul", "a1,spans", "a2");
	test_onnx_node(m, "Add", "centres,a2", "a3");
	test_onnx_node(m, "Slice", "x,half,to,axis", "b0");
	test_onnx_node(m, "Mul", "b0,fifth", "b1");
	test_onnx_node(m, "Exp", "b1", "b2");
	test_onnx_node(m, "Mul", "sizes,b2", "b3");
	test_onnx_node(m, "Concat", "a3,b3", "c");
	test_onnx_attribute_int(m, "axis", 2);
	test_onnx_node(m, "Slice", "c,from,half,axis", "d0");
	test_onnx_node(m, "Slice", "c,half,to,axis", "d1");
	test_onnx_node(m, "Div", "d1,divisor", "d2");
	test_onnx_node(m, "Sub", "d0,d2", "d3");
	test_onnx_node(m, "Slice", "c,from,half,axis", "e0");
	test_onnx_node(m, "Slice", "c,half,to,axis", "e1");
	test_onnx_node(m, "Div", "e1,divisor", "e2");
	test_onnx_node(m, "Add", "e0,e2", "e3");
	test_onnx_node(m, "Concat", "d3,e3", "y");
	test_onnx_attribute_int(m, "axis", 2);
	test_onnx_output(m, "y");
	free(priors);
	return m;
}

Test(fuse, boxes_are_decoded_in_one_pass)
{
	const struct fm_net_options apart = {.no_fusion = true}, fused = {0};
	float *x = noise(4 * BOXES, 5);

	for (int64_t count = 1; count <= BOXES; count = count < 4 ? count + 1 : count + 51)
		for (int two_sizes = 0; two_sizes < 2; two_sizes++)
			for (float divisor = 2; divisor <= 3; divisor++) {
				float *plain = load_and_run(boxes(count, two_sizes, divisor), &apart, x);
				struct fm_net *net = load(boxes(count, two_sizes, divisor), &fused);
				float *together = run(net, x);
				const bool found = count > 1 && divisor == 2;

				cr_expect_eq(computing_layers(net), found ? 1u : 18u,
				        "%zu layers of %d boxes", computing_layers(net), (int)count);
				cr_expect_eq(memcmp(together, plain, (size_t)count * 4 * sizeof(*plain)), 0,
				        "%d boxes", (int)count);
				fm_net_free(net);
				free(together);
				free(plain);
			}
	free(x);
}

struct pooled {
	int64_t channels, height, width, kernel, stride, pad;
	const char *activation;
	int64_t pool_pad;
	bool joins;
};

/* x -> depthwise Conv -> activation, if any -> MaxPool of 2 x 2 windows -> y */
static struct test_onnx *build_pooled(const struct pooled *p)
{
	struct test_onnx *m = test_onnx_new(11);
	float *w = noise((size_t)(p->channels * p->kernel * p->kernel), 4),
	      *b = noise((size_t)p->channels, 5);

	test_onnx_input(m, "x", 4, (int64_t[]){1, p->channels, p->height, p->width});
	test_onnx_floats(m, "w", 4, (int64_t[]){p->channels, 1, p->kernel, p->kernel}, w);
	test_onnx_floats(m, "b", 1, &p->channels, b);
	test_onnx_floats(m, "slope", 3, (int64_t[]){p->channels, 1, 1}, b);
	test_onnx_node(m, "Conv", "x,w,b", "c");
	test_onnx_attribute_int(m, "group", p->channels);
	test_onnx_attribute_ints(m, "strides", 2, (int64_t[]){p->stride, p->stride});
	test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){p->pad, p->pad, p->pad, p->pad});
	if (p->activation)
		test_onnx_node(m, p->activation, strcmp(p->activation, "PRelu") == 0 ? "c,slope" : "c", "a");
	test_onnx_node(m, "MaxPool", p->activation ? "a" : "c", "y");
	test_onnx_attribute_ints(m, "kernel_shape", 2, (int64_t[]){2, 2});
	test_onnx_attribute_ints(m, "strides", 2, (int64_t[]){2, 2});
	test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){p->pool_pad, p->pool_pad, 0, 0});
	test_onnx_output(m, "y");
	free(b);
	free(w);
	return m;
}

Test(fuse, depthwise_layers_pool_what_they_make)
{
	static const struct pooled cases[] = {
	        {32, 10, 12, 3, 1, 1, "Relu", 0, true},
	        {16, 2, 4, 3, 1, 1, NULL, 0, true},
	        {48, 9, 11, 3, 1, 1, "PRelu", 0, true},
	        {32, 12, 14, 3, 1, 0, NULL, 0, true},
	        {16, 8, 10, 3, 2, 1, "Relu", 0, true},
	        {16, 8, 2, 3, 1, 1, "Relu", 0, true},
	        {12, 16, 18, 5, 1, 2, "PRelu", 0, true},
	        {32, 10, 12, 3, 1, 1, "Relu", 1, false},
	};
	const struct fm_net_options by_strips = {.strips_bytes_min = 1};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct pooled *p = &cases[i];
		float *x = noise((size_t)(p->channels * p->height * p->width), 6);
		struct fm_net *net = load(build_pooled(p), &by_strips);
		float *fused = run(net, x), *plain = load_and_run(build_pooled(p), &unfused, x);

		cr_expect_eq(computing_layers(net), p->joins ? 1u : 2u, "case %zu", i);
		cr_expect_eq(strcmp(fm_net_layer(net, 0)->op, "depthwise+pool") == 0 ||
		                     strcmp(fm_net_layer(net, 1)->op, "depthwise+pool") == 0,
		        p->joins, "case %zu", i);
		cr_expect_arr_eq(
		        fused, plain, fm_net_output(net, 0)->elements * sizeof(*fused), "case %zu", i);
		fm_net_free(net);
		free(fused);
		free(plain);
		free(x);
	}
}
