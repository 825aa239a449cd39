/* Every error of docs/API.md that no real photo is needed for: status and problem body, over a real socket.
 */
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"
#include "tests/support/photo.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOBODY "00000000-0000-4000-8000-000000000000"

static struct test_bytes scene_png(void)
{
	struct fm_image scene = test_scene(96, 64);
	struct test_bytes png = test_png_rgb(&scene);

	fm_image_done(&scene);
	return png;
}

/* Sends text as it is and expects a problem; the connection may close before all was sent. */
static void expect_raw(const struct test_daemon *daemon, const char *text, const char *status,
        const char *code, const char *what)
{
	int fd = test_connect(daemon);
	char type[64];

	test_send(fd, text, strlen(text));
	char *reply = test_receive(fd, NULL);
	snprintf(type, sizeof(type), "urn:facematchd:%s", code);
	cr_expect_eq(strncmp(reply, "HTTP/1.1 ", 9), 0, "%s: %s", what, reply);
	cr_expect_eq(strncmp(reply + 9, status, 3), 0, "%s: %s", what, reply);
	cr_expect(strstr(reply, type), "%s: %s", what, reply);
	free(reply);
	close(fd);
}

Test(errors, paths_and_methods)
{
	struct test_daemon daemon = test_daemon_start(NULL);

	test_expect_problem(test_get(&daemon, "//"), 404, "not_found", "//");
	test_expect_problem(test_get(&daemon, "/v1/nothing"), 404, "not_found", "unknown path");
	test_expect_problem(
	        test_json(&daemon, "POST", "/v1/nothing", "{}"), 404, "not_found", "POST unknown path");
	test_expect_problem(test_get(&daemon, "/v1/people/%zz"), 400, "bad_request", "malformed escape");
	test_expect_problem(test_get(&daemon, "/v1/people?limit=%"), 400, "bad_request", "malformed escape");
	test_expect_problem(test_get(&daemon, "/v1/people?name=%ff"), 400, "bad_request", "not UTF-8");
	test_expect_problem(test_get(&daemon, "/v1/people?name=a%00b"), 400, "bad_request", "NUL");
	test_expect_problem(test_get(&daemon, "/v1/people?limit=1&limit=2"), 400, "bad_request", "key twice");

	struct test_reply reply = test_http(&daemon, "PUT", "/v1/people", NULL, "x", 1);
	cr_expect_str_eq(test_reply_header(&reply, "Allow"), "POST, GET, HEAD, OPTIONS");
	test_expect_problem(reply, 405, "method_not_allowed", "PUT");
	reply = test_get(&daemon, "/v1/identify");
	cr_expect_str_eq(test_reply_header(&reply, "Allow"), "POST, OPTIONS");
	test_expect_problem(reply, 405, "method_not_allowed", "GET identify");
	test_expect_problem(test_http(&daemon, "FROBNICATE", "/healthz", NULL, NULL, 0), 405,
	        "method_not_allowed", "unknown method");
	reply = test_http(&daemon, "HEAD", "/v1/identify", NULL, NULL, 0);
	cr_expect_eq(reply.status, 405);
	test_reply_done(&reply);
	test_daemon_stop(&daemon);
}

Test(errors, parameters)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	struct test_bytes png = scene_png();
	static const char *const identify[] = {"limit=0", "limit=101", "limit=x",
	        "limit=", "min_similarity=2", "min_similarity=-0.1", "min_similarity=nan",
	        "min_similarity=x"};
	static const char *const enroll[] = {"", "name=", "name=%20", "name=a%0ab", "name=A&face=smallest",
	        "name=A&face=1", "name=A&face=1,", "name=A&face=1,2,3", "name=A&face=nan,1",
	        "name=A&face=1e99,1"};
	char path[128];

	for (size_t i = 0; i < sizeof(identify) / sizeof(identify[0]); i++) {
		snprintf(path, sizeof(path), "/v1/identify?%s", identify[i]);
		test_expect_problem(
		        test_photo(&daemon, path, png.data, png.length), 400, "bad_request", path);
	}
	for (size_t i = 0; i < sizeof(enroll) / sizeof(enroll[0]); i++) {
		snprintf(path, sizeof(path), "/v1/enroll?%s", enroll[i]);
		test_expect_problem(
		        test_photo(&daemon, path, png.data, png.length), 400, "bad_request", path);
	}
	test_expect_problem(test_get(&daemon, "/v1/people?limit=1001"), 400, "bad_request", "limit");
	test_expect_problem(
	        test_get(&daemon, "/v1/people?after=" NOBODY), 400, "bad_request", "unknown cursor");
	test_expect_status(test_get(&daemon, "/v1/people?unknown=1"), 200, "unknown parameters are ignored");
	test_bytes_done(&png);
	test_daemon_stop(&daemon);
}

