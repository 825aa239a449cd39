/* Keys, roles, and the pages that a browser may ask for. */
#include "lib/auth/keyring.h"
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64], keys_path[80], settings[128];

static void begin(void)
{
	snprintf(directory, sizeof(directory), "/tmp/facematchd-keys-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	snprintf(keys_path, sizeof(keys_path), "%s/keys", directory);
	snprintf(settings, sizeof(settings), "[auth]\nkeys = %s\n", keys_path);
}

static void end(void)
{
	unlink(keys_path);
	rmdir(directory);
}

TestSuite(auth, .init = begin, .fini = end);

struct key {
	char text[FM_KEY_TEXT], id[FM_KEY_ID];
};

static struct key add_key(enum fm_role role, const char *collection)
{
	const struct fm_key_wish wish = {
	        .role = role, .name = "", .collection_count = collection ? 1 : 0, .collections = &collection};
	struct fm_error err;
	struct key key;

	cr_assert_eq(fm_keyring_add(keys_path, &wish, key.text, key.id, &err), FM_OK, "%s", err.message);
	return key;
}

static struct test_reply ask(const struct test_daemon *daemon, const char *method, const char *path,
        const char *key, const char *json)
{
	char header[FM_KEY_TEXT + 64];

	snprintf(header, sizeof(header), "X-Api-Key: %.*s", FM_KEY_TEXT, key ? key : "");
	return test_with_headers(
	        daemon, method, path, (const char *const[]){key ? header : NULL, NULL}, json);
}

static void expect_code(struct test_reply reply, long status, const char *code, const char *what)
{
	if (code)
		test_expect_problem(reply, status, code, what);
	else
		test_expect_status(reply, status, what);
}

Test(auth, a_key_is_wanted)
{
	struct key key = add_key(FM_ROLE_IDENTIFY, NULL);
	struct test_daemon daemon = test_daemon_start(settings);
	char bearer[128], lower[128];

	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s", key.text);
	snprintf(lower, sizeof(lower), "authorization: bearer  %s", key.text);
	test_expect_status(test_get(&daemon, "/healthz"), 200, "health is for anyone");
	test_expect_status(test_get(&daemon, "/readyz"), 200, "readiness is for anyone");
	struct test_reply reply = test_get(&daemon, "/v1/info");
	cr_expect_str_eq(test_reply_header(&reply, "WWW-Authenticate"), "Bearer realm=\"facematchd\"");
	test_expect_problem(reply, 401, "unauthorized", "no key");
	test_expect_problem(ask(&daemon, "GET", "/v1/info", "fm_wrong", NULL), 401, "unauthorized", "wrong");
	test_expect_problem(ask(&daemon, "GET", "/v1/info", "", NULL), 401, "unauthorized", "empty");
	test_expect_problem(test_with_headers(&daemon, "GET", "/v1/info",
	                            (const char *const[]){"Authorization: Basic dXNlcjpwYXNz", NULL}, NULL),
	        401, "unauthorized", "another scheme");
	test_expect_status(ask(&daemon, "GET", "/v1/info", key.text, NULL), 200, "X-Api-Key");
	test_expect_status(
	        test_with_headers(&daemon, "GET", "/v1/info", (const char *const[]){bearer, NULL}, NULL), 200,
	        "Bearer");
	test_expect_status(
	        test_with_headers(&daemon, "GET", "/v1/info", (const char *const[]){lower, NULL}, NULL), 200,
	        "as RFC 9110 has it, schemes are case-insensitive");
	test_expect_problem(test_get(&daemon, "/nowhere"), 404, "not_found", "no path is no path");

	char *log = test_daemon_log(&daemon);
	cr_expect_null(strstr(log, key.text + 3), "a key in the log");
	cr_expect_not_null(strstr(log, "a wrong key address=127.0.0.1"), "%s", log);
	free(log);
	test_daemon_stop(&daemon);
}

Test(auth, roles)
{
	static const struct {
		const char *method, *path, *json;
		long status[3]; /* for identify, enroll, admin */
	} cases[] = {
	        {"GET", "/v1/info", NULL, {200, 200, 200}},
	        {"POST", "/v1/identify", "{}", {400, 400, 400}},
	        {"POST", "/v1/people", "{\"name\":\"A\"}", {403, 201, 201}},
	        {"GET", "/v1/people", NULL, {403, 200, 200}},
	        {"POST", "/v1/enroll", "{}", {403, 400, 400}},
	        {"GET", "/v1/collections", NULL, {403, 403, 200}},
	        {"DELETE", "/v1/collections/none", NULL, {403, 403, 404}},
	};
	struct key keys[] = {
	        add_key(FM_ROLE_IDENTIFY, NULL), add_key(FM_ROLE_ENROLL, NULL), add_key(FM_ROLE_ADMIN, NULL)};
	struct test_daemon daemon = test_daemon_start(settings);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t k = 0; k < 3; k++)
			expect_code(ask(&daemon, cases[i].method, cases[i].path, keys[k].text, cases[i].json),
			        cases[i].status[k], cases[i].status[k] == 403 ? "forbidden" : NULL,
			        cases[i].path);
	}
	test_daemon_stop(&daemon);
}

