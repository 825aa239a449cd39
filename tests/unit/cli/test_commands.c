/* facematchctl's words: help, versions, and what it says to wrong calls. */
#include "lib/base/size.h"
#include "tests/support/ctl.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

TEST_CTL_SUITE(commands);

/* ---- words ------------------------------------------------------------------------------------------------
 */

static const char *const names[][2] = {{"embed"}, {"eval"}, {"bench", "net"}, {"bench", "photo"},
        {"model", "run"}, {"model", "inspect"}, {"model", "check"}};

Test(commands, version_and_help)
{
	struct test_ctl_result version = test_ctl_run("--version", NULL), help = test_ctl_run("--help", NULL);

	cr_expect_eq(version.status, 0);
	cr_expect_str_eq(version.out, "facematchctl " FM_VERSION "\n");
	cr_expect_eq(help.status, 0);
	for (size_t i = 0; i < FM_ARRAY_SIZE(names); i++)
		cr_expect_not_null(strstr(help.out, names[i][names[i][1] ? 1 : 0]), "%s", names[i][0]);
	test_ctl_result_done(&version);
	test_ctl_result_done(&help);
}

Test(commands, each_explains_itself_with_an_example)
{
	for (size_t i = 0; i < FM_ARRAY_SIZE(names); i++) {
		struct test_ctl_result help = names[i][1]
		                                      ? test_ctl_run(names[i][0], names[i][1], "--help", NULL)
		                                      : test_ctl_run(names[i][0], "--help", NULL);
		char example[64];

		snprintf(example, sizeof(example), "\n  facematchctl %s%s%s ", names[i][0],
		        names[i][1] ? " " : "", names[i][1] ? names[i][1] : "");
		cr_expect_eq(help.status, 0);
		cr_expect_not_null(strstr(help.out, example), "%s", help.out);
		cr_expect_str_empty(help.err);
		test_ctl_result_done(&help);
	}
	struct test_ctl_result group = test_ctl_run("model", "--help", NULL);
	cr_expect_eq(group.status, 0);
	cr_expect_not_null(strstr(group.out, "model inspect"));
	cr_expect_null(strstr(group.out, "embed"), "only the group's own: %s", group.out);
	test_ctl_result_done(&group);
}

Test(commands, wrong_calls_exit_with_2)
{
	struct test_ctl_result none = test_ctl_run(NULL, NULL), group = test_ctl_run("model", NULL);

	cr_expect_eq(none.status, 2);
	cr_expect_not_null(strstr(none.err, "Usage"));
	cr_expect_eq(group.status, 2);
	test_ctl_result_done(&none);
	test_ctl_result_done(&group);
	test_ctl_expect_usage_error(test_ctl_run("emded", "x.jpg", NULL), "emded");
	test_ctl_expect_usage_error(test_ctl_run("model", "fly", NULL), "model fly");
	test_ctl_expect_usage_error(test_ctl_run("--wrong", NULL), "--wrong");
	test_ctl_expect_usage_error(test_ctl_run("embed", NULL), "FILE");
	test_ctl_expect_usage_error(test_ctl_run("embed", "--wrong", "x.jpg", NULL), "--wrong");
	test_ctl_expect_usage_error(test_ctl_run("embed", "x.jpg", "--models", NULL), "--models");
	test_ctl_expect_usage_error(test_ctl_run("embed", "x.jpg", "--models=", NULL), "must not be empty");
	test_ctl_expect_usage_error(test_ctl_run("embed", "x.jpg", "--precision", "int4", NULL), "int4");
	test_ctl_expect_usage_error(
	        test_ctl_run("model", "run", "m.onnx", "--input", "x.npy", NULL), "--output");
	test_ctl_expect_usage_error(test_ctl_run("model", "inspect", "a.onnx", "b.onnx", NULL), "b.onnx");
	test_ctl_expect_usage_error(
	        test_ctl_run("bench", "net", "m.onnx", "--threads", "0", NULL), "out of range");
	test_ctl_expect_usage_error(test_ctl_run("bench", "net", "m.onnx", "--threads", "2x", NULL), "2x");
	test_ctl_expect_usage_error(test_ctl_run("bench", "net", "m.onnx", "--seconds", "nan", NULL), "nan");
	test_ctl_expect_usage_error(test_ctl_run("eval", "--images", "x", NULL), "--pairs");
	test_ctl_expect_usage_error(test_ctl_run("eval", "--images", "x", "--pairs", "y", "z", NULL), "z");
	test_ctl_expect_usage_error(
	        test_ctl_run("eval", "--images", "x", "--pairs", "y", "--all-pairs", NULL), "one of --pairs");
	test_ctl_expect_usage_error(
	        test_ctl_run("eval", "--images", "x", "--gallery", "y", NULL), "go together");
	test_ctl_expect_usage_error(
	        test_ctl_run("eval", "--images", "x", "--all-pairs", "--precision", "int4", NULL),
	        "nor both");
}

Test(commands, an_unknown_isa_is_reported)
{
	setenv("FACEMATCH_ISA", "mmx", 1);
	struct test_ctl_result result = test_ctl_run("embed", "x.jpg", NULL);
	cr_expect_eq(result.status, 2);
	cr_expect_not_null(strstr(result.err, "mmx"), "%s", result.err);
	test_ctl_result_done(&result);
}
