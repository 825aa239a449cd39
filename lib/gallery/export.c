#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/embedding.h"
#include "lib/gallery/internal.h"
#include "lib/gallery/text.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define PEOPLE_MAX 1000
#define FACES_READ 64 /* that FM_SQL_FACE_EXPORT gives at a time */

/* What goes through a collection. */
struct walk {
	struct fm_connection *connection;
	const char *model;
	const struct fm_export_visitor *visitor;
	struct fm_export_place *place;
	float embedding[FM_EMBEDDING_DIM_MAX];
};

static enum fm_status visit_face(
        struct walk *walk, struct fm_query *query, const struct fm_person *person, struct fm_error *err)
{
	sqlite3_stmt *statement = query->statement;
	struct fm_face_export face = {
	        .id = (const char *)sqlite3_column_text(statement, 1),
	        .model = (const char *)sqlite3_column_text(statement, 4),
	        .embedding = walk->embedding,
	};
	fm_autofree uint8_t *crop = NULL;
	fm_autofree char *quality = NULL;
	const int64_t dim = sqlite3_column_int64(statement, 5);
	const void *sha256 = sqlite3_column_blob(statement, 8);

	if (!face.id || strlen(face.id) != FM_UUID_TEXT - 1 || !face.model || dim < 1 ||
	        dim > FM_EMBEDDING_DIM_MAX || !sha256 ||
	        sqlite3_column_bytes(statement, 8) != sizeof(face.image_sha256))
		return fm_fail(err, FM_E_CORRUPT, "gallery: face %lld is not whole",
		        (long long)sqlite3_column_int64(statement, 0));
	face.dim = (size_t)dim;
	memcpy(face.image_sha256, sha256, sizeof(face.image_sha256));
	fm_time_text(sqlite3_column_int64(statement, 3), face.created_at);
	for (int i = 0; i < 4; i++)
		face.box[i] = sqlite3_column_double(statement, 9 + i);
	enum fm_status status = fm_query_quality(query, 2, &quality, err);

	face.quality = quality;
	if (status == FM_OK) {
		const void *blob = sqlite3_column_blob(statement, 6);

		status = fm_embedding_unpack(query->connection, face.id, face.model, blob,
		        (size_t)sqlite3_column_bytes(statement, 6), sqlite3_column_int64(statement, 7),
		        face.dim, walk->embedding, err);
	}
	if (status == FM_OK && sqlite3_column_type(statement, 13) != SQLITE_NULL)
		status = fm_crop_read(query, 13, &crop, &face.crop_bytes, err);
	face.crop = crop;
	return status == FM_OK ? walk->visitor->face(walk->visitor->context, person, &face, err) : status;
}

/* Those of a person after the place, which then stands behind the last. */
static enum fm_status walk_faces(struct walk *walk, const struct fm_person *person, struct fm_error *err)
{
	size_t count = FACES_READ;
	enum fm_status status = FM_OK;

	while (status == FM_OK && count == FACES_READ) {
		fm_cleanup(fm_query_done) struct fm_query query = {0};
		bool row = true;

		status = fm_query_start(&query, walk->connection, FM_SQL_FACE_EXPORT,
		        FM_PARAMS(FM_INT(person->key), FM_INT(walk->place->face_key), FM_TEXT(walk->model)),
		        err);
		for (count = 0; status == FM_OK && row; count += row) {
			status = fm_query_next(&query, &row, err);
			if (status != FM_OK || !row)
				break;
			status = visit_face(walk, &query, person, err);
			if (status == FM_OK || status == FM_E_CANCELLED)
				walk->place->face_key = sqlite3_column_int64(query.statement, 0);
		}
	}
	if (status == FM_OK)
		walk->place->face_key = INT64_MAX;
	return status;
}

/* Who was not done with. */
static enum fm_status walk_on(struct walk *walk, struct fm_error *err)
{
	fm_cleanup(fm_person_done) struct fm_person person = {0};

	if (!walk->place->person_key || walk->place->face_key == INT64_MAX)
		return FM_OK;
	enum fm_status status =
	        fm_person_find_by_key(walk->connection, walk->place->person_key, &person, err);

	if (status == FM_E_NOT_FOUND) /* deleted since */
		return FM_OK;
	return status == FM_OK ? walk_faces(walk, &person, err) : status;
}

static enum fm_status walk_people(
        struct walk *walk, int64_t collection_key, size_t limit, bool *ret_more, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	size_t count = 0;
	bool row = true;
	/* One more than wanted tells whether there is more. */
	enum fm_status status = fm_query_start(&query, walk->connection, FM_SQL_PERSON_LIST,
	        FM_PARAMS(
	                FM_INT(collection_key), FM_INT(walk->place->person_key), FM_INT((int64_t)limit + 1)),
	        err);

	while (status == FM_OK) {
		fm_cleanup(fm_person_done) struct fm_person person = {0};

		status = fm_query_next(&query, &row, err);
		if (status != FM_OK || !row || count++ == limit)
			break;
		status = fm_person_read(&query, &person, err);
		if (status != FM_OK)
			break;
		*walk->place = (struct fm_export_place){.person_key = person.key};
		status = walk->visitor->person(walk->visitor->context, &person, err);
		if (status == FM_OK)
			status = walk_faces(walk, &person, err);
	}
	*ret_more = row;
	return status;
}

enum fm_status fm_gallery_export(struct fm_gallery *gallery, int64_t collection_key, const char *model,
        size_t limit, const struct fm_export_visitor *visitor, struct fm_export_place *place, bool *ret_more,
        struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	struct walk walk = {.model = model, .visitor = visitor, .place = place};
	bool more = true;

	if (limit < 1 || limit > PEOPLE_MAX)
		return fm_fail(err, FM_E_INVALID, "limit: 1 to %d people", PEOPLE_MAX);
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	walk.connection = reader.connection;
	if (status == FM_OK)
		status = walk_on(&walk, err);
	if (status == FM_OK)
		status = walk_people(&walk, collection_key, limit, &more, err);
	fm_wipe(walk.embedding, sizeof(walk.embedding));
	if (status != FM_OK && status != FM_E_CANCELLED)
		return status;
	*ret_more = more;
	return FM_OK;
}