Test(errors, bodies)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	struct test_bytes png = scene_png();
	static const char *const photo_paths[] = {
	        "/v1/detect", "/v1/embed", "/v1/identify", "/v1/enroll?name=A"};
	static const char half[] =
	        "--X\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n\r\n\xff\xd8";
	static const char unnamed[] = "--X\r\n\r\nx\r\n--X--\r\n";
	static const char other[] =
	        "--X\r\nContent-Disposition: form-data; name=\"picture\"\r\n\r\nx\r\n--X--\r\n";

	for (size_t i = 0; i < 4; i++) {
		const char *path = photo_paths[i];
		test_expect_problem(
		        test_http(&daemon, "POST", path, NULL, NULL, 0), 400, "bad_request", "no body");
		test_expect_problem(test_http(&daemon, "POST", path, "image/jpeg", "", 0), 400, "bad_request",
		        "empty body");
		test_expect_problem(test_http(&daemon, "POST", path, "text/plain", png.data, png.length), 415,
		        "unsupported_media_type", "wrong type");
		test_expect_problem(test_http(&daemon, "POST", path, "video/mp4", png.data, png.length), 415,
		        "unsupported_media_type", "wrong type");
		test_expect_problem(test_http(&daemon, "POST", path, "image/jpeg", "not a photo", 11), 415,
		        "unsupported_media_type", "no photo");
		test_expect_problem(test_http(&daemon, "POST", path, "multipart/form-data; boundary=X", half,
		                            strlen(half)),
		        400, "bad_multipart", "half a multipart");
		test_expect_problem(
		        test_http(&daemon, "POST", path, "multipart/form-data", half, strlen(half)), 400,
		        "bad_multipart", "no boundary");
		test_expect_problem(test_http(&daemon, "POST", path, "multipart/form-data; boundary=X",
		                            unnamed, strlen(unnamed)),
		        400, "bad_multipart", "a part without a name");
		test_expect_problem(test_http(&daemon, "POST", path, "multipart/form-data; boundary=X", other,
		                            strlen(other)),
		        400, "bad_request", "no part image");
		test_expect_problem(test_json(&daemon, "POST", path, "{\"image\": \"%%%\"}"), 400,
		        "bad_base64", "base64");
		test_expect_problem(
		        test_json(&daemon, "POST", path, "{\"image\": "), 400, "bad_json", "half JSON");
		test_expect_problem(test_json(&daemon, "POST", path, "[]"), 400, "bad_json", "no object");
		test_expect_problem(
		        test_json(&daemon, "POST", path, "{}"), 400, "bad_request", "no member image");
		test_expect_problem(
		        test_json(&daemon, "POST", path, "{\"image\": 7}"), 400, "bad_request", "no string");
		test_expect_problem(
		        test_json(&daemon, "POST", path, "{\"image\": \"\"}"), 400, "bad_request", "empty");
	}
	/* Photos that break off or claim too much. */
	test_expect_problem(test_photo(&daemon, "/v1/identify", png.data, png.length / 2), 400,
	        "truncated_image", "half a PNG");
	test_png_claim(&png, 16000, 16000);
	test_expect_problem(test_photo(&daemon, "/v1/identify", png.data, png.length), 413, "image_too_large",
	        "too many pixels");
	test_png_claim(&png, 60000, 60000);
	test_expect_problem(test_photo(&daemon, "/v1/identify", png.data, png.length), 413, "image_too_large",
	        "too long a side");
	test_png_claim(&png, 96, 64);
	png.data[29] ^= 1; /* IHDR's checksum */
	test_expect_problem(test_photo(&daemon, "/v1/identify", png.data, png.length), 400, "bad_image",
	        "a wrong checksum");
	test_bytes_done(&png);
	test_daemon_stop(&daemon);
}

