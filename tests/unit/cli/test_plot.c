#include "cli/plot.h"
#include "lib/base/cleanup.h"
#include "lib/base/size.h"

#include <criterion/criterion.h>
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
