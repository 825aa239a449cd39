/*
 * The gallery: people, their faces and collections in one SQLite file (WAL, synchronous=FULL, foreign_keys,
 * secure_delete, STRICT tables, migrations in user_version). A function that returns FM_OK after a change has
 * it on disk. Ids seen from outside are UUID text; row keys (int64) are for the in-memory index and never
 * leave the process.
 *
 * Changes of several threads that wait at the same time share one transaction and one wait for the disk.
 *
 * Deletion: every one writes an audit record; `actor` says who asked for it (an API key's id, or what in the
 * program did it: 1 to FM_ACTOR_MAX_BYTES of UTF-8). It succeeds on a full disk too, as long as the file
 * GALLERY-reserve holds room for its log. Rows are overwritten with zeros in the database and driven out of
 * the write-ahead log before the call returns. Where a long read (fm_gallery_embedding_each, another process)
 * still needs the log, that happens when it ends. One limit: SQLite may leave a stale copy of a row that it
 * moved (id, name, metadata; nothing biometric, see layout.h) in the free space of a page, until the page is
 * reused or the file vacuumed. What the disk's own firmware keeps is beyond us.
 *
 * Threads: safe; any thread may call any function at any time. Returned structs are the caller's own copies.
 * A visit function must not call the gallery: it is called in the middle of a read.
 * Common errors: FM_E_NOT_FOUND, FM_E_CONFLICT, FM_E_BUSY (locked beyond the busy timeout),
 * FM_E_STORAGE_FULL, FM_E_IO, FM_E_CORRUPT, FM_E_NOMEM, FM_E_INVALID (text that is not UTF-8, too long, or
 * empty where it may not be).
 */
#ifndef FM_GALLERY_GALLERY_H
#define FM_GALLERY_GALLERY_H

#include "lib/base/status.h"
#include "lib/base/uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_NAME_MAX_BYTES             256 /* person, collection, external id: UTF-8 bytes */
#define FM_METADATA_MAX_BYTES         16384
#define FM_EMBEDDING_DIM_MAX          4096
#define FM_CROP_MAX_BYTES             262144
#define FM_ACTOR_MAX_BYTES            128
#define FM_GALLERY_DEFAULT_COLLECTION "default" /* exists always, cannot be deleted */

struct fm_gallery;
struct fm_face_record;

/*
 * Creates the file (mode 0600) or migrates an older one. FM_E_UNSUPPORTED: written by a newer version, or
 * another program's database. FM_E_CORRUPT: damaged, or no database at all. Neither is changed.
 */
enum fm_status fm_gallery_open(const char *path, struct fm_gallery **ret_gallery, struct fm_error *err);
/*
 * The same, with embeddings and crops sealed: encrypted with the first key of the file (seal.h has its form);
 * the others are read. Where that key is new, plain rows and those under other keys are sealed anew by
 * fm_gallery_reseal(). FM_E_INVALID: rows are sealed with a key that is not in the file; a sealed gallery
 * is opened without a key by neither function. key_file may be NULL.
 */
enum fm_status fm_gallery_open_sealed(
        const char *path, const char *key_file, struct fm_gallery **ret_gallery, struct fm_error *err);
void fm_gallery_close(struct fm_gallery *gallery);

/*
 * Who keeps something in step with the gallery (the index). Called after a change is on disk and before the
 * function that made it returns, in the order of the commits, one call at a time, on any thread; must not
 * call the gallery. Set before the first change that matters; a NULL function is not called.
 */
enum fm_object { FM_OBJECT_FACE, FM_OBJECT_PERSON, FM_OBJECT_COLLECTION };
struct fm_gallery_observer {
	void *context;
	/* Where it fails the face is deleted again, and the enrolment fails with the same status. */
	enum fm_status (*face_added)(void *context, const struct fm_face_record *face, const char *model,
	        const float *embedding, size_t dim, struct fm_error *err);
	/* With everything that belongs to it. */
	void (*removed)(void *context, enum fm_object object, int64_t key);
};
void fm_gallery_observe(struct fm_gallery *gallery, const struct fm_gallery_observer *observer);

/*
 * A consistent copy of the whole gallery, in one new file (mode 0600, synced) that fm_gallery_open() takes;
 * changes go on meanwhile, and what is deleted meanwhile is still in the copy. The caller closes *ret_fd.
 * Source: SQLite's online backup API. FM_E_STORAGE_FULL, FM_E_CONFLICT (the file exists), FM_E_IO.
 */
enum fm_status fm_gallery_backup(
        struct fm_gallery *gallery, const char *path, int *ret_fd, struct fm_error *err);

