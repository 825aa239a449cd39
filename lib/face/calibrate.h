/*
 * Decisions at stated error rates. A calibration says how often photos of different people come as near as a
 * cosine x, FMR(x):
 *
 *	points    log FMR is linear between measured points (cosine, FMR), and before the first as in the
 *first segment. tail      beyond the last point (u, q): FMR(x) = q * (1 + shape * (x - u) / scale)^(-1 /
 *shape), a generalized Pareto distribution; shape 0 is its limit, q * exp(-(x - u) / scale). It is fitted to
 *	          all impostor cosines above u, so it is measured as far down as the sample supports:
 *	          fm_calibrate_measured_fmr().
 *	beyond    A negative shape would end the tail at a finite cosine, and FMR 0 beyond is more than a
 *sample can say. So from the lowest measured rate on, FMR falls exponentially, as steeply as it does there:
 *extrapolated, and never below the fitted tail. A tail of shape >= 0 goes on as it is; without a tail, FMR
 *goes on as in the last segment.
 *
 * FMR stays within 1e-12 and 1, and falls monotonically. Without points nothing ever matches. Threads: pure.
 * Source of the tail: Pickands 1975, Balkema and de Haan 1974 (excesses over a high threshold).
 */
#ifndef FM_FACE_CALIBRATE_H
#define FM_FACE_CALIBRATE_H

#include "lib/face/model.h"

/* A rate is measured when as many impostor pairs are expected at it. */
#define FM_CALIBRATE_SUPPORT 10

/* FMR of the decision "match when cosine >= this". */
double fm_calibrate_fmr(const struct fm_calibration *calibration, double cosine);

/* The lowest cosine whose FMR is at most this (0 < fmr <= 1). May exceed 1: then nothing matches. */
double fm_calibrate_cosine(const struct fm_calibration *calibration, double false_match_rate);

/*
 * The lowest FMR that was measured: FM_CALIBRATE_SUPPORT / impostor_pairs in a tail, otherwise the last
 * point's. Below it, FMR and cosine are extrapolated. 1 without points.
 */
double fm_calibrate_measured_fmr(const struct fm_calibration *calibration);

/*
 * Interpretable score, the same for every network: min(1, max(0, -log10(FMR) / 8)). 0 is FMR 1, 0.5 is 1e-4,
 * the operating point of 1:1 unless configured otherwise, 0.75 is 1e-6, 1 is 1e-8 and rarer. Strictly
 * monotonic in the cosine between 0 and 1.
 */
double fm_calibrate_similarity(const struct fm_calibration *calibration, double cosine);
double fm_calibrate_similarity_to_cosine(const struct fm_calibration *calibration, double similarity);

/*
 * The FMR of one comparison at which `comparisons` of them, independent, hold a false match at most at
 * `rate`: 1 - (1 - rate)^(1 / comparisons); and back. comparisons 0 counts as 1.
 */
double fm_calibrate_rate_of_each(double rate, size_t comparisons);
double fm_calibrate_rate_of_any(double rate, size_t comparisons);

#endif
