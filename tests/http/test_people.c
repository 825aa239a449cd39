/* People and collections without photos: create, read, change, delete, page, survive a restart. */
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

/* Creates a person and gives the path of it. */
static void create(const struct test_daemon *daemon, const char *query, const char *json, char path[128])
{
	char target[128];

	snprintf(target, sizeof(target), "/v1/people%s", query);
	struct test_reply reply = test_json(daemon, "POST", target, json);
	snprintf(path, 128, "%s", test_reply_header(&reply, "Location"));
	json_t *person = test_take_json(reply, 201, json);
	cr_expect_eq(strlen(path), strlen("/v1/people/") + 36, "%s", path);
	cr_expect_str_eq(path + strlen("/v1/people/"), text(person, "id"));
	json_decref(person);
}

Test(people, create_read_change_delete)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char path[128], upper[128];

	create(&daemon, "",
	        "{\"name\":\"Zo\xc3\xab\",\"external_id\":\"e-1\",\"metadata\":{\"team\":[1,2.5]},\"more\":"
	        "1}",
	        path);
	json_t *person = test_take_json(test_get(&daemon, path), 200, "get");
	cr_expect_str_eq(text(person, "name"), "Zo\xc3\xab");
	cr_expect_str_eq(text(person, "external_id"), "e-1");
	cr_expect_eq(json_integer_value(json_object_get(person, "faces")), 0);
	json_t *metadata = json_pack("{s:[i,f]}", "team", 1, 2.5);
	cr_expect(json_equal(json_object_get(person, "metadata"), metadata));
	json_decref(metadata);
	/* RFC 3339, UTC */
	const char *created = text(person, "created_at");
	cr_expect(strlen(created) == 24 && created[10] == 'T' && created[23] == 'Z', "%s", created);
	json_decref(person);

	snprintf(upper, sizeof(upper), "%s", path);
	for (char *c = upper + strlen("/v1/people/"); *c; c++)
		*c = (char)(*c >= 'a' && *c <= 'f' ? *c - 'a' + 'A' : *c);
	test_expect_status(test_get(&daemon, upper), 200, "UUIDs have no case");

	test_expect_problem(
	        test_json(&daemon, "POST", "/v1/people", "{\"name\":\"B\",\"external_id\":\"e-1\"}"), 409,
	        "conflict", "taken");
	person = test_take_json(
	        test_json(&daemon, "PATCH", path, "{\"name\":\"Zoe\"}"), 200, "patch the name");
	cr_expect_str_eq(text(person, "name"), "Zoe");
	cr_expect_str_eq(text(person, "external_id"), "e-1", "what is absent stays");
	json_decref(person);
	person = test_take_json(test_json(&daemon, "PATCH", path, "{\"external_id\":null,\"metadata\":null}"),
	        200, "patch to null");
	cr_expect(json_is_null(json_object_get(person, "external_id")));
	cr_expect_eq(json_object_size(json_object_get(person, "metadata")), 0);
	json_decref(person);
	test_expect_status(
	        test_json(&daemon, "POST", "/v1/people", "{\"name\":\"B\",\"external_id\":\"e-1\"}"), 201,
	        "free again");
	test_expect_problem(
	        test_json(&daemon, "PATCH", path, "{\"external_id\":\"e-1\"}"), 409, "conflict", "patch");
	test_expect_problem(
	        test_json(&daemon, "PATCH", path, "{\"name\":\"\"}"), 400, "bad_request", "patch");

	struct test_reply reply = test_delete(&daemon, path);
	cr_expect_eq(reply.status, 204);
	cr_expect_eq(reply.length, 0);
	test_reply_done(&reply);
	test_expect_problem(test_get(&daemon, path), 404, "not_found", "deleted");
	test_expect_problem(test_delete(&daemon, path), 404, "not_found", "deleted");
	test_daemon_stop(&daemon);
}

Test(people, pages)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char path[128], json[64], target[128] = "/v1/people?limit=3";
	int seen = 0;

	for (int i = 0; i < 7; i++) {
		snprintf(json, sizeof(json), "{\"name\":\"person %d\"}", i);
		create(&daemon, "", json, path);
	}
	for (int page = 0; target[0]; page++) {
		json_t *list = test_take_json(test_get(&daemon, target), 200, "page");
		json_t *people = json_object_get(list, "people"), *person;
		size_t i;
		cr_expect_eq(json_array_size(people), page < 2 ? 3 : 1);
		json_array_foreach(people, i, person)
		{
			snprintf(json, sizeof(json), "person %d", seen++);
			cr_expect_str_eq(text(person, "name"), json, "in the order of creation");
		}
		const char *next = text(list, "next");
		target[0] = '\0';
		if (next[0])
			snprintf(target, sizeof(target), "/v1/people?limit=3&after=%s", next);
		json_decref(list);
	}
	cr_expect_eq(seen, 7);
	json_t *list = test_take_json(test_get(&daemon, "/v1/people?name=person%204"), 200, "by name");
	cr_expect_eq(json_array_size(json_object_get(list, "people")), 1);
	cr_expect(json_is_null(json_object_get(list, "next")));
	json_decref(list);
	test_daemon_stop(&daemon);
}

