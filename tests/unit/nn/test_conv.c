/* Convolution in every form against seven loops in double. */
#include "tests/unit/nn/net_fixture.h"

struct shape {
	int64_t channels, h, w, out, groups, kernel[2], stride[2], dilation[2], pads[4];
	const char *auto_pad;
};

static const struct shape shapes[] = {
        {.channels = 3, .h = 9, .w = 11, .out = 8, .kernel = {3, 3}, .stride = {2, 2}, .pads = {1, 1, 1, 1}},
        {.channels = 16, .h = 7, .w = 5, .out = 24, .kernel = {1, 1}},
        {.channels = 17, .h = 3, .w = 3, .out = 5, .kernel = {1, 1}},
        {.channels = 8, .h = 8, .w = 8, .out = 12, .kernel = {1, 1}, .stride = {2, 2}},
        {.channels = 4, .h = 6, .w = 6, .out = 4, .kernel = {1, 1}, .pads = {1, 1, 0, 0}},
        {.channels = 8,
                .h = 12,
                .w = 10,
                .out = 16,
                .kernel = {3, 3},
                .dilation = {2, 3},
                .pads = {2, 3, 2, 3}},
        {.channels = 5, .h = 8, .w = 9, .out = 7, .kernel = {3, 2}, .stride = {1, 2}, .pads = {0, 1, 2, 0}},
        {.channels = 24, .h = 9, .w = 9, .out = 24, .groups = 24, .kernel = {3, 3}, .pads = {1, 1, 1, 1}},
        {.channels = 19,
                .h = 8,
                .w = 6,
                .out = 19,
                .groups = 19,
                .kernel = {3, 3},
                .stride = {2, 2},
                .pads = {1, 1, 1, 1}},
        {.channels = 6, .h = 4, .w = 4, .out = 6, .groups = 6, .kernel = {4, 4}},
        {.channels = 6,
                .h = 9,
                .w = 9,
                .out = 6,
                .groups = 6,
                .kernel = {3, 3},
                .dilation = {2, 2},
                .pads = {2, 0, 2, 1}},
        {.channels = 12, .h = 7, .w = 7, .out = 8, .groups = 4, .kernel = {3, 3}, .pads = {1, 1, 1, 1}},
        {.channels = 4, .h = 6, .w = 6, .out = 8, .groups = 4, .kernel = {3, 3}, .pads = {1, 1, 1, 1}},
        {.channels = 8, .h = 6, .w = 6, .out = 8, .groups = 2, .kernel = {1, 1}},
        {.channels = 3,
                .h = 11,
                .w = 12,
                .out = 4,
                .kernel = {3, 3},
                .stride = {2, 3},
                .auto_pad = "SAME_UPPER"},
        {.channels = 3,
                .h = 11,
                .w = 12,
                .out = 4,
                .kernel = {4, 3},
                .stride = {2, 2},
                .auto_pad = "SAME_LOWER"},
        {.channels = 3, .h = 7, .w = 7, .out = 4, .kernel = {3, 3}, .auto_pad = "VALID"},
        {.channels = 4, .h = 3, .w = 2, .out = 5, .kernel = {3, 3}, .pads = {1, 1, 1, 1}},
        {.channels = 2, .h = 5, .w = 1, .out = 3, .kernel = {3, 3}, .stride = {1, 3}, .pads = {2, 4, 0, 3}},
        {.channels = 3,
                .h = 9,
                .w = 12,
                .out = 6,
                .kernel = {3, 3},
                .dilation = {2, 2},
                .pads = {2, 2, 2, 2}},
        {.channels = 1, .h = 13, .w = 17, .out = 6, .kernel = {3, 3}, .stride = {2, 2}, .pads = {0, 0, 1, 1}},
        {.channels = 5, .h = 4, .w = 3, .out = 3, .kernel = {3, 3}, .dilation = {3, 3}, .pads = {3, 3, 3, 3}},
        {.channels = 2, .h = 40, .w = 40, .out = 3, .kernel = {5, 5}, .pads = {2, 2, 2, 2}},
        /* Output rows that fill a vector: patches come as columns. */
        {.channels = 3,
                .h = 15,
                .w = 70,
                .out = 16,
                .kernel = {3, 3},
                .stride = {2, 2},
                .pads = {1, 1, 1, 1}},
        {.channels = 3, .h = 7, .w = 61, .out = 5, .kernel = {3, 3}, .stride = {2, 3}, .pads = {0, 2, 1, 0}},
        {.channels = 8,
                .h = 30,
                .w = 40,
                .out = 16,
                .kernel = {3, 3},
                .dilation = {5, 5},
                .pads = {5, 5, 5, 5}},
        {.channels = 13, .h = 9, .w = 33, .out = 20, .kernel = {3, 3}, .pads = {1, 1, 1, 1}},
        {.channels = 6, .h = 5, .w = 40, .out = 7, .kernel = {2, 4}, .stride = {1, 2}, .pads = {0, 1, 1, 2}},
};

