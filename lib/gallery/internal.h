/*
 * What the gallery's files share: the lock discipline. One writer connection, which belongs to the leader of
 * a group of changes (change.c); a few reader connections, taken and given back. A thread never holds both,
 * and never takes a second one.
 */
#ifndef FM_GALLERY_INTERNAL_H
#define FM_GALLERY_INTERNAL_H

#include "lib/gallery/connection.h"
#include "lib/gallery/gallery.h"
#include "lib/gallery/reserve.h"
#include "lib/gallery/seal.h"

#include <pthread.h>

#define FM_GALLERY_READERS 4

struct fm_member;

/* Locks are taken in this order: queue_lock, write_lock, pool_lock. */
struct fm_gallery {
	pthread_mutex_t queue_lock; /* guards the queue of changes */
	struct fm_member *first, *last;
	bool led; /* somebody commits, or was told to */

	pthread_mutex_t write_lock; /* guards writer, reserve and observer */
	struct fm_connection writer;
	struct fm_reserve reserve;
	struct fm_gallery_observer observer;

	struct fm_sealer sealer; /* does not change once the gallery is open */

	pthread_mutex_t pool_lock; /* guards what follows */
	pthread_cond_t pool_changed;
	struct fm_connection *idle[FM_GALLERY_READERS];
	size_t idle_count;
	bool held;       /* no reader may start: the log is being emptied */
	bool erase_owed; /* deleted bytes are still in the log */

	struct fm_connection readers[FM_GALLERY_READERS];
};

/*
 * One change. `run` makes it inside a transaction that other changes may share, and may be called again after
 * what it did was rolled back: it sets all of its outputs anew. `applied`, if not NULL, is called once after
 * the commit, in the order of the commits, on any thread; its failure becomes the change's although the
 * change is on disk. `erases`: biometric data is deleted, and its bytes are driven out of the log before the
 * change is acknowledged; room is made for it on a full disk.
 */
struct fm_change {
	enum fm_status (*run)(struct fm_connection *connection, void *context, struct fm_error *err);
	enum fm_status (*applied)(struct fm_gallery *gallery, void *context, struct fm_error *err);
	void *context;
	bool erases;
};
/* FM_OK: on disk. Anything else but a failure of `applied`: nothing of it is. */
enum fm_status fm_gallery_change(
        struct fm_gallery *gallery, const struct fm_change *change, struct fm_error *err);

/* Empties the log; false: a reader needs it for longer than wait_ms, and it is owed. Under write_lock. */
bool fm_erase_log(struct fm_gallery *gallery, int wait_ms);

int64_t fm_monotonic_ms(void);

/* A read transaction (one snapshot) on a connection of its own, from begin to done. */
struct fm_reader {
	struct fm_gallery *gallery;
	struct fm_connection *connection;
};
enum fm_status fm_reader_begin(struct fm_gallery *gallery, struct fm_reader *reader, struct fm_error *err);
void fm_reader_done(struct fm_reader *reader); /* a zeroed reader is left alone */

/*
 * Every row of a started query as an item of an array of *ret_count, `bytes` each; the caller passes the
 * address of its pointer, done()s each item and free()s the array (NULL where there is no row).
 */
struct fm_row_kind {
	size_t bytes;
	enum fm_status (*read)(struct fm_query *query, void *ret_item, struct fm_error *err);
	void (*done)(void *item);
};
enum fm_status fm_rows_read(struct fm_query *query, const struct fm_row_kind *kind, void *ret_items,
        size_t *ret_count, struct fm_error *err);

/* A deletion, with its audit record; all deletions that somebody asks for are one. */
struct fm_deletion {
	enum fm_object object;
	const char *id, *actor; /* a collection's id is its name */
	int64_t collection_key; /* find() sets a collection's */
	/* Sets what follows, of what `id` names in the collection; FM_E_NOT_FOUND. May be called again. */
	enum fm_status (*find)(
	        struct fm_connection *connection, struct fm_deletion *deletion, struct fm_error *err);
	int64_t key, faces;
};
enum fm_status fm_delete(struct fm_gallery *gallery, struct fm_deletion *deletion, struct fm_error *err);

