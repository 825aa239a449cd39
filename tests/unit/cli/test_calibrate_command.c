/* facematchctl calibrate, run as its users run it: what it refuses, and on real people, where there are any.
 */
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/face/calibrate.h"
#include "lib/face/manifest.h"
#include "tests/support/ctl.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/banned.h"

TEST_CTL_SUITE(calibrate_command);

Test(calibrate_command, too_little_is_refused_with_what_it_supports)
{
	char path[TEST_CTL_PATH], photo[TEST_CTL_PATH], link[TEST_CTL_PATH];
	static const char *const folders[] = {"people/Ann", "people/Bob", "people/Cid"};
	static const char *const photos[] = {"people/Ann/1.jpg", "people/Bob/1.jpg", "people/Cid/1.jpg"};

	test_ctl_model("fr_feature", path);
	test_ctl_photo("sample1.jpg", photo);
	cr_assert_eq(mkdir(test_ctl_path("people", path), 0700), 0);
	for (size_t i = 0; i < 3; i++) {
		cr_assert_eq(mkdir(test_ctl_path(folders[i], link), 0700), 0);
		cr_assert_eq(symlink(photo, test_ctl_path(photos[i], link)), 0);
	}
	test_ctl_expect_failure(test_ctl_run("calibrate", "--images", path, NULL),
	        "too little data: 3 people give 3 impostor pairs, which support no rate");
	test_ctl_expect_failure(
	        test_ctl_run("calibrate", "--images", "/nonexistent", NULL), "cannot list /nonexistent");
	test_ctl_expect_usage_error(test_ctl_run("calibrate", NULL), "--images DIR is missing");
	test_ctl_expect_usage_error(
	        test_ctl_run("calibrate", "--images", path, "--description", "a; b", NULL), "--description");
}

static const char *images(void)
{
	const char *data = getenv("FM_SHARED_DATA");
	static char path[TEST_CTL_PATH];

	TEST_CTL_FIGURES();
	snprintf(path, sizeof(path), "%s/lfw-view1/images", data ? data : "../shared/data");
	if (access(path, R_OK) != 0)
		cr_skip_test("no photos of LFW View 1");
	return path;
}

static double number(const json_t *row, const char *key)
{
	return test_ctl_number(row, key);
}

static void expect_within_three(double measured, double stated, const char *what)
{
	cr_expect(measured <= stated * 3 && measured >= stated / 3, "%s: %g measured, %g stated", what,
	        measured, stated);
}

/* What the manifest in config/models states, on the people whom it was not calibrated on. */
static void expect_shipped(const json_t *report)
{
	fm_autofree char *text = NULL;
	struct fm_model *model = fm_calloc(1, sizeof(*model));
	size_t length;

	cr_assert_eq(fm_file_read("config/models/fr_feature.conf", 65536, &text, &length, NULL), FM_OK);
	cr_assert(model && fm_manifest_parse(text, model, NULL) == FM_OK);
	const json_t *rate = json_array_get(json_object_get(json_object_get(report, "held_out"), "rates"), 2);
	cr_assert_float_eq(number(rate, "false_match_rate"), 1e-4, 1e-12);
	cr_expect_float_eq(number(rate, "threshold"), fm_calibrate_cosine(&model->calibration, 1e-4), 0.002,
	        "the shipped calibration is that of every second person");
	expect_within_three(number(rate, "measured"), 1e-4, "FMR of people held out");
	fm_model_free(model);
}

static void expect_rates(const char *precision)
{
	char model[TEST_CTL_PATH], manifest[TEST_CTL_PATH], plot[TEST_CTL_PATH], det[TEST_CTL_PATH];
	fm_autofree char *text = NULL;
	struct fm_model *written = fm_calloc(1, sizeof(*written));
	struct fm_error err;
	double threshold = -1;
	size_t i, length;
	json_t *row;

	test_ctl_model("fr_feature", model);
	struct test_ctl_result result = test_ctl_run("calibrate", "--images", images(), "--precision",
	        precision, "--hold-out", "--splits", "5", "--json", "-", "--output",
	        test_ctl_path("fr_feature.conf", manifest), "--plot", test_ctl_path("rates.svg", plot),
	        "--det", test_ctl_path("det.svg", det), NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *report = test_ctl_json(result.out);
	cr_expect_eq(number(report, "people"), 963);
	cr_expect_eq(number(report, "calibrated_people"), 482);
	cr_expect_eq(number(json_object_get(report, "held_out"), "people"), 481);
	expect_shipped(report);

	const json_t *searches = json_object_get(report, "identification");
	cr_assert_eq(json_array_size(searches), 6, "three galleries at two rates");
	json_array_foreach(searches, i, row)
	{
		double stated = number(row, "false_positive_identification_rate");
		if (stated < 0.05)
			continue;
		expect_within_three(number(row, "measured"), stated, "FPIR");
		cr_expect_gt(number(row, "threshold"), threshold, "stricter with the gallery");
		threshold = number(row, "threshold");
	}
	json_decref(report);
	test_ctl_result_done(&result);

	/* The manifest is as it was, with the new section in the place of the old. */
	cr_assert_eq(fm_file_read(manifest, 65536, &text, &length, NULL), FM_OK);
	cr_assert_eq(fm_manifest_parse(text, written, &err), FM_OK, "%s", err.message);
	cr_expect_str_eq(written->name, "fr_feature");
	cr_expect_eq(written->calibration.people, 482);
	cr_expect_gt(written->calibration.tail_scale, 0);
	fm_model_free(written);
	cr_expect_eq(access(plot, R_OK), 0);
	cr_expect_eq(access(det, R_OK), 0);
}

Test(calibrate_command, rates_hold_for_people_left_out_in_int8)
{
	TEST_CTL_FIGURES();
	expect_rates("int8");
}

Test(calibrate_command, rates_hold_for_people_left_out_in_float32)
{
	TEST_CTL_FIGURES();
	expect_rates("float32");
}

/* People enough to calibrate on, too few for halves of them. */
Test(calibrate_command, a_small_album_is_calibrated_on_without_halves)
{
	char model[TEST_CTL_PATH], album[TEST_CTL_PATH], folder[TEST_CTL_PATH], target[2 * TEST_CTL_PATH];
	const char *people = images();
	struct dirent **entries;

	test_ctl_model("fr_feature", model);
	cr_assert_eq(mkdir(test_ctl_path("album", album), 0700), 0);
	int count = scandir(people, &entries, NULL, alphasort), linked = 0;
	cr_assert_gt(count, 150);
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.' && linked < 150) {
			char name[300];
			snprintf(name, sizeof(name), "album/%s", entries[i]->d_name);
			snprintf(target, sizeof(target), "%s/%s", people, entries[i]->d_name);
			char *absolute = realpath(target, NULL);
			cr_assert_eq(symlink(absolute, test_ctl_path(name, folder)), 0);
			free(absolute);
			linked++;
		}
		free(entries[i]);
	}
	free(entries);
	struct test_ctl_result result =
	        test_ctl_run("calibrate", "--images", album, "--description", "half an album", NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	cr_expect_not_null(strstr(result.out, "calibrated_people      150\n"), "%s", result.out);
	cr_expect_not_null(strstr(result.out, "Too few people to check"), "%s", result.out);
	cr_expect_not_null(strstr(result.out, "(extrapolated)"), "%s", result.out);
	cr_expect_not_null(strstr(result.out, "\n[calibration]\n# Measured down to"), "%s", result.out);
	cr_expect_not_null(
	        strstr(result.out, "\ndescription = half an album\npeople = 150\n"), "%s", result.out);
	test_ctl_result_done(&result);
}
