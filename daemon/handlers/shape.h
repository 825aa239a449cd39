/*
 * The JSON objects of API.md. Each returns a new reference, or NULL for want of memory (jansson's packing
 * and fm_reply_json() pass a NULL on). Threads: pure.
 */
#ifndef FM_DAEMON_HANDLERS_SHAPE_H
#define FM_DAEMON_HANDLERS_SHAPE_H

#include "daemon/match.h"
#include "lib/face/pipeline.h"
#include "lib/gallery/gallery.h"

#include <jansson.h>

/* A number with so many decimals: what the value is worth, without a tail of digits. */
json_t *fm_shape_number(double value, int decimals);

json_t *fm_shape_face(const struct fm_face *face);    /* Face, without its embedding */
json_t *fm_shape_faces(const struct fm_faces *faces); /* [Face] */
json_t *fm_shape_image(const struct fm_faces *faces); /* {"width","height"}, "truncated" where it is */
json_t *fm_shape_reasons(uint32_t reasons);           /* ["small_face", …] */
json_t *fm_shape_quality(const struct fm_quality *quality);
json_t *fm_shape_threshold(const struct fm_threshold *threshold);
json_t *fm_shape_person(const struct fm_person *person);
json_t *fm_shape_person_brief(const struct fm_person *person); /* {"id","name"} */
json_t *fm_shape_face_record(const struct fm_face_record *face);
json_t *fm_shape_collection(const struct fm_collection *collection);

#endif