Test(errors, no_face)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	struct test_bytes png = scene_png();
	struct test_part two[] = {{.name = "image1", .bytes = png.data, .length = png.length},
	        {.name = "image2", .bytes = png.data, .length = png.length}};

	test_expect_problem(
	        test_photo(&daemon, "/v1/enroll?name=A", png.data, png.length), 422, "no_face", "enroll");
	test_expect_problem(test_photo(&daemon, "/v1/enroll?name=A&face=3,4", png.data, png.length), 422,
	        "no_face", "at a point");
	test_expect_problem(test_form(&daemon, "/v1/verify", two, 2), 422, "no_face", "verify");
	test_expect_problem(test_form(&daemon, "/v1/verify", two, 1), 422, "no_face",
	        "verify, the first is looked at first");
	json_t *json = test_take_json(test_get(&daemon, "/v1/people"), 200, "nobody was created");
	cr_expect_eq(json_array_size(json_object_get(json, "people")), 0);
	json_decref(json);

	json = test_take_json(test_photo(&daemon, "/v1/identify", png.data, png.length), 200, "identify");
	cr_expect_eq(json_array_size(json_object_get(json, "faces")), 0);
	json_decref(json);
	struct test_reply reply = test_photo(&daemon, "/v1/detect", png.data, png.length);
	cr_expect(strstr(test_reply_header(&reply, "Server-Timing"), "decode;dur="), "%s", reply.headers);
	json = test_take_json(reply, 200, "detect");
	json_t *image = json_object_get(json, "image");
	cr_expect_eq(json_integer_value(json_object_get(image, "width")), 96);
	cr_expect_eq(json_integer_value(json_object_get(image, "height")), 64);
	json_decref(json);
	test_bytes_done(&png);
	test_daemon_stop(&daemon);
}

Test(errors, unknown_ids)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	struct test_bytes png = scene_png();

	test_expect_problem(test_get(&daemon, "/v1/people/" NOBODY), 404, "not_found", "person");
	test_expect_problem(test_get(&daemon, "/v1/people/7"), 404, "not_found", "no UUID");
	test_expect_problem(test_get(&daemon, "/v1/people/%27%20OR%201=1"), 404, "not_found", "no UUID");
	test_expect_problem(test_delete(&daemon, "/v1/people/" NOBODY), 404, "not_found", "delete person");
	test_expect_problem(
	        test_json(&daemon, "PATCH", "/v1/people/" NOBODY, "{}"), 404, "not_found", "patch");
	test_expect_problem(test_get(&daemon, "/v1/people/" NOBODY "/faces"), 404, "not_found", "faces");
	test_expect_problem(test_photo(&daemon, "/v1/people/" NOBODY "/faces", png.data, png.length), 404,
	        "not_found", "add a face");
	test_expect_problem(test_get(&daemon, "/v1/faces/" NOBODY), 404, "not_found", "face");
	test_expect_problem(test_delete(&daemon, "/v1/faces/" NOBODY), 404, "not_found", "delete face");
	test_expect_problem(test_get(&daemon, "/v1/faces/" NOBODY "/crop"), 404, "not_found", "crop");
	test_expect_problem(test_photo(&daemon, "/v1/verify?person=" NOBODY, png.data, png.length), 404,
	        "not_found", "verify");
	test_expect_problem(test_photo(&daemon, "/v1/identify?collection=none", png.data, png.length), 404,
	        "not_found", "identify in an unknown collection");
	test_expect_problem(test_get(&daemon, "/v1/people?collection=none"), 404, "not_found", "list");
	test_expect_problem(test_get(&daemon, "/v1/collections/none"), 404, "not_found", "collection");
	test_expect_problem(
	        test_delete(&daemon, "/v1/collections/none"), 404, "not_found", "delete collection");
	test_bytes_done(&png);
	test_daemon_stop(&daemon);
}

