/*
 * Another embedding network for a gallery in use: the same network in float32 has another fingerprint.
 * Searches go on under the old one until every face is brought over; a crash in the middle loses nothing; a
 * rollback leads back; a face without a crop is told, not dropped.
 */
#include "tests/support/ctl.h"
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INT8          "[gallery]\nkeep_crops = yes\n"
#define SLOW          "[reembed]\nfaces_per_second = 1\n"
#define FAST          "[reembed]\nfaces_per_second = 0\n"
#define FLOAT32(rate) INT8 "[models]\nprecision = float32\n" rate
#define PHOTOS        4
#define FACES         12

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static long number(const json_t *object, const char *key)
{
	return (long)json_integer_value(json_object_get(object, key));
}

/* A member of /v1/info: the model that serves, or a text of the top. */
static void serving_model(const struct test_daemon *daemon, char ret_model[96])
{
	json_t *info = test_take_json(test_get(daemon, "/v1/info"), 200, "info");
	const json_t *embedding = json_object_get(json_object_get(info, "models"), "embedding");

	snprintf(ret_model, 96, "%s", text(embedding, "fingerprint"));
	json_decref(info);
}

static void expect_unsearched(const struct test_daemon *daemon, long count)
{
	json_t *jobs = test_take_json(test_get(daemon, "/v1/admin/jobs"), 200, "jobs");

	cr_expect_eq(number(json_object_get(jobs, "gallery"), "unsearched_faces"), count);
	json_decref(jobs);
	json_t *info = test_take_json(test_get(daemon, "/v1/info"), 200, "info");
	cr_expect_eq(number(info, "unsearched_faces"), count);
	json_decref(info);
}

static void enroll(const struct test_daemon *daemon, const char *photo_name, const char *name)
{
	char path[96];
	size_t length;
	char *photo = test_demo_photo(photo_name, &length);

	snprintf(path, sizeof(path), "/v1/enroll?name=%s&face=largest", name);
	test_expect_status(test_photo(daemon, path, photo, length), 201, name);
	free(photo);
}

static void enroll_all(const struct test_daemon *daemon)
{
	char photo[32], name[32];

	for (int i = 0; i < FACES; i++) {
		snprintf(photo, sizeof(photo), "sample%d.jpg", i % PHOTOS + 1);
		snprintf(name, sizeof(name), "p%d", i);
		enroll(daemon, photo, name);
	}
}

/* The largest face of the photo is somebody whose name this gives ("": unknown), under this model. */
static void identify(
        const struct test_daemon *daemon, const char *photo_name, const char *model, char ret_name[64])
{
	size_t length;
	char *photo = test_demo_photo(photo_name, &length);
	json_t *found = test_take_json(test_photo(daemon, "/v1/identify", photo, length), 200, "identify");
	const json_t *face = json_array_get(json_object_get(found, "faces"), 0);

	snprintf(ret_name, 64, "%s", text(json_object_get(face, "person"), "name"));
	json_decref(found);
	json_t *embedded = test_take_json(test_photo(daemon, "/v1/embed", photo, length), 200, "embed");
	cr_expect_str_eq(text(embedded, "model"), model);
	json_decref(embedded);
	free(photo);
}

static void expect_found(const struct test_daemon *daemon, const char *model)
{
	char name[64], photo[32];

	for (int i = 1; i <= PHOTOS; i++) {
		snprintf(photo, sizeof(photo), "sample%d.jpg", i);
		identify(daemon, photo, model, name);
		cr_expect_eq(name[0], 'p', "%s is \"%s\"", photo, name);
		if (name[0] == 'p')
			cr_expect_eq(atoi(name + 1) % PHOTOS, i - 1, "%s is %s", photo, name);
	}
}

static void start_job(const struct test_daemon *daemon, char ret_path[96])
{
	struct test_reply reply = test_http(daemon, "POST", "/v1/admin/reembed", NULL, "", 0);

	snprintf(ret_path, 96, "%s", test_reply_header(&reply, "Location"));
	json_t *body = test_take_json(reply, 202, "reembed");
	cr_expect_str_eq(text(json_object_get(body, "job"), "state"), "running");
	json_decref(body);
}

