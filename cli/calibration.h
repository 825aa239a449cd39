/*
 * A calibration as manifests hold it (lib/face/model.h): lowest thresholds at falling false match rates, as
 * text. Threads: pure.
 */
#ifndef FM_CLI_CALIBRATION_H
#define FM_CLI_CALIBRATION_H

#include "cli/stats.h"

#define FM_CALIBRATION_TEXT_MAX 512

/* Each point rests on as many impostor pairs, expected at its rate. */
#define FM_CALIBRATION_SUPPORT 10

/*
 * "0.131:1e-1, 0.245:1e-2, …" for the rates 5e-1, 1e-1, 3e-2, 1e-2, 3e-3 … that the impostor pairs support,
 * cosines rounded up to thousandths, so that the rate is kept to. The last segment spans a whole decade where
 * it can: it is what goes on to rarer rates. False when fewer than two points are supported.
 */
bool fm_calibration_points(const struct fm_stats *stats, char ret_text[FM_CALIBRATION_TEXT_MAX]);

#endif
