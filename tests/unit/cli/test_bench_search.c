/* bench search: what it prints, on galleries that are small. */
#include "lib/cpu/cpu.h"
#include "tests/support/ctl.h"

#include <criterion/criterion.h>

#include "lib/base/banned.h"

TEST_CTL_SUITE(bench_search);

Test(bench_search, prints_what_it_measured)
{
	struct test_ctl_result result = test_ctl_run("bench", "search", "--faces", "700", "--dim", "96",
	        "--probes", "3", "--threads", "2", "--seconds", "0.05", "--json", NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	json_t *json = test_ctl_json(result.out);

	cr_expect_eq(test_ctl_number(json, "faces"), 700);
	cr_expect_eq(test_ctl_number(json, "dim"), 96);
	cr_expect_eq(test_ctl_number(json, "probes"), 3);
	cr_expect_eq(test_ctl_number(json, "threads"), 2);
	cr_expect_gt(test_ctl_number(json, "median_ms"), 0);
	cr_expect_leq(test_ctl_number(json, "min_ms"), test_ctl_number(json, "median_ms"));
	cr_expect_gt(test_ctl_number(json, "bytes_per_face"), 0);
	/* The exact answer needs its ten at least. */
	cr_expect_geq(test_ctl_number(json, "fetched_per_probe"), 10);
	cr_expect_str_eq(json_string_value(json_object_get(json, "isa")), fm_isa_name(fm_isa_best()));
	json_decref(json);
	test_ctl_result_done(&result);
}

Test(bench_search, refuses)
{
	test_ctl_expect_usage_error(test_ctl_run("bench", "search", "--faces", "0", NULL), "faces");
	test_ctl_expect_failure(
	        test_ctl_run("bench", "search", "--faces", "10", "--like", "/nonexistent", NULL),
	        "/nonexistent");
	test_ctl_expect_failure(
	        test_ctl_run("bench", "search", "--faces", "10", "--like", "/dev/null", NULL), "no line");
}