/* Waits until the job is in that state, or has done so many (state NULL). */
static json_t *wait_for_job(const struct test_daemon *daemon, const char *path, const char *state, long done)
{
	for (int waited_ms = 0;; waited_ms += 50) {
		json_t *job = test_take_json(test_get(daemon, path), 200, "job");
		if (state ? strcmp(text(job, "state"), state) == 0 : number(job, "done") >= done)
			return job;
		cr_assert_lt(waited_ms, TEST_PATIENCE_S * 1000, "the job is %s, %ld done", text(job, "state"),
		        number(job, "done"));
		json_decref(job);
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	}
}

Test(reembed, goes_on_after_a_crash_and_leads_back)
{
	struct test_daemon daemon = test_daemon_start(INT8);
	char old[96], now[96], path[96], new[96], name[64];

	serving_model(&daemon, old);
	enroll_all(&daemon);
	test_expect_problem(test_http(&daemon, "POST", "/v1/admin/reembed", NULL, "", 0), 409, "conflict",
	        "nothing to do");
	test_expect_problem(test_http(&daemon, "POST", "/v1/admin/rollback", NULL, "", 0), 409, "conflict",
	        "nowhere to go back to");
	test_daemon_end(&daemon, SIGTERM);

	/* The old network serves on. */
	test_daemon_restart(&daemon, FLOAT32(SLOW));
	test_daemon_wait_for_log(&daemon, "another embedding network is configured");
	expect_found(&daemon, old);
	expect_unsearched(&daemon, 0);
	start_job(&daemon, path);
	test_expect_problem(test_http(&daemon, "POST", "/v1/admin/reembed", NULL, "", 0), 409, "conflict",
	        "one at a time");
	test_expect_problem(test_http(&daemon, "POST", "/v1/admin/rollback", NULL, "", 0), 409, "conflict",
	        "not beside a job");
	json_decref(wait_for_job(&daemon, path, NULL, 1));
	serving_model(&daemon, now);
	cr_expect_str_eq(now, old);

	test_daemon_end(&daemon, SIGKILL);
	test_daemon_restart(&daemon, FLOAT32(SLOW));
	test_daemon_wait_for_log(&daemon, "going on with bringing faces over");
	json_t *job = test_take_json(test_get(&daemon, path), 200, "after the crash");
	cr_expect_str_eq(text(job, "state"), "running");
	cr_expect(number(job, "done") >= 1 && number(job, "done") < FACES, "%ld done", number(job, "done"));
	json_decref(job);
	/* Who comes and goes meanwhile. */
	enroll(&daemon, "sample1.jpg", "p100");
	json_t *list = test_take_json(test_get(&daemon, "/v1/people?name=p11"), 200, "list");
	const json_t *person = json_array_get(json_object_get(list, "people"), 0);
	char person_path[96];
	snprintf(person_path, sizeof(person_path), "/v1/people/%s", text(person, "id"));
	json_decref(list);
	test_expect_status(test_delete(&daemon, person_path), 204, "p11 goes");
	test_daemon_reload(&daemon, FLOAT32(FAST), "settings reloaded");
	job = wait_for_job(&daemon, path, "done", 0);
	cr_expect_eq(number(job, "skipped"), 0);
	cr_expect_geq(number(job, "done"), FACES);
	cr_expect_eq(number(job, "total"), number(job, "done"));
	json_decref(job);
	serving_model(&daemon, new);
	cr_expect_str_neq(new, old);
	expect_found(&daemon, new);
	expect_unsearched(&daemon, 0);
	test_expect_problem(test_http(&daemon, "POST", "/v1/admin/reembed", NULL, "", 0), 409, "conflict",
	        "nothing to do any more");

	/* The same photo again is the same face, although its row is of the old network. */
	size_t length;
	char *photo = test_demo_photo("sample2.jpg", &length);
	test_expect_status(
	        test_photo(&daemon, "/v1/enroll?name=p1&face=largest", photo, length), 200, "known");
	free(photo);
	enroll(&daemon, "sample5.jpg", "newcomer");
	test_daemon_end(&daemon, SIGTERM);
	test_daemon_restart(&daemon, FLOAT32(FAST));
	serving_model(&daemon, now);
	cr_expect_str_eq(now, new, "the gallery remembers");
	expect_found(&daemon, new);

	/* Back: who came under the new network alone is told. */
	test_expect_status(test_http(&daemon, "POST", "/v1/admin/rollback", NULL, "", 0), 200, "rollback");
	serving_model(&daemon, now);
	cr_expect_str_eq(now, old);
	expect_found(&daemon, old);
	expect_unsearched(&daemon, 1);
	identify(&daemon, "sample5.jpg", old, name);
	cr_expect_str_eq(name, "");
	test_daemon_end(&daemon, SIGTERM);
	test_daemon_restart(&daemon, FLOAT32(FAST));
	serving_model(&daemon, now);
	cr_expect_str_eq(now, old, "after a restart too");

	/* And forth again: there is nothing left to compute. */
	start_job(&daemon, path);
	json_decref(wait_for_job(&daemon, path, "done", 0));
	expect_found(&daemon, new);
	expect_unsearched(&daemon, 0);
	identify(&daemon, "sample5.jpg", new, name);
	cr_expect_str_eq(name, "newcomer");
	test_daemon_stop(&daemon);
}

