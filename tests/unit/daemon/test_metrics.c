#include "daemon/metrics.h"

#include "daemon/router.h"
#include "lib/base/cleanup.h"
#include "lib/face/pipeline.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

static const struct fm_gauges gauges = {
        .workers = 4,
        .workers_busy = 1,
        .queue_length = 2,
        .queue_maximum = 64,
        .people = 3,
        .faces = 5,
        .isa = "avx2",
        .model = "net@0123",
        .precision = "int8",
};

static char *written(const struct fm_metrics *metrics)
{
	fm_cleanup(fm_buf_done) struct fm_buf out;
	struct fm_error err;
	size_t length;

	fm_buf_init(&out, 1 << 20);
	cr_assert_eq(fm_metrics_write(metrics, &gauges, &out, &err), FM_OK, "%s", err.message);
	char *text = fm_buf_take(&out, &length);
	cr_assert_eq(strlen(text), length);
	return text;
}

static void expect_line(const char *text, const char *line)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "\n%s\n", line);
	cr_expect_not_null(strstr(text, whole), "%s is not in:\n%s", line, text);
}

Test(metrics, counts_by_kind)
{
	struct fm_metrics *metrics;

	cr_assert_eq(fm_metrics_create(&metrics, NULL), FM_OK);
	fm_metrics_add(metrics, FM_COUNTER_FACES_FOUND, 3);
	fm_metrics_add(metrics, FM_COUNTER_IDENTIFY_MATCH, 1);
	fm_metrics_request(metrics, &fm_routes[0], 200);
	fm_metrics_request(metrics, &fm_routes[0], 200);
	fm_metrics_request(metrics, NULL, 404);
	fm_metrics_problem(metrics, FM_PROBLEM_NOT_FOUND);
	char *text = written(metrics);
	expect_line(text, "facematchd_build_info{version=\"" FM_VERSION "\",isa=\"avx2\",model=\"net@0123\","
	                  "precision=\"int8\"} 1");
	expect_line(text, "facematchd_faces_found_total 3");
	expect_line(text, "facematchd_decisions_total{operation=\"identify\",decision=\"match\"} 1");
	expect_line(text, "facematchd_decisions_total{operation=\"verify\",decision=\"match\"} 0");
	expect_line(text, "facematchd_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 2");
	expect_line(text, "facematchd_requests_total{method=\"\",route=\"\",status=\"404\"} 1");
	expect_line(text, "facematchd_problems_total{code=\"not_found\"} 1");
	expect_line(text, "facematchd_gallery_faces 5");
	free(text);
	fm_metrics_free(metrics);
	fm_metrics_free(NULL);
}

Test(metrics, histograms_are_cumulative)
{
	struct fm_metrics *metrics;

	cr_assert_eq(fm_metrics_create(&metrics, NULL), FM_OK);
	fm_metrics_observe(metrics, FM_HISTOGRAM_STAGE_DETECT, 0.0005); /* a bound belongs to its bucket */
	fm_metrics_observe(metrics, FM_HISTOGRAM_STAGE_DETECT, 0.03);
	fm_metrics_observe(metrics, FM_HISTOGRAM_STAGE_DETECT, 100);
	char *text = written(metrics);
	expect_line(text, "facematchd_stage_seconds_bucket{stage=\"detect\",le=\"0.0005\"} 1");
	expect_line(text, "facematchd_stage_seconds_bucket{stage=\"detect\",le=\"0.025\"} 1");
	expect_line(text, "facematchd_stage_seconds_bucket{stage=\"detect\",le=\"0.05\"} 2");
	expect_line(text, "facematchd_stage_seconds_bucket{stage=\"detect\",le=\"10\"} 2");
	expect_line(text, "facematchd_stage_seconds_bucket{stage=\"detect\",le=\"+Inf\"} 3");
	expect_line(text, "facematchd_stage_seconds_sum{stage=\"detect\"} 100.030500");
	expect_line(text, "facematchd_stage_seconds_count{stage=\"detect\"} 3");
	expect_line(text, "facematchd_stage_seconds_count{stage=\"embed\"} 0");
	free(text);
	fm_metrics_free(metrics);
}

Test(metrics, each_reason_has_its_counter)
{
	struct fm_metrics *metrics;
	char line[128];

	cr_assert_eq(fm_metrics_create(&metrics, NULL), FM_OK);
	for (int bit = 0; bit < FM_REASON_COUNT; bit++)
		fm_metrics_add(
		        metrics, (enum fm_counter)(FM_COUNTER_REFUSED_REASON + bit), (uint64_t)bit + 1);
	char *text = written(metrics);
	for (int bit = 0; bit < FM_REASON_COUNT; bit++) {
		snprintf(line, sizeof(line), "facematchd_enrolments_refused_total{reason=\"%s\"} %d",
		        fm_reason_name(bit), bit + 1);
		expect_line(text, line);
	}
	free(text);
	fm_metrics_free(metrics);
}

/* A status that no table has must not write beyond the row. */
Test(metrics, unknown_status_is_counted_somewhere)
{
	struct fm_metrics *metrics;

	cr_assert_eq(fm_metrics_create(&metrics, NULL), FM_OK);
	fm_metrics_request(metrics, NULL, 299);
	char *text = written(metrics);
	cr_expect_not_null(strstr(text, "facematchd_requests_total{method=\"\",route=\"\",status=\""));
	free(text);
	fm_metrics_free(metrics);
}

Test(metrics, size_is_bounded)
{
	struct fm_metrics *metrics;
	fm_cleanup(fm_buf_done) struct fm_buf out;

	cr_assert_eq(fm_metrics_create(&metrics, NULL), FM_OK);
	fm_buf_init(&out, 100);
	cr_expect_eq(fm_metrics_write(metrics, &gauges, &out, NULL), FM_E_TOO_LARGE);
	fm_metrics_free(metrics);
}