Test(errors, sizes)
{
	struct test_daemon daemon = test_daemon_start("[limits]\nbody_max_bytes = 1048576\n");
	size_t length = 3 << 20;
	char *body = calloc(1, length);

	expect_raw(&daemon,
	        "POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
	        "image/jpeg\r\nContent-Length: "
	        "99999999999\r\n\r\n",
	        "413", "body_too_large", "declared, nothing sent");
	expect_raw(&daemon,
	        "POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
	        "image/jpeg\r\nContent-Length: "
	        "1048577\r\n"
	        "Expect: 100-continue\r\n\r\n",
	        "413", "body_too_large", "declared, asking first");
	expect_raw(&daemon,
	        "POST /v1/people HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
	        "application/json\r\nContent-Length: "
	        "1000000\r\n\r\n",
	        "413", "body_too_large", "too large for what is no photo");
	test_expect_problem(test_chunked(&daemon, "/v1/identify", "image/jpeg", body, length, 50000), 413,
	        "body_too_large", "chunked, beyond the limit");
	test_expect_problem(test_chunked(&daemon, "/v1/identify", "image/jpeg", body, 1048576, 50000), 415,
	        "unsupported_media_type", "chunked, at the limit");
	/* A number that no size can hold: libmicrohttpd refuses it before we see the request. */
	int fd = test_connect(&daemon);
	static const char absurd[] = "POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
	                             "99999999999999999999999\r\n\r\n";
	test_send(fd, absurd, strlen(absurd));
	char *reply = test_receive(fd, NULL);
	cr_expect(strncmp(reply, "HTTP/1.1 4", 10) == 0, "%s", reply);
	free(reply);
	close(fd);
	test_expect_status(test_get(&daemon, "/healthz"), 200, "alive");
	free(body);
	test_daemon_stop(&daemon);
}

/* All bodies together are bounded: what does not fit is told to come back. */
Test(errors, bodies_together_are_bounded)
{
	struct test_daemon daemon =
	        test_daemon_start("[limits]\nbody_max_bytes = 1048576\nbodies_max_bytes = 1048576\n");
	size_t length = 600000;
	char *body = calloc(1, length);
	int fd = test_connect(&daemon);

	test_begin_photo(fd, "/v1/detect", "image/jpeg", length);
	test_send(fd, body, length - 1);
	/* The first body is being received: give it time to be counted. */
	struct test_reply reply = {0};
	for (int tries = 0; tries < TEST_PATIENCE_S * 50 && reply.status != 503; tries++) {
		test_reply_done(&reply);
		usleep(20000);
		reply = test_photo(&daemon, "/v1/detect", body, length);
	}
	cr_expect_str_eq(test_reply_header(&reply, "Retry-After"), "1");
	test_expect_problem(reply, 503, "overloaded", "two bodies");
	test_send(fd, body, 1);
	test_expect_until(fd, " 415 ", "the first goes on");
	close(fd);
	test_expect_problem(test_photo(&daemon, "/v1/detect", body, length), 415, "unsupported_media_type",
	        "there is room again");
	free(body);
	test_daemon_stop(&daemon);
}

Test(errors, json_of_people)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char deep[4096], long_name[700], large[40000];
	static const char *const bad_json[] = {"{", "[]", "null", "{\"name\":\"a\",\"name\":\"b\"}",
	        "{\"name\":\"\xff\xfe\"}", "{\"name\":\"a\\u0000b\"}", "{\"name\":\"a\"} trailing"};
	static const char *const bad_request[] = {"{}", "{\"name\":null}", "{\"name\":1}", "{\"name\":\"\"}",
	        "{\"name\":\"  \"}", "{\"name\":\"a\\nb\"}", "{\"name\":\"a\",\"external_id\":5}",
	        "{\"name\":\"a\",\"external_id\":\"\"}", "{\"name\":\"a\",\"metadata\":[]}",
	        "{\"name\":\"a\",\"metadata\":\"x\"}"};

	for (size_t i = 0; i < sizeof(bad_json) / sizeof(bad_json[0]); i++)
		test_expect_problem(
		        test_json(&daemon, "POST", "/v1/people", bad_json[i]), 400, "bad_json", bad_json[i]);
	for (size_t i = 0; i < sizeof(bad_request) / sizeof(bad_request[0]); i++)
		test_expect_problem(test_json(&daemon, "POST", "/v1/people", bad_request[i]), 400,
		        "bad_request", bad_request[i]);
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	test_expect_problem(test_json(&daemon, "POST", "/v1/people", deep), 400, "bad_json", "deep");
	snprintf(long_name, sizeof(long_name), "{\"name\":\"%0600d\"}", 1);
	test_expect_problem(
	        test_json(&daemon, "POST", "/v1/people", long_name), 400, "bad_request", "long name");
	snprintf(large, sizeof(large), "{\"name\":\"a\",\"metadata\":{\"k\":\"%030000d\"}}", 1);
	test_expect_problem(
	        test_json(&daemon, "POST", "/v1/people", large), 400, "bad_request", "large metadata");
	test_expect_problem(test_http(&daemon, "POST", "/v1/people", "application/json", NULL, 0), 400,
	        "bad_request", "empty");
	test_expect_problem(test_http(&daemon, "POST", "/v1/people", "text/plain", "{}", 2), 415,
	        "unsupported_media_type", "wrong type");
	test_expect_problem(
	        test_json(&daemon, "POST", "/v1/collections", "{}"), 400, "bad_request", "no name");
	test_expect_problem(test_json(&daemon, "POST", "/v1/collections", "{\"name\":\"\"}"), 400,
	        "bad_request", "empty name");
	test_expect_problem(test_json(&daemon, "POST", "/v1/collections", "{\"name\":\"default\"}"), 409,
	        "conflict", "there is one");
	test_daemon_stop(&daemon);
}

