/*
 * What the daemon answers is what config/openapi.json says, which is what routes.c and docs/API.md say: every
 * operation succeeds here at least once, many fail, and tests/contract/check.py compares.
 */
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define CHECK "tests/contract/check.py"

/* The id of the object at `member`, of a reply that must be a 201. */
static void take_id(struct test_reply reply, const char *member, char ret_id[64])
{
	json_t *json = test_take_json(reply, 201, member ? member : "created");
	const json_t *object = member ? json_object_get(json, member) : json;

	snprintf(ret_id, 64, "%s", json_string_value(json_object_get(object, "id")));
	json_decref(json);
}

static void operations(struct test_daemon *daemon)
{
	static const char *const paths[] = {"/healthz", "/readyz", "/v1/info", "/metrics", "/openapi.json",
	        "/", "/console.js", "/console.css"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		test_expect_status(test_get(daemon, paths[i]), 200, paths[i]);
		test_expect_status(test_http(daemon, "HEAD", paths[i], NULL, NULL, 0), 200, paths[i]);
	}
	test_expect_status(test_http(daemon, "POST", "/v1/admin/backup", NULL, "", 0), 200, "backup");
	test_expect_status(test_get(daemon, "/v1/admin/export"), 200, "export");
	test_expect_status(test_http(daemon, "POST", "/v1/admin/import", "application/x-ndjson", "[1]\n", 4),
	        200, "import");
	test_expect_problem(test_delete(daemon, "/v1/info"), 405, "method_not_allowed", "method");
	test_expect_problem(test_get(daemon, "/nowhere"), 404, "not_found", "path");
}

static void collections(struct test_daemon *daemon)
{
	test_expect_status(
	        test_json(daemon, "POST", "/v1/collections", "{\"name\":\"staff\"}"), 201, "create");
	test_expect_problem(test_json(daemon, "POST", "/v1/collections", "{\"name\":\"staff\"}"), 409,
	        "conflict", "again");
	test_expect_problem(test_json(daemon, "POST", "/v1/collections", "{"), 400, "bad_json", "cut");
	test_expect_status(test_get(daemon, "/v1/collections"), 200, "list");
	test_expect_status(test_get(daemon, "/v1/collections/staff"), 200, "one");
	test_expect_problem(test_get(daemon, "/v1/collections/none"), 404, "not_found", "none");
	test_expect_status(test_delete(daemon, "/v1/collections/staff"), 204, "delete");
	test_expect_status(
	        test_json(daemon, "POST", "/v1/collections", "{\"name\":\"guests\",\"retention_days\":30}"),
	        201, "create with retention");
	test_expect_status(test_json(daemon, "PATCH", "/v1/collections/guests", "{\"retention_days\":null}"),
	        200, "keep");
	test_expect_problem(test_json(daemon, "PATCH", "/v1/collections/guests", "{\"retention_days\":0}"),
	        400, "bad_request", "no time at all");
	test_expect_status(test_delete(daemon, "/v1/collections/guests"), 204, "delete guests");
	test_expect_status(test_get(daemon, "/v1/admin/audit?limit=1"), 200, "a page of the audit");
	test_expect_problem(test_get(daemon, "/v1/admin/audit?limit=0"), 400, "bad_request", "no page");
}

static void matching(struct test_daemon *daemon, const char *photo, size_t length, const char *person)
{
	char path[256];
	const struct test_part both[] = {
	        {.name = "image1", .bytes = photo, .length = length},
	        {.name = "image2", .bytes = photo, .length = length},
	};

	test_expect_status(test_photo(daemon, "/v1/detect", photo, length), 200, "detect");
	test_expect_status(test_photo(daemon, "/v1/embed", photo, length), 200, "embed");
	test_expect_status(test_photo(daemon, "/v1/identify", photo, length), 200, "identify");
	test_expect_status(
	        test_photo(daemon, "/v1/identify?min_similarity=1", photo, length), 200, "unknown");
	test_expect_status(test_form(daemon, "/v1/verify", both, 2), 200, "verify photos");
	snprintf(path, sizeof(path), "/v1/verify?person=%s", person);
	test_expect_status(test_photo(daemon, path, photo, length), 200, "verify a person");
	test_expect_problem(
	        test_photo(daemon, "/v1/identify", "x", 1), 415, "unsupported_media_type", "bytes");
	test_expect_problem(
	        test_photo(daemon, "/v1/detect", "\xff\xd8\xff", 3), 400, "truncated_image", "head");
	test_expect_problem(
	        test_photo(daemon, "/v1/identify?limit=0", photo, length), 400, "bad_request", "limit");
}