/* A face's quality, as it was before layout.h had it filled up. The caller frees it. */
enum fm_status fm_query_quality(struct fm_query *query, int column, char **ret_quality, struct fm_error *err);

/* Rows; FM_E_NOT_FOUND where there is none. */
enum fm_status fm_person_read(struct fm_query *query, struct fm_person *ret_person, struct fm_error *err);
enum fm_status fm_person_find(struct fm_connection *connection, int64_t collection_key, const char *id,
        struct fm_person *ret_person, struct fm_error *err);
enum fm_status fm_person_find_by_key(
        struct fm_connection *connection, int64_t key, struct fm_person *ret_person, struct fm_error *err);
/* *ret_person is left alone and *ret_found is false where nobody has that name. */
enum fm_status fm_person_find_oldest(struct fm_connection *connection, int64_t collection_key,
        const char *name, struct fm_person *ret_person, bool *ret_found, struct fm_error *err);
enum fm_status fm_person_insert(struct fm_connection *connection, int64_t collection_key,
        const struct fm_person_fields *fields, int64_t *ret_key, struct fm_error *err);

/* Whether a client may set this, or add this; FM_E_INVALID, FM_E_TOO_LARGE. */
enum fm_status fm_person_check(const struct fm_person_fields *fields, struct fm_error *err);
enum fm_status fm_face_check(const struct fm_face_insert *insert, struct fm_error *err);
/* Adds a face that passed the check. */
enum fm_status fm_face_add(struct fm_connection *connection, const struct fm_person *person,
        const struct fm_face_insert *insert, struct fm_face_record *ret_face, bool *ret_existed,
        struct fm_error *err);

/* Keeps the crop of a face that has none; a second one is left out. */
enum fm_status fm_crop_insert(struct fm_connection *connection, const struct fm_face_record *face,
        const uint8_t *jpeg, size_t bytes, struct fm_error *err);

/* Of a row whose columns from `column` are: the JPEG's bytes, the blob, the seal, the face's id. The caller
 * frees it. */
enum fm_status fm_crop_read(
        struct fm_query *query, int column, uint8_t **ret_jpeg, size_t *ret_bytes, struct fm_error *err);

/*
 * Gives the sealer's keys their rows; NULL: there is none. FM_E_INVALID: rows are sealed with another key.
 */
enum fm_status fm_sealed_match(
        struct fm_connection *connection, struct fm_sealer *sealer, struct fm_error *err);

/* Finds the rows of the sealer's keys, and starts sealing anew where the current one is new. While opening.
 */
enum fm_status fm_sealed_attach(struct fm_gallery *gallery, struct fm_error *err);

/* What a sealed blob is authenticated for. `model` is NULL for a crop. */
#define FM_PURPOSE_BYTES 640
void fm_seal_purpose(const char *face_id, const char *model, char ret_purpose[FM_PURPOSE_BYTES]);

/* Within the change that deletes; the collection is still there. */
struct fm_audit {
	const char *actor, *action, *object_kind, *object_id;
	int64_t collection_key, faces;
};
enum fm_status fm_audit_insert(
        struct fm_connection *connection, const struct fm_audit *audit, struct fm_error *err);
enum fm_status fm_audit_check_actor(const char *actor, struct fm_error *err);

/* A model's key and dimensions; key 0, which is nobody's, for a model that never enrolled a face. */
enum fm_status fm_model_find(struct fm_connection *connection, const char *model, int64_t *ret_key,
        size_t *ret_dim, struct fm_error *err);
/* Its key, for a model that never enrolled a face a new one. FM_E_INVALID: it has other dimensions. */
enum fm_status fm_model_find_or_add(struct fm_connection *connection, const char *model, size_t dim,
        int64_t *ret_key, struct fm_error *err);

/* Of a row whose columns are: the face's key, its embedding, the seal, its id. */
enum fm_status fm_embedding_read(
        struct fm_query *query, const char *model, size_t dim, float *ret_embedding, struct fm_error *err);

#endif
