/*
 * Before the daemon calls itself ready: does inference run on this machine? Each network runs once on a fixed
 * pattern and must give finite numbers that are not all alike, and a photo must go through the pipeline.
 * FM_E_INTERNAL names the network that fails.
 */
#ifndef FM_DAEMON_SELFTEST_H
#define FM_DAEMON_SELFTEST_H

#include "lib/face/pipeline.h"

enum fm_status fm_selftest_run(
        const struct fm_models *models, struct fm_pipeline *pipeline, struct fm_error *err);

#endif