static void people(struct test_daemon *daemon, const char *photo, size_t length)
{
	char person[64], other[64], face[64], path[256];

	take_id(test_photo(daemon, "/v1/enroll?name=Alice&face=largest", photo, length), "person", person);
	test_expect_status(test_photo(daemon, "/v1/enroll?name=Alice&face=largest", photo, length), 200,
	        "the same photo");
	take_id(test_json(daemon, "POST", "/v1/people",
	                "{\"name\":\"Bob\",\"external_id\":\"b\",\"metadata\":{\"k\":1}}"),
	        NULL, other);
	test_expect_problem(test_json(daemon, "POST", "/v1/people", "{\"name\":\"C\",\"external_id\":\"b\"}"),
	        409, "conflict", "taken");
	snprintf(path, sizeof(path), "/v1/people/%s/faces?face=largest", other);
	/* The reply warns of Alice. */
	take_id(test_photo(daemon, path, photo, length), "face", face);
	test_expect_status(test_get(daemon, path), 200, "faces");
	matching(daemon, photo, length, person);

	test_expect_status(test_get(daemon, "/v1/people?limit=1"), 200, "page");
	test_expect_status(test_get(daemon, "/v1/people?external_id=b"), 200, "by external id");
	snprintf(path, sizeof(path), "/v1/people/%s", other);
	test_expect_status(test_get(daemon, path), 200, "person");
	test_expect_status(test_json(daemon, "PATCH", path, "{\"external_id\":null}"), 200, "update");
	test_expect_problem(test_json(daemon, "PATCH", path, "{\"name\":1}"), 400, "bad_request", "update");
	snprintf(path, sizeof(path), "/v1/faces/%s", face);
	test_expect_status(test_get(daemon, path), 200, "a face");
	snprintf(path, sizeof(path), "/v1/faces/%s/crop", face);
	test_expect_status(test_get(daemon, path), 200, "crop");
	snprintf(path, sizeof(path), "/v1/faces/%s", face);
	test_expect_status(test_delete(daemon, path), 204, "face");
	snprintf(path, sizeof(path), "/v1/people/%s", other);
	test_expect_status(test_delete(daemon, path), 204, "person");
	test_expect_problem(test_get(daemon, path), 404, "not_found", "gone");
}

/* The one face of the gallery so many times more, so that a job at a face a second lasts while it is looked
 * at. */
static void multiply_the_face(struct test_daemon *daemon, unsigned times)
{
	struct test_reply reply = test_get(daemon, "/v1/admin/export");
	const char *face = strstr(reply.body, "{\"face\":");
	size_t length = face ? strcspn(face, "\n") + 1 : 0, used = 0;
	fm_autofree char *lines = malloc(length * times + 1);

	cr_assert(face && lines, "%s", reply.body);
	for (unsigned i = 0; i < times; i++, used += length) {
		char digits[9], *line = memcpy(lines + used, face, length);
		lines[used + length] = '\0';
		snprintf(digits, sizeof(digits), "%08x", i);
		memcpy(strstr(line, "\"id\":\"") + strlen("\"id\":\""), digits, 8);
		memcpy(strstr(line, "\"image_sha256\":\"") + strlen("\"image_sha256\":\""), digits, 8);
	}
	test_reply_done(&reply);
	json_t *json = test_take_json(
	        test_http(daemon, "POST", "/v1/admin/import", "application/x-ndjson", lines, used), 200,
	        "import");
	cr_assert_eq(json_integer_value(json_object_get(json, "faces")), times);
	json_decref(json);
}

