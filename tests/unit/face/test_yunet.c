/*
 * YuNet in the place of the default detector, on photos and networks of ../shared/data (FM_SHARED_DATA
 * overrides): the same faces, the same places. Skipped without them.
 */
#include "lib/base/file.h"
#include "lib/cpu/cpu.h"
#include "tests/support/networks.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

static struct fm_models *models[2];
static struct fm_pipeline *pipelines[2];

static void setup(void)
{
	fm_cpu_flush_denormals();
	test_networks_begin();
}

static void teardown(void)
{
	for (int i = 0; i < 2; i++) {
		fm_pipeline_free(pipelines[i]);
		fm_models_free(models[i]);
	}
	test_networks_end();
}

TestSuite(yunet, .init = setup, .fini = teardown);

/* [0] the default networks, [1] YuNet by itself. */
static void use(const char *detection)
{
	struct fm_error err = {0};

	models[0] = test_networks_load("fr_detect", "fr_landmark", "fr_feature", FM_INT8);
	models[1] = test_networks_load(detection, NULL, "fr_feature", FM_INT8);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(fm_pipeline_create(models[i], &fm_pipeline_defaults, &pipelines[i], &err), FM_OK,
		        "%s", err.message);
}

/* False when the file is not a photo. */
static bool look(struct fm_pipeline *pipeline, const char *path, struct fm_faces *ret_faces)
{
	const struct fm_embed_request request = {.which = FM_EMBED_CENTRAL};
	struct fm_error err = {0};
	char *bytes;
	size_t length;

	cr_assert_eq(fm_file_read(path, (size_t)64 << 20, &bytes, &length, &err), FM_OK, "%s", err.message);
	enum fm_status status = fm_pipeline_run(pipeline, bytes, length, &request, ret_faces, &err);
	free(bytes);
	return status == FM_OK;
}

static double shared(const struct fm_face *a, const struct fm_face *b)
{
	double overlap = (double)fm_box_overlap(&a->box, &b->box);

	return overlap / ((double)fm_box_area(&a->box) + (double)fm_box_area(&b->box) - overlap);
}

/* Mean distance of the points, in distances between the eyes. */
static double apart(const struct fm_face *a, const struct fm_face *b)
{
	double eyes = hypot((double)(a->landmarks[1][0] - a->landmarks[0][0]),
	        (double)(a->landmarks[1][1] - a->landmarks[0][1]));
	double sum = 0;

	for (int i = 0; i < 5; i++)
		sum += hypot((double)(a->landmarks[i][0] - b->landmarks[i][0]),
		        (double)(a->landmarks[i][1] - b->landmarks[i][1]));
	return sum / 5 / eyes;
}

static double cosine(const struct fm_faces *a, const struct fm_faces *b)
{
	double sum = 0;

	for (size_t i = 0; i < a->dim; i++)
		sum += (double)a->faces[0].embedding[i] * (double)b->faces[0].embedding[i];
	return sum;
}

static void expect_the_same(const char *detection, size_t step)
{
	size_t count = 0, near = 0, alike = 0;
	double points = 0;
	char pattern[600];
	glob_t paths;

	snprintf(pattern, sizeof(pattern), "%s/*/*.jpg", test_shared_path("lfw-view1/images"));
	cr_assert_eq(glob(pattern, 0, NULL, &paths), 0);
	use(detection);
	for (size_t i = 0; i < paths.gl_pathc; i += step, count++) {
		struct fm_faces first = {0}, second = {0};
		cr_assert(look(pipelines[0], paths.gl_pathv[i], &first));
		cr_assert(look(pipelines[1], paths.gl_pathv[i], &second));
		cr_assert_geq(first.count, 1, "%s", paths.gl_pathv[i]);
		cr_expect_geq(second.count, 1, "%s", paths.gl_pathv[i]);
		if (second.count > 0) {
			near += shared(&first.faces[0], &second.faces[0]) > 0.6;
			points += apart(&first.faces[0], &second.faces[0]);
			alike += cosine(&first, &second) > 0.7;
		}
		fm_faces_done(&first);
		fm_faces_done(&second);
	}
	globfree(&paths);
	cr_expect_geq(near, count - count / 50, "%zu of %zu boxes agree", near, count);
	cr_expect_lt(points / (double)count, 0.1, "the points are %.3f apart", points / (double)count);
	cr_expect_geq(alike, count - count / 50, "%zu of %zu embeddings agree", alike, count);
}

Test(yunet, finds_the_faces_of_lfw)
{
	expect_the_same("yunet_320", 10);
}

Test(yunet, finds_them_at_another_input_size)
{
	expect_the_same("yunet_640", 40);
}

/* What the default detector finds in photos of every kind of JPEG, YuNet finds there too. */
Test(yunet, finds_the_faces_of_odd_jpegs)
{
	size_t count = 0, near = 0;
	char pattern[600];
	glob_t paths;

	snprintf(pattern, sizeof(pattern), "%s/*.jpg", test_shared_path("hard-jpeg"));
	cr_assert_eq(glob(pattern, 0, NULL, &paths), 0);
	use("yunet_320");
	for (size_t i = 0; i < paths.gl_pathc; i++) {
		struct fm_faces first = {0}, second = {0};
		/* a leaning or a spoilt face is found by luck */
		if (look(pipelines[0], paths.gl_pathv[i], &first) && first.count == 1 &&
		        fabsf(first.faces[0].quality.roll_deg) < 30 && first.faces[0].score > 0.99F) {
			cr_assert(look(pipelines[1], paths.gl_pathv[i], &second));
			count++;
			near += second.count > 0 && shared(&first.faces[0], &second.faces[0]) > 0.6;
		}
		fm_faces_done(&first);
		fm_faces_done(&second);
	}
	globfree(&paths);
	cr_expect_geq(count, 20, "%zu photos", count);
	cr_expect_geq(near, count - count / 20, "%zu of %zu boxes agree", near, count);
}

Test(yunet, a_detector_without_points_needs_landmarks)
{
	struct fm_models_options options = fm_models_defaults;
	struct fm_models *loaded = NULL;
	struct fm_error err = {0};

	options.models_dir = "build/models";
	options.manifests_dir = "config/models";
	options.landmarks = "";
	cr_expect_eq(fm_models_load(&options, &loaded, &err), FM_E_INVALID);
	cr_expect_null(loaded);
	cr_expect_not_null(strstr(err.message, "fr_detect finds no landmarks"), "%s", err.message);
}
