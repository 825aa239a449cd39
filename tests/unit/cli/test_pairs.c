#include "cli/pairs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

static enum fm_status parse(const char *text, struct fm_pairs *pairs, struct fm_error *err)
{
	return fm_pairs_parse(strdup(text), strlen(text), pairs, err);
}

static void expect_error(const char *text, enum fm_status status, const char *message)
{
	struct fm_pairs pairs = {0};
	struct fm_error err;

	cr_expect_eq(parse(text, &pairs, &err), status);
	cr_expect_str_eq(err.message, message, "got: %s", err.message);
	cr_expect_null(pairs.pairs, "outputs change only on success");
}

Test(pairs, each_photo_once_and_pairs_in_order)
{
	struct fm_pairs pairs = {0};
	struct fm_error err;

	cr_assert_eq(
	        parse("fold,same,a,b\n0,1,z.jpg,m.jpg\n0,0,m.jpg,a.jpg\n1,True,z.jpg,z.jpg\n", &pairs, &err),
	        FM_OK);
	cr_assert_eq(pairs.count, 3);
	cr_assert_eq(pairs.photo_count, 3);
	cr_expect_str_eq(pairs.photos[0].path, "a.jpg");
	cr_expect_str_eq(pairs.photos[1].path, "m.jpg");
	cr_expect_str_eq(pairs.photos[2].path, "z.jpg");
	cr_expect_eq(pairs.photos[0].line, 3);
	cr_expect_eq(pairs.photos[1].line, 2);
	cr_expect_eq(pairs.photos[2].line, 2);
	cr_expect(pairs.pairs[0].a == 2 && pairs.pairs[0].b == 1 && pairs.pairs[0].same);
	cr_expect(pairs.pairs[1].a == 1 && pairs.pairs[1].b == 0 && !pairs.pairs[1].same);
	cr_expect(pairs.pairs[2].a == 2 && pairs.pairs[2].b == 2 && pairs.pairs[2].same);
	cr_assert_eq(pairs.fold_count, 2);
	cr_expect_str_eq(pairs.fold_names[1], "1");
	cr_expect(pairs.pairs[0].fold == 0 && pairs.pairs[1].fold == 0 && pairs.pairs[2].fold == 1);
	fm_pairs_done(&pairs);
}

Test(pairs, folds_are_optional_and_bounded)
{
	struct fm_pairs pairs = {0};
	struct fm_error err;
	char *text = NULL;
	size_t size = 0;

	cr_assert_eq(parse("a,b,same\nx,y,1\n", &pairs, &err), FM_OK);
	cr_expect_eq(pairs.fold_count, 0);
	cr_expect_eq(pairs.pairs[0].fold, 0);
	fm_pairs_done(&pairs);

	expect_error("a,b,same,fold\nx,y,1\n", FM_E_INVALID, "line 2: column 'fold' is missing");
	for (int extra = 0; extra < 2; extra++) {
		FILE *out = open_memstream(&text, &size);
		fprintf(out, "a,b,same,fold\n");
		for (int i = 0; i < FM_PAIRS_FOLDS_MAX + extra; i++)
			fprintf(out, "x,y,1,%d\n", i);
		fclose(out);
		cr_expect_eq(parse(text, &pairs, &err), extra ? FM_E_TOO_LARGE : FM_OK);
		free(text);
		if (!extra)
			cr_expect_eq(pairs.fold_count, FM_PAIRS_FOLDS_MAX);
		fm_pairs_done(&pairs);
	}
}

Test(pairs, many_rows)
{
	size_t size = 0;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);
	struct fm_pairs pairs = {0};
	struct fm_error err;

	fprintf(out, "a,b,same\n");
	for (int i = 0; i < 5000; i++)
		fprintf(out, "%d,%d,%d\n", i % 100, i % 77, i % 2);
	fclose(out);
	cr_assert_eq(parse(text, &pairs, &err), FM_OK);
	cr_expect_eq(pairs.count, 5000);
	cr_expect_eq(pairs.photo_count, 100);
	for (size_t i = 0; i < pairs.count; i++) {
		cr_assert_eq((size_t)strtol(pairs.photos[pairs.pairs[i].a].path, NULL, 10), i % 100);
		cr_assert_eq((size_t)strtol(pairs.photos[pairs.pairs[i].b].path, NULL, 10), i % 77);
		cr_assert_eq(pairs.pairs[i].same, i % 2 == 1);
	}
	fm_pairs_done(&pairs);
	free(text);
}

Test(pairs, errors_name_the_line)
{
	expect_error("", FM_E_INVALID, "the header has no column 'a'; it must name a, b and same");
	expect_error(
	        "a,b\nx,y\n", FM_E_INVALID, "the header has no column 'same'; it must name a, b and same");
	expect_error("a,b,same\n", FM_E_INVALID, "there are no pairs");
	expect_error("a,b,same\nx,y,1\nx,y\n", FM_E_INVALID, "line 3: column 'same' is missing");
	expect_error("a,b,same\nx,y,maybe\n", FM_E_INVALID, "line 2: same is 'maybe', neither 0 nor 1");
	expect_error("a,b,same\nx,,1\n", FM_E_INVALID, "line 2: an empty path");
	expect_error("a,b,same\nx,\"y,1\n", FM_E_CORRUPT, "line 2: a quote does not close");
}

Test(pairs, a_missing_file_is_named)
{
	struct fm_pairs pairs = {0};
	struct fm_error err;

	cr_expect_eq(fm_pairs_read("/nonexistent/pairs.csv", &pairs, &err), FM_E_NOT_FOUND);
	cr_expect_not_null(strstr(err.message, "/nonexistent/pairs.csv"));
}
