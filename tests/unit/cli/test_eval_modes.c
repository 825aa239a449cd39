/* eval's modes on the photos of the demo: both precisions, 1:N, all pairs, the plot. */
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "tests/support/ctl.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/banned.h"

TEST_CTL_SUITE(eval_modes);

static void link_photo(const char *name, const char *link)
{
	char photo[TEST_CTL_PATH], path[TEST_CTL_PATH];

	test_ctl_photo(name, photo);
	cr_assert_eq(symlink(photo, test_ctl_path(link, path)), 0);
}

static void begin(void)
{
	char model[TEST_CTL_PATH];

	test_ctl_model("fr_feature", model);
	link_photo("sample1.jpg", "one.jpg");
	link_photo("sample2.jpg", "two.jpg");
	link_photo("sample4.jpg", "four.jpg");
	test_ctl_write("blank.png", test_ctl_blank_png, sizeof(test_ctl_blank_png));
}

static char *read_result(const char *name)
{
	char path[TEST_CTL_PATH], *text = NULL;
	size_t length;

	cr_assert_eq(fm_file_read(test_ctl_path(name, path), TEST_CTL_OUTPUT_MAX, &text, &length, NULL),
	        FM_OK, "%s was not written", name);
	return text;
}

static void expect_near(const json_t *json, const char *key, double wanted)
{
	cr_expect_float_eq(
	        test_ctl_number(json, key), wanted, 1e-6, "%s: %g", key, test_ctl_number(json, key));
}

static void write_probes(void)
{
	size_t size = 0;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);

	/* Thirty strangers, so that an FPIR of 1e-1 is supported; one of them has a face. */
	fprintf(out, "image,person\none.jpg,Ann\ntwo.jpg,Bob\nblank.png,Ann\nfour.jpg,Nobody\n");
	for (int i = 0; i < 29; i++)
		fprintf(out, "blank.png,Nobody %d\n", i);
	fclose(out);
	test_ctl_write("probes.csv", text, size);
	free(text);
}

