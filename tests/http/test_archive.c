/* A collection out of one gallery and into another: facematchctl export and import. */
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "tests/support/ctl.h"
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

TEST_CTL_SUITE(archive);

static const char keeping[] = "[gallery]\nkeep_crops = yes\n";

static const char *url_of(const struct test_daemon *daemon, char url[64])
{
	snprintf(url, 64, "http://127.0.0.1:%d", daemon->port);
	return url;
}

static void enroll(const struct test_daemon *daemon, const char *query, const char *photo)
{
	char path[128];
	size_t length;
	fm_autofree char *bytes = test_demo_photo(photo, &length);

	snprintf(path, sizeof(path), "/v1/enroll?%s", query);
	test_expect_status(test_photo(daemon, path, bytes, length), 201, query);
}

/* Faces with their decisions, people, cosines and ids: all that must not change. */
static json_t *identified(const struct test_daemon *daemon)
{
	size_t length;
	fm_autofree char *bytes = test_demo_photo("sample3.jpg", &length);
	json_t *json = test_take_json(test_photo(daemon, "/v1/identify", bytes, length), 200, "identify");
	json_t *faces = json_incref(json_object_get(json, "faces"));

	json_decref(json);
	cr_assert_eq(json_array_size(faces), 3);
	return faces;
}

static void expect_import(const struct test_daemon *daemon, const char *file, int status, const char *summary)
{
	char url[64];
	struct test_ctl_result result = test_ctl_run("import", file, "--url", url_of(daemon, url), NULL);

	cr_expect_eq(result.status, status, "%s", result.err);
	cr_expect(strstr(result.out, summary), "%s: %s", result.out, result.err);
	test_ctl_result_done(&result);
}

Test(archive, comes_back_as_it_was)
{
	struct test_daemon first = test_daemon_start(keeping), second = test_daemon_start(keeping);
	char url[64], file[TEST_CTL_PATH], path[96], before[64];

	test_expect_status(
	        test_json(&first, "POST", "/v1/people",
	                "{\"name\":\"J\\u00f6rg\",\"external_id\":\"7\",\"metadata\":{\"a\":[1,2]}}"),
	        201, "somebody without faces");
	enroll(&first, "name=Anna&face=1179,353", "sample3.jpg");
	enroll(&first, "name=Bella&face=692,465", "sample3.jpg");
	enroll(&first, "name=Anna&face=largest", "sample1.jpg");
	test_ctl_path("all.jsonl", file);
	struct test_ctl_result result = test_ctl_run("export", file, "--url", url_of(&first, url), NULL);
	cr_expect_eq(result.status, 0, "%s", result.err);
	cr_expect(strstr(result.out, "3 people, 3 faces"), "%s", result.out);
	test_ctl_result_done(&result);
	test_ctl_expect_failure(test_ctl_run("export", file, "--url", url, NULL), "File exists");

	expect_import(&second, file, 0, "3 people and 3 faces added, 0 there already, 0 lines refused");
	expect_import(&second, file, 0, "0 people and 0 faces added, 6 there already, 0 lines refused");
	json_t *here = identified(&first), *there = identified(&second);
	cr_expect(json_equal(here, there), "the same faces, people, cosines and ids");
	const json_t *candidate = json_array_get(json_object_get(json_array_get(there, 0), "candidates"), 0);
	snprintf(path, sizeof(path), "/v1/faces/%s/crop",
	        json_string_value(json_object_get(candidate, "face_id")));
	struct test_reply crop = test_get(&first, path), again = test_get(&second, path);
	cr_expect_eq(again.status, 200);
	cr_expect_eq(crop.length, again.length);
	cr_expect_eq(memcmp(crop.body, again.body, crop.length), 0, "the same crop");
	test_reply_done(&crop);
	test_reply_done(&again);
	json_decref(here);
	json_decref(there);

	json_t *people = test_take_json(test_get(&first, "/v1/people?external_id=7"), 200, "people");
	json_t *same = test_take_json(test_get(&second, "/v1/people?external_id=7"), 200, "people");
	const json_t *one = json_array_get(json_object_get(people, "people"), 0);
	snprintf(before, sizeof(before), "%s", json_string_value(json_object_get(one, "created_at")));
	const json_t *other = json_array_get(json_object_get(same, "people"), 0);
	cr_expect_str_eq(json_string_value(json_object_get(other, "created_at")), before);
	cr_expect(json_equal(json_object_get(one, "metadata"), json_object_get(other, "metadata")));
	json_decref(people);
	json_decref(same);
	test_daemon_stop(&first);
	test_daemon_stop(&second);
}

