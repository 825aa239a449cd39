#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/internal.h"

#include <string.h>

#include "lib/base/banned.h"

#define BATCH_MAX 1000
#define ACTOR     "retention"

struct expired {
	int64_t key, person_key, collection_key;
	char id[FM_UUID_TEXT];
};

struct expiry {
	int64_t now_ms;
	size_t limit, count;
	struct expired *faces;
};

static enum fm_status find_expired(
        struct fm_connection *connection, struct expiry *expiry, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	enum fm_status status = fm_query_start(&query, connection, FM_SQL_FACE_EXPIRED,
	        FM_PARAMS(FM_INT(expiry->now_ms), FM_INT((int64_t)expiry->limit)), err);

	expiry->count = 0;
	while (status == FM_OK && expiry->count < expiry->limit) {
		struct expired *face = &expiry->faces[expiry->count];
		bool row;

		status = fm_query_next(&query, &row, err);
		if (status != FM_OK || !row)
			break;
		const char *id = (const char *)sqlite3_column_text(query.statement, 1);

		if (!id || strlen(id) != FM_UUID_TEXT - 1)
			return fm_fail(err, FM_E_CORRUPT, "gallery: a face has no proper id");
		face->key = sqlite3_column_int64(query.statement, 0);
		memcpy(face->id, id, FM_UUID_TEXT);
		face->person_key = sqlite3_column_int64(query.statement, 2);
		face->collection_key = sqlite3_column_int64(query.statement, 3);
		expiry->count++;
	}
	return status;
}

static enum fm_status record(struct fm_connection *connection, const char *kind, const char *id,
        int64_t collection_key, int64_t faces, struct fm_error *err)
{
	return fm_audit_insert(connection,
	        &(struct fm_audit){.actor = ACTOR,
	                .action = "expire",
	                .object_kind = kind,
	                .object_id = id,
	                .collection_key = collection_key,
	                .faces = faces},
	        err);
}

static enum fm_status forget_if_empty(
        struct fm_connection *connection, const struct expired *face, struct fm_error *err)
{
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	enum fm_status status = fm_person_find_by_key(connection, face->person_key, &person, err);

	if (status != FM_OK || person.faces > 0)
		return status;
	status = record(connection, "person", person.id, face->collection_key, 0, err);
	return status == FM_OK
	               ? fm_execute(connection, FM_SQL_PERSON_DELETE, FM_PARAMS(FM_INT(person.key)), err)
	               : status;
}

static enum fm_status expire(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct expiry *expiry = context;
	enum fm_status status = find_expired(connection, expiry, err);

	for (size_t i = 0; status == FM_OK && i < expiry->count; i++) {
		const struct expired *face = &expiry->faces[i];

		status = record(connection, "face", face->id, face->collection_key, 1, err);
		if (status == FM_OK)
			status =
			        fm_execute(connection, FM_SQL_FACE_DELETE, FM_PARAMS(FM_INT(face->key)), err);
		if (status == FM_OK)
			status = forget_if_empty(connection, face, err);
	}
	return status;
}

/* A person without faces is nothing to an observer. */
static enum fm_status expired(struct fm_gallery *gallery, void *context, struct fm_error *err)
{
	const struct expiry *expiry = context;

	(void)err;
	for (size_t i = 0; gallery->observer.removed && i < expiry->count; i++)
		gallery->observer.removed(gallery->observer.context, FM_OBJECT_FACE, expiry->faces[i].key);
	return FM_OK;
}

/* Whether there is anything to forget: nothing is written and no log emptied where there is not. */
static enum fm_status look(struct fm_gallery *gallery, struct expiry *expiry, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	return status == FM_OK ? find_expired(reader.connection, expiry, err) : status;
}

enum fm_status fm_gallery_expire(
        struct fm_gallery *gallery, int64_t now_ms, size_t limit, size_t *ret_count, struct fm_error *err)
{
	struct expiry expiry = {.now_ms = now_ms, .limit = limit};

	if (limit < 1 || limit > BATCH_MAX)
		return fm_fail(err, FM_E_INVALID, "limit: 1 to %d faces", BATCH_MAX);
	fm_autofree struct expired *faces = fm_calloc(limit, sizeof(*faces));

	if (!faces)
		return fm_fail(err, FM_E_NOMEM, "gallery: no memory to forget");
	expiry.faces = faces;
	enum fm_status status = look(gallery, &expiry, err);

	if (status == FM_OK && expiry.count)
		status = fm_gallery_change(gallery,
		        &(struct fm_change){
		                .run = expire, .applied = expired, .context = &expiry, .erases = true},
		        err);
	if (status == FM_OK)
		*ret_count = expiry.count;
	return status;
}