Test(auth, keys_bound_to_a_collection)
{
	struct key bound = add_key(FM_ROLE_ENROLL, "staff"), admin = add_key(FM_ROLE_ADMIN, NULL);
	struct key bound_admin = add_key(FM_ROLE_ADMIN, "staff");
	struct test_daemon daemon = test_daemon_start(settings);

	test_expect_status(
	        ask(&daemon, "POST", "/v1/collections", admin.text, "{\"name\":\"staff\"}"), 201, "create");
	test_expect_status(
	        ask(&daemon, "GET", "/v1/people?collection=staff", bound.text, NULL), 200, "its own");
	test_expect_problem(ask(&daemon, "GET", "/v1/people", bound.text, NULL), 403, "forbidden", "default");
	test_expect_problem(ask(&daemon, "GET", "/v1/people?collection=other", bound.text, NULL), 403,
	        "forbidden", "other");
	test_expect_status(ask(&daemon, "GET", "/v1/info", bound.text, NULL), 200, "of no collection");
	test_expect_problem(ask(&daemon, "GET", "/v1/collections", bound_admin.text, NULL), 403, "forbidden",
	        "all collections");
	test_expect_status(
	        ask(&daemon, "GET", "/v1/collections/staff", bound_admin.text, NULL), 200, "its own");
	test_expect_problem(ask(&daemon, "POST", "/v1/admin/backup", bound_admin.text, "{}"), 403,
	        "forbidden", "a copy of all collections");
	test_expect_problem(ask(&daemon, "GET", "/v1/admin/audit", bound_admin.text, NULL), 403, "forbidden",
	        "the audit of all collections");
	test_expect_status(ask(&daemon, "GET", "/v1/admin/audit", admin.text, NULL), 200, "not bound");
	test_expect_problem(ask(&daemon, "GET", "/v1/collections/default", bound_admin.text, NULL), 403,
	        "forbidden", "not its own");
	test_expect_status(ask(&daemon, "GET", "/v1/collections", admin.text, NULL), 200, "not bound");
	test_daemon_stop(&daemon);
}

Test(auth, keys_change_without_a_restart)
{
	struct key old = add_key(FM_ROLE_IDENTIFY, NULL);
	struct test_daemon daemon = test_daemon_start(settings);
	struct fm_error err;

	struct key added = add_key(FM_ROLE_IDENTIFY, NULL);
	test_expect_problem(
	        ask(&daemon, "GET", "/v1/info", added.text, NULL), 401, "unauthorized", "not yet");
	cr_assert_eq(fm_keyring_remove(keys_path, old.id, &err), FM_OK, "%s", err.message);
	test_daemon_reload(&daemon, settings, "settings reloaded");
	test_expect_status(ask(&daemon, "GET", "/v1/info", added.text, NULL), 200, "added");
	test_expect_problem(ask(&daemon, "GET", "/v1/info", old.text, NULL), 401, "unauthorized", "revoked");

	/* What would open the door, or cannot be read, is refused. */
	test_daemon_reload(&daemon, NULL, "the settings stay as they were");
	chmod(keys_path, 0644);
	test_daemon_reload(&daemon, settings, "the settings stay as they were");
	unlink(keys_path);
	test_daemon_reload(&daemon, settings, "the settings stay as they were");
	test_expect_problem(test_get(&daemon, "/v1/info"), 401, "unauthorized", "still locked");
	test_expect_status(ask(&daemon, "GET", "/v1/info", added.text, NULL), 200, "still there");
	test_daemon_stop(&daemon);
}

