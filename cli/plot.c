#include "cli/plot.h"

#include "lib/base/cleanup.h"
#include "lib/base/size.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

/* Pixels. */
#define WIDTH  760
#define HEIGHT 540
#define LEFT   84
#define RIGHT  28
#define TOP    76
#define BOTTOM 66

#define LOG_LOWEST (-12.0)

static const struct {
	const char *color, *dash;
} styles[] = {{"#1f6fb4", "none"}, {"#d9480f", "7 4"}, {"#2b8a3e", "2 3"}};

/* One axis: its ends (their log10 where it is logarithmic), and these in pixels. */
struct axis {
	double low, high, low_px, high_px;
};

static double place(const struct axis *axis, double at)
{
	return axis->low_px + (at - axis->low) / (axis->high - axis->low) * (axis->high_px - axis->low_px);
}

static double axis_px(const struct axis *axis, double rate)
{
	/* Zero lies below every rate: the curve leaves the frame there, and is cut off by it. */
	return place(axis, rate > 0 ? log10(rate) : LOG_LOWEST);
}

/* The next of 1, 2, 5 times a power of ten outwards, as log10. */
static double round_outwards(double rate, bool up)
{
	static const double steps[] = {1, 2, 5, 10};
	double decade = pow(10, floor(log10(rate) + 1e-9)), scaled = rate / decade;
	size_t i = 0;

	while (i + 1 < FM_ARRAY_SIZE(steps) && steps[up ? i : i + 1] < scaled * (up ? 1 - 1e-9 : 1 + 1e-9))
		i++;
	return log10(steps[i] * decade);
}

static void make_axes(const struct fm_plot *plot, struct axis *x, struct axis *y)
{
	double x_low = 1, y_low = 1, y_high = 0;

	for (size_t i = 0; i < plot->series_count; i++)
		for (size_t j = 0; j < plot->series[i].count; j++) {
			const struct fm_roc_point *point = &plot->series[i].points[j];
			double miss = 1 - point->tar;
			if (point->far > 0)
				x_low = fmin(x_low, point->far);
			if (miss > 0)
				y_low = fmin(y_low, miss);
			y_high = fmax(y_high, miss);
		}
	*x = (struct axis){floor(log10(x_low) + 1e-9), 0, LEFT, WIDTH - RIGHT};
	if (x->low >= 0)
		x->low = -1;
	/* Below the lowest rate there is room for its line. */
	*y = (struct axis){round_outwards(y_low * 0.8, false), y_high > 0 ? round_outwards(y_high, true) : 0,
	        HEIGHT - BOTTOM, TOP};
	/* A decade at least, or the least of differences would fill the plot. */
	if (y->high - y->low < 1)
		y->low = y->high - 1;
}

/* A rate as a percentage without needless digits: 10 %, 0.1 %, 0.0001 %. */
static void print_percent(FILE *svg, double rate)
{
	int digits = (int)fmax(0, ceil(-log10(rate) - 2 - 1e-9));

	fprintf(svg, "%.*f %%", digits, rate * 100);
}