static void wait_until_done(const struct test_daemon *daemon, const char *job)
{
	for (int waited_ms = 0;; waited_ms += 20) {
		json_t *json = test_take_json(test_get(daemon, job), 200, "job");
		bool done = strcmp(json_string_value(json_object_get(json, "state")), "done") == 0;
		json_decref(json);
		if (done)
			return;
		cr_assert_lt(waited_ms, TEST_PATIENCE_S * 1000, "the job does not end");
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
}

/* The same network in float32 counts as another one. */
static void another_network(struct test_daemon *daemon, const char *settings)
{
	char job[96], path[128];

	multiply_the_face(daemon, 30);
	test_expect_status(test_get(daemon, "/v1/admin/jobs"), 200, "jobs");
	test_expect_problem(test_http(daemon, "POST", "/v1/admin/rollback", NULL, "", 0), 409, "conflict",
	        "nowhere to go");
	test_daemon_end(daemon, SIGTERM);
	test_daemon_restart(daemon, settings);
	struct test_reply reply = test_http(daemon, "POST", "/v1/admin/reembed", NULL, "", 0);
	snprintf(job, sizeof(job), "%s", test_reply_header(&reply, "Location"));
	test_expect_status(reply, 202, "reembed");
	test_expect_status(test_get(daemon, job), 200, "job");
	test_expect_status(test_delete(daemon, job), 204, "cancel");
	test_expect_problem(test_delete(daemon, job), 409, "conflict", "again");
	snprintf(path, sizeof(path), "%s/skipped", job);
	test_expect_status(test_get(daemon, path), 200, "skipped");
	reply = test_http(daemon, "POST", "/v1/admin/reembed", NULL, "", 0);
	snprintf(job, sizeof(job), "%s", test_reply_header(&reply, "Location"));
	test_expect_status(reply, 202, "reembed");
	test_daemon_end(daemon, SIGTERM);
	test_daemon_restart(daemon, "[gallery]\nkeep_crops = yes\n[models]\nprecision = float32\n");
	wait_until_done(daemon, job);
	test_expect_status(test_get(daemon, "/v1/info"), 200, "info");
	test_expect_status(test_http(daemon, "POST", "/v1/admin/rollback", NULL, "", 0), 200, "rollback");
	test_expect_status(
	        test_http(daemon, "POST", "/v1/admin/forget-previous", NULL, "", 0), 200, "forget");
	test_expect_status(test_get(daemon, "/v1/admin/audit"), 200, "what was forgotten");
	test_expect_problem(test_http(daemon, "POST", "/v1/admin/forget-previous", NULL, "", 0), 409,
	        "conflict", "nothing to forget");
	test_expect_problem(
	        test_http(daemon, "POST", "/v1/admin/rollback", NULL, "", 0), 409, "conflict", "no way back");
	test_expect_status(test_get(daemon, "/v1/admin/jobs"), 200, "jobs");
}

Test(contract, replies_are_as_described)
{
	char record[96], command[256];
	size_t length;

	if (system("/usr/bin/python3 -c 'import jsonschema' 2>/dev/null") != 0)
		cr_skip("Debian's python3-jsonschema is not installed");
	char *photo = test_demo_photo("sample4.jpg", &length);
	struct test_daemon daemon = test_daemon_start("[log]\nform = json\n[gallery]\nkeep_crops = yes\n");

	snprintf(record, sizeof(record), "%s/replies", daemon.directory);
	test_record_replies(record);
	operations(&daemon);
	collections(&daemon);
	people(&daemon, photo, length);
	another_network(&daemon, "[gallery]\nkeep_crops = yes\n[models]\nprecision = float32\n"
	                         "[reembed]\nfaces_per_second = 1\n");
	snprintf(command, sizeof(command), CHECK " %s", record);
	int status = system(command);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the lines above say what disagrees");
	test_daemon_stop(&daemon);
	free(photo);
}

/* What an operator's Prometheus reads. */
Test(contract, metrics_are_well_formed)
{
	char command[256], path[96];
	struct test_daemon daemon = test_daemon_start(NULL);

	test_expect_problem(test_get(&daemon, "/v1/collections/none"), 404, "not_found", "none");
	/* A request is counted after its client has the reply. */
	test_daemon_wait_for_log(&daemon, "/v1/collections/none");
	struct test_reply reply = test_get(&daemon, "/metrics");
	cr_expect_eq(reply.status, 200);
	cr_expect_str_eq(
	        test_reply_header(&reply, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
	cr_expect_not_null(
	        strstr(reply.body, "facematchd_requests_total{method=\"GET\",route=\"/v1/collections/{}\","
	                           "status=\"404\"} 1\n"));
	cr_expect_not_null(strstr(reply.body, "facematchd_problems_total{code=\"not_found\"} 1\n"));
	cr_expect_not_null(strstr(reply.body, "facematchd_workers 1\n"));
	if (system("command -v promtool >/dev/null") == 0) {
		snprintf(path, sizeof(path), "%s/metrics", daemon.directory);
		FILE *file = fopen(path, "we");
		cr_assert_not_null(file);
		fwrite(reply.body, 1, reply.length, file);
		fclose(file);
		snprintf(command, sizeof(command), "promtool check metrics <%s", path);
		cr_expect_eq(system(command), 0, "promtool objects");
	}
	test_reply_done(&reply);
	test_daemon_stop(&daemon);
}

/* Alert rules and dashboard ask for figures that there are. */
Test(contract, monitoring_names_what_there_is)
{
	static const char *const files[] = {"docs/monitoring/alerts.yml", "docs/monitoring/grafana.json"};
	struct test_daemon daemon = test_daemon_start(NULL);
	size_t names = 0;

	/* Requests have a line for each route and status that was seen, and are counted after the reply. */
	test_expect_problem(test_get(&daemon, "/v1/collections/none"), 404, "not_found", "none");
	test_daemon_wait_for_log(&daemon, "/v1/collections/none");
	struct test_reply reply = test_get(&daemon, "/metrics");
	if (system("command -v promtool >/dev/null") == 0)
		cr_expect_eq(
		        system("promtool check rules docs/monitoring/alerts.yml"), 0, "promtool objects");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		fm_autofree char *text = NULL;
		size_t length;
		cr_assert_eq(fm_file_read(files[i], 1 << 20, &text, &length, NULL), FM_OK);
		for (const char *at = text; (at = strstr(at, "facematchd_"));) {
			char name[64];
			size_t span = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
			snprintf(name, sizeof(name), "\n%.*s", (int)span, at);
			cr_expect_not_null(
			        strstr(reply.body, name), "%s: no figure is called %s", files[i], name + 1);
			at += span;
			names++;
		}
	}
	cr_expect_gt(names, 10);
	test_reply_done(&reply);
	test_daemon_stop(&daemon);
}
