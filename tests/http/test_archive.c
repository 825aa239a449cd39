/* A collection out of one gallery and into another: facematchctl export and import. */
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "tests/support/ctl.h"
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"
#include "tests/support/photo.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

	test_expect_status(test_json(&first, "POST", "/v1/people",
	                           "{\"name\":\"J\\u00f6rg\",\"external_id\":\"7\",\"metadata\":{\"a\":[1,0."
	                           "123456789012345]}}"),
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

/* ---- what an archive may hold, made of one that the daemon wrote ---- */

/* The first line of the archive that is a "person", or a "face". */
static json_t *first_line(const char *archive, const char *kind)
{
	for (const char *at = archive; *at; at += strcspn(at, "\n"), at += *at == '\n') {
		json_t *line = json_loadb(at, strcspn(at, "\n"), 0, NULL);
		if (json_object_get(line, kind))
			return line;
		json_decref(line);
	}
	cr_assert_fail("the archive has no %s", kind);
	return NULL;
}

static char *exported(const struct test_daemon *daemon)
{
	struct test_reply reply = test_get(daemon, "/v1/admin/export");
	char *text = strdup(reply.body);

	cr_assert_eq(reply.status, 200);
	test_reply_done(&reply);
	return text;
}

/* The reply to an archive of this text. */
static json_t *import_text(const struct test_daemon *daemon, const char *text)
{
	return test_take_json(
	        test_http(daemon, "POST", "/v1/admin/import", "application/x-ndjson", text, strlen(text)),
	        200, "import");
}

/* Sends the line with a member changed; `detail` is part of why it is refused, "": it must be taken. */
static void expect_refusal(const struct test_daemon *daemon, const json_t *line, const char *kind,
        const char *member, json_t *value, const char *detail)
{
	json_t *changed = json_deep_copy(line);

	json_object_set_new(json_object_get(changed, kind), member, value);
	char *text = json_dumps(changed, JSON_COMPACT);
	json_t *reply = import_text(daemon, text);
	const json_t *refusal = json_array_get(json_object_get(reply, "refusals"), 0);
	const char *said = json_string_value(json_object_get(refusal, "detail"));
	if (*detail)
		cr_expect(said && strstr(said, detail), "%s: \"%s\" instead of \"%s\"", member, said, detail);
	else
		cr_expect_null(said, "%s: %s", member, said);
	json_decref(reply);
	free(text);
	json_decref(changed);
}

static char *base64(const void *bytes, size_t length)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *from = bytes;
	char *text = calloc(1, (length + 2) / 3 * 4 + 1), *to = text;

	for (size_t bit = 0; bit < length * 8; bit += 6) {
		unsigned pair = (unsigned)from[bit / 8] << 8 | (bit / 8 + 1 < length ? from[bit / 8 + 1] : 0);
		*to++ = digits[pair >> (10 - bit % 8) & 63];
	}
	return text;
}

static json_t *base64_json(const void *bytes, size_t length)
{
	char *text = base64(bytes, length);
	json_t *json = json_string(text);

	free(text);
	return json;
}

static json_t *jpeg_json(int width_px, int height_px)
{
	struct fm_image scene = test_scene(width_px, height_px);
	struct test_bytes jpeg = test_jpeg_encode(&scene, &(struct test_jpeg){0});
	json_t *json = base64_json(jpeg.data, jpeg.length);

	test_bytes_done(&jpeg);
	fm_image_done(&scene);
	return json;
}