Test(reembed, tells_what_it_cannot_do)
{
	struct test_daemon daemon = test_daemon_start(NULL);
	char old[96], now[96], path[96], skipped[128];

	serving_model(&daemon, old);
	enroll(&daemon, "sample1.jpg", "p0");
	test_daemon_end(&daemon, SIGTERM);
	test_daemon_restart(&daemon, FLOAT32(FAST));

	/* Not one has a crop: the new network would find nobody. */
	start_job(&daemon, path);
	json_t *job = wait_for_job(&daemon, path, "failed", 0);
	cr_expect_neq(strstr(text(job, "error"), "keep_crops"), NULL, "%s", text(job, "error"));
	cr_expect_eq(number(job, "skipped"), 1);
	json_decref(job);
	serving_model(&daemon, now);
	cr_expect_str_eq(now, old);

	enroll(&daemon, "sample2.jpg", "p1");
	start_job(&daemon, path);
	json_decref(wait_for_job(&daemon, path, "done", 0));
	expect_unsearched(&daemon, 1);
	snprintf(skipped, sizeof(skipped), "%s/skipped?limit=1", path);
	json_t *list = test_take_json(test_get(&daemon, skipped), 200, "skipped");
	const json_t *face = json_array_get(json_object_get(list, "faces"), 0);
	cr_expect_str_eq(text(face, "reason"), "no_crop");
	cr_expect_str_eq(text(face, "collection"), "default");
	snprintf(skipped, sizeof(skipped), "%s/skipped?after=%ld", path, number(list, "next"));
	json_decref(list);
	list = test_take_json(test_get(&daemon, skipped), 200, "the end");
	cr_expect_eq(json_array_size(json_object_get(list, "faces")), 0);
	cr_expect(json_is_null(json_object_get(list, "next")));
	json_decref(list);
	test_expect_problem(test_delete(&daemon, path), 409, "conflict", "it has ended");
	test_daemon_stop(&daemon);
}

/* facematchctl check, beside a daemon whose gallery has embeddings of two networks. */
static void expect_check(const struct test_daemon *daemon, const char *says)
{
	char gallery[96], url[64];

	snprintf(gallery, sizeof(gallery), "%s/gallery.db", daemon->directory);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", daemon->port);
	struct test_ctl_result result = test_ctl_run("check", "--gallery", gallery, "--url", url, NULL);
	cr_expect_eq(result.status, 0, "%s%s", result.out, result.err);
	cr_expect_not_null(strstr(result.out, says), "%s", result.out);
	test_ctl_result_done(&result);
}

