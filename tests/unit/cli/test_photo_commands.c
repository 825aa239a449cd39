/* embed and eval on the photos of the demo. */
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/size.h"
#include "tests/support/ctl.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/banned.h"

TEST_CTL_SUITE(photo_commands);

/* ---- photos ---------------------------------------------------------------------------------- */

/* Returns the box's area. */
static double expect_face_line(const char *line, const char *file)
{
	json_t *json = test_ctl_json(line), *box = json_object_get(json, "box"), *value;
	double square = 0, area = test_ctl_number(box, "width") * test_ctl_number(box, "height");
	size_t i;

	cr_expect_str_eq(json_string_value(json_object_get(json, "file")), file);
	cr_expect_gt(test_ctl_number(box, "width"), 100);
	cr_expect_gt(test_ctl_number(box, "height"), 100);
	cr_expect(test_ctl_number(box, "x") > 0 && test_ctl_number(box, "y") > 0);
	cr_expect(test_ctl_number(json, "score") > 0.5 && test_ctl_number(json, "score") <= 1);
	cr_expect_eq(json_array_size(json_object_get(json, "landmarks")), 5);
	cr_expect_eq(json_array_size(json_array_get(json_object_get(json, "landmarks"), 4)), 2);
	cr_assert_eq(json_array_size(json_object_get(json, "embedding")), 512);
	json_array_foreach(json_object_get(json, "embedding"), i, value) square +=
	        json_number_value(value) * json_number_value(value);
	cr_expect_float_eq(square, 1, 1e-4);
	json_decref(json);
	return area;
}

Test(photo_commands, networks_are_chosen_by_name)
{
	char model[TEST_CTL_PATH], photo[TEST_CTL_PATH];

	test_ctl_model("fr_feature", model);
	test_ctl_photo("sample1.jpg", photo);
	struct test_ctl_result result = test_ctl_run("embed", "--detection", "fr_detect", "--landmarks",
	        "fr_landmark", "--embedding", "fr_feature", photo, NULL);
	cr_expect_eq(result.status, 0, "%s", result.err);
	test_ctl_result_done(&result);
	test_ctl_expect_failure(test_ctl_run("embed", "--embedding", "nobody", photo, NULL), "nobody.conf");
	test_ctl_expect_failure(
	        test_ctl_run("embed", "--embedding", "fr_detect", photo, NULL), "role is detection");
	test_ctl_expect_failure(
	        test_ctl_run("embed", "--landmarks", "none", photo, NULL), "finds no landmarks by itself");
}

Test(photo_commands, bench_photo_times_every_stage)
{
	static const char *const stages[] = {"decode", "detect", "embed", "total"};
	char model[TEST_CTL_PATH], photo[TEST_CTL_PATH], key[32];
	double sum = 0;

	test_ctl_model("fr_feature", model);
	test_ctl_photo("sample1.jpg", photo);
	struct test_ctl_result result =
	        test_ctl_run("bench", "photo", "--json", "--seconds", "0.01", photo, NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out);
	cr_expect_str_eq(json_string_value(json_object_get(json, "file")), photo);
	cr_expect_gt(test_ctl_number(json, "faces"), 0);
	cr_expect_geq(test_ctl_number(json, "runs"), 5);
	for (size_t i = 0; i < FM_ARRAY_SIZE(stages); i++) {
		snprintf(key, sizeof(key), "%s_min_ms", stages[i]);
		double min_ms = test_ctl_number(json, key);
		snprintf(key, sizeof(key), "%s_median_ms", stages[i]);
		cr_expect(min_ms > 0 && min_ms <= test_ctl_number(json, key), "%s", stages[i]);
		if (i < 3)
			sum += min_ms;
		else
			cr_expect_geq(min_ms, sum, "the whole is no less than its parts");
	}
	json_decref(json);
	test_ctl_result_done(&result);
	test_ctl_expect_failure(test_ctl_run("bench", "photo", "/nowhere.jpg", NULL), "/nowhere.jpg");
}

Test(photo_commands, embed_prints_a_line_a_face_and_goes_on_after_a_failure)
{
	char model[TEST_CTL_PATH], photo[TEST_CTL_PATH], bad[TEST_CTL_PATH], blank[TEST_CTL_PATH];
	double before = INFINITY;
	size_t faces = 0;

	test_ctl_model("fr_feature", model);
	test_ctl_photo("sample1.jpg", photo);
	test_ctl_write("bad.jpg", "no photo at all", 15);
	test_ctl_write("blank.png", test_ctl_blank_png, sizeof(test_ctl_blank_png));
	test_ctl_path("bad.jpg", bad);
	test_ctl_path("blank.png", blank);
	struct test_ctl_result result = test_ctl_run("embed", bad, blank, photo, NULL);
	cr_expect_eq(result.status, 1);
	cr_expect_not_null(strstr(result.err, "bad.jpg"), "%s", result.err);
	cr_expect_not_null(strstr(result.err, "blank.png: no face found"), "%s", result.err);
	for (char *line = result.out, *end; (end = strchr(line, '\n')); line = end + 1, faces++) {
		*end = '\0';
		double area = expect_face_line(line, photo);
		cr_expect_leq(area, before, "largest first");
		before = area;
	}
	cr_expect_eq(faces, 3, "three people are in the photo");
	test_ctl_result_done(&result);

	result = test_ctl_run("embed", blank, NULL);
	cr_expect_eq(result.status, 0);
	cr_expect_str_empty(result.out);
	test_ctl_result_done(&result);
	test_ctl_expect_failure(test_ctl_run("embed", "/nonexistent.jpg", NULL), "/nonexistent.jpg");
	test_ctl_expect_failure(
	        test_ctl_run("embed", blank, "--models", "/nonexistent", NULL), "/nonexistent");
	test_ctl_expect_failure(
	        test_ctl_run("--models", "/nonexistent", "embed", blank, NULL), "/nonexistent");
}

