/*
 * A DET plot as SVG: the two error rates of decisions against each other, both on logarithmic axes, falling
 * curves from loose thresholds to strict ones. Threads: pure.
 * Source of the form: Martin et al. 1997 (The DET curve in assessment of detection task performance), with
 * logarithmic axes, as biometric evaluations draw it.
 */
#ifndef FM_CLI_PLOT_H
#define FM_CLI_PLOT_H

#include "cli/stats.h"

#define FM_PLOT_SERIES_MAX 2

struct fm_plot_series {
	const char *label;
	size_t count; /* at least one */
	const struct fm_roc_point *points;
};

/* The texts must be free of <, > and &. */
struct fm_plot {
	const char *title, *subtitle, *x_label, *y_label;
	const char *x_name, *y_name; /* short, for the tooltips of the points at powers of ten */
	size_t series_count;
	struct fm_plot_series series[FM_PLOT_SERIES_MAX];
};

/* A curve of rates against thresholds. */
struct fm_plot_curve {
	const char *label;
	size_t count;
	const double (*points)[2]; /* threshold, rate; a rate of 0 ends the curve below the frame */
};

#define FM_PLOT_CURVES_MAX 3

/*
 * Rates, on a logarithmic axis from rate_low (a power of ten) to 1, against thresholds from low to high
 * (tenths); a vertical line at `mark`, NaN for none. The texts must be free of <, > and &.
 */
struct fm_rates_plot {
	const char *title, *subtitle, *x_label, *y_label, *mark_label;
	double low, high, rate_low, mark;
	size_t curve_count;
	struct fm_plot_curve curves[FM_PLOT_CURVES_MAX];
};

/* *ret_svg is the caller's, NUL-terminated. Errors: FM_E_NOMEM. */
enum fm_status fm_plot_det(
        const struct fm_plot *plot, char **ret_svg, size_t *ret_length, struct fm_error *err);
enum fm_status fm_plot_rates(
        const struct fm_rates_plot *plot, char **ret_svg, size_t *ret_length, struct fm_error *err);

#endif