Test(people, by_external_id)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char path[128], staff[160];

	test_expect_status(
	        test_json(&daemon, "POST", "/v1/collections", "{\"name\":\"staff\"}"), 201, "collection");
	create(&daemon, "", "{\"name\":\"Ann\",\"external_id\":\"e/1\"}", path);
	create(&daemon, "", "{\"name\":\"Bob\"}", path);
	create(&daemon, "?collection=staff", "{\"name\":\"Cid\",\"external_id\":\"e/1\"}", staff);

	static const struct {
		const char *target, *name; /* nobody: NULL */
	} cases[] = {
	        {"/v1/people?external_id=e%2F1", "Ann"},
	        {"/v1/people?external_id=e%2F1&collection=staff", "Cid"},
	        {"/v1/people?external_id=e", NULL},
	        {"/v1/people?external_id=", NULL},
	        {"/v1/people?external_id=E%2F1", NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		json_t *list = test_take_json(test_get(&daemon, cases[i].target), 200, cases[i].target);
		json_t *people = json_object_get(list, "people");

		cr_assert_eq(json_array_size(people), cases[i].name != NULL, "%s", cases[i].target);
		if (cases[i].name)
			cr_expect_str_eq(text(json_array_get(people, 0), "name"), cases[i].name);
		cr_expect(json_is_null(json_object_get(list, "next")));
		json_decref(list);
	}
	test_expect_problem(
	        test_get(&daemon, "/v1/people?external_id=e&name=Ann"), 400, "bad_request", "and a name");
	test_daemon_stop(&daemon);
}

Test(people, collections)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char path[128], staff[160];

	json_t *made = test_take_json(
	        test_json(&daemon, "POST", "/v1/collections", "{\"name\":\"staff / n\xc3\xa9\"}"), 201,
	        "create");
	cr_expect_str_eq(text(made, "name"), "staff / n\xc3\xa9");
	json_decref(made);
	test_expect_problem(test_json(&daemon, "POST", "/v1/collections", "{\"name\":\"staff / n\xc3\xa9\"}"),
	        409, "conflict", "again");
	create(&daemon, "?collection=staff+/+n%c3%a9", "{\"name\":\"A\",\"external_id\":\"1\"}", path);
	create(&daemon, "", "{\"name\":\"B\",\"external_id\":\"1\"}", staff);

	json_t *list = test_take_json(test_get(&daemon, "/v1/collections"), 200, "list");
	cr_expect_eq(json_array_size(json_object_get(list, "collections")), 2);
	json_decref(list);
	json_t *one = test_take_json(test_get(&daemon, "/v1/collections/staff%20%2F%20n%C3%A9"), 200, "get");
	cr_expect_eq(json_integer_value(json_object_get(one, "people")), 1);
	cr_expect_eq(json_integer_value(json_object_get(one, "faces")), 0);
	json_decref(one);

	test_expect_problem(test_get(&daemon, path), 404, "not_found", "in another collection");
	snprintf(staff, sizeof(staff), "%s?collection=staff%%20/%%20n%%c3%%a9", path);
	test_expect_status(test_get(&daemon, staff), 200, "in its own");
	test_expect_status(test_delete(&daemon, "/v1/collections/staff%20%2F%20n%C3%A9"), 204, "delete");
	test_expect_problem(test_get(&daemon, staff), 404, "not_found", "gone with its collection");
	struct test_reply reply = test_delete(&daemon, "/v1/collections/default");
	cr_expect(reply.status == 400 || reply.status == 409, "%ld", reply.status);
	test_reply_done(&reply);
	test_expect_status(test_get(&daemon, "/v1/collections/default"), 200, "the default stays");
	test_daemon_stop(&daemon);
}

Test(people, survive_a_restart_and_a_kill)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char first[128], second[128];

	create(&daemon, "", "{\"name\":\"A\"}", first);
	test_daemon_end(&daemon, SIGTERM);
	test_daemon_restart(&daemon, NULL);
	test_expect_status(test_get(&daemon, first), 200, "after SIGTERM");
	create(&daemon, "", "{\"name\":\"B\"}", second);
	test_daemon_end(&daemon, SIGKILL);
	test_daemon_restart(&daemon, NULL);
	test_expect_status(test_get(&daemon, first), 200, "after SIGKILL");
	test_expect_status(test_get(&daemon, second), 200, "a 201 means on disk");
	test_daemon_stop(&daemon);
}