static void draw_tick(
        FILE *svg, const struct axis *axis, bool horizontal, double rate, bool major, bool labelled)
{
	double at = axis_px(axis, rate);
	const char *color = major ? "#c8cdd3" : "#eceff2";

	if (horizontal)
		fprintf(svg, "<path d=\"M%.1f %dV%d\" stroke=\"%s\"/>\n", at, TOP, HEIGHT - BOTTOM, color);
	else
		fprintf(svg, "<path d=\"M%d %.1fH%d\" stroke=\"%s\"/>\n", LEFT, at, WIDTH - RIGHT, color);
	if (!labelled)
		return;
	if (horizontal)
		fprintf(svg, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", at, HEIGHT - BOTTOM + 20);
	else
		fprintf(svg, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 9, at + 4.5);
	print_percent(svg, rate);
	fprintf(svg, "</text>\n");
}

/* Grid and labels: decades, and between them 2 and 5 where there is room for them. */
static void draw_axis(FILE *svg, const struct axis *axis, bool horizontal, bool major)
{
	bool sparse = axis->high - axis->low > 2.5;

	for (int exponent = (int)floor(axis->low); exponent <= (int)ceil(axis->high); exponent++)
		for (int mantissa = 1; mantissa < 10; mantissa++) {
			double rate = mantissa * pow(10, exponent), at = log10(rate);
			bool labelled = mantissa == 1 || (!sparse && (mantissa == 2 || mantissa == 5));
			if (at < axis->low - 1e-9 || at > axis->high + 1e-9 || (mantissa == 1) != major)
				continue;
			draw_tick(svg, axis, horizontal, rate, major, labelled);
		}
}

/* Whether point i is the one of a power of ten: the first, falling, that keeps to it as a false accept rate.
 */
static bool keeps_power_of_ten(const struct fm_plot_series *series, size_t i)
{
	if (i == 0 || series->points[i].far <= 0)
		return false;
	return ceil(log10(series->points[i].far) - 1e-9) < ceil(log10(series->points[i - 1].far) - 1e-9);
}

static void draw_series(
        FILE *svg, const struct fm_plot *plot, size_t i, const struct axis *x, const struct axis *y)
{
	const struct fm_plot_series *series = &plot->series[i];
	const char *color = styles[i].color;

	fprintf(svg,
	        "<g clip-path=\"url(#frame)\">\n<polyline fill=\"none\" stroke=\"%s\" "
	        "stroke-width=\"2.5\" stroke-linejoin=\"round\" stroke-dasharray=\"%s\" points=\"",
	        color, styles[i].dash);
	for (size_t j = 0; j < series->count; j++)
		fprintf(svg, "%s%.1f,%.1f", j ? " " : "", axis_px(x, series->points[j].far),
		        axis_px(y, 1 - series->points[j].tar));
	fprintf(svg, "\"/>\n");
	for (size_t j = 0; j < series->count; j++) {
		const struct fm_roc_point *point = &series->points[j];
		if (point->tar >= 1 || !keeps_power_of_ten(series, j))
			continue;
		fprintf(svg,
		        "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#fff\" stroke=\"%s\" "
		        "stroke-width=\"2\">"
		        "<title>%s: %s %.3g, %s %.3g, threshold %.4f</title></circle>\n",
		        axis_px(x, point->far), axis_px(y, 1 - point->tar), color, series->label,
		        plot->x_name, point->far, plot->y_name, 1 - point->tar, point->threshold);
	}
	fprintf(svg, "</g>\n");
}

static void draw_legend(FILE *svg, const char *const *labels, size_t count)
{
	size_t longest = 0;

	for (size_t i = 0; i < count; i++)
		longest = strlen(labels[i]) > longest ? strlen(labels[i]) : longest;
	int width = 62 + (int)longest * 7, height = 14 + 22 * (int)count;
	int left = WIDTH - RIGHT - width - 14, top = TOP + 14;
	fprintf(svg,
	        "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\" fill=\"#fff\" "
	        "fill-opacity=\"0.92\" "
	        "stroke=\"#c8cdd3\"/>\n",
	        left, top, width, height);
	for (size_t i = 0; i < count; i++) {
		int middle = top + 18 + 22 * (int)i;
		fprintf(svg,
		        "<path d=\"M%d %dh34\" stroke=\"%s\" stroke-width=\"2.5\" stroke-dasharray=\"%s\"/>\n"
		        "<text x=\"%d\" y=\"%d\">%s</text>\n",
		        left + 10, middle, styles[i].color, styles[i].dash, left + 52, middle + 5, labels[i]);
	}
}

static void draw_head(FILE *svg, const char *title, const char *subtitle)
{
	fprintf(svg,
	        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
	        "font-family=\"system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif\" font-size=\"13\" "
	        "fill=\"#24292f\">\n"
	        "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n"
	        "<clipPath id=\"frame\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/></clipPath>\n"
	        "<text x=\"%d\" y=\"34\" font-size=\"18\" font-weight=\"600\">%s</text>\n"
	        "<text x=\"%d\" y=\"56\" fill=\"#57606a\">%s</text>\n",
	        WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT, TOP, WIDTH - LEFT - RIGHT,
	        HEIGHT - TOP - BOTTOM, LEFT, title, LEFT, subtitle);
}

static void draw_frame(FILE *svg, const char *x_label, const char *y_label)
{
	fprintf(svg,
	        "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#57606a\"/>\n"
	        "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
	        "<text transform=\"translate(20 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n"
	        "</svg>\n",
	        LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM, (LEFT + WIDTH - RIGHT) / 2,
	        HEIGHT - 18, x_label, (TOP + HEIGHT - BOTTOM) / 2, y_label);
}

/* Closes the memory stream that fills *text. */
static enum fm_status finish(FILE *svg, struct fm_error *err)
{
	bool failed = ferror(svg) != 0;

	failed |= fclose(svg) != 0;
	return failed ? fm_fail(err, FM_E_NOMEM, "no memory for a plot") : FM_OK;
}

enum fm_status fm_plot_det(
        const struct fm_plot *plot, char **ret_svg, size_t *ret_length, struct fm_error *err)
{
	const char *labels[FM_PLOT_SERIES_MAX];
	fm_autofree char *text = NULL;
	size_t length = 0;
	FILE *svg = open_memstream(&text, &length);
	struct axis x, y;

	if (!svg)
		return fm_fail(err, FM_E_NOMEM, "no memory for a plot");
	make_axes(plot, &x, &y);
	draw_head(svg, plot->title, plot->subtitle);
	for (int major = 0; major <= 1; major++) {
		draw_axis(svg, &x, true, major);
		draw_axis(svg, &y, false, major);
	}
	for (size_t i = 0; i < plot->series_count; i++) {
		labels[i] = plot->series[i].label;
		draw_series(svg, plot, i, &x, &y);
	}
	draw_legend(svg, labels, plot->series_count);
	draw_frame(svg, plot->x_label, plot->y_label);
	enum fm_status status = finish(svg, err);
	if (status)
		return status;
	*ret_svg = fm_steal(text);
	*ret_length = length;
	return FM_OK;
}

static void draw_tenths(FILE *svg, const struct axis *x)
{
	for (double at = x->low; at <= x->high + 1e-9; at += 0.1)
		fprintf(svg,
		        "<path d=\"M%.1f %dV%d\" stroke=\"#c8cdd3\"/>\n"
		        "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.1f</text>\n",
		        place(x, at), TOP, HEIGHT - BOTTOM, place(x, at), HEIGHT - BOTTOM + 20,
		        fabs(at) < 1e-9 ? 0 : at);
}

static void draw_curve(FILE *svg, const struct fm_plot_curve *curve, size_t style, const struct axis *x,
        const struct axis *y)
{
	fprintf(svg,
	        "<polyline clip-path=\"url(#frame)\" fill=\"none\" stroke=\"%s\" stroke-width=\"2.5\" "
	        "stroke-linejoin=\"round\" stroke-dasharray=\"%s\" points=\"",
	        styles[style].color, styles[style].dash);
	for (size_t i = 0; i < curve->count; i++)
		fprintf(svg, "%s%.1f,%.1f", i ? " " : "", place(x, curve->points[i][0]),
		        axis_px(y, curve->points[i][1]));
	fprintf(svg, "\"/>\n");
}

enum fm_status fm_plot_rates(
        const struct fm_rates_plot *plot, char **ret_svg, size_t *ret_length, struct fm_error *err)
{
	const struct axis x = {plot->low, plot->high, LEFT, WIDTH - RIGHT};
	const struct axis y = {log10(plot->rate_low), 0, HEIGHT - BOTTOM, TOP};
	const char *labels[FM_PLOT_CURVES_MAX];
	fm_autofree char *text = NULL;
	size_t length = 0;
	FILE *svg = open_memstream(&text, &length);

	if (!svg)
		return fm_fail(err, FM_E_NOMEM, "no memory for a plot");
	draw_head(svg, plot->title, plot->subtitle);
	draw_axis(svg, &y, false, false);
	draw_axis(svg, &y, false, true);
	draw_tenths(svg, &x);
	if (!isnan(plot->mark))
		fprintf(svg,
		        "<path d=\"M%.1f %dV%d\" stroke=\"#57606a\" stroke-dasharray=\"3 3\"/>\n"
		        "<text x=\"%.1f\" y=\"%d\" fill=\"#57606a\">%s</text>\n",
		        place(&x, plot->mark), TOP, HEIGHT - BOTTOM, place(&x, plot->mark) + 6,
		        HEIGHT - BOTTOM - 8, plot->mark_label);
	for (size_t i = 0; i < plot->curve_count; i++) {
		labels[i] = plot->curves[i].label;
		draw_curve(svg, &plot->curves[i], i, &x, &y);
	}
	draw_legend(svg, labels, plot->curve_count);
	draw_frame(svg, plot->x_label, plot->y_label);
	enum fm_status status = finish(svg, err);
	if (status)
		return status;
	*ret_svg = fm_steal(text);
	*ret_length = length;
	return FM_OK;
}
