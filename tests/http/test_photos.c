/* Real photos: the same person in two of them, enrolled, identified, verified, forgotten. */
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Of the demo photos: one woman stands at these points of sample3 and sample1, and nobody else of sample1 is
 * in sample3. All points are in pixels of the upright photo.
 */
#define ANNA_IN_3   "1174,362"
#define OTHER_IN_3  "691,460"
#define ANNA_IN_1_X 1573
#define ANNA_IN_1_Y 320
#define ANNA_AGAIN  "name=Anna&face=1573,320"

struct photo {
	char *bytes;
	size_t length;
};

static struct photo open_photo(const char *name)
{
	struct photo photo;

	photo.bytes = test_demo_photo(name, &photo.length);
	return photo;
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* The face whose box holds a point. */
static json_t *face_at(const json_t *reply, int x, int y)
{
	json_t *face;
	size_t i;

	json_array_foreach(json_object_get(reply, "faces"), i, face)
	{
		json_t *box = json_object_get(face, "box");
		if (x >= number(box, "x") && x < number(box, "x") + number(box, "width") &&
		        y >= number(box, "y") && y < number(box, "y") + number(box, "height"))
			return face;
	}
	cr_assert_fail("no face at %d,%d", x, y);
	return NULL;
}

static json_t *enroll(
        const struct test_daemon *daemon, const char *query, const struct photo *photo, long status)
{
	char path[256];

	snprintf(path, sizeof(path), "/v1/enroll?%s", query);
	return test_take_json(test_photo(daemon, path, photo->bytes, photo->length), status, path);
}

/* Who stands where Anna stands in sample1: decision, and the name or "". */
static void identify_anna(const struct test_daemon *daemon, const char *query, const struct photo *photo,
        const char *decision, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "/v1/identify%s", query);
	json_t *reply = test_take_json(test_photo(daemon, path, photo->bytes, photo->length), 200, path);
	json_t *face = face_at(reply, ANNA_IN_1_X, ANNA_IN_1_Y);
	cr_expect_str_eq(text(face, "decision"), decision, "%s", path);
	cr_expect_str_eq(text(json_object_get(face, "person"), "name"), name, "%s", path);
	json_decref(reply);
}

static char *base64_json(const struct photo *photo)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char head[] = "{\"image\":\"";
	char *json = malloc(photo->length * 4 / 3 + 64), *at = json;

	cr_assert_not_null(json);
	memcpy(at, head, sizeof(head) - 1);
	at += sizeof(head) - 1;
	for (size_t i = 0; i < photo->length; i += 3) {
		unsigned group = 0;
		for (size_t b = 0; b < 3; b++)
			group = group << 8 | (i + b < photo->length ? (unsigned char)photo->bytes[i + b] : 0);
		for (size_t d = 0; d < 4; d++)
			*at++ = i + d > photo->length ? '=' : digits[group >> (18 - 6 * d) & 63];
	}
	memcpy(at, "\"}", 3);
	return json;
}

Test(photos, three_ways_and_chunks_give_the_same)
{
	struct photo photo = open_photo("sample1.jpg");
	struct test_daemon daemon = test_daemon_start(NULL);
	char *json = base64_json(&photo);
	/* As some clients send it: the file is called "image", and the part has no type. */
	struct test_part part = {
	        .name = "image", .filename = "image", .bytes = photo.bytes, .length = photo.length};
	struct test_reply replies[] = {
	        test_http(&daemon, "POST", "/v1/detect", "image/jpeg", photo.bytes, photo.length),
	        test_http(&daemon, "POST", "/v1/detect", "image/png", photo.bytes, photo.length),
	        test_http(&daemon, "POST", "/v1/detect", NULL, photo.bytes, photo.length),
	        test_http(&daemon, "POST", "/v1/detect", "application/x-www-form-urlencoded", photo.bytes,
	                photo.length),
	        test_form(&daemon, "/v1/detect", &part, 1),
	        test_json(&daemon, "POST", "/v1/detect", json),
	        test_chunked(
	                &daemon, "/v1/detect", "application/octet-stream", photo.bytes, photo.length, 4097),
	};

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		cr_expect_eq(replies[i].status, 200, "%zu: %s", i, replies[i].body);
		cr_expect_str_eq(replies[i].body, replies[0].body, "%zu", i);
		cr_expect_neq(test_reply_header(&replies[i], "Server-Timing")[0], '\0');
	}
	json_t *face = face_at(replies[0].json, ANNA_IN_1_X, ANNA_IN_1_Y);
	cr_expect_eq(json_array_size(json_object_get(face, "landmarks")), 5);
	cr_expect(number(face, "score") > 0.5);
	cr_expect(number(json_object_get(face, "quality"), "size_px") > 80);
	cr_expect(json_is_array(json_object_get(face, "reasons")));
	cr_expect_null(json_object_get(face, "embedding"));
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
		test_reply_done(&replies[i]);
	free(json);
	free(photo.bytes);
	test_daemon_stop(&daemon);
}

