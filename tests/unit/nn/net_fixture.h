/* Loading and running small networks in tests. Each test file gets its own copy. */
#ifndef FM_TESTS_UNIT_NN_NET_FIXTURE_H
#define FM_TESTS_UNIT_NN_NET_FIXTURE_H

#include "lib/nn/session.h"
#include "tests/support/onnx_builder.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIXTURE __attribute__((unused)) static

/* Loads what the builder holds; the builder is gone afterwards. */
FIXTURE enum fm_status try_load(struct test_onnx *model, const struct fm_net_options *options,
        struct fm_net **ret_net, struct fm_error *err)
{
	size_t length;
	uint8_t *bytes = test_onnx_take(model, &length);
	enum fm_status status = fm_net_load_memory(bytes, length, options, ret_net, err);

	free(bytes);
	return status;
}

FIXTURE struct fm_net *load(struct test_onnx *model, const struct fm_net_options *options)
{
	struct fm_net *net = NULL;
	struct fm_error err = {0};

	cr_assert_eq(try_load(model, options, &net, &err), FM_OK, "%s", err.message);
	return net;
}

/* Runs a network of one input and one output; the result is free()d by the caller. */
FIXTURE float *run(const struct fm_net *net, const float *input)
{
	struct fm_session *session = NULL;
	float *output = calloc(fm_net_output(net, 0)->elements, sizeof(*output));

	cr_assert_eq(fm_session_create(net, &session, NULL), FM_OK);
	fm_session_run(session, &input, &output);
	fm_session_free(session);
	return output;
}

FIXTURE float *load_and_run(struct test_onnx *model, const struct fm_net_options *options, const float *input)
{
	struct fm_net *net = load(model, options);
	float *output = run(net, input);

	fm_net_free(net);
	return output;
}

FIXTURE float *noise(size_t count, uint32_t seed)
{
	float *values = malloc((count ? count : 1) * sizeof(*values));

	test_onnx_noise(values, count, seed);
	return values;
}

/* max |a - b| / max |b| */
FIXTURE double relative_error(const float *a, const float *b, size_t count)
{
	double worst = 0, largest = 0;

	for (size_t i = 0; i < count; i++) {
		worst = fmax(worst, fabs((double)a[i] - b[i]));
		largest = fmax(largest, fabs((double)b[i]));
		if (isnan(a[i]) != isnan(b[i]))
			return INFINITY;
	}
	return largest > 0 ? worst / largest : worst;
}

FIXTURE double cosine(const float *a, const float *b, size_t count)
{
	double ab = 0, aa = 0, bb = 0;

	for (size_t i = 0; i < count; i++) {
		ab += (double)a[i] * b[i];
		aa += (double)a[i] * a[i];
		bb += (double)b[i] * b[i];
	}
	return ab / sqrt(aa * bb);
}

/* Loads must fail with this status and a message that holds each of the parts. */
FIXTURE void refused(struct test_onnx *model, enum fm_status status, const char *part, const char *other_part)
{
	struct fm_net *net = NULL;
	struct fm_error err = {0};

	cr_expect_eq(
	        try_load(model, NULL, &net, &err), status, "%s: %s", fm_status_name(err.status), err.message);
	cr_expect(strstr(err.message, part) && strstr(err.message, other_part), "%s", err.message);
	cr_expect_null(net);
	fm_net_free(net);
}

FIXTURE const struct fm_net_options float32 = {.precision = FM_FLOAT32};
FIXTURE const struct fm_net_options unfused = {.precision = FM_FLOAT32, .no_fusion = true};
FIXTURE const struct fm_net_options int8 = {.precision = FM_INT8};

#endif
