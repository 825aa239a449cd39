/* Manifests with networks: small ones made here, in a directory of the test's own. */
#include "lib/face/model.h"

#include "lib/base/file.h"
#include "tests/support/onnx_builder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/banned.h"

static char directory[64], network[96], manifest[96];
static char digest[FM_SHA256_HEX];

/* 1 x 3 x 8 x 8 in, a flat 192 out. */
static void write_network(void)
{
	struct test_onnx *onnx = test_onnx_new(13);
	struct fm_error err = {0};
	size_t length;

	test_onnx_input(onnx, "in", 4, (int64_t[]){1, 3, 8, 8});
	test_onnx_node(onnx, "Relu", "in", "positive");
	test_onnx_node(onnx, "Flatten", "positive", "out");
	test_onnx_output(onnx, "out");
	uint8_t *bytes = test_onnx_take(onnx, &length);
	fm_sha256_hex(bytes, length, digest);
	cr_assert_eq(fm_file_write(network, bytes, length, 0644, &err), FM_OK, "%s", err.message);
	free(bytes);
}

static void setup(void)
{
	snprintf(directory, sizeof(directory), "/tmp/fm-model-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	snprintf(network, sizeof(network), "%s/tiny.onnx", directory);
	snprintf(manifest, sizeof(manifest), "%s/tiny.conf", directory);
	write_network();
}

static void teardown(void)
{
	unlink(network);
	unlink(manifest);
	rmdir(directory);
}

TestSuite(model, .init = setup, .fini = teardown);

struct say {
	const char *sha256, *license, *color, *mean, *flip;
	int width_px, dim;
	enum fm_precision precision;
};
static struct say usual(void)
{
	return (struct say){digest, "MIT", "rgb", "127", "no", 8, 192, FM_INT8};
}

static enum fm_status load(const struct say *say, struct fm_model **ret_model, struct fm_error *err)
{
	char text[1024];
	int length = snprintf(text, sizeof(text),
	        "[model]\nname = tiny\nrole = embedding\nfile = tiny.onnx\nsha256 = %s\nlicense = %s\n"
	        "source = here\n[input]\nwidth_px = %d\nheight_px = 8\ncolor = %s\nmean = %s\nscale = 1\n"
	        "[embedding]\ntemplate = arcface112\ndim = %d\nflip = %s\n",
	        say->sha256, say->license, say->width_px, say->color, say->mean, say->dim, say->flip);

	cr_assert_eq(fm_file_write(manifest, text, (size_t)length, 0644, err), FM_OK, "%s", err->message);
	return fm_model_load(manifest, directory, say->precision, ret_model, err);
}

static void fingerprint(const struct say *say, char ret_fingerprint[96])
{
	struct fm_error err = {0};
	struct fm_model *model = NULL;

	cr_assert_eq(load(say, &model, &err), FM_OK, "%s", err.message);
	memcpy(ret_fingerprint, model->fingerprint, 96);
	fm_model_free(model);
}

static void refused(const struct say *say, enum fm_status status, const char *says)
{
	struct fm_error err = {0};
	struct fm_model *model = NULL;

	cr_expect_eq(load(say, &model, &err), status, "%s", err.message);
	cr_expect_null(model);
	cr_expect_not_null(strstr(err.message, says), "\"%s\" is not in \"%s\"", says, err.message);
	cr_expect_not_null(strstr(err.message, "tiny.conf"), "%s", err.message);
}

Test(model, loads_with_its_network)
{
	struct fm_error err = {0};
	struct fm_model *model = NULL;
	struct say say = usual();

	cr_assert_eq(load(&say, &model, &err), FM_OK, "%s", err.message);
	cr_expect_str_eq(model->name, "tiny");
	cr_expect_eq(model->dim, 192);
	cr_expect_eq(model->calibration.count, 0);
	cr_expect_eq(fm_net_precision(model->net), FM_INT8);
	cr_expect_eq(strncmp(model->fingerprint, "tiny@", 5), 0);
	cr_expect_eq(strspn(model->fingerprint + 5, "0123456789abcdef"), 16);
	cr_expect_eq(strlen(model->fingerprint), 5 + 16);
	fm_model_free(model);
}

Test(model, fingerprint_follows_all_that_changes_the_output)
{
	struct say say = usual();
	char first[96], other[96];

	fingerprint(&say, first);
	fingerprint(&say, other);
	cr_expect_str_eq(first, other);
	say.license = "other words";
	fingerprint(&say, other);
	cr_expect_str_eq(first, other, "the licence changes no output");

	say = usual();
	say.precision = FM_FLOAT32;
	fingerprint(&say, other);
	cr_expect_str_neq(first, other, "precision");
	say = usual();
	say.color = "bgr";
	fingerprint(&say, other);
	cr_expect_str_neq(first, other, "colour order");
	say = usual();
	say.mean = "127.5";
	fingerprint(&say, other);
	cr_expect_str_neq(first, other, "mean");
	say = usual();
	say.flip = "yes";
	fingerprint(&say, other);
	cr_expect_str_neq(first, other, "mirrored");
}

Test(model, refuses_a_file_that_is_not_the_one_described)
{
	struct say say = usual();

	say.sha256 = "0000000000000000000000000000000000000000000000000000000000000000";
	refused(&say, FM_E_CORRUPT, "sha256");
}

Test(model, refuses_what_is_not_there)
{
	struct fm_error err = {0};
	struct fm_model *model = NULL;
	struct say say = usual();

	cr_expect_eq(fm_model_load("/nowhere/x.conf", directory, FM_INT8, &model, &err), FM_E_NOT_FOUND);
	cr_expect_not_null(strstr(err.message, "/nowhere/x.conf"), "%s", err.message);
	unlink(network);
	refused(&say, FM_E_NOT_FOUND, "tiny.onnx");
}

Test(model, refuses_a_network_of_another_shape)
{
	struct say say = usual();

	say.dim = 128;
	refused(&say, FM_E_INVALID, "one output of 128 numbers");
	say = usual();
	say.color = "gray";
	refused(&say, FM_E_INVALID, "1 x 1 x 8 x 8");
	say = usual();
	say.width_px = 16;
	refused(&say, FM_E_INVALID, "fixed at a width of 8");
}

Test(model, names_the_line_of_an_unknown_key)
{
	static const char text[] = "[model]\nname = tiny\nthreshold = 0.3\n";
	struct fm_error err = {0};
	struct fm_model *model = NULL;

	cr_assert_eq(fm_file_write(manifest, text, sizeof(text) - 1, 0644, &err), FM_OK);
	cr_expect_eq(fm_model_load(manifest, directory, FM_INT8, &model, &err), FM_E_INVALID);
	cr_expect_not_null(
	        strstr(err.message, "tiny.conf: line 3: unknown key \"threshold\""), "%s", err.message);
}
