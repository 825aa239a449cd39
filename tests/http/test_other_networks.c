/*
 * The daemon with networks of other families, chosen by its configuration: YuNet with its own points and an
 * embedding of 128 numbers. Skipped without the networks and photos of ../shared/data (FM_SHARED_DATA).
 */
#include "lib/base/file.h"
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"
#include "tests/support/networks.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char others[] =
        "[models]\ndetection = yunet_320\nlandmarks =\nembedding = mobilefacenet_foamliu\n";

static struct test_reply send_photo(const struct test_daemon *daemon, const char *path, const char *name)
{
	struct fm_error err = {0};
	char file[800], *bytes;
	size_t length;

	snprintf(file, sizeof(file), "%s/%s", test_shared_path("lfw-view1/images"), name);
	cr_assert_eq(fm_file_read(file, (size_t)1 << 24, &bytes, &length, &err), FM_OK, "%s", err.message);
	struct test_reply reply = test_photo(daemon, path, bytes, length);
	free(bytes);
	return reply;
}

static void expect_decision(const struct test_daemon *daemon, const char *decision)
{
	json_t *json = test_take_json(
	        send_photo(daemon, "/v1/identify", "Abdullah_Gul/Abdullah_Gul_0014.jpg"), 200, "identify");
	json_t *face = json_array_get(json_object_get(json, "faces"), 0);

	cr_expect_str_eq(json_string_value(json_object_get(face, "decision")), decision);
	cr_expect_eq(json_array_size(json_object_get(face, "landmarks")), 5);
	json_decref(json);
}

Test(other_networks, serve_and_are_never_compared_with_the_default_ones)
{
	setenv("FACEMATCH_MODELS", test_networks_begin(), 1);
	struct test_daemon daemon = test_daemon_start(others);
	json_t *info = test_take_json(test_get(&daemon, "/v1/info"), 200, "info");
	json_t *networks = json_object_get(info, "models");

	cr_expect_eq(json_integer_value(json_object_get(info, "embedding_dim")), 128);
	cr_expect_null(json_object_get(networks, "landmarks"));
	cr_expect_str_eq(json_string_value(json_object_get(json_object_get(networks, "detection"), "name")),
	        "yunet_320");
	json_decref(info);
	test_expect_status(send_photo(&daemon, "/v1/enroll?name=Gul", "Abdullah_Gul/Abdullah_Gul_0013.jpg"),
	        201, "enroll");
	expect_decision(&daemon, "match");
	test_daemon_end(&daemon, SIGTERM);
	/* The settings name the default networks again: until the face is brought over it is held against
	 * what the network that knows it makes of a photo. */
	test_daemon_restart(&daemon, NULL);
	info = test_take_json(test_get(&daemon, "/v1/info"), 200, "info");
	cr_expect_eq(json_integer_value(json_object_get(info, "embedding_dim")), 128);
	cr_expect_eq(
	        strncmp(json_string_value(json_object_get(info, "configured_model")), "fr_feature@", 11), 0);
	json_decref(info);
	expect_decision(&daemon, "match");
	test_daemon_end(&daemon, SIGTERM);
	test_daemon_restart(&daemon, others);
	expect_decision(&daemon, "match");
	test_daemon_stop(&daemon);
	test_networks_end();
}