static int64_t one_if_zero(int64_t v)
{
	return v ? v : 1;
}

/* ONNX's text for Conv, read literally. */
static float *naive(
        const struct shape *s, const float *x, const float *w, const float *bias, size_t *ret_count)
{
	int64_t groups = one_if_zero(s->groups), in_group = s->channels / groups, out[2], top[2];
	const int64_t in[2] = {s->h, s->w};

	for (int i = 0; i < 2; i++) {
		int64_t stride = one_if_zero(s->stride[i]);
		int64_t reach = (s->kernel[i] - 1) * one_if_zero(s->dilation[i]) + 1;
		int64_t before = s->pads[i], after = s->pads[i + 2];

		if (s->auto_pad && strncmp(s->auto_pad, "SAME", 4) == 0) {
			int64_t total = ((in[i] + stride - 1) / stride - 1) * stride + reach - in[i];

			total = total > 0 ? total : 0;
			before = s->auto_pad[5] == 'U' ? total / 2 : (total + 1) / 2;
			after = total - before;
		}
		out[i] = (in[i] + before + after - reach) / stride + 1;
		top[i] = before;
	}
	*ret_count = (size_t)(s->out * out[0] * out[1]);
	float *y = calloc(*ret_count, sizeof(*y));
	for (int64_t o = 0; o < s->out; o++)
		for (int64_t oy = 0; oy < out[0]; oy++)
			for (int64_t ox = 0; ox < out[1]; ox++) {
				double sum = bias[o];

				for (int64_t c = 0; c < in_group; c++)
					for (int64_t ky = 0; ky < s->kernel[0]; ky++)
						for (int64_t kx = 0; kx < s->kernel[1]; kx++) {
							int64_t iy = oy * one_if_zero(s->stride[0]) - top[0] +
							             ky * one_if_zero(s->dilation[0]);
							int64_t ix = ox * one_if_zero(s->stride[1]) - top[1] +
							             kx * one_if_zero(s->dilation[1]);
							int64_t ic = o / (s->out / groups) * in_group + c;

							if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w)
								continue;
							sum += (double)x[(ic * s->h + iy) * s->w + ix] *
							       w[((o * in_group + c) * s->kernel[0] + ky) *
							                       s->kernel[1] +
							               kx];
						}
				y[(o * out[0] + oy) * out[1] + ox] = (float)sum;
			}
	return y;
}

static struct test_onnx *build(const struct shape *s, const float *w, const float *bias)
{
	struct test_onnx *m = test_onnx_new(11);