Test(photos, embeddings_have_unit_length)
{
	struct photo photo = open_photo("sample3.jpg");
	struct test_daemon daemon = test_daemon_start(NULL);
	json_t *reply =
	        test_take_json(test_photo(&daemon, "/v1/embed", photo.bytes, photo.length), 200, "embed");
	json_t *face, *value;
	size_t i, k;

	cr_expect(strchr(text(reply, "model"), '@'), "%s", text(reply, "model"));
	cr_assert_gt(json_array_size(json_object_get(reply, "faces")), 1);
	json_array_foreach(json_object_get(reply, "faces"), i, face)
	{
		double square = 0;
		cr_expect_eq(json_array_size(json_object_get(face, "embedding")), 512);
		json_array_foreach(json_object_get(face, "embedding"), k, value) square +=
		        json_real_value(value) * json_real_value(value);
		cr_expect_float_eq(square, 1, 1e-3);
	}
	json_decref(reply);
	free(photo.bytes);
	test_daemon_stop(&daemon);
}

Test(photos, enrol_identify_delete)
{
	struct photo one = open_photo("sample1.jpg"), three = open_photo("sample3.jpg");
	struct test_daemon daemon = test_daemon_start(NULL);
	char path[160];

	identify_anna(&daemon, "", &one, "unknown", "");
	test_expect_problem(test_photo(&daemon, "/v1/enroll?name=Anna", three.bytes, three.length), 422,
	        "multiple_faces", "a group");
	test_expect_problem(test_photo(&daemon, "/v1/enroll?name=Anna&face=1,1", three.bytes, three.length),
	        422, "no_face", "nobody at this point");
	json_t *anna = enroll(&daemon, "name=Anna&face=" ANNA_IN_3, &three, 201);
	cr_expect_str_eq(text(json_object_get(anna, "person"), "name"), "Anna");
	cr_expect_eq(json_array_size(json_object_get(anna, "warnings")), 0);
	cr_expect(number(json_object_get(json_object_get(anna, "face"), "quality"), "score") > 0);
	const char *anna_id = text(json_object_get(anna, "person"), "id");

	/* The very same bytes again: nothing is added. */
	json_t *again = enroll(&daemon, "name=Anna&face=" ANNA_IN_3, &three, 200);
	cr_expect_str_eq(
	        text(json_object_get(again, "face"), "id"), text(json_object_get(anna, "face"), "id"));
	cr_expect_str_eq(text(json_object_get(again, "person"), "id"), anna_id);
	json_decref(again);
	/* Another face of the same photo is another face. */
	json_t *other = enroll(&daemon, "name=Olga&face=" OTHER_IN_3, &three, 201);
	json_decref(other);

	json_t *reply =
	        test_take_json(test_photo(&daemon, "/v1/identify", one.bytes, one.length), 200, "identify");
	json_t *face = face_at(reply, ANNA_IN_1_X, ANNA_IN_1_Y), *gallery = json_object_get(reply, "gallery");
	json_t *best = json_array_get(json_object_get(face, "candidates"), 0);
	json_t *threshold = json_object_get(face, "threshold");
	cr_expect_str_eq(text(face, "decision"), "match");
	cr_expect_str_eq(text(json_object_get(face, "person"), "id"), anna_id);
	cr_expect_str_eq(text(best, "face_id"), text(json_object_get(anna, "face"), "id"));
	cr_expect(number(best, "cosine") >= number(threshold, "cosine"));
	cr_expect(number(best, "similarity") > 0.5 && number(best, "similarity") <= 1);
	/* 1e-2 shared by the faces of the gallery, whatever the rate of 1:1 is. */
	cr_expect_eq(number(threshold, "comparisons"), 2);
	cr_expect_float_eq(number(threshold, "false_match_rate"), 1 - sqrt(1 - 1e-2), 1e-9);
	cr_expect_float_eq(number(threshold, "false_positive_identification_rate"), 1e-2, 1e-9);
	cr_expect(json_is_false(json_object_get(threshold, "extrapolated")));
	cr_expect_eq(number(gallery, "people"), 2);
	cr_expect_eq(number(gallery, "faces"), 2);
	size_t i, matches = 0;
	json_array_foreach(json_object_get(reply, "faces"), i, face)
	{
		cr_expect_eq(
		        json_array_size(json_object_get(face, "candidates")), 2, "all people are ranked");
		matches += strcmp(text(face, "decision"), "match") == 0;
	}
	cr_expect_eq(matches, 1, "the others of the photo are unknown");
	double similarity = number(best, "similarity");
	json_decref(reply);

	/* A stricter similarity than hers makes her unknown; a looser one changes nothing. */
	snprintf(path, sizeof(path), "?min_similarity=%.4f", fmin(1, similarity + 0.01));
	if (similarity < 0.99)
		identify_anna(&daemon, path, &one, "unknown", "");
	identify_anna(&daemon, "?min_similarity=0&limit=1", &one, "match", "Anna");

	snprintf(path, sizeof(path), "/v1/people/%s", anna_id);
	test_expect_status(test_delete(&daemon, path), 204, "delete");
	identify_anna(&daemon, "", &one, "unknown", "");
	json_decref(anna);
	free(one.bytes);
	free(three.bytes);
	test_daemon_stop(&daemon);
}