struct fm_collection {
	int64_t key;
	char *name;
	char created_at[32]; /* RFC 3339 UTC, milliseconds */
	int64_t people, faces;
	int64_t retention_days; /* faces are forgotten when they are older; 0: never */
};
void fm_collection_done(struct fm_collection *collection);

#define FM_RETENTION_DAYS_MAX 36500
/* retention_days: 0 to FM_RETENTION_DAYS_MAX. */
enum fm_status fm_gallery_collection_create(struct fm_gallery *gallery, const char *name,
        int64_t retention_days, struct fm_collection *ret_collection, struct fm_error *err);
enum fm_status fm_gallery_collection_set_retention(struct fm_gallery *gallery, const char *name,
        int64_t retention_days, struct fm_collection *ret_collection, struct fm_error *err);
enum fm_status fm_gallery_collection_get(struct fm_gallery *gallery, const char *name,
        struct fm_collection *ret_collection, struct fm_error *err);
/* Deletes people and faces with it. */
enum fm_status fm_gallery_collection_delete(
        struct fm_gallery *gallery, const char *name, const char *actor, struct fm_error *err);
typedef enum fm_status (*fm_collection_visit)(
        void *context, const struct fm_collection *collection, struct fm_error *err);
enum fm_status fm_gallery_collection_each(
        struct fm_gallery *gallery, fm_collection_visit visit, void *context, struct fm_error *err);

struct fm_person {
	int64_t key, collection_key;
	char id[FM_UUID_TEXT];
	char *name;
	char *external_id; /* or NULL */
	char *metadata;    /* JSON object text; "{}" when none */
	char created_at[32], updated_at[32];
	int64_t faces;
};
void fm_person_done(struct fm_person *person);

/* What a client may set; NULL leaves as it is (or unset at creation). */
struct fm_person_fields {
	const char *name;
	const char *external_id;
	bool clear_external_id;
	const char *metadata; /* JSON object text, already validated by the caller */
	/* At creation alone, and out of an archive: NULL makes a new id, and the time of now. */
	const char *id;         /* a UUID in lower case; FM_E_CONFLICT where it is taken */
	const char *created_at; /* RFC 3339 in UTC with milliseconds, as fm_person has it; later is now */
};

/* FM_E_CONFLICT on an external_id that is taken in this collection. */
enum fm_status fm_gallery_person_create(struct fm_gallery *gallery, int64_t collection_key,
        const struct fm_person_fields *fields, struct fm_person *ret_person, struct fm_error *err);
enum fm_status fm_gallery_person_get(struct fm_gallery *gallery, int64_t collection_key, const char *id,
        struct fm_person *ret_person, struct fm_error *err);
enum fm_status fm_gallery_person_get_by_key(
        struct fm_gallery *gallery, int64_t person_key, struct fm_person *ret_person, struct fm_error *err);
enum fm_status fm_gallery_person_get_by_external_id(struct fm_gallery *gallery, int64_t collection_key,
        const char *external_id, struct fm_person *ret_person, struct fm_error *err);
enum fm_status fm_gallery_person_update(struct fm_gallery *gallery, int64_t collection_key, const char *id,
        const struct fm_person_fields *fields, struct fm_person *ret_person, struct fm_error *err);
/* Removes every face of theirs. */
enum fm_status fm_gallery_person_delete(struct fm_gallery *gallery, int64_t collection_key, const char *id,
        const char *actor, struct fm_error *err);

/*
 * One page in creation order, of at most `limit` people; `after` is a person's id or NULL (an id that is gone
 * is FM_E_INVALID: unknown cursor); `name` filters by exact name or is NULL. *ret_next is the next cursor (an
 * id), or "". ret_people: array of *ret_count, each fm_person_done(), then free().
 */
enum fm_status fm_gallery_person_list(struct fm_gallery *gallery, int64_t collection_key, const char *name,
        const char *after, size_t limit, struct fm_person **ret_people, size_t *ret_count,
        char ret_next[FM_UUID_TEXT], struct fm_error *err);

struct fm_face_record {
	int64_t key, person_key, collection_key;
	char id[FM_UUID_TEXT];
	char *quality; /* JSON text as the enrolment stored it */
	char created_at[32];
};
void fm_face_record_done(struct fm_face_record *face);

/* A face to add. image_sha256 finds the very same bytes again. */
struct fm_face_insert {
	const float *embedding; /* unit length */
	size_t dim;
	const char *model;   /* "name@fingerprint" */
	const char *quality; /* JSON text */
	uint8_t image_sha256[32];
	float box[4]; /* x, y, width, height in the upright photo: with the sha, what "the same face" means */
	const uint8_t *crop; /* the aligned face as a JPEG of crop_bytes, or NULL: none is kept */
	size_t crop_bytes;
	/* Out of an archive; NULL: new ones. A face of the person that has the id is the existing one. */
	const char *id, *created_at;
};

