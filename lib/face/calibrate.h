/*
 * Decisions at stated error rates. A calibration is a list of measured points (cosine, false match rate);
 * between them log10(FMR) is linear in the cosine, beyond the last it goes on with the last segment's slope,
 * and FMR stays within 1e-12 and 1. Threads: pure.
 */
#ifndef FM_FACE_CALIBRATE_H
#define FM_FACE_CALIBRATE_H

#include "lib/face/model.h"

/* FMR of the decision "match when cosine >= this". Falls monotonically. */
double fm_calibrate_fmr(const struct fm_model *embedding, double cosine);

/* The lowest cosine whose FMR is at most this (0 < fmr <= 1). May exceed 1: then nothing matches. */
double fm_calibrate_cosine(const struct fm_model *embedding, double false_match_rate);

/*
 * Interpretable score, the same for every network: min(1, max(0, -log10(FMR) / 8)).
 * 0.5 is FMR 1e-4, 0.75 is 1e-6, 1 is 1e-8 and rarer. Strictly monotonic in the cosine between 0 and 1.
 */
double fm_calibrate_similarity(const struct fm_model *embedding, double cosine);
double fm_calibrate_similarity_to_cosine(const struct fm_model *embedding, double similarity);

/*
 * Per-comparison FMR for a 1:N search among `people` that gives a stranger a false identification at most at
 * rate fpir: 1 - (1 - fpir)^(1/people), and never looser than the 1:1 rate.
 */
double fm_calibrate_identification_fmr(double false_match_rate, double fpir, size_t people);

#endif
