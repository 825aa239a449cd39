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

/* *ret_svg is the caller's, NUL-terminated. Errors: FM_E_NOMEM. */
enum fm_status fm_plot_det(
        const struct fm_plot *plot, char **ret_svg, size_t *ret_length, struct fm_error *err);

#endif
