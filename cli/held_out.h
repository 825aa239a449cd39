/*
 * Does a calibration keep its word on people it has not seen? The people of an album are parted: on some the
 * calibration is fitted, on others the rates it states are measured. Threads: pure; the work is shared by as
 * many as asked for, and does not depend on them.
 */
#ifndef FM_CLI_HELD_OUT_H
#define FM_CLI_HELD_OUT_H

#include "cli/album.h"

#include <stdint.h>

/* Whom a person stands for. */
enum fm_part { FM_PART_NONE, FM_PART_CALIBRATED, FM_PART_MEASURED, FM_PART_ENROLLED };

/* FMR 1e-2 … 1e-5, and FPIR 1e-1, 1e-2. */
#define FM_HELD_OUT_FMRS  4
#define FM_HELD_OUT_FPIRS 2

struct fm_held_out_rate {
	double stated, threshold;
	bool extrapolated; /* by the calibration */
	size_t accepted;   /* impostor pairs, or strangers given a name */
	size_t missed;     /* genuine pairs refused, or enrolled people not named rightly */
};

struct fm_held_out_pairs {
	size_t people, photos, impostor_pairs, genuine_pairs; /* that were measured */
	struct fm_calibration calibration;
	struct fm_held_out_rate rates[FM_HELD_OUT_FMRS];
};

/* All pairs of the people measured. part_of[person]. Errors: those of fm_calibration_fit(), FM_E_NOMEM. */
enum fm_status fm_held_out_verify(const struct fm_album_faces *faces, const unsigned char *part_of,
        size_t threads, struct fm_held_out_pairs *ret_pairs, struct fm_error *err);

struct fm_held_out_search {
	size_t enrolled_people, enrolled_faces;
	size_t strangers, mates; /* probes: every photo of the people measured; one of each who is enrolled */
	struct fm_calibration calibration;
	struct fm_held_out_rate rates[FM_HELD_OUT_FPIRS];
};

/*
 * A gallery of the people enrolled, with all their faces but the last of those who have two or more: with it
 * they are searched for. A person is as near as their nearest face, and the threshold follows from FPIR and
 * the number of faces, as in the daemon.
 */
enum fm_status fm_held_out_identify(const struct fm_album_faces *faces, const unsigned char *part_of,
        size_t threads, struct fm_held_out_search *ret_search, struct fm_error *err);

/*
 * Parts people at random, the same for the same seed: `enrolled` of them, and of the others half calibrated
 * (rounded down), half measured. enrolled <= people.
 */
void fm_held_out_part(size_t people, size_t enrolled, uint64_t seed, unsigned char *ret_part_of);

/* The interval that holds a rate, seen k times of n, at 95 % confidence (Wilson 1927). n >= 1. */
void fm_held_out_interval(double k, double n, double *ret_low, double *ret_high);

#endif
