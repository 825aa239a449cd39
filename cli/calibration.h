/*
 * A calibration (lib/face/calibrate.h) out of a sample of impostor cosines: three points for what is common,
 * and a generalized Pareto distribution fitted to the highest FM_CALIBRATION_TAIL of them. Threads: pure.
 * Source of the fit: Hosking and Wallis 1987 (Parameter and Quantile Estimation for the Generalized Pareto
 * Distribution), probability-weighted moments.
 */
#ifndef FM_CLI_CALIBRATION_H
#define FM_CLI_CALIBRATION_H

#include "cli/histogram.h"
#include "lib/face/model.h"

#include <stdio.h>

/* Where the tail begins, as a false match rate. */
#define FM_CALIBRATION_TAIL 3e-2

/* The least that is calibrated on: pairs enough for a measured rate of 1e-3, of people enough to differ. */
#define FM_CALIBRATION_PAIRS_MIN  10000
#define FM_CALIBRATION_PEOPLE_MIN 50

/*
 * Points at 5e-1, 1e-1 and FM_CALIBRATION_TAIL, cosines rounded up to 1e-4, so that the rate is kept to, and
 * the tail's two numbers, rounded to 1e-4. The description is left NULL. Errors: FM_E_INVALID, which says
 * what rate the sample supports (too few people or pairs), or that it has no tail (cosines that do not
 * differ, a shape that a manifest may not hold).
 */
enum fm_status fm_calibration_fit(const struct fm_histogram *histogram, size_t people, size_t photos,
        struct fm_calibration *ret_calibration, struct fm_error *err);

/* The section of a manifest, with what is measured and what extrapolated in its comment. */
void fm_calibration_print(FILE *out, const struct fm_calibration *calibration, const char *description);

#endif
