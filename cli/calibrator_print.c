#include "cli/calibrator.h"
#include "cli/plot.h"
#include "lib/base/size.h"
#include "lib/face/calibrate.h"

#include <math.h>
#include <stdio.h>

#include "lib/base/banned.h"

/* Of the plot: a threshold each 0.005. */
#define CURVE_STEPS 200
#define RATE_LOW    1e-6

static double number(const json_t *row, const char *key)
{
	return json_number_value(json_object_get(row, key));
}

static const char *note(const json_t *row)
{
	return json_is_true(json_object_get(row, "extrapolated")) ? "  (extrapolated)" : "";
}

static void print_rates(const char *title, const json_t *rates)
{
	size_t i;
	json_t *row;

	printf("\n%s\n  %-11s %-10s %-14s %-13s %s\n", title, "stated FMR", "threshold", "false matches",
	        "measured FMR", "FNMR");
	json_array_foreach(rates, i, row) printf("  %-11.0e %-10.4f %-14.0f %-13.2e %.4f%s\n",
	        number(row, "false_match_rate"), number(row, "threshold"), number(row, "false_matches"),
	        number(row, "measured"), number(row, "false_non_match_rate"), note(row));
}

static void print_splits(const json_t *report)
{
	size_t i;
	json_t *row;

	if (json_array_size(json_object_get(report, "verification")) == 0) {
		printf("\nToo few people to check the calibration on random halves: half of them cannot be "
		       "calibrated on.\n");
		return;
	}
	printf("\n%.0f random halves: measured FMR on one half over the rate stated by the other\n"
	       "  %-11s %-9s %-9s %s\n",
	        number(report, "splits"), "stated FMR", "median", "lowest", "highest");
	json_array_foreach(json_object_get(report, "verification"), i, row) printf(
	        "  %-11.0e %-9.2f %-9.2f %.2f\n", number(row, "false_match_rate"),
	        number(row, "ratio_median"), number(row, "ratio_lowest"), number(row, "ratio_highest"));
	if (json_array_size(json_object_get(report, "identification")) == 0)
		return;
	printf("\n%.0f random galleries: half of those not enrolled calibrate, the others are strangers\n"
	       "  %-8s %-7s %-10s %-12s %-10s %-9s %-18s %-18s %s\n",
	        number(report, "splits"), "enrolled", "faces", "strangers", "stated FPIR", "threshold",
	        "measured", "95 % interval", "lowest to highest", "FNIR");
	json_array_foreach(json_object_get(report, "identification"), i, row) printf(
	        "  %-8.0f %-7.0f %-10.0f %-12.0e %-10.4f %-9.4f %.4f to %.4f   %.4f to %.4f   %.4f%s\n",
	        number(row, "enrolled_people"), number(row, "enrolled_faces"), number(row, "strangers"),
	        number(row, "false_positive_identification_rate"), number(row, "threshold"),
	        number(row, "measured"), number(row, "interval_low"), number(row, "interval_high"),
	        number(row, "lowest"), number(row, "highest"),
	        number(row, "false_negative_identification_rate"), note(row));
}

void fm_calibrator_print(const json_t *report)
{
	const json_t *held_out = json_object_get(report, "held_out");
	char title[160];

	fm_json_print_table(report);
	print_rates("On the photos calibrated on", json_object_get(report, "thresholds"));
	if (held_out) {
		snprintf(title, sizeof(title),
		        "On people held out: %.0f, with %.0f photos, %.0f impostor and %.0f genuine pairs",
		        number(held_out, "people"), number(held_out, "photos"),
		        number(held_out, "impostor_pairs"), number(held_out, "genuine_pairs"));
		print_rates(title, json_object_get(held_out, "rates"));
	}
	if (json_object_get(report, "splits"))
		print_splits(report);
}

enum fm_status fm_calibrator_plot(
        const struct fm_calibrator *calibrator, char **ret_svg, size_t *ret_length, struct fm_error *err)
{
	const struct fm_calibration *calibration = &calibrator->calibration;
	double measured[CURVE_STEPS + 1][2], calibrated[CURVE_STEPS + 1][2], missed[CURVE_STEPS + 1][2];
	char subtitle[160];

	for (size_t i = 0; i <= CURVE_STEPS; i++) {
		double threshold = (double)i / CURVE_STEPS;
		struct fm_roc_point point = fm_stats_at_threshold(calibrator->stats, threshold);
		measured[i][0] = calibrated[i][0] = missed[i][0] = threshold;
		measured[i][1] = point.far;
		calibrated[i][1] = fm_calibrate_fmr(calibration, threshold);
		missed[i][1] = isnan(point.tar) ? 0 : 1 - point.tar;
	}
	snprintf(subtitle, sizeof(subtitle), "%zu people, %zu photos, %zu impostor and %zu genuine pairs",
	        calibration->people, calibration->photos, calibration->impostor_pairs,
	        fm_stats_genuine(calibrator->stats));
	double low = fm_calibrate_measured_fmr(calibration);
	const struct fm_rates_plot plot = {.title = "Calibration",
	        .subtitle = subtitle,
	        .x_label = "Threshold (cosine)",
	        .y_label = "Error rate",
	        .mark_label = "extrapolated from here",
	        .low = 0,
	        .high = 1,
	        .rate_low = fmin(RATE_LOW, pow(10, floor(log10(low)) - 1)),
	        .mark = fm_calibrate_cosine(calibration, low),
	        .curve_count = 3,
	        .curves = {{"FMR, measured", CURVE_STEPS + 1, measured},
	                {"FMR, calibrated", CURVE_STEPS + 1, calibrated},
	                {"FNMR, measured", CURVE_STEPS + 1, missed}}};
	return fm_plot_rates(&plot, ret_svg, ret_length, err);
}