Test(photos, faces_of_a_person)
{
	struct photo one = open_photo("sample1.jpg"), three = open_photo("sample3.jpg");
	struct test_daemon daemon = test_daemon_start("[enroll]\nmax_roll_deg = 90\nmax_yaw_deg = 90\n");
	char path[160], add[192];

	json_t *person = test_take_json(
	        test_json(&daemon, "POST", "/v1/people", "{\"name\":\"Anna\"}"), 201, "create");
	snprintf(path, sizeof(path), "/v1/people/%s/faces", text(person, "id"));
	snprintf(add, sizeof(add), "%s?face=" ANNA_IN_3, path);
	json_t *face = test_take_json(test_photo(&daemon, add, three.bytes, three.length), 201, "add");
	test_expect_status(test_photo(&daemon, add, three.bytes, three.length), 200, "again");
	snprintf(add, sizeof(add), "%s?face=%d,%d", path, ANNA_IN_1_X, ANNA_IN_1_Y);
	test_expect_status(test_photo(&daemon, add, one.bytes, one.length), 201, "a second face");

	json_t *list = test_take_json(test_get(&daemon, path), 200, "list");
	cr_expect_eq(json_array_size(json_object_get(list, "faces")), 2);
	cr_expect(
	        json_equal(json_array_get(json_object_get(list, "faces"), 0), json_object_get(face, "face")));
	json_decref(list);

	/* Enrolled for somebody else, she resembles herself. */
	snprintf(add, sizeof(add), "name=Berta&face=%d,%d", ANNA_IN_1_X, ANNA_IN_1_Y);
	json_t *berta = enroll(&daemon, add, &one, 201);
	json_t *warning = json_array_get(json_object_get(berta, "warnings"), 0);
	cr_expect_str_eq(text(warning, "code"), "resembles_other_person");
	cr_expect_str_eq(text(json_object_get(warning, "person"), "id"), text(person, "id"));
	json_decref(berta);

	/* No crops are kept, unless asked for; a face that is deleted is not found any more. */
	snprintf(add, sizeof(add), "/v1/faces/%s/crop", text(json_object_get(face, "face"), "id"));
	test_expect_problem(test_get(&daemon, add), 404, "not_found", "crop");
	snprintf(add, sizeof(add), "/v1/faces/%s", text(json_object_get(face, "face"), "id"));
	test_expect_status(test_delete(&daemon, add), 204, "delete a face");
	test_expect_problem(test_delete(&daemon, add), 404, "not_found", "delete it again");
	list = test_take_json(test_get(&daemon, path), 200, "list");
	cr_expect_eq(json_array_size(json_object_get(list, "faces")), 1);
	json_decref(list);
	json_decref(face);
	json_decref(person);
	free(one.bytes);
	free(three.bytes);
	test_daemon_stop(&daemon);
}