	test_onnx_input(m, "x", 4, (int64_t[]){-1, s->channels, s->h, s->w});
	test_onnx_floats(m, "w", 4,
	        (int64_t[]){s->out, s->channels / one_if_zero(s->groups), s->kernel[0], s->kernel[1]}, w);
	test_onnx_floats(m, "b", 1, &s->out, bias);
	test_onnx_node(m, "Conv", "x,w,b", "y");
	if (s->groups)
		test_onnx_attribute_int(m, "group", s->groups);
	if (s->stride[0])
		test_onnx_attribute_ints(m, "strides", 2, s->stride);
	if (s->dilation[0])
		test_onnx_attribute_ints(m, "dilations", 2, s->dilation);
	if (s->auto_pad)
		test_onnx_attribute_string(m, "auto_pad", s->auto_pad);
	else
		test_onnx_attribute_ints(m, "pads", 4, s->pads);
	test_onnx_output(m, "y");
	return m;
}

static void against_naive(const struct fm_net_options *options, double worst_relative, double least_cosine)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = &shapes[i];
		size_t weights =
		        (size_t)(s->out * s->channels / one_if_zero(s->groups) * s->kernel[0] * s->kernel[1]);
		float *x = noise((size_t)(s->channels * s->h * s->w), 1), *w = noise(weights, 2);
		float *bias = noise((size_t)s->out, 3);
		size_t count;
		float *wanted = naive(s, x, w, bias, &count);
		struct fm_net *net = load(build(s, w, bias), options);

		cr_assert_eq(fm_net_output(net, 0)->elements, count, "shape %zu", i);
		float *got = run(net, x);
		cr_expect_lt(relative_error(got, wanted, count), worst_relative, "shape %zu: %g", i,
		        relative_error(got, wanted, count));
		cr_expect_gt(cosine(got, wanted, count), least_cosine, "shape %zu: %g", i,
		        cosine(got, wanted, count));
		uint64_t macs = 0;
		for (size_t l = 0; l < fm_net_layer_count(net); l++)
			macs += fm_net_layer(net, l)->macs;
		cr_expect_eq(macs, count * weights / (size_t)s->out, "shape %zu", i);
		fm_net_free(net);
		free(got);
		free(wanted);
		free(bias);
		free(w);
		free(x);
	}
}

Test(conv, float32_equals_the_definition)
{
	against_naive(&float32, 2e-6, 0.9999999);
}

Test(conv, int8_stays_close_to_the_definition)
{
	against_naive(&int8, 0.05, 0.9995);
}

/* The image's codes are gathered where something is added to the sums, and multiplied where they lie if not.
 */
Test(conv, int8_adds_to_sums_over_an_image)
{
	const struct shape s = {
	        .channels = 3, .h = 21, .w = 45, .out = 20, .kernel = {3, 3}, .pads = {1, 1, 1, 1}};
	float *x = noise((size_t)(s.channels * s.h * s.w), 1), *bias = noise((size_t)s.out, 3);
	float *w = noise((size_t)(s.out * s.channels * 9), 2),
	      *v = noise((size_t)(s.out * s.channels * 9), 4);
	struct test_onnx *m = build(&s, w, bias);
	size_t count;
	float *wanted = naive(&s, x, w, bias, &count), *added = naive(&s, x, v, bias, &count);

	test_onnx_floats(m, "v", 4, (int64_t[]){s.out, s.channels, 3, 3}, v);
	test_onnx_node(m, "Conv", "x,v,b", "other");
	test_onnx_attribute_ints(m, "pads", 4, s.pads);
	test_onnx_node(m, "Add", "y,other", "sum");
	test_onnx_node(m, "Relu", "sum", "rectified");
	test_onnx_output(m, "rectified");
	for (size_t i = 0; i < count; i++)
		wanted[i] = fmaxf(wanted[i] + added[i], 0);
	struct fm_net *net = load(m, &int8);
	float *plain = calloc(count, sizeof(*plain)), *got = calloc(count, sizeof(*got));
	struct fm_session *session = NULL;

	cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
	fm_session_run(session, (const float *const[]){x}, (float *const[]){plain, got});
	cr_expect_lt(relative_error(got, wanted, count), 0.05, "%g", relative_error(got, wanted, count));
	cr_expect_gt(cosine(got, wanted, count), 0.9995, "%g", cosine(got, wanted, count));
	fm_session_free(session);
	fm_net_free(net);
	free(x);
	free(w);
	free(v);
	free(bias);
	free(wanted);
	free(added);
	free(plain);
	free(got);
}