static void refuse_faces(const struct test_daemon *daemon, const json_t *face)
{
	static const float nan_first[512] = {__builtin_nanf("")}, short_one[256] = {1}, unit[8] = {1};
	static char much[400000];
	struct fm_image scene = test_scene(112, 112);
	struct test_bytes png = test_png_rgb(&scene);

	memset(much, 'A', sizeof(much) - 1);
	expect_refusal(daemon, face, "face", "crop", json_string("PGh0bWw+"), "cannot be decoded");
	expect_refusal(daemon, face, "face", "crop", json_string("*"), "not base64");
	expect_refusal(daemon, face, "face", "crop", json_string(much), "more than 262144 bytes");
	expect_refusal(daemon, face, "face", "crop", base64_json(png.data, png.length), "square JPEG");
	expect_refusal(daemon, face, "face", "crop", jpeg_json(112, 96), "square JPEG");
	expect_refusal(daemon, face, "face", "crop", jpeg_json(4100, 16), "cannot be decoded");
	expect_refusal(daemon, face, "face", "crop", json_integer(1), "not a string");
	expect_refusal(daemon, face, "face", "embedding", base64_json(nan_first, sizeof(nan_first)), "unit");
	expect_refusal(
	        daemon, face, "face", "embedding", base64_json(short_one, sizeof(short_one)), "has 512");
	expect_refusal(daemon, face, "face", "embedding", json_string("AAAA"), "float32");
	expect_refusal(daemon, face, "face", "embedding", json_string(""), "float32");
	expect_refusal(daemon, face, "face", "model", json_string("../../etc@0"), "name@fingerprint");
	expect_refusal(daemon, face, "face", "quality", json_object(), "\"score\"");
	expect_refusal(daemon, face, "face", "quality", json_string("{}"), "not an object");
	expect_refusal(daemon, face, "face", "box", json_pack("[i,i,i,i]", 0, 0, 0, 0), "not a rectangle");
	expect_refusal(daemon, face, "face", "image_sha256", json_string("00"), "64 hex");
	expect_refusal(daemon, face, "face", "created_at", json_string("yesterday"), "no time");
	expect_refusal(daemon, face, "face", "person_id", json_string("0a4c9f5e-0000-4000-8000-00000000ffff"),
	        "no such person");
	/* Of a network that nobody here knows: kept for later, and not searched. */
	json_t *foreign = json_deep_copy(face), *members = json_object_get(foreign, "face");
	json_object_set_new(members, "model", json_string("later@0123456789abcdef"));
	json_object_set_new(members, "embedding", base64_json(unit, sizeof(unit)));
	expect_refusal(
	        daemon, foreign, "face", "id", json_string("0A4C9F5E-0000-4000-8000-00000000000F"), "");
	json_decref(foreign);
	json_t *reply = test_take_json(
	        test_get(daemon, "/v1/faces/0a4c9f5e-0000-4000-8000-00000000000f"), 200, "face");
	json_decref(reply);
	test_bytes_done(&png);
	fm_image_done(&scene);
}

Test(archive, what_strangers_wrote_is_checked)
{
	struct test_daemon first = test_daemon_start(keeping), second = test_daemon_start(keeping);

	enroll(&first, "name=Anna&face=largest", "sample1.jpg");
	fm_autofree char *archive = exported(&first);
	json_t *person = first_line(archive, "person"), *face = first_line(archive, "face");

	expect_refusal(&second, person, "person", "id", json_string("x"), "no UUID");
	expect_refusal(&second, person, "person", "name", json_string("a\tb"), "control character");
	expect_refusal(&second, person, "person", "metadata", json_array(), "not an object");
	expect_refusal(
	        &second, person, "person", "created_at", json_string("1970-01-01T00:00:00.000Z"), "no time");
	expect_refusal(&second, person, "person", "external_id", json_string("7"), "");
	refuse_faces(&second, face);
	expect_refusal(&second, face, "face", "box", json_pack("[i,i,i,i]", 1, 2, 30, 40), "");
	json_decref(person);
	json_decref(face);
	test_daemon_stop(&first);
	test_daemon_stop(&second);
}

/* Metadata as deep as a request may bring it is one level deeper in an archive. */
Test(archive, what_was_accepted_is_accepted_again)
{
	struct test_daemon first = test_daemon_start(NULL), second = test_daemon_start(NULL);
	char body[512] = "{\"name\":\"deep\",\"metadata\":";
	size_t used = strlen(body);

	for (int i = 0; i < 31; i++, used += 5)
		memcpy(body + used, "{\"a\":", 6);
	body[used++] = '1';
	memset(body + used, '}', 32);
	test_expect_status(test_json(&first, "POST", "/v1/people", body), 201, "deep metadata");
	fm_autofree char *archive = exported(&first);
	json_t *reply = import_text(&second, archive);
	cr_expect_eq(json_integer_value(json_object_get(reply, "people")), 1);
	cr_expect_eq(json_integer_value(json_object_get(reply, "refused")), 0);
	json_decref(reply);
	test_daemon_stop(&first);
	test_daemon_stop(&second);
}