Test(photos, verify)
{
	struct photo one = open_photo("sample1.jpg"), three = open_photo("sample3.jpg");
	struct test_daemon daemon = test_daemon_start(NULL);
	struct test_part parts[] = {{.name = "image1", .bytes = one.bytes, .length = one.length},
	        {.name = "image2", .bytes = one.bytes, .length = one.length}};
	char path[160];

	json_t *same = test_take_json(test_form(&daemon, "/v1/verify", parts, 2), 200, "itself");
	cr_expect(json_is_true(json_object_get(same, "match")));
	cr_expect_float_eq(number(same, "cosine"), 1, 1e-4);
	cr_expect_float_eq(number(same, "similarity"), 1, 1e-9);
	cr_expect_eq(json_array_size(json_object_get(same, "faces")), 2);
	cr_expect_eq(number(same, "ignored_faces"), 4, "three faces in each");
	cr_expect_float_eq(number(json_object_get(same, "threshold"), "false_match_rate"), 1e-4, 1e-12);
	cr_expect_eq(number(json_object_get(same, "threshold"), "comparisons"), 1);
	double single = number(json_object_get(same, "threshold"), "cosine");
	json_decref(same);

	json_t *anna = enroll(&daemon, "name=Anna&face=" ANNA_IN_3, &three, 201);
	json_t *other = enroll(&daemon, "name=Olga&face=" OTHER_IN_3, &three, 201);
	/* The largest face of sample1 is Anna's. */
	snprintf(path, sizeof(path), "/v1/verify?person=%s", text(json_object_get(anna, "person"), "id"));
	json_t *reply = test_take_json(test_photo(&daemon, path, one.bytes, one.length), 200, "Anna");
	cr_expect(json_is_true(json_object_get(reply, "match")));
	cr_expect_str_eq(text(json_object_get(reply, "person"), "name"), "Anna");
	cr_expect_eq(json_array_size(json_object_get(reply, "faces")), 1);
	double similarity = number(reply, "similarity");
	json_decref(reply);
	if (similarity < 0.99) {
		snprintf(path, sizeof(path), "/v1/verify?person=%s&min_similarity=%.4f",
		        text(json_object_get(anna, "person"), "id"), similarity + 0.01);
		reply = test_take_json(test_photo(&daemon, path, one.bytes, one.length), 200, "stricter");
		cr_expect(json_is_false(json_object_get(reply, "match")));
		json_decref(reply);
	}
	snprintf(path, sizeof(path), "/v1/verify?min_similarity=0&person=%s",
	        text(json_object_get(other, "person"), "id"));
	reply = test_take_json(test_photo(&daemon, path, one.bytes, one.length), 200, "Olga");
	cr_expect(json_is_false(json_object_get(reply, "match")), "min_similarity never loosens");
	json_decref(reply);

	/* A second face of hers is a second chance of a false match: each has half the rate. */
	json_t *again = enroll(&daemon, ANNA_AGAIN, &one, 201);
	snprintf(path, sizeof(path), "/v1/verify?person=%s", text(json_object_get(anna, "person"), "id"));
	reply = test_take_json(test_photo(&daemon, path, three.bytes, three.length), 200, "Anna twice");
	json_decref(again);
	json_t *threshold = json_object_get(reply, "threshold");
	cr_expect_eq(number(threshold, "comparisons"), 2);
	cr_expect_float_eq(number(threshold, "false_match_rate"), 1 - sqrt(1 - 1e-4), 1e-9);
	cr_expect_gt(number(threshold, "cosine"), single);
	json_decref(reply);

	/* A person without faces cannot be compared with. */
	json_t *empty =
	        test_take_json(test_json(&daemon, "POST", "/v1/people", "{\"name\":\"E\"}"), 201, "create");
	snprintf(path, sizeof(path), "/v1/verify?person=%s", text(empty, "id"));
	test_expect_problem(
	        test_photo(&daemon, path, one.bytes, one.length), 409, "conflict", "nobody to compare with");
	test_expect_problem(
	        test_form(&daemon, "/v1/verify", parts, 1), 400, "bad_request", "one photo alone");
	json_decref(empty);
	json_decref(anna);
	json_decref(other);
	free(one.bytes);
	free(three.bytes);
	test_daemon_stop(&daemon);
}

Test(photos, low_quality_has_reasons)
{
	struct photo three = open_photo("sample3.jpg");
	struct test_daemon daemon = test_daemon_start("[enroll]\nmin_face_px = 1000\n");
	struct test_reply reply =
	        test_photo(&daemon, "/v1/enroll?name=Anna&face=" ANNA_IN_3, three.bytes, three.length);
	json_t *reasons = json_object_get(reply.json, "reasons");

	cr_expect_eq(json_array_size(reasons), 1);
	cr_expect_str_eq(json_string_value(json_array_get(reasons, 0)), "small_face");
	test_expect_problem(reply, 422, "low_quality", "small");
	free(three.bytes);
	test_daemon_stop(&daemon);
}