static int64_t integer(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

Test(people, retention_and_audit)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	static const char *const refused[] = {"{\"retention_days\":0}", "{\"retention_days\":-1}",
	        "{\"retention_days\":36501}", "{\"retention_days\":1.5}", "{\"retention_days\":\"1\"}"};
	char path[128];

	json_t *json = test_take_json(
	        test_json(&daemon, "POST", "/v1/collections", "{\"name\":\"door\",\"retention_days\":7}"),
	        201, "create");
	cr_expect_eq(integer(json, "retention_days"), 7);
	json_decref(json);
	json = test_take_json(
	        test_json(&daemon, "PATCH", "/v1/collections/door", "{\"retention_days\":14}"), 200, "patch");
	cr_expect_eq(integer(json, "retention_days"), 14);
	json_decref(json);
	json = test_take_json(
	        test_json(&daemon, "PATCH", "/v1/collections/door", "{}"), 200, "what is absent stays");
	cr_expect_eq(integer(json, "retention_days"), 14);
	json_decref(json);
	json = test_take_json(
	        test_json(&daemon, "PATCH", "/v1/collections/door", "{\"retention_days\":null}"), 200,
	        "for ever");
	cr_expect(json_is_null(json_object_get(json, "retention_days")));
	json_decref(json);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		test_expect_problem(test_json(&daemon, "PATCH", "/v1/collections/door", refused[i]), 400,
		        "bad_request", refused[i]);
	test_expect_problem(test_json(&daemon, "PATCH", "/v1/collections/none", "{\"retention_days\":1}"),
	        404, "not_found", "none");

	create(&daemon, "?collection=door", "{\"name\":\"A\"}", path);
	strcat(path, "?collection=door");
	test_expect_status(test_delete(&daemon, path), 204, "delete");
	test_expect_status(test_delete(&daemon, "/v1/collections/door"), 204, "delete");
	json = test_take_json(test_get(&daemon, "/v1/admin/audit?limit=1"), 200, "audit");
	json_t *record = json_array_get(json_object_get(json, "records"), 0);
	int64_t next = integer(json, "next");

	cr_expect_str_eq(text(record, "object_kind"), "person");
	cr_expect_str_eq(text(record, "collection"), "door");
	cr_expect_str_eq(text(record, "actor"), "http");
	cr_expect_eq(strncmp(path + strlen("/v1/people/"), text(record, "object_id"), 36), 0);
	json_decref(json);
	snprintf(path, sizeof(path), "/v1/admin/audit?after=%ld", (long)next);
	json = test_take_json(test_get(&daemon, path), 200, "the next page");
	record = json_array_get(json_object_get(json, "records"), 0);
	cr_expect_str_eq(text(record, "object_kind"), "collection");
	cr_expect_str_eq(text(record, "object_id"), "door");
	cr_expect(json_is_null(json_object_get(json, "next")));
	json_decref(json);
	test_daemon_stop(&daemon);
}

/* Behind the daemon's back, while it does not run. */
static void sql(const struct test_daemon *daemon, const char *statement)
{
	char path[256];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/gallery.db", daemon->directory);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, statement, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
}

static size_t count_records(const struct test_daemon *daemon)
{
	json_t *json = test_take_json(test_get(daemon, "/v1/admin/audit"), 200, "audit");
	size_t count = json_array_size(json_object_get(json, "records"));

	json_decref(json);
	return count;
}

Test(people, the_audit_is_kept_as_long_as_the_settings_say)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char path[128];

	for (int i = 0; i < 3; i++) {
		create(&daemon, "", "{\"name\":\"A\"}", path);
		test_expect_status(test_delete(&daemon, path), 204, "delete");
	}
	test_daemon_end(&daemon, SIGTERM);
	sql(&daemon, "UPDATE audit SET time_ms = time_ms - 366 * 86400000 WHERE key < 3");
	test_daemon_restart(&daemon, "[gallery]\naudit_days = 0\n");
	cr_expect_eq(count_records(&daemon), 3, "for ever");
	test_daemon_end(&daemon, SIGTERM);
	test_daemon_restart(&daemon, NULL);
	test_daemon_wait_for_log(&daemon, "old audit records deleted");
	cr_expect_eq(count_records(&daemon), 1);
	test_daemon_stop(&daemon);
}

/* A face made older behind the daemon's back is gone soon after the start. */
Test(people, what_is_too_old_expires)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	size_t length;
	char *photo = test_demo_photo("sample1.jpg", &length);

	test_expect_status(test_json(&daemon, "PATCH", "/v1/collections/default", "{\"retention_days\":1}"),
	        200, "patch");
	test_expect_status(
	        test_photo(&daemon, "/v1/enroll?face=largest&name=Old", photo, length), 201, "enrol");
	test_daemon_end(&daemon, SIGTERM);
	sql(&daemon, "UPDATE faces SET created_at_ms = created_at_ms - 90000000");
	test_daemon_restart(&daemon, NULL);
	test_daemon_wait_for_log(&daemon, "faces expired");
	json_t *json = test_take_json(test_get(&daemon, "/v1/collections/default"), 200, "collection");

	cr_expect_eq(integer(json, "people"), 0);
	cr_expect_eq(integer(json, "faces"), 0);
	json_decref(json);
	json = test_take_json(
	        test_photo(&daemon, "/v1/identify", photo, length), 200, "the index has forgotten too");
	cr_expect_eq(integer(json_object_get(json, "gallery"), "faces"), 0);
	json_decref(json);
	test_daemon_stop(&daemon);
	free(photo);
}
