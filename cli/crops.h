/* Faces as an embedding network sees them: what calibration photos are turned into. Threads: pure. */
#ifndef FM_CLI_CROPS_H
#define FM_CLI_CROPS_H

#include "lib/base/status.h"

#include <stddef.h>

#define FM_CROPS_MAX 4096

struct fm_crops {
	size_t count, elements;     /* inputs, and floats of each */
	float *inputs;              /* [count][elements] */
	size_t misses;              /* photos without a face, or not to be decoded */
	size_t width_px, height_px; /* of an input; 0: as the network's file says */
};
/* Wipes: they show faces. */
void fm_crops_done(struct fm_crops *crops);

/*
 * The central face of at most `most` photos DIR/PERSON/PHOTO (1..FM_CROPS_MAX), evenly taken from all there
 * are, found and aligned by the default networks and turned into the input of the embedding network
 * `manifest`. That must be the network in bytes[length], in float32: FM_E_INVALID otherwise, and when no
 * photo shows a face. models_dir as fm_models_find's. Shows a progress bar on a terminal. Other errors:
 * fm_labelled_scan's, fm_models_load's, FM_E_NOMEM.
 */
enum fm_status fm_crops_load(const char *dir, size_t most, const char *models_dir, const char *manifest,
        const void *bytes, size_t length, struct fm_crops *ret_crops, struct fm_error *err);

#endif
