/*
 * Hard and faceless photos through /v1/identify: each gets a 200 or a documented 4xx, and the daemon lives.
 * The photos lie beside the repository (../shared/data, or $FM_SHARED_DATA); skipped where they are absent.
 */
#include "lib/base/file.h"
#include "tests/support/daemon_harness.h"
#include "tests/support/http_client.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PHOTO_MAX_BYTES (64 << 20)

static const char *shared_data(void)
{
	const char *given = getenv("FM_SHARED_DATA");

	return given ? given : "../shared/data";
}

/* A problem that API.md documents for a photo. */
static bool documented(const struct test_reply *reply)
{
	static const struct {
		long status;
		const char *code;
	} known[] = {
	        {400, "bad_request"}, /* an empty file */
	        {400, "bad_image"},
	        {400, "truncated_image"},
	        {413, "body_too_large"},
	        {413, "image_too_large"},
	        {415, "unsupported_media_type"},
	};
	const char *code = json_string_value(json_object_get(reply->json, "code"));

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (reply->status == known[i].status && code && strcmp(code, known[i].code) == 0)
			return true;
	}
	return reply->status == 200 && json_is_array(json_object_get(reply->json, "faces"));
}

static bool is_photo(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ||
	                      strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".webp") == 0);
}

static void identify_all(const char *folder)
{
	char path[1024];
	size_t length, photos = 0;

	snprintf(path, sizeof(path), "%s/%s", shared_data(), folder);
	DIR *dir = opendir(path);
	if (!dir)
		cr_skip_test("no %s", path);
	struct test_daemon daemon = test_daemon_start(NULL);
	for (struct dirent *entry; (entry = readdir(dir));) {
		char *bytes;
		if (!is_photo(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", shared_data(), folder, entry->d_name);
		cr_assert_eq(fm_file_read(path, PHOTO_MAX_BYTES, &bytes, &length, NULL), FM_OK, "%s", path);
		struct test_reply reply = test_photo(&daemon, "/v1/identify", bytes, length);
		cr_expect(documented(&reply), "%s: %ld %s", entry->d_name, reply.status, reply.body);
		test_reply_done(&reply);
		free(bytes);
		photos++;
	}
	closedir(dir);
	cr_expect_gt(photos, 0);
	test_expect_status(test_get(&daemon, "/healthz"), 200, "alive");
	test_daemon_stop(&daemon);
}

Test(shared_photos, hard_jpegs)
{
	identify_all("hard-jpeg");
}

Test(shared_photos, no_faces)
{
	identify_all("no-face");
}

/* The first face of a photo, or NULL. */
static json_t *first_face(const struct test_daemon *daemon, const char *stem, const char *kind)
{
	char path[1024], *bytes;
	size_t length;

	snprintf(path, sizeof(path), "%s/hard-jpeg/%s__%s.jpg", shared_data(), stem, kind);
	cr_assert_eq(fm_file_read(path, PHOTO_MAX_BYTES, &bytes, &length, NULL), FM_OK, "%s", path);
	json_t *reply = test_take_json(test_photo(daemon, "/v1/embed", bytes, length), 200, path);
	json_t *face = json_incref(json_array_get(json_object_get(reply, "faces"), 0));
	json_decref(reply);
	free(bytes);
	return face;
}

/* Orientations 2, 4, 5 and 7 mirror: stored mirrored, shown upright. All must give the baseline's face. */
static void compare_orientations(const struct test_daemon *daemon, const char *stem)
{
	json_t *baseline = first_face(daemon, stem, "baseline");

	cr_assert_not_null(baseline, "%s: no face in the baseline", stem);
	for (int orientation = 2; orientation <= 8; orientation++) {
		static const char *const sides[] = {"x", "y", "width", "height"};
		char kind[16];
		double cosine = 0;
		snprintf(kind, sizeof(kind), "exif%d", orientation);
		json_t *face = first_face(daemon, stem, kind);
		cr_assert_not_null(face, "%s: no face under %s", stem, kind);
		json_t *a = json_object_get(baseline, "embedding"), *b = json_object_get(face, "embedding");
		for (size_t i = 0; i < json_array_size(a); i++)
			cosine += json_number_value(json_array_get(a, i)) *
			          json_number_value(json_array_get(b, i));
		cr_expect_gt(cosine, 0.95, "%s %s: cosine %f", stem, kind, cosine);
		for (size_t i = 0; i < 4; i++) {
			json_t *box = json_object_get(face, "box"), *first = json_object_get(baseline, "box");
			double size = json_number_value(json_object_get(first, "width"));
			double off = json_number_value(json_object_get(box, sides[i])) -
			             json_number_value(json_object_get(first, sides[i]));
			cr_expect_lt(fabs(off), 0.08 * size, "%s %s: %s is off by %g of %g", stem, kind,
			        sides[i], off, size);
		}
		json_decref(face);
	}
	json_decref(baseline);
}

Test(shared_photos, exif_variants_give_the_baselines_face)
{
	static const char suffix[] = "__exif8.jpg";
	char path[1024];
	size_t stems = 0;

	snprintf(path, sizeof(path), "%s/hard-jpeg", shared_data());
	DIR *dir = opendir(path);
	if (!dir)
		cr_skip_test("no %s", path);
	struct test_daemon daemon = test_daemon_start(NULL);
	for (struct dirent *entry; (entry = readdir(dir));) {
		char *end = strstr(entry->d_name, suffix);
		if (!end)
			continue;
		*end = '\0';
		compare_orientations(&daemon, entry->d_name);
		stems++;
	}
	closedir(dir);
	cr_expect_gt(stems, 0);
	test_daemon_stop(&daemon);
}