Test(conv, refuses_what_does_not_fit)
{
	static const float w[2 * 3 * 3 * 3] = {0};
	static const struct {
		int64_t channels, h, stride, group, pad, dilation;
		enum fm_status status;
	} cases[] = {
	        {4, 8, 1, 1, 0, 1, FM_E_CORRUPT},      /* channels */
	        {3, 2, 1, 1, 0, 1, FM_E_CORRUPT},      /* kernel larger than the image */
	        {3, 8, 0, 1, 0, 1, FM_E_UNSUPPORTED},  /* stride 0 */
	        {3, 8, 1, 0, 0, 1, FM_E_CORRUPT},      /* no groups */
	        {3, 8, 1, -1, 0, 1, FM_E_CORRUPT},     /* minus one group */
	        {3, 8, 1, 2, 0, 1, FM_E_CORRUPT},      /* 3 channels in 2 groups */
	        {3, 8, 1, 1, -1, 1, FM_E_UNSUPPORTED}, /* negative pad */
	        {3, 8, 1, 1, 1 << 20, 1, FM_E_UNSUPPORTED} /* pad without bound */,
	        {3, 8, 1, 1, 0, INT64_MAX, FM_E_UNSUPPORTED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct test_onnx *m = test_onnx_new(9);
		int64_t p = cases[i].pad, s = cases[i].stride, d = cases[i].dilation;

		test_onnx_input(m, "x", 4, (int64_t[]){1, cases[i].channels, cases[i].h, cases[i].h});
		test_onnx_floats(m, "w", 4, (int64_t[]){2, 3, 3, 3}, w);
		test_onnx_node(m, "Conv", "x,w", "the_conv");
		test_onnx_attribute_int(m, "group", cases[i].group);
		test_onnx_attribute_ints(m, "strides", 2, (int64_t[]){s, s});
		test_onnx_attribute_ints(m, "pads", 4, (int64_t[]){p, p, p, p});
		test_onnx_attribute_ints(m, "dilations", 2, (int64_t[]){d, d});
		test_onnx_output(m, "the_conv");
		refused(m, cases[i].status, "Conv", "the_conv");
	}
}

Test(conv, refuses_weights_that_are_not_numbers)
{
	float w[4] = {1.0f, NAN, 2.0f, 3.0f};

	for (int i = 0; i < 2; i++) {
		struct test_onnx *m = test_onnx_new(9);

		test_onnx_input(m, "x", 4, (int64_t[]){1, 2, 4, 4});
		test_onnx_floats(m, "w", 4, (int64_t[]){2, 2, 1, 1}, w);
		test_onnx_node(m, "Conv", "x,w", "y");
		test_onnx_output(m, "y");
		refused(m, FM_E_UNSUPPORTED, "Conv", "not a number");
		w[1] = INFINITY;
	}
}

Test(conv, denormal_weights_count_as_zero)
{
	const float w[2] = {1e-40f, 1.0f}, x[2] = {1e38f, 0.0f};
	struct test_onnx *m = test_onnx_new(9);

	test_onnx_input(m, "x", 4, (int64_t[]){1, 2, 1, 1});
	test_onnx_floats(m, "w", 4, (int64_t[]){1, 2, 1, 1}, w);
	test_onnx_node(m, "Conv", "x,w", "y");
	test_onnx_output(m, "y");
	float *y = load_and_run(m, &float32, x);
	cr_expect_eq(y[0], 0.0f, "%g", y[0]);
	free(y);
}
