/*
 * What the gallery's files share: the lock discipline. One writer connection under a mutex; a few reader
 * connections, taken and given back. A thread never holds both, and never takes a second one.
 */
#ifndef FM_GALLERY_INTERNAL_H
#define FM_GALLERY_INTERNAL_H

#include "lib/gallery/connection.h"
#include "lib/gallery/gallery.h"

/*
 * Starts a write transaction; after FM_OK exactly one fm_write_end() follows, with the status of what was
 * done in between: it commits on FM_OK, rolls back otherwise, and returns what came of it.
 */
enum fm_status fm_write_begin(
        struct fm_gallery *gallery, struct fm_connection **ret_connection, struct fm_error *err);
enum fm_status fm_write_end(struct fm_gallery *gallery, enum fm_status status, struct fm_error *err);
/* The same, when biometric data was deleted: after the commit the old bytes are driven out of the log. */
enum fm_status fm_erase_end(struct fm_gallery *gallery, enum fm_status status, struct fm_error *err);

/* A read transaction (one snapshot) on a connection of its own, from begin to done. */
struct fm_reader {
	struct fm_gallery *gallery;
	struct fm_connection *connection;
};
enum fm_status fm_reader_begin(struct fm_gallery *gallery, struct fm_reader *reader, struct fm_error *err);
void fm_reader_done(struct fm_reader *reader); /* a zeroed reader is left alone */

/* Rows; FM_E_NOT_FOUND where there is none. */
enum fm_status fm_person_find(struct fm_connection *connection, int64_t collection_key, const char *id,
        struct fm_person *ret_person, struct fm_error *err);
enum fm_status fm_person_find_by_key(
        struct fm_connection *connection, int64_t key, struct fm_person *ret_person, struct fm_error *err);
/* *ret_person is left alone and *ret_found is false where nobody has that name. */
enum fm_status fm_person_find_oldest(struct fm_connection *connection, int64_t collection_key,
        const char *name, struct fm_person *ret_person, bool *ret_found, struct fm_error *err);
enum fm_status fm_person_insert(struct fm_connection *connection, int64_t collection_key,
        const struct fm_person_fields *fields, int64_t *ret_key, struct fm_error *err);

/* Keeps the crop of a face that has none; a second one is left out. */
enum fm_status fm_crop_insert(struct fm_connection *connection, int64_t face_key, const uint8_t *jpeg,
        size_t bytes, struct fm_error *err);

/* A model's key and dimensions; key 0, which is nobody's, for a model that never enrolled a face. */
enum fm_status fm_model_find(struct fm_connection *connection, const char *model, int64_t *ret_key,
        size_t *ret_dim, struct fm_error *err);

#endif
