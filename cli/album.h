/*
 * An album: photos in a folder for each person, DIR/PERSON/PHOTO, and the faces found in them. Threads: pure.
 */
#ifndef FM_CLI_ALBUM_H
#define FM_CLI_ALBUM_H

#include "cli/eval.h"
#include "cli/histogram.h"
#include "cli/labelled.h"

struct fm_album {
	struct fm_labelled labelled;
	size_t *person; /* [labelled.count]: whose photo, 0..people - 1 in the order of their names */
	size_t people;
};
void fm_album_done(struct fm_album *album);

/* Scans eval->images_dir, and adds its photos to the evaluation, which has none yet. */
enum fm_status fm_album_read(struct fm_eval *eval, struct fm_album *ret_album, struct fm_error *err);

/* Reads the album into *album, which is empty, embeds its photos, and evaluates each run. */
enum fm_status fm_album_evaluate(struct fm_eval *eval,
        enum fm_status (*evaluate)(const struct fm_eval *eval, const struct fm_album *album,
                struct fm_eval_run *run, struct fm_error *err),
        struct fm_album *album, struct fm_error *err);

/* Pairs of photos of one person, misses included. */
size_t fm_album_genuine_pairs(const struct fm_album *album);

/* Faces in the order of the photos; those of one person stand together. */
struct fm_album_faces {
	float *embeddings; /* [count][dim], 64-byte aligned */
	size_t *person;    /* [count] */
	size_t count, dim;
	size_t people; /* with a face */
};
void fm_album_faces_done(struct fm_album_faces *faces);

/* Copies what the run has found. Errors: FM_E_NOMEM. */
enum fm_status fm_album_faces(const struct fm_album *album, const struct fm_eval_run *run,
        struct fm_album_faces *ret_faces, struct fm_error *err);

/* Copies the faces of those people p for whom part_of[p] == part. */
enum fm_status fm_album_faces_part(const struct fm_album_faces *faces, const unsigned char *part_of,
        unsigned char part, struct fm_album_faces *ret_faces, struct fm_error *err);

/* Counts all pairs of faces into a histogram, which it zeroes first. */
enum fm_status fm_album_compare(const struct fm_album_faces *faces, size_t threads,
        struct fm_histogram *histogram, struct fm_error *err);

#endif