Test(archive, pages_follow_each_other)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char body[64], cursor[64] = "", path[128];
	size_t seen = 0, pages = 0;

	for (int i = 0; i < 5; i++) {
		snprintf(body, sizeof(body), "{\"name\":\"P %d\"}", i);
		test_expect_status(test_json(&daemon, "POST", "/v1/people", body), 201, body);
	}
	do {
		snprintf(path, sizeof(path), "/v1/admin/export?limit=2%s%s", cursor[0] ? "&after=" : "",
		        cursor);
		struct test_reply reply = test_get(&daemon, path);
		cr_assert_eq(reply.status, 200);
		for (const char *at = reply.body; (at = strstr(at, "{\"person\"")); at++)
			seen++;
		snprintf(cursor, sizeof(cursor), "%s", test_reply_header(&reply, "X-Next-Cursor"));
		test_reply_done(&reply);
		pages++;
	} while (cursor[0] && pages < 10);
	cr_expect_eq(seen, 5);
	cr_expect_eq(pages, 3);
	test_daemon_stop(&daemon);
}

/* What is wrong is named by its line, and the rest comes in. */
Test(archive, refused_lines_are_named)
{
	static const char lines[] =
	        "{\"person\":{\"id\":\"0a4c9f5e-0000-4000-8000-000000000001\",\"name\":\"A\",\"created_at\":"
	        "\"2026-01-02T03:04:05.006Z\"}}\n"
	        "\n"
	        "{\"person\":{\"id\":\"x\",\"name\":\"B\",\"created_at\":\"2026-01-02T03:04:05.006Z\"}}\n"
	        "{\"person\":{\"id\":\"0a4c9f5e-0000-4000-8000-000000000002\",\"name\":\"C\",\"created_at\":"
	        "\"2026-02-30T03:04:05.006Z\"}}\n"
	        "{\"face\":{\"id\":\"0a4c9f5e-0000-4000-8000-000000000003\",\"person_id\":"
	        "\"0a4c9f5e-0000-4000-8000-000000000001\",\"model\":\"m@1\",\"created_at\":\"2026-01-02T03:"
	        "04:05.006Z\","
	        "\"quality\":{},\"box\":[1,2,3,4],\"image_sha256\":"
	        "\"0000000000000000000000000000000000000000000000000000000000000000\",\"embedding\":\"AAAAQA="
	        "=\"}}\n"
	        "[1]\n";
	struct test_daemon daemon = test_daemon_start(NULL);
	struct test_reply reply = test_http(
	        &daemon, "POST", "/v1/admin/import", "application/x-ndjson", lines, sizeof(lines) - 1);
	json_t *json = test_take_json(reply, 200, "import");
	const json_t *refusals = json_object_get(json, "refusals");
	static const int numbers[] = {3, 4, 5, 6};

	cr_expect_eq(json_integer_value(json_object_get(json, "people")), 1);
	cr_expect_eq(json_integer_value(json_object_get(json, "refused")), 4);
	cr_assert_eq(json_array_size(refusals), 4);
	for (size_t i = 0; i < 4; i++)
		cr_expect_eq(
		        json_integer_value(json_object_get(json_array_get(refusals, i), "line")), numbers[i]);
	cr_expect_not_null(strstr(json_string_value(json_object_get(json_array_get(refusals, 2), "detail")),
	                           "unit length"),
	        "2.0 is no unit vector");
	json_decref(json);
	test_daemon_stop(&daemon);
}