Test(photos, names_by_json_and_by_part)
{
	struct photo three = open_photo("sample3.jpg");
	struct test_daemon daemon = test_daemon_start(NULL);
	struct test_part parts[] = {{.name = "name", .bytes = "Z\xc3\xb6", .length = 3},
	        {.name = "image", .bytes = three.bytes, .length = three.length}};

	json_t *reply =
	        test_take_json(test_form(&daemon, "/v1/enroll?face=" ANNA_IN_3, parts, 2), 201, "part");
	cr_expect_str_eq(text(json_object_get(reply, "person"), "name"), "Z\xc3\xb6");
	json_decref(reply);
	parts[0].bytes = "Z\xff";
	parts[0].length = 2;
	test_expect_problem(
	        test_form(&daemon, "/v1/enroll?face=" ANNA_IN_3, parts, 2), 400, "bad_request", "not UTF-8");
	free(three.bytes);
	test_daemon_stop(&daemon);
}

Test(photos, searches_do_not_cross_collections)
{
	struct photo one = open_photo("sample1.jpg"), three = open_photo("sample3.jpg");
	struct test_daemon daemon = test_daemon_start(NULL);

	test_expect_status(
	        test_json(&daemon, "POST", "/v1/collections", "{\"name\":\"staff\"}"), 201, "create");
	json_decref(enroll(&daemon, "collection=staff&name=Anna&face=" ANNA_IN_3, &three, 201));
	identify_anna(&daemon, "", &one, "unknown", "");
	identify_anna(&daemon, "?collection=staff", &one, "match", "Anna");
	test_expect_status(test_delete(&daemon, "/v1/collections/staff"), 204, "delete");
	test_expect_status(
	        test_json(&daemon, "POST", "/v1/collections", "{\"name\":\"staff\"}"), 201, "create again");
	identify_anna(&daemon, "?collection=staff", &one, "unknown", "");
	free(one.bytes);
	free(three.bytes);
	test_daemon_stop(&daemon);
}

Test(photos, enrolment_survives_a_restart_and_a_kill)
{
	struct photo one = open_photo("sample1.jpg"), three = open_photo("sample3.jpg");
	struct test_daemon daemon = test_daemon_start(NULL);
	char path[160];

	json_t *anna = enroll(&daemon, "name=Anna&face=" ANNA_IN_3, &three, 201);
	test_daemon_end(&daemon, SIGKILL);
	test_daemon_restart(&daemon, NULL);
	identify_anna(&daemon, "", &one, "match", "Anna");
	test_daemon_end(&daemon, SIGTERM);
	test_daemon_restart(&daemon, NULL);
	identify_anna(&daemon, "", &one, "match", "Anna");
	snprintf(path, sizeof(path), "/v1/people/%s", text(json_object_get(anna, "person"), "id"));
	test_expect_status(test_delete(&daemon, path), 204, "delete");
	test_daemon_end(&daemon, SIGKILL);
	test_daemon_restart(&daemon, NULL);
	identify_anna(&daemon, "", &one, "unknown", "");
	json_decref(anna);
	free(one.bytes);
	free(three.bytes);
	test_daemon_stop(&daemon);
}

Test(photos, crops_are_kept_where_asked_for)
{
	struct test_daemon daemon = test_daemon_start("[gallery]\nkeep_crops = yes\n");
	size_t length;
	char *photo = test_demo_photo("sample1.jpg", &length), path[128];
	json_t *json = test_take_json(
	        test_photo(&daemon, "/v1/enroll?face=largest&name=Ann", photo, length), 201, "enrol");

	snprintf(path, sizeof(path), "/v1/faces/%s", text(json_object_get(json, "face"), "id"));
	json_t *one = test_take_json(test_get(&daemon, path), 200, "the face");

	cr_expect_str_eq(text(json_object_get(one, "person"), "name"), "Ann");
	cr_expect(json_equal(
	        json_object_get(one, "quality"), json_object_get(json_object_get(json, "face"), "quality")));
	json_decref(one);
	json_decref(json);
	strcat(path, "/crop");
	struct test_reply reply = test_get(&daemon, path);

	cr_expect_eq(reply.status, 200);
	cr_expect_str_eq(test_reply_header(&reply, "Content-Type"), "image/jpeg");
	cr_expect(reply.length > 2000 && reply.length < 30000, "%zu bytes", reply.length);
	/* A JPEG. */
	cr_expect_eq(memcmp(reply.body, "\xff\xd8\xff", 3), 0);
	test_reply_done(&reply);
	path[strlen(path) - strlen("/crop")] = '\0';
	test_expect_status(test_delete(&daemon, path), 204, "delete");
	strcat(path, "/crop");
	test_expect_problem(test_get(&daemon, path), 404, "not_found", "gone with the face");
	test_daemon_stop(&daemon);
	free(photo);
}