Test(eval_modes, identification_in_both_precisions)
{
	static const char gallery[] =
	        "image,person\none.jpg,Ann\ntwo.jpg,Bob\nblank.png,Bob\nblank.png,Cid\n";
	static const char *const precisions[] = {"float32", "int8"};
	char gallery_path[TEST_CTL_PATH], probes[TEST_CTL_PATH], out[TEST_CTL_PATH], plot[TEST_CTL_PATH];

	begin();
	write_probes();
	test_ctl_write("gallery.csv", gallery, sizeof(gallery) - 1);
	struct test_ctl_result result = test_ctl_run("eval", "--images", test_ctl_dir(), "--gallery",
	        test_ctl_path("gallery.csv", gallery_path), "--probes", test_ctl_path("probes.csv", probes),
	        "--precision", "both", "--json", test_ctl_path("out.json", out), "--plot",
	        test_ctl_path("det.svg", plot), NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	cr_expect_not_null(strstr(result.out, "\nprecision              float32                     int8\n"),
	        "%s", result.out);
	cr_expect_not_null(strstr(result.out, "decided differently"), "%s", result.out);
	test_ctl_result_done(&result);

	fm_autofree char *text = read_result("out.json"), *svg = read_result("det.svg");
	json_t *json = test_ctl_json(text);
	for (size_t i = 0; i < 2; i++) {
		const json_t *report = json_object_get(json, precisions[i]);
		cr_expect_str_eq(json_string_value(json_object_get(report, "precision")), precisions[i]);
		expect_near(report, "gallery_people", 3);
		expect_near(report, "gallery_images", 4);
		expect_near(report, "people_without_face", 1);
		expect_near(report, "mated_probes", 3);
		expect_near(report, "non_mated_probes", 30);
		/* Ann's blank photo finds nobody; the others find themselves, far above the stranger. */
		expect_near(report, "rank_1", 2.0 / 3);
		expect_near(report, "fnir_at_fpir_1e-1", 1.0 / 3);
		expect_near(report, "fpir_supported", 0.1);
		cr_expect(json_is_null(json_object_get(report, "fnir_at_fpir_1e-2")), "30 do not support it");
		cr_expect_gt(json_array_size(json_object_get(report, "det")), 0);
	}
	const json_t *comparison = json_object_get(json, "comparison");
	cr_expect_gt(test_ctl_number(comparison, "embedding_cosine_mean"), 0.99);
	cr_expect_lt(test_ctl_number(comparison, "embedding_cosine_mean"), 1);
	cr_assert_eq(json_array_size(json_object_get(comparison, "tests")), 2);
	const json_t *test = json_array_get(json_object_get(comparison, "tests"), 0);
	expect_near(test, "cases", 3);
	expect_near(test, "float32_only", 0);
	expect_near(test, "int8_only", 0);
	expect_near(test, "mcnemar_mid_p", 1);
	expect_near(json_array_get(json_object_get(comparison, "tests"), 1), "cases", 33);
	cr_expect_not_null(strstr(svg, ">float32</text>"));
	cr_expect_not_null(strstr(svg, ">int8</text>"));
	json_decref(json);
}

Test(eval_modes, all_pairs_of_a_directory)
{
	char path[TEST_CTL_PATH];

	begin();
	cr_assert_eq(mkdir(test_ctl_path("people", path), 0700), 0);
	cr_assert_eq(mkdir(test_ctl_path("people/Ann", path), 0700), 0);
	cr_assert_eq(mkdir(test_ctl_path("people/Bob", path), 0700), 0);
	link_photo("sample1.jpg", "people/Ann/1.jpg");
	link_photo("sample1.jpg", "people/Ann/2.jpg");
	test_ctl_write("people/Ann/3.png", test_ctl_blank_png, sizeof(test_ctl_blank_png));
	link_photo("sample2.jpg", "people/Bob/1.jpg");
	struct test_ctl_result result = test_ctl_run("eval", "--images", test_ctl_path("people", path),
	        "--all-pairs", "--json", "-", "--threads", "2", NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out);
	expect_near(json, "people", 2);
	expect_near(json, "images", 4);
	expect_near(json, "misses", 1);
	expect_near(json, "genuine_pairs", 3);
	expect_near(json, "genuine_pairs_missed", 2);
	expect_near(json, "impostor_pairs", 2);
	expect_near(json, "tar_at_far_1e-3", 1.0 / 3);
	cr_expect_eq(json_array_size(json_object_get(json, "thresholds")), 6);
	const json_t *stated = json_object_get(json, "stated_rates");
	cr_expect_eq(json_array_size(stated), 6);
	cr_expect_gt(test_ctl_number(json_array_get(stated, 3), "threshold"),
	        test_ctl_number(json_array_get(stated, 2), "threshold"));
	expect_near(json_array_get(stated, 3), "measured", 0);
	expect_near(json_array_get(stated, 3), "true_match_rate", 1.0 / 3);
	cr_expect(json_is_true(json_object_get(json_array_get(stated, 5), "extrapolated")));
	json_decref(json);
	test_ctl_result_done(&result);

	result = test_ctl_run("eval", "--images", path, "--all-pairs", NULL);
	cr_expect_eq(result.status, 0);
	cr_expect_not_null(strstr(result.out, "too few pairs for this rate"), "%s", result.out);
	cr_expect_not_null(strstr(result.out, "(extrapolated by the calibration)"), "%s", result.out);
	test_ctl_result_done(&result);
}

Test(eval_modes, fusion_on_real_people)
{
	static const char *const fusions[] = {"nearest", "mean", "nearest_and_mean", "template"};
	const char *data = getenv("FM_SHARED_DATA");
	char images[TEST_CTL_PATH], model[TEST_CTL_PATH];

	TEST_CTL_FIGURES();
	test_ctl_model("fr_feature", model);
	snprintf(images, sizeof(images), "%s/lfw-view1/images", data ? data : "../shared/data");
	if (access(images, R_OK) != 0)
		cr_skip_test("no photos of LFW View 1");
	struct test_ctl_result result =
	        test_ctl_run("eval", "--images", images, "--fusion", "--json", "-", NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out);
	expect_near(json, "people", 963);
	/* 126 people have three photos or more. */
	cr_expect(fabs(test_ctl_number(json, "enrolled_people") - 63) < 5);
	for (size_t i = 0; i < 4; i++) {
		const json_t *fusion = json_object_get(json_object_get(json, "fusions"), fusions[i]);
		cr_expect_lt(test_ctl_number(fusion, "fnmr_at_fmr_1e-3"), 0.02);
		cr_expect_lt(test_ctl_number(fusion, "fnir_at_fpir_1e-1"), 0.03);
		double fmr = test_ctl_number(fusion, "measured_fmr_at_1e-3");
		cr_expect(fmr > 1e-3 / 3 && fmr < 3e-3, "%s: %g", fusions[i], fmr);
	}
	/* What the daemon does is not worse than a template. */
	const json_t *all = json_object_get(json, "fusions");
	cr_expect_leq(test_ctl_number(json_object_get(all, "nearest"), "fnir_at_fpir_1e-2"),
	        test_ctl_number(json_object_get(all, "template"), "fnir_at_fpir_1e-2") + 0.005);
	json_decref(json);
	test_ctl_result_done(&result);

	test_ctl_expect_usage_error(
	        test_ctl_run("eval", "--images", images, "--fusion", "--all-pairs", NULL), "one of --pairs");
	test_ctl_expect_usage_error(
	        test_ctl_run("eval", "--images", images, "--fusion", "--plot", "x.svg", NULL), "has no plot");
	test_ctl_expect_failure(
	        test_ctl_run("eval", "--images", test_ctl_dir(), "--fusion", NULL), "there are no photos");
}

Test(eval_modes, what_is_wrong_is_named)
{
	char gallery[TEST_CTL_PATH], plot[TEST_CTL_PATH], pairs[TEST_CTL_PATH];

	test_ctl_write("blank.png", test_ctl_blank_png, sizeof(test_ctl_blank_png));
	test_ctl_write("gallery.csv", "image,person\nblank.png,Ann\ngone.jpg,Bob\n", 39);
	test_ctl_path("gallery.csv", gallery);
	test_ctl_expect_failure(test_ctl_run("eval", "--images", test_ctl_dir(), "--gallery", gallery,
	                                "--probes", gallery, NULL),
	        "line 3: cannot read");
	test_ctl_expect_failure(
	        test_ctl_run("eval", "--images", test_ctl_dir(), "--all-pairs", NULL), "there are no photos");

	begin();
	test_ctl_write("pairs.csv", "a,b,same\none.jpg,one.jpg,1\n", 27);
	test_ctl_expect_failure(
	        test_ctl_run("eval", "--images", test_ctl_dir(), "--pairs", test_ctl_path("pairs.csv", pairs),
	                "--plot", test_ctl_path("det.svg", plot), NULL),
	        "nothing to plot");
}