Test(reembed, is_followed_and_checked, .init = test_ctl_setup, .fini = test_ctl_teardown)
{
	struct test_daemon daemon = test_daemon_start(INT8);
	char url[64];

	enroll_all(&daemon);
	test_daemon_end(&daemon, SIGTERM);
	test_daemon_restart(&daemon, FLOAT32(FAST));
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", daemon.port);
	struct test_ctl_result result = test_ctl_run("reembed", "--follow", "--url", url, NULL);
	cr_expect_eq(result.status, 0, "%s%s", result.out, result.err);
	cr_expect_not_null(strstr(result.out, "12 of 12 faces, 0 skipped"), "%s", result.out);
	test_ctl_result_done(&result);
	expect_check(&daemon, "12 faces, 24 embeddings, 12 crops\n12 faces are searched under ");
	test_ctl_expect_failure(test_ctl_run("reembed", "--url", url, NULL), "nothing to do");
	result = test_ctl_run("reembed", "--rollback", "--url", url, NULL);
	cr_expect_eq(result.status, 0, "%s%s", result.out, result.err);
	test_ctl_result_done(&result);
	result = test_ctl_run("reembed", "--status", "--url", url, NULL);
	cr_expect_not_null(strstr(result.out, "previous:   "), "%s", result.out);
	cr_expect_not_null(strstr(result.out, "  done  "), "%s", result.out);
	test_ctl_result_done(&result);
	expect_check(&daemon, "12 faces are searched under ");

	/* The way back is given up: of each face one embedding is left, under which it is found. */
	char model[96];
	serving_model(&daemon, model);
	result = test_ctl_run("reembed", "--forget-previous", "--url", url, NULL);
	cr_expect_eq(result.status, 0, "%s%s", result.out, result.err);
	cr_expect_not_null(strstr(result.out, "of 12 faces\nin use: "), "%s", result.out);
	test_ctl_result_done(&result);
	expect_check(&daemon, "12 faces, 12 embeddings, 12 crops\n12 faces are searched under ");
	expect_found(&daemon, model);
	test_ctl_expect_failure(test_ctl_run("reembed", "--rollback", "--url", url, NULL), "were forgotten");
	test_ctl_expect_failure(
	        test_ctl_run("reembed", "--forget-previous", "--url", url, NULL), "nothing to forget");
	test_ctl_expect_usage_error(
	        test_ctl_run("reembed", "--forget-previous", "--rollback", NULL), "one of");
	/* And forth again, from the crops. */
	result = test_ctl_run("reembed", "--follow", "--url", url, NULL);
	cr_expect_eq(result.status, 0, "%s%s", result.out, result.err);
	test_ctl_result_done(&result);
	expect_check(&daemon, "12 faces, 24 embeddings, 12 crops\n12 faces are searched under ");
	test_daemon_stop(&daemon);
}

Test(reembed, can_be_cancelled)
{
	struct test_daemon daemon = test_daemon_start(INT8);
	char old[96], now[96], path[96], again[96];

	serving_model(&daemon, old);
	enroll_all(&daemon);
	test_daemon_end(&daemon, SIGTERM);
	test_daemon_restart(&daemon, FLOAT32(SLOW));
	start_job(&daemon, path);
	test_expect_status(test_delete(&daemon, path), 204, "cancel");
	json_decref(wait_for_job(&daemon, path, "cancelled", 0));
	/* At once: nobody has to know when its thread has ended. */
	start_job(&daemon, again);
	cr_expect_str_neq(again, path);
	test_expect_status(test_delete(&daemon, again), 204, "cancel again");
	test_daemon_wait_for_log(&daemon, "bringing faces over is interrupted");
	serving_model(&daemon, now);
	cr_expect_str_eq(now, old);
	expect_found(&daemon, old);
	test_expect_problem(test_get(&daemon, "/v1/admin/jobs/00000000-0000-4000-8000-000000000000"), 404,
	        "not_found", "job");
	test_daemon_stop(&daemon);
}