/*
 * Adds a face. When the same image bytes with a box that overlaps (IoU > 0.5) are enrolled for this person
 * under this model already, nothing is added (but its crop, where it had none), the existing face comes back
 * and *ret_existed is true.
 */
enum fm_status fm_gallery_face_add(struct fm_gallery *gallery, int64_t person_key,
        const struct fm_face_insert *insert, struct fm_face_record *ret_face, bool *ret_existed,
        struct fm_error *err);

/*
 * For enrolling by name in one transaction: the oldest person of exactly that name in the collection, or a
 * new one, gets the face. Nothing is created when it fails.
 */
enum fm_status fm_gallery_enroll_by_name(struct fm_gallery *gallery, int64_t collection_key, const char *name,
        const struct fm_face_insert *insert, struct fm_person *ret_person, struct fm_face_record *ret_face,
        bool *ret_existed, struct fm_error *err);

enum fm_status fm_gallery_face_get(struct fm_gallery *gallery, int64_t collection_key, const char *id,
        struct fm_face_record *ret_face, struct fm_error *err);
enum fm_status fm_gallery_face_get_by_key(
        struct fm_gallery *gallery, int64_t face_key, struct fm_face_record *ret_face, struct fm_error *err);
enum fm_status fm_gallery_face_list(struct fm_gallery *gallery, int64_t person_key,
        struct fm_face_record **ret_faces, size_t *ret_count, struct fm_error *err);
enum fm_status fm_gallery_face_delete(struct fm_gallery *gallery, int64_t collection_key, const char *id,
        const char *actor, struct fm_error *err);

/* The JPEG of an enrolled face; the caller frees it. FM_E_NOT_FOUND: no such face, or its crop was not kept.
 */
enum fm_status fm_gallery_crop_get(struct fm_gallery *gallery, int64_t collection_key, const char *face_id,
        uint8_t **ret_jpeg, size_t *ret_bytes, struct fm_error *err);
enum fm_status fm_gallery_crop_get_by_key(struct fm_gallery *gallery, int64_t face_key, uint8_t **ret_jpeg,
        size_t *ret_bytes, struct fm_error *err);

/* Every face under `model`, in key order, for building the index. The embedding is valid during the call. */
typedef enum fm_status (*fm_embedding_visit)(void *context, int64_t collection_key, int64_t person_key,
        int64_t face_key, const float *embedding, size_t dim, struct fm_error *err);
enum fm_status fm_gallery_embedding_each(struct fm_gallery *gallery, const char *model,
        fm_embedding_visit visit, void *context, struct fm_error *err);
/*
 * The same for a start that has to be quick: on several threads, in blocks, in no order. `visit` is called by
 * several threads at once; what it is given is valid during the call. Faces that come or go meanwhile may be
 * among them or not.
 */
struct fm_embedding_owner {
	int64_t collection_key, person_key, face_key;
};
typedef enum fm_status (*fm_embedding_block_visit)(void *context, const struct fm_embedding_owner *owners,
        const float *embeddings, size_t count, size_t dim, struct fm_error *err);
enum fm_status fm_gallery_embedding_load(struct fm_gallery *gallery, const char *model,
        fm_embedding_block_visit visit, void *context, struct fm_error *err);

/* Embeddings of one person under a model, for 1:1 verification. *ret_embeddings is [count][dim], free() it.
 */
enum fm_status fm_gallery_person_embeddings(struct fm_gallery *gallery, int64_t person_key, const char *model,
        size_t dim, float **ret_embeddings, size_t *ret_count, struct fm_error *err);
/*
 * Embeddings of faces by row key, under a model, in one read transaction: ret_embeddings [count][dim];
 * ret_found[i] is false, and the embedding left alone, where the face is not there (any more).
 */
enum fm_status fm_gallery_face_embeddings(struct fm_gallery *gallery, const char *model, size_t dim,
        const int64_t *face_keys, size_t count, float *ret_embeddings, bool *ret_found, struct fm_error *err);
/* How many faces are stored under other models than this one. */
enum fm_status fm_gallery_foreign_faces(
        struct fm_gallery *gallery, const char *model, int64_t *ret_count, struct fm_error *err);

/*
 * Forgets faces that are older than their collection keeps them, at most `limit` (1 to 1000), and with the
 * last of a person's faces the person. *ret_count: how many; 0 when there is nothing more to do.
 */
enum fm_status fm_gallery_expire(
        struct fm_gallery *gallery, int64_t now_ms, size_t limit, size_t *ret_count, struct fm_error *err);