/* A photo with itself and with its copy, and three pairs with a blank photo or a broken one. */
static const char pairs[] = "fold,a,b,same\r\n"
                            "1,one.jpg,one.jpg,1\r\n"
                            "1,one.jpg,\"copy, of \"\"one\"\".jpg\",1\r\n"
                            "1,one.jpg,blank.png,0\r\n"
                            "2,blank.png,two.jpg,1\r\n"
                            "2,two.jpg,bad.jpg,0\r\n";

static void link_photo(const char *name, const char *link)
{
	char photo[TEST_CTL_PATH], path[TEST_CTL_PATH];

	test_ctl_photo(name, photo);
	cr_assert_eq(symlink(photo, test_ctl_path(link, path)), 0);
}

/* Runs eval and returns what it wrote, checked but for the times, which are taken out. */
static json_t *evaluate(const char *threads)
{
	char csv[TEST_CTL_PATH], out[TEST_CTL_PATH];
	fm_autofree char *text = NULL;
	size_t length;

	struct test_ctl_result result =
	        test_ctl_run("eval", "--images", test_ctl_dir(), "--pairs", test_ctl_path("pairs.csv", csv),
	                "--json", test_ctl_path("out.json", out), "--threads", threads, NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	cr_expect_not_null(strstr(result.out, "tar_at_far_1e-3"), "%s", result.out);
	cr_expect_not_null(strstr(result.err, "bad.jpg"), "%s", result.err);
	cr_expect_not_null(strstr(result.err, "blank.png: no face found"), "%s", result.err);
	test_ctl_result_done(&result);
	cr_assert_eq(fm_file_read(out, TEST_CTL_OUTPUT_MAX, &text, &length, NULL), FM_OK);
	json_t *json = test_ctl_json(text);
	cr_expect_gt(test_ctl_number(json, "images_per_s"), 0);
	json_object_del(json, "images_per_s");
	json_object_del(json, "seconds");
	json_object_del(json, "threads");
	return json;
}

Test(photo_commands, eval_counts_misses_and_does_not_depend_on_threads)
{
	char model[TEST_CTL_PATH];

	test_ctl_model("fr_feature", model);
	link_photo("sample1.jpg", "one.jpg");
	link_photo("sample1.jpg", "copy, of \"one\".jpg");
	link_photo("sample2.jpg", "two.jpg");
	test_ctl_write("bad.jpg", "no photo at all", 15);
	test_ctl_write("blank.png", test_ctl_blank_png, sizeof(test_ctl_blank_png));
	test_ctl_write("pairs.csv", pairs, sizeof(pairs) - 1);
	json_t *json = evaluate("1"), *again = evaluate("3");
	cr_expect(json_equal(json, again));
	cr_expect_eq(test_ctl_number(json, "pairs"), 5);
	cr_expect_eq(test_ctl_number(json, "images"), 5);
	cr_expect_eq(test_ctl_number(json, "misses"), 2);
	cr_expect_eq(test_ctl_number(json, "unreadable"), 1);
	cr_expect_eq(json_array_size(json_object_get(json, "missed")), 2);
	/* The genuine pair with the blank photo ties with both strangers at -1: one of five is lost. */
	cr_expect_float_eq(test_ctl_number(json, "accuracy"), 0.8, 1e-9);
	cr_expect_float_eq(test_ctl_number(json, "threshold"), 0, 1e-4);
	cr_expect_float_eq(test_ctl_number(json, "auc"), 5.0 / 6.0, 1e-6);
	cr_expect_float_eq(test_ctl_number(json, "tar_at_far_1e-2"), 2.0 / 3.0, 1e-6);
	cr_expect_float_eq(test_ctl_number(json, "tar_at_far_1e-3"), 2.0 / 3.0, 1e-6);
	cr_expect_null(json_object_get(json, "tar_at_far_1e-4"), "two strangers support no such rate");
	/* Fold 2 tells only to refuse -1, which is right in all of fold 1; fold 1 refuses all of fold 2. */
	cr_expect_eq(test_ctl_number(json, "folds"), 2);
	cr_expect_float_eq(test_ctl_number(json, "fold_accuracy_mean"), 0.75, 1e-6);
	cr_expect_float_eq(test_ctl_number(json, "fold_accuracy_sd"), sqrt(0.125), 1e-6);
	cr_expect_eq(json_array_size(json_object_get(json, "fold_results")), 2);
	json_decref(json);
	json_decref(again);
}

Test(photo_commands, eval_names_what_is_wrong_with_the_pairs)
{
	static const char missing[] = "a,b,same\nblank.png,blank.png,1\nblank.png,gone.jpg,0\n";
	char csv[TEST_CTL_PATH];

	test_ctl_path("pairs.csv", csv);
	test_ctl_expect_failure(
	        test_ctl_run("eval", "--images", test_ctl_dir(), "--pairs", csv, NULL), "pairs.csv");
	test_ctl_write("blank.png", test_ctl_blank_png, sizeof(test_ctl_blank_png));
	test_ctl_write("pairs.csv", missing, sizeof(missing) - 1);
	test_ctl_expect_failure(test_ctl_run("eval", "--images", test_ctl_dir(), "--pairs", csv, NULL),
	        "line 3: cannot read");
	test_ctl_write("pairs.csv", "a,b\n", 4);
	test_ctl_expect_failure(
	        test_ctl_run("eval", "--images", test_ctl_dir(), "--pairs", csv, NULL), "no column 'same'");
}
