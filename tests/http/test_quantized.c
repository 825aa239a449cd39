/* The daemon on a quantized network: its file and a manifest with its checksum, and nothing else. */
#include "lib/base/file.h"
#include "lib/base/sha256.h"
#include "lib/base/size.h"
#include "lib/onnx/quantize.h"
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)16 << 20)
#define MEMORY         ((size_t)256 << 20)

static const char *given_models(void)
{
	const char *given = getenv("FACEMATCH_MODELS");

	return given ? given : "build/models";
}

static char *read_whole(const char *directory, const char *name, size_t *ret_length)
{
	char path[PATH_MAX], *bytes;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (access(path, R_OK) != 0)
		cr_skip_test("%s is not there (make models)", path);
	cr_assert_eq(fm_file_read(path, FILE_BYTES_MAX, &bytes, ret_length, NULL), FM_OK, "%s", path);
	return bytes;
}

static void write_whole(const char *directory, const char *name, const void *bytes, size_t length)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	cr_assert_eq(fm_file_write(path, bytes, length, 0600, NULL), FM_OK, "%s", path);
}

/* The manifest of the tree with another checksum. */
static void write_manifest(const char *directory, const void *network, size_t length)
{
	char sha256[FM_SHA256_HEX];
	size_t manifest_length;
	char *manifest = read_whole("config/models", "fr_feature.conf", &manifest_length);
	char *at = strstr(manifest, "\nsha256 = ");

	cr_assert_not_null(at);
	fm_sha256_hex(network, length, sha256);
	memcpy(at + strlen("\nsha256 = "), sha256, FM_SHA256_HEX - 1);
	write_whole(directory, "fr_feature.conf", manifest, manifest_length);
	free(manifest);
}

/* A models directory whose embedding network is quantized; the bytes of its file. */
static size_t make_models(const char *directory, unsigned bits)
{
	static const char *const others[] = {"fr_detect", "fr_landmark"};
	const struct fm_onnx_quantize_options options = {.bits = bits};
	struct fm_onnx_quantized quantized;
	struct fm_error err = {0};
	char name[64];
	size_t length;
	char *bytes = read_whole(given_models(), "fr_feature.onnx", &length);

	cr_assert_eq(fm_onnx_quantize(bytes, length, &options, MEMORY, &quantized, &err), FM_OK, "%s",
	        err.message);
	free(bytes);
	write_whole(directory, "fr_feature.onnx", quantized.bytes, quantized.length);
	write_manifest(directory, quantized.bytes, quantized.length);
	for (size_t i = 0; i < FM_ARRAY_SIZE(others); i++) {
		snprintf(name, sizeof(name), "%s.onnx", others[i]);
		bytes = read_whole(given_models(), name, &length);
		write_whole(directory, name, bytes, length);
		free(bytes);
		snprintf(name, sizeof(name), "%s.conf", others[i]);
		bytes = read_whole("config/models", name, &length);
		write_whole(directory, name, bytes, length);
		free(bytes);
	}
	const size_t written = quantized.length;
	fm_onnx_quantized_done(&quantized);
	return written;
}

static void remove_models(const char *directory)
{
	static const char *const files[] = {"fr_feature", "fr_detect", "fr_landmark"};
	char path[PATH_MAX];

	for (size_t i = 0; i < FM_ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s.onnx", directory, files[i]);
		cr_expect_eq(unlink(path), 0);
		snprintf(path, sizeof(path), "%s/%s.conf", directory, files[i]);
		cr_expect_eq(unlink(path), 0);
	}
	cr_expect_eq(rmdir(directory), 0);
}

/* Of the largest faces of sample1 and sample3: who they are is of no account here. */
static double cosine(const struct test_daemon *daemon)
{
	struct test_part parts[] = {{.name = "image1"}, {.name = "image2"}};
	char *one = test_demo_photo("sample1.jpg", &parts[0].length);
	char *three = test_demo_photo("sample3.jpg", &parts[1].length);

	parts[0].bytes = one;
	parts[1].bytes = three;
	json_t *reply = test_take_json(test_form(daemon, "/v1/verify", parts, 2), 200, "verify");
	const double value = json_number_value(json_object_get(reply, "cosine"));
	json_decref(reply);
	free(one);
	free(three);
	return value;
}

Test(quantized, the_daemon_compares_faces_by_a_quantized_file)
{
	static const struct {
		unsigned bits;
		size_t bytes_max;
		double tolerance;
	} cases[] = {{8, 1400000, 0.02}, {6, 1150000, 0.1}};
	char models[PATH_MAX];
	struct test_daemon daemon = test_daemon_start(NULL);
	const double wanted = cosine(&daemon);

	test_daemon_stop(&daemon);
	snprintf(models, sizeof(models), "%s", given_models());
	for (size_t i = 0; i < FM_ARRAY_SIZE(cases); i++) {
		char directory[] = "/tmp/facematchd-models-XXXXXX";

		cr_assert_not_null(mkdtemp(directory));
		cr_expect_leq(make_models(directory, cases[i].bits), cases[i].bytes_max);
		setenv("FACEMATCH_MODELS", directory, 1);
		daemon = test_daemon_start(NULL);
		const double got = cosine(&daemon);
		test_daemon_stop(&daemon);
		setenv("FACEMATCH_MODELS", models, 1);
		cr_expect_neq(got, wanted);
		cr_expect_lt(fabs(got - wanted), cases[i].tolerance, "%u bits: %g, not %g", cases[i].bits,
		        got, wanted);
		remove_models(directory);
	}
}