/*
 * Seals the next `limit` faces (1 to 1000) that are not under the current key. It goes on where it was, after
 * a restart too. *ret_count: how many; 0 when all are, and the other keys may leave the key file.
 */
enum fm_status fm_gallery_reseal(
        struct fm_gallery *gallery, size_t limit, size_t *ret_count, struct fm_error *err);
/* Empties the log where a deletion could not, for readers or a failing disk. Cheap where nothing is owed. */
void fm_gallery_tidy(struct fm_gallery *gallery);
/* Frees the pages that SQLite has cached for connections that nobody uses; they are read again when needed.
 */
void fm_gallery_trim(struct fm_gallery *gallery);

/* A line of an archive: somebody, with id, or a face of somebody, with id. */
struct fm_newcomer {
	const struct fm_person_fields *person; /* or NULL, and then: */
	const struct fm_face_insert *face;
	const char *person_id;
	bool refused; /* set before: by the caller, and left as it is */
	/* set by fm_gallery_take_newcomers() */
	enum fm_status status; /* of this one: FM_OK, or why it is refused, with err */
	struct fm_error err;
	bool existed; /* somebody, or a face of theirs, has the id already, and is left alone */
};
/*
 * Takes 1 to 256 of them in their order, in one transaction. One that is at fault itself (as person_create
 * and face_add have it; FM_E_NOT_FOUND: nobody has the person's id) is refused, and the others come in. Where
 * it fails nothing of them has come in; what `status` says does not matter then.
 */
enum fm_status fm_gallery_take_newcomers(struct fm_gallery *gallery, int64_t collection_key,
        struct fm_newcomer *newcomers, size_t count, struct fm_error *err);

/* All that makes a face what it is, for an archive; valid during the visit. */
struct fm_face_export {
	const char *id, *model, *quality;
	char created_at[32];
	const float *embedding; /* [dim] */
	size_t dim;
	uint8_t image_sha256[32];
	double box[4];
	const uint8_t *crop; /* a JPEG of crop_bytes, or NULL: none was kept */
	size_t crop_bytes;
};
/* FM_E_CANCELLED from either: this one is taken, and it is enough for now. */
struct fm_export_visitor {
	void *context;
	enum fm_status (*person)(void *context, const struct fm_person *person, struct fm_error *err);
	enum fm_status (*face)(void *context, const struct fm_person *person,
	        const struct fm_face_export *face, struct fm_error *err);
};
/* How far an export is; {0}: at its beginning. What was deleted since does not hinder it. */
struct fm_export_place {
	int64_t person_key, face_key;
};
/*
 * The part of a collection after *place, of which it then is behind: at most `limit` (1 to 1000) people in
 * the order of their creation, each before their faces in the order of enrolment, in one snapshot. Each face
 * with its embedding under `model` where it has one, else with that it was enrolled with. *ret_more: there
 * may be another part. A person of many faces may be in several; the later ones have the faces alone.
 */
enum fm_status fm_gallery_export(struct fm_gallery *gallery, int64_t collection_key, const char *model,
        size_t limit, const struct fm_export_visitor *visitor, struct fm_export_place *place, bool *ret_more,
        struct fm_error *err);

/* What was forgotten, what left and what came in, oldest first: ids, nothing biometric, no names of people.
 */
struct fm_audit_record {
	int64_t key; /* the cursor */
	char time[32];
	char *actor;
	char *action;      /* "delete", "expire", "forget", "export", "import" */
	char *object_kind; /* "face", "person", "collection", "network" */
	char *object_id;   /* a collection's name, a network's "name@fingerprint" */
	char *collection;  /* "" of a network */
	int64_t faces;     /* how many went with it, or through it */
};
void fm_audit_record_done(struct fm_audit_record *record);
/* Records after the key `after` (0: from the first), at most `limit` (1 to 1000); each done(), then free().
 */
enum fm_status fm_gallery_audit_list(struct fm_gallery *gallery, int64_t after, size_t limit,
        struct fm_audit_record **ret_records, size_t *ret_count, struct fm_error *err);
/* Records that `actor` took so many faces out of a collection, or put them in: "export", "import". */
enum fm_status fm_gallery_audit_passage(struct fm_gallery *gallery, const struct fm_collection *collection,
        const char *action, int64_t faces, const char *actor, struct fm_error *err);
/*
 * Deletes those of the oldest `limit` records (1 to 1000) that are from before a time (ms since 1970).
 * *ret_count: how many; 0 when there is nothing more to do.
 */
enum fm_status fm_gallery_audit_prune(
        struct fm_gallery *gallery, int64_t before_ms, size_t limit, size_t *ret_count, struct fm_error *err);

#endif