/* A cut file brings in what it has, and the whole one the rest; in pieces that the daemon takes; sealed. */
Test(archive, cut_short_and_sent_again)
{
	static const char key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
	struct test_daemon first = test_daemon_start(keeping);
	char url[64], file[TEST_CTL_PATH], key_file[TEST_CTL_PATH], settings[TEST_CTL_PATH + 128], path[96];
	size_t length;

	enroll(&first, "name=Anna&face=1179,353", "sample3.jpg");
	enroll(&first, "name=Bella&face=692,465", "sample3.jpg");
	enroll(&first, "name=Anna&face=largest", "sample1.jpg");
	test_ctl_path("all.jsonl", file);
	struct test_ctl_result result = test_ctl_run("export", file, "--url", url_of(&first, url), NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	test_ctl_result_done(&result);
	json_t *here = identified(&first);
	test_daemon_stop(&first);

	test_ctl_write("key", key, strlen(key));
	test_ctl_path("key", key_file);
	cr_assert_eq(chmod(key_file, 0600), 0);
	snprintf(settings, sizeof(settings), "%skey_file = %s\n[limits]\nbody_max_bytes = 20000\n", keeping,
	        key_file);
	struct test_daemon second = test_daemon_start(settings);
	fm_autofree char *archive = NULL;
	cr_assert_eq(fm_file_read(file, 1 << 20, &archive, &length, NULL), FM_OK);
	cr_assert_gt(length, 20000, "several batches");
	test_ctl_write("cut.jsonl", archive, length - 1000);
	char cut[TEST_CTL_PATH];
	test_ctl_path("cut.jsonl", cut);
	expect_import(&second, cut, 1, "2 people and 2 faces added, 0 there already, 1 lines refused");
	expect_import(&second, file, 0, "0 people and 1 faces added, 4 there already, 0 lines refused");

	/* Who may read what came in, what the disk shows of it, and what is recorded. */
	json_t *face = first_line(archive, "face");
	const char *crop = json_string_value(json_object_get(json_object_get(face, "face"), "crop"));
	cr_assert_not_null(crop);
	snprintf(path, sizeof(path), "%s/gallery.db", second.directory);
	fm_autofree char *database = NULL;
	json_t *audit = test_take_json(test_get(&second, "/v1/admin/audit"), 200, "audit");
	const json_t *record = json_array_get(json_object_get(audit, "records"), 0);
	cr_expect_str_eq(json_string_value(json_object_get(record, "action")), "import");
	cr_expect_geq(json_array_size(json_object_get(audit, "records")), 2, "a record a batch that added");
	json_decref(audit);
	test_daemon_end(&second, SIGTERM);
	cr_assert_eq(fm_file_read(path, 1 << 26, &database, &length, NULL), FM_OK);
	cr_expect_null(memmem(database, length, "\xff\xd8\xff\xe0", 4), "a JPEG's head in a sealed gallery");
	json_decref(face);

	/* Photos are larger than that; the gallery is what counts. */
	snprintf(settings, sizeof(settings), "%skey_file = %s\n", keeping, key_file);
	test_daemon_restart(&second, settings);
	json_t *there = identified(&second);
	cr_expect(json_equal(here, there), "the same faces, people, cosines and ids");
	json_decref(here);
	json_decref(there);
	test_daemon_stop(&second);
}

Test(archive, who_takes_it_is_recorded)
{
	struct test_daemon daemon = test_daemon_start(NULL);

	enroll(&daemon, "name=Anna&face=largest", "sample1.jpg");
	free(exported(&daemon));
	json_t *audit = test_take_json(test_get(&daemon, "/v1/admin/audit"), 200, "audit");
	json_t *records = json_object_get(audit, "records");
	const json_t *record = json_array_get(records, 0);
	cr_assert_eq(json_array_size(records), 1);
	cr_expect_str_eq(json_string_value(json_object_get(record, "action")), "export");
	cr_expect_str_eq(json_string_value(json_object_get(record, "object_id")), "default");
	cr_expect_eq(json_integer_value(json_object_get(record, "faces")), 1);
	json_decref(audit);
	test_expect_problem(test_get(&daemon, "/v1/admin/export?after=1.x"), 400, "bad_request", "no cursor");
	test_expect_problem(
	        test_get(&daemon, "/v1/admin/export?collection=none"), 404, "not_found", "no collection");
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
	        "\"0a4c9f5e-0000-4000-8000-000000000001\",\"model\":\"m@0123456789abcdef\",\"created_at\":"
	        "\"2026-01-02T03:"
	        "04:05.006Z\","
	        "\"quality\":{\"score\":1,\"size_px\":100,\"sharpness\":1,\"brightness\":0.5,\"yaw_deg\":0,"
	        "\"roll_deg\":0},\"box\":[1,2,3,4],\"image_sha256\":"
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