Test(auth, wrong_keys_are_slowed_down)
{
	struct key key = add_key(FM_ROLE_IDENTIFY, NULL);
	char more[512];
	snprintf(more, sizeof(more), "%sfailures_per_minute = 3\n", settings);
	struct test_daemon daemon = test_daemon_start(more);

	struct test_reply reply = {0};
	int wrong = 0;

	/* One that is slow is forgiven some meanwhile. */
	for (; wrong < 3 || (reply.status == 401 && wrong < 1000); wrong++) {
		test_reply_done(&reply);
		reply = ask(&daemon, "GET", "/v1/info", "guess", NULL);
		if (wrong < 3)
			cr_expect_eq(reply.status, 401, "%d: %ld", wrong, reply.status);
	}
	long wait_s = strtol(test_reply_header(&reply, "Retry-After"), NULL, 10);
	cr_expect(wait_s >= 1 && wait_s <= 20, "%ld", wait_s);
	test_expect_problem(reply, 429, "rate_limited", "once too often");
	/* On loopback a proxy may stand for everybody: who has a key is let in. */
	test_expect_status(ask(&daemon, "GET", "/v1/info", key.text, NULL), 200, "the right one");
	test_expect_problem(test_get(&daemon, "/v1/info"), 401, "unauthorized", "no key is no guess");
	test_daemon_stop(&daemon);
}

Test(auth, requests_a_second)
{
	struct key one = add_key(FM_ROLE_IDENTIFY, NULL), other = add_key(FM_ROLE_IDENTIFY, NULL);
	char more[512];
	snprintf(more, sizeof(more), "%s[limits]\nrequests_per_second = 2\n", settings);
	struct test_daemon daemon = test_daemon_start(more);
	int good = 0, limited = 0;

	/* Who takes longer over a request than the limit allows is never too fast. */
	for (int i = 0; i < 8 || (!limited && i < 1000); i++) {
		struct test_reply reply = ask(&daemon, "GET", "/v1/info", one.text, NULL);
		good += reply.status == 200;
		limited += reply.status == 429;
		if (reply.status == 429) {
			cr_expect_str_eq(test_reply_header(&reply, "Retry-After"), "1");
			test_expect_problem(reply, 429, "rate_limited", "too fast");
		} else {
			test_reply_done(&reply);
		}
	}
	cr_expect_geq(good, 2);
	cr_expect_geq(limited, 1, "%d passed", good);
	test_expect_status(ask(&daemon, "GET", "/v1/info", other.text, NULL), 200, "another key");
	test_expect_status(test_get(&daemon, "/healthz"), 200, "health does not count");
	sleep(1);
	test_expect_status(ask(&daemon, "GET", "/v1/info", one.text, NULL), 200, "a second later");
	test_daemon_stop(&daemon);
}

Test(auth, without_keys_each_address_has_its_rate)
{
	struct test_daemon daemon = test_daemon_start("[limits]\nrequests_per_second = 1\n");
	int limited = 0;

	for (int i = 0; i < 1000 && !limited; i++) {
		struct test_reply reply = test_get(&daemon, "/v1/info");
		limited += reply.status == 429;
		test_reply_done(&reply);
	}
	cr_expect_geq(limited, 1);
	test_daemon_reload(&daemon, "[limits]\nrequests_per_second = 0\n", "settings reloaded");
	for (int i = 0; i < 20; i++)
		test_expect_status(test_get(&daemon, "/v1/info"), 200, "no limit");
	test_daemon_stop(&daemon);
}

static struct test_reply with(
        const struct test_daemon *daemon, const char *method, const char *path, const char *a, const char *b)
{
	return test_with_headers(daemon, method, path, (const char *const[]){a, b, NULL}, NULL);
}

Test(auth, names_of_others_are_refused_without_keys)
{
	struct test_daemon daemon = test_daemon_start("[server]\nhost_names = door.example\n");

	test_expect_problem(
	        with(&daemon, "GET", "/v1/info", "Host: evil.example", NULL), 421, "misdirected", "rebound");
	test_expect_problem(
	        with(&daemon, "GET", "/healthz", "Host: evil.example", NULL), 421, "misdirected", "rebound");
	test_expect_status(with(&daemon, "GET", "/v1/info", "Host: localhost:1", NULL), 200, "localhost");
	test_expect_status(with(&daemon, "GET", "/v1/info", "Host: door.example", NULL), 200, "listed");
	test_daemon_stop(&daemon);

	struct key key = add_key(FM_ROLE_IDENTIFY, NULL);
	daemon = test_daemon_start(settings);
	test_expect_status(ask(&daemon, "GET", "/v1/info", key.text, NULL), 200, "a key");
	char header[FM_KEY_TEXT + 64];
	snprintf(header, sizeof(header), "X-Api-Key: %s", key.text);
	test_expect_status(
	        with(&daemon, "GET", "/v1/info", "Host: any.example", header), 200, "no page has the key");
	test_daemon_stop(&daemon);
}