/* Clients that break off, dribble and talk nonsense: the daemon answers where it can and lives. */
Test(errors, rude_clients)
{
	struct test_daemon daemon = test_daemon_start("[server]\nidle_timeout_s = 2\n");
	static const char *const starts[] = {
	        "",
	        "G",
	        "GET /healthz",
	        "GET /healthz HTTP/1.1\r\nHost",
	        "POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
	        "image/jpeg\r\nContent-Length: "
	        "1000\r\n\r\n\xff\xd8\xff",
	        "POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
	        "chunked\r\n\r\n5\r\nhello\r\n",
	        "POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
	        "POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; "
	        "boundary=X\r\n"
	        "Content-Length: 500\r\n\r\n--X\r\nContent-Disposition: form-data; "
	        "name=\"image\"\r\n\r\n\xff\xd8",
	        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	        "\r\n\r\n\r\n\r\n",
	        "GET / HTTP/9.9\r\n\r\n",
	};
	int silent[sizeof(starts) / sizeof(starts[0])];

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		int fd = test_connect(&daemon);
		test_send(fd, starts[i], strlen(starts[i]));
		close(fd);
		silent[i] = test_connect(&daemon);
		test_send(silent[i], starts[i], strlen(starts[i]));
	}
	test_expect_status(test_get(&daemon, "/healthz"), 200, "while others are silent");
	/* Silence ends the connection. */
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		char *text = test_receive(silent[i], NULL);
		char byte;
		cr_expect_leq(recv(silent[i], &byte, 1, MSG_DONTWAIT), 0, "%zu", i);
		cr_expect(text[0] == '\0' || strncmp(text, "HTTP/1.", 7) == 0, "%s", text);
		free(text);
		close(silent[i]);
	}
	test_expect_status(test_get(&daemon, "/healthz"), 200, "after all");
	test_daemon_stop(&daemon);
}

/* What a proxy in front might read in another way than we do. */
Test(errors, a_body_whose_end_is_in_doubt)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	static const char *const framings[] = {
	        "Content-Length: 2\r\nContent-Length: 40\r\n",
	        "Content-Length: 2\r\nContent-Length: 2\r\n",
	        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
	        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
	        "Transfer-Encoding: gzip\r\n",
	        "Transfer-Encoding: gzip, chunked\r\n",
	};

	for (size_t i = 0; i < sizeof(framings) / sizeof(framings[0]); i++) {
		char request[512];
		snprintf(request, sizeof(request),
		        "POST /v1/people HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
		        "application/json\r\n%s\r\n"
		        "{}GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
		        framings[i]);
		expect_raw(&daemon, request, "400", "bad_request", framings[i]);
	}
	/* what follows is not answered as a request of its own */
	int fd = test_connect(&daemon);
	static const char smuggled[] = "POST /v1/people HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
	                               "2\r\nContent-Length: 40\r\n\r\n"
	                               "{}GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
	test_send(fd, smuggled, strlen(smuggled));
	char *reply = test_receive(fd, NULL);
	cr_expect(!strstr(reply, "\"status\":\"ok\""), "%s", reply);
	free(reply);
	close(fd);
	test_daemon_stop(&daemon);
}
