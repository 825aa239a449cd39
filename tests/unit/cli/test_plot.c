#include "cli/plot.h"
#include "lib/base/cleanup.h"
#include "lib/base/size.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

static const struct fm_roc_point float_points[] = {{0.1, 1000, 1000, 1, 1}, {0.2, 990, 100, 0.99, 0.1},
        {0.3, 980, 9, 0.98, 0.009}, {0.4, 900, 3, 0.9, 0.003}};
static const struct fm_roc_point int8_points[] = {{0.1, 1000, 1000, 1, 1}, {0.4, 900, 3, 0.9, 0.003}};

static size_t count(const char *text, const char *part)
{
	size_t found = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		found++;
	return found;
}

static char *plot(struct fm_plot_series first, struct fm_plot_series second, size_t series)
{
	const struct fm_plot plot = {.title = "Title",
	        .subtitle = "Subtitle",
	        .x_label = "X label",
	        .y_label = "Y label",
	        .x_name = "FAR",
	        .y_name = "FRR",
	        .series_count = series,
	        .series = {first, second}};
	char *svg = NULL;
	size_t length;

	cr_assert_eq(fm_plot_det(&plot, &svg, &length, NULL), FM_OK);
	cr_expect_eq(strlen(svg), length);
	cr_expect_eq(strncmp(svg, "<svg ", 5), 0);
	cr_expect_str_eq(svg + length - 7, "</svg>\n");
	return svg;
}

Test(plot, draws_axes_curves_and_legend)
{
	fm_autofree char *svg =
	        plot((struct fm_plot_series){"float32", FM_ARRAY_SIZE(float_points), float_points},
	                (struct fm_plot_series){"int8", FM_ARRAY_SIZE(int8_points), int8_points}, 2);

	cr_expect_eq(count(svg, "<polyline"), 2);
	cr_expect_eq(count(svg, ">float32</text>"), 1);
	cr_expect_eq(count(svg, ">int8</text>"), 1);
	cr_expect_eq(count(svg, ">X label</text>"), 1);
	cr_expect_eq(count(svg, ">Y label</text>"), 1);
	/* FAR from 0.1 % to 100 %, FRR from 0.5 % (a little below 1 %) to 10 %. */
	cr_expect_eq(count(svg, ">0.1 %</text>"), 1);
	cr_expect_eq(count(svg, ">100 %</text>"), 1);
	cr_expect_eq(count(svg, ">0.5 %</text>"), 1);
	cr_expect_eq(count(svg, ">5 %</text>"), 1);
	/* At 1e-1 and at the first point within 1e-2; int8 has but one within either. */
	cr_expect_eq(count(svg, "<circle"), 3);
	cr_expect_not_null(strstr(svg, "float32: FAR 0.009, FRR 0.02, threshold 0.3000"), "%s", svg);
	cr_expect_null(strstr(svg, "nan"));
	cr_expect_null(strstr(svg, "inf"));
}

Test(plot, a_curve_without_errors_is_no_reason_to_fail)
{
	static const struct fm_roc_point perfect[] = {{0.1, 10, 10, 1, 1}, {0.5, 10, 0, 1, 0}};
	fm_autofree char *svg = plot((struct fm_plot_series){"int8", FM_ARRAY_SIZE(perfect), perfect},
	        (struct fm_plot_series){0}, 1);

	cr_expect_eq(count(svg, "<polyline"), 1);
	cr_expect_eq(count(svg, "<circle"), 0);
	cr_expect_null(strstr(svg, "nan"));
	cr_expect_null(strstr(svg, "inf"));
}

Test(plot, rates_against_the_threshold)
{
	static const double falling[][2] = {{0, 1}, {0.5, 1e-3}, {1, 0}}, rising[][2] = {{0, 0}, {1, 1}};
	const struct fm_rates_plot plot = {.title = "Title",
	        .subtitle = "Subtitle",
	        .x_label = "Threshold",
	        .y_label = "Rate",
	        .mark_label = "from here",
	        .low = 0,
	        .high = 1,
	        .rate_low = 1e-6,
	        .mark = 0.5,
	        .curve_count = 2,
	        .curves = {{"FMR", 3, falling}, {"FNMR", 2, rising}}};
	fm_autofree char *svg = NULL;
	size_t length;

	cr_assert_eq(fm_plot_rates(&plot, &svg, &length, NULL), FM_OK);
	cr_expect_eq(strlen(svg), length);
	cr_expect_eq(count(svg, "<polyline"), 2);
	cr_expect_eq(count(svg, ">FMR</text>"), 1);
	cr_expect_eq(count(svg, ">FNMR</text>"), 1);
	cr_expect_eq(count(svg, ">from here</text>"), 1);
	cr_expect_eq(count(svg, ">0.0001 %</text>"), 1);
	cr_expect_eq(count(svg, ">100 %</text>"), 1);
	for (int tenth = 0; tenth <= 10; tenth++) {
		char label[32];
		snprintf(label, sizeof(label), ">%.1f</text>", tenth / 10.0);
		cr_expect_eq(count(svg, label), 1, "%s", label);
	}
	/* 1e-3 is half way down, a threshold of 0.5 in the middle. */
	cr_expect_eq(count(svg, " 408.0,275.0 "), 1, "%s", svg);
}