Test(auth, pages_of_other_origins)
{
	struct test_daemon daemon = test_daemon_start("[server]\ncors_origins = https://app.example\n");

	test_expect_problem(with(&daemon, "GET", "/v1/info", "Origin: https://evil.example", NULL), 403,
	        "forbidden", "other");
	struct test_reply reply =
	        with(&daemon, "GET", "/v1/info", "Origin: https://app.example", "Sec-Fetch-Site: cross-site");
	cr_expect_str_eq(test_reply_header(&reply, "Access-Control-Allow-Origin"), "https://app.example");
	cr_expect_str_eq(test_reply_header(&reply, "Vary"), "Origin");
	test_expect_status(reply, 200, "allowed");
	/* A page may read why it was refused. */
	reply = with(&daemon, "GET", "/nowhere", "Origin: https://app.example", NULL);
	cr_expect_str_eq(test_reply_header(&reply, "Access-Control-Allow-Origin"), "https://app.example");
	test_expect_problem(reply, 404, "not_found", "nowhere");

	reply = with(&daemon, "OPTIONS", "/v1/people/7", "Origin: https://app.example",
	        "Access-Control-Request-Method: DELETE");
	cr_expect_str_eq(test_reply_header(&reply, "Access-Control-Allow-Origin"), "https://app.example");
	cr_expect_str_eq(test_reply_header(&reply, "Access-Control-Allow-Methods"),
	        "GET, HEAD, PATCH, DELETE, OPTIONS");
	cr_expect(strstr(test_reply_header(&reply, "Access-Control-Allow-Headers"), "X-Api-Key"));
	test_expect_status(reply, 204, "preflight");
	test_expect_problem(with(&daemon, "OPTIONS", "/v1/people/7", "Origin: https://evil.example",
	                            "Access-Control-Request-Method: DELETE"),
	        403, "forbidden", "preflight");
	test_daemon_reload(&daemon, NULL, "settings reloaded");
	test_expect_problem(with(&daemon, "GET", "/v1/info", "Origin: https://app.example", NULL), 403,
	        "forbidden", "off by default");
	test_daemon_stop(&daemon);
}

Test(auth, options)
{
	struct test_daemon daemon = test_daemon_start(NULL);

	struct test_reply reply = test_http(&daemon, "OPTIONS", "/v1/people", NULL, NULL, 0);
	cr_expect_str_eq(test_reply_header(&reply, "Allow"), "POST, GET, HEAD, OPTIONS");
	cr_expect_str_eq(test_reply_header(&reply, "Access-Control-Allow-Methods"), "");
	test_expect_status(reply, 204, "a path");
	test_expect_problem(
	        test_http(&daemon, "OPTIONS", "/nowhere", NULL, NULL, 0), 404, "not_found", "no path");
	static const char all[] = "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	int fd = test_connect(&daemon);
	test_send(fd, all, strlen(all));
	char *text = test_receive(fd, NULL);
	cr_expect_eq(strncmp(text, "HTTP/1.1 204 ", 13), 0, "%s", text);
	free(text);
	close(fd);
	test_daemon_stop(&daemon);
}

/* The command line's refusals, with and without keys. */
Test(auth, other_addresses_want_keys)
{
	char output[2048], config[96];

	snprintf(config, sizeof(config), "%s.conf", keys_path);
	FILE *file = fopen(config, "w");
	cr_assert_not_null(file);
	fputs(settings, file);
	fclose(file);
	const char *const check[] = {"--config", config, "--listen", "0.0.0.0:0", "--check-config", NULL};
	cr_expect_eq(test_daemon_run(check, output, sizeof(output)), 78);
	cr_expect(strstr(output, "cannot open the keys in"), "%s", output);
	add_key(FM_ROLE_ADMIN, NULL);
	cr_expect_eq(test_daemon_run(check, output, sizeof(output)), 0, "%s", output);
	chmod(keys_path, 0644);
	cr_expect_eq(test_daemon_run(check, output, sizeof(output)), 78);
	cr_expect(strstr(output, "chmod 600"), "%s", output);

	file = fopen(config, "w");
	cr_assert_not_null(file);
	fputs("[server]\nallow_without_keys = yes\n", file);
	fclose(file);
	cr_expect_eq(test_daemon_run(check, output, sizeof(output)), 0, "%s", output);
	unlink(config);
}
