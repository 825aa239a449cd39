/*
 * What `facematchctl calibrate` measures: a calibration from an album, the error rates at its thresholds, and
 * how it keeps its word on people who were left out of it: a fixed half, random halves, random galleries.
 */
#ifndef FM_CLI_CALIBRATOR_H
#define FM_CLI_CALIBRATOR_H

#include "cli/eval.h"
#include "cli/histogram.h"

/* Photos are embeddings in memory, 2 KiB each; so many make 5e9 pairs. */
#define FM_CALIBRATOR_PHOTOS_MAX 100000
#define FM_CALIBRATOR_SPLITS_MAX 1000

struct fm_calibrator {
	struct fm_eval *eval; /* images_dir, networks, one precision, threads */
	bool hold_out;        /* every second person, in the order of names, is measured, not calibrated on */
	size_t splits;        /* random ones; 0: none */
	/* Set by fm_calibrator_run(). */
	struct fm_calibration calibration;
	struct fm_histogram *histogram; /* of the people calibrated on */
	struct fm_stats *stats;         /* the same */
	json_t *report;
};
void fm_calibrator_done(struct fm_calibrator *calibrator);

/* Errors: those of fm_album_read(), fm_eval_embed() and fm_calibration_fit(); FM_E_TOO_LARGE. */
enum fm_status fm_calibrator_run(struct fm_calibrator *calibrator, struct fm_error *err);

/* The report as tables on stdout. */
void fm_calibrator_print(const json_t *report);

/*
 * FMR, as measured and as calibrated, and FNMR against the threshold, as SVG; *ret_svg is the caller's.
 * FM_E_NOMEM.
 */
enum fm_status fm_calibrator_plot(
        const struct fm_calibrator *calibrator, char **ret_svg, size_t *ret_length, struct fm_error *err);

#endif
