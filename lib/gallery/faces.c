#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/embedding.h"
#include "lib/gallery/internal.h"
#include "lib/gallery/layout.h"
#include "lib/gallery/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

#define MODEL_MAX_BYTES   512
#define QUALITY_MAX_BYTES 16384
#define SAME_FACE_IOU     0.5

void fm_face_record_done(struct fm_face_record *face)
{
	free(face->quality);
	memset(face, 0, sizeof(*face));
}

static void take_face(struct fm_face_record *from, struct fm_face_record *ret_face)
{
	*ret_face = *from;
	memset(from, 0, sizeof(*from));
}

enum fm_status fm_query_quality(struct fm_query *query, int column, char **ret_quality, struct fm_error *err)
{
	char *quality;
	enum fm_status status = fm_query_text(query, column, &quality, err);

	if (status != FM_OK)
		return status;
	if (!quality)
		return fm_fail(err, FM_E_CORRUPT, "gallery: a face has no quality");
	for (char *end = quality + strlen(quality); end > quality && end[-1] == ' ';)
		*--end = '\0'; /* layout.h */
	*ret_quality = quality;
	return FM_OK;
}

static enum fm_status read_face(struct fm_query *query, struct fm_face_record *ret_face, struct fm_error *err)
{
	struct fm_face_record face = {
	        .key = sqlite3_column_int64(query->statement, 0),
	        .person_key = sqlite3_column_int64(query->statement, 1),
	        .collection_key = sqlite3_column_int64(query->statement, 2),
	};
	const char *id = (const char *)sqlite3_column_text(query->statement, 3);

	if (!id || strlen(id) != FM_UUID_TEXT - 1)
		return fm_fail(err, FM_E_CORRUPT, "gallery: face %lld has no proper id", (long long)face.key);
	memcpy(face.id, id, FM_UUID_TEXT);
	fm_time_text(sqlite3_column_int64(query->statement, 5), face.created_at);
	enum fm_status status = fm_query_quality(query, 4, &face.quality, err);

	if (status == FM_OK)
		*ret_face = face;
	return status;
}

static enum fm_status find_face(struct fm_connection *connection, enum fm_sql sql,
        const struct fm_param *params, size_t count, struct fm_face_record *ret_face, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool found;
	enum fm_status status = fm_query_start(&query, connection, sql, params, count, err);

	if (status == FM_OK)
		status = fm_query_next(&query, &found, err);
	if (status != FM_OK)
		return status;
	return found ? read_face(&query, ret_face, err) : fm_fail(err, FM_E_NOT_FOUND, "no such face");
}

/* Intersection over union of two boxes x, y, width, height. */
static double overlap(const double a[4], const double b[4])
{
	double width = fmin(a[0] + a[2], b[0] + b[2]) - fmax(a[0], b[0]);
	double height = fmin(a[1] + a[3], b[1] + b[3]) - fmax(a[1], b[1]);

	if (width <= 0 || height <= 0)
		return 0;
	return width * height / (a[2] * a[3] + b[2] * b[3] - width * height);
}

/* *ret_key is 0 where this face of this image is new to the person. */
static enum fm_status find_same(struct fm_connection *connection, int64_t person_key, int64_t model_key,
        const struct fm_face_insert *insert, int64_t *ret_key, struct fm_error *err)
{
	const double box[4] = {insert->box[0], insert->box[1], insert->box[2], insert->box[3]};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	int64_t key = 0;
	bool row = true;
	enum fm_status status = fm_query_start(&query, connection, FM_SQL_FACE_OF_IMAGE,
	        FM_PARAMS(FM_INT(person_key), FM_BLOB(insert->image_sha256, sizeof(insert->image_sha256)),
	                FM_INT(model_key)),
	        err);

	while (status == FM_OK && row && !key) {
		status = fm_query_next(&query, &row, err);
		if (status != FM_OK || !row)
			break;
		double other[4];

		for (int i = 0; i < 4; i++)
			other[i] = sqlite3_column_double(query.statement, i + 1);
		if (overlap(box, other) > SAME_FACE_IOU)
			key = sqlite3_column_int64(query.statement, 0);
	}
	if (status == FM_OK)
		*ret_key = key;
	return status;
}

/* *ret_key is 0 where nobody in the collection has the id. */
static enum fm_status find_by_id(struct fm_connection *connection, const struct fm_person *person,
        const char *id, int64_t *ret_key, struct fm_error *err)
{
	fm_cleanup(fm_face_record_done) struct fm_face_record face = {0};
	enum fm_status status = find_face(connection, FM_SQL_FACE_GET,
	        FM_PARAMS(FM_INT(person->collection_key), FM_TEXT(id)), &face, err);

	*ret_key = 0;
	if (status == FM_E_NOT_FOUND)
		return FM_OK;
	if (status == FM_OK && face.person_key != person->key)
		return fm_fail(err, FM_E_CONFLICT, "face %s belongs to another person", id);
	if (status == FM_OK)
		*ret_key = face.key;
	return status;
}

enum fm_status fm_face_check(const struct fm_face_insert *insert, struct fm_error *err)
{
	enum fm_status status = fm_embedding_check(insert->embedding, insert->dim, err);

	if (status == FM_OK)
		status = fm_text_check(insert->model, FM_TEXT_LINE, MODEL_MAX_BYTES, "model", err);
	if (status == FM_OK)
		status = fm_text_check(insert->quality, FM_TEXT_JSON, QUALITY_MAX_BYTES, "quality", err);
	if (status != FM_OK)
		return status;
	if (insert->id && !fm_uuid_valid(insert->id))
		return fm_fail(err, FM_E_INVALID, "id: no UUID");
	for (int i = 0; i < 4; i++)
		if (!isfinite(insert->box[i]) || (i >= 2 && insert->box[i] <= 0))
			return fm_fail(err, FM_E_INVALID, "box: not a rectangle");
	if (insert->crop && (insert->crop_bytes < 1 || insert->crop_bytes > FM_CROP_MAX_BYTES))
		return fm_fail(err, FM_E_TOO_LARGE, "crop: 1 to %d bytes", FM_CROP_MAX_BYTES);
	return FM_OK;
}

enum fm_status fm_face_add(struct fm_connection *connection, const struct fm_person *person,
        const struct fm_face_insert *insert, struct fm_face_record *ret_face, bool *ret_existed,
        struct fm_error *err)
{
	uint8_t blob[FM_EMBEDDING_BLOB_MAX];
	char id[FM_UUID_TEXT], quality[QUALITY_MAX_BYTES + 1];
	int64_t model_key = 0, key = 0, created_at_ms = fm_time_now_ms();
	enum fm_status status = fm_model_find_or_add(connection, insert->model, insert->dim, &model_key, err);

	if (status == FM_OK && insert->created_at)
		status = fm_time_parse_past(insert->created_at, &created_at_ms, err);
	if (status == FM_OK && insert->id)
		status = find_by_id(connection, person, insert->id, &key, err);
	if (status == FM_OK && !key)
		status = find_same(connection, person->key, model_key, insert, &key, err);
	if (status != FM_OK)
		return status;
	*ret_existed = key != 0;
	if (!key) {
		if (insert->id)
			snprintf(id, sizeof(id), "%s", insert->id);
		else
			fm_uuid_new(id);
		size_t blob_bytes;
		int64_t seal;

		fm_embedding_pack(connection, id, insert->model, insert->embedding, insert->dim, blob,
		        &blob_bytes, &seal);

		snprintf(quality, sizeof(quality), "%-*s", FM_QUALITY_MIN_BYTES, insert->quality);
		status = fm_execute(connection, FM_SQL_FACE_INSERT,
		        FM_PARAMS(FM_TEXT(id), FM_INT(person->collection_key), FM_INT(person->key),
		                FM_INT(model_key), FM_INT(created_at_ms), FM_TEXT(quality),
		                FM_BLOB(insert->image_sha256, sizeof(insert->image_sha256)),
		                FM_REAL(insert->box[0]), FM_REAL(insert->box[1]), FM_REAL(insert->box[2]),
		                FM_REAL(insert->box[3]), FM_BLOB(blob, blob_bytes), FM_INT(seal)),
		        err);
		fm_wipe(blob, blob_bytes);
		if (status == FM_E_CONFLICT && insert->id)
			return fm_fail(err, status, "the id %s is taken by a face of another collection", id);
		if (status != FM_OK)
			return status;
		key = sqlite3_last_insert_rowid(connection->db);
	}
	status = find_face(connection, FM_SQL_FACE_GET_BY_KEY, FM_PARAMS(FM_INT(key)), ret_face, err);
	if (status == FM_OK && insert->crop)
		status = fm_crop_insert(connection, ret_face, insert->crop, insert->crop_bytes, err);
	return status;
}

/* A face to add, to the person of a key or to whoever has a name. */
struct enrolment {
	int64_t person_key, collection_key;
	const char *name;
	const struct fm_face_insert *insert;
	struct fm_person person;
	struct fm_face_record face;
	bool existed;
	bool unindexed; /* the observer could not take it */
};

static void enrolment_done(struct enrolment *enrolment)
{
	fm_person_done(&enrolment->person);
	fm_face_record_done(&enrolment->face);
}

static enum fm_status find_or_create(
        struct fm_connection *connection, struct enrolment *enrolment, struct fm_error *err)
{
	const struct fm_person_fields fields = {.name = enrolment->name};
	int64_t key = enrolment->person_key;
	bool found = false;
	enum fm_status status = FM_OK;

	if (enrolment->name) {
		status = fm_person_find_oldest(connection, enrolment->collection_key, enrolment->name,
		        &enrolment->person, &found, err);
		if (status == FM_OK && !found)
			status = fm_person_insert(connection, enrolment->collection_key, &fields, &key, err);
	}
	return status == FM_OK && !found ? fm_person_find_by_key(connection, key, &enrolment->person, err)
	                                 : status;
}

static enum fm_status enroll(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct enrolment *enrolment = context;

	enrolment_done(enrolment);
	enum fm_status status = find_or_create(connection, enrolment, err);

	if (status == FM_OK)
		status = fm_face_add(connection, &enrolment->person, enrolment->insert, &enrolment->face,
		        &enrolment->existed, err);
	if (status == FM_OK && !enrolment->existed)
		enrolment->person.faces++; /* as the trigger did */
	return status;
}

static enum fm_status enrolled(struct fm_gallery *gallery, void *context, struct fm_error *err)
{
	struct enrolment *enrolment = context;
	const struct fm_gallery_observer *observer = &gallery->observer;
	const struct fm_face_insert *insert = enrolment->insert;
	enum fm_status status = FM_OK;

	if (!enrolment->existed && observer->face_added)
		status = observer->face_added(observer->context, &enrolment->face, insert->model,
		        insert->embedding, insert->dim, err);
	enrolment->unindexed = status != FM_OK;
	return status;
}

static enum fm_status commit_enrolment(
        struct fm_gallery *gallery, struct enrolment *enrolment, struct fm_error *err)
{
	enum fm_status status = fm_gallery_change(
	        gallery, &(struct fm_change){.run = enroll, .applied = enrolled, .context = enrolment}, err);

	/* On disk, and nobody would find it. */
	if (status != FM_OK && enrolment->unindexed)
		fm_gallery_face_delete(
		        gallery, enrolment->face.collection_key, enrolment->face.id, "index", NULL);
	return status;
}

enum fm_status fm_gallery_face_add(struct fm_gallery *gallery, int64_t person_key,
        const struct fm_face_insert *insert, struct fm_face_record *ret_face, bool *ret_existed,
        struct fm_error *err)
{
	fm_cleanup(enrolment_done) struct enrolment enrolment = {.person_key = person_key, .insert = insert};
	enum fm_status status = fm_face_check(insert, err);

	if (status == FM_OK)
		status = commit_enrolment(gallery, &enrolment, err);
	if (status == FM_OK) {
		*ret_existed = enrolment.existed;
		take_face(&enrolment.face, ret_face);
	}
	return status;
}

enum fm_status fm_gallery_enroll_by_name(struct fm_gallery *gallery, int64_t collection_key, const char *name,
        const struct fm_face_insert *insert, struct fm_person *ret_person, struct fm_face_record *ret_face,
        bool *ret_existed, struct fm_error *err)
{
	fm_cleanup(enrolment_done) struct enrolment enrolment = {
	        .collection_key = collection_key, .name = name, .insert = insert};
	enum fm_status status = fm_text_check(name, FM_TEXT_LINE, FM_NAME_MAX_BYTES, "name", err);

	if (status == FM_OK)
		status = fm_face_check(insert, err);
	if (status == FM_OK)
		status = commit_enrolment(gallery, &enrolment, err);
	if (status == FM_OK) {
		*ret_existed = enrolment.existed;
		take_face(&enrolment.face, ret_face);
		*ret_person = enrolment.person;
		memset(&enrolment.person, 0, sizeof(enrolment.person));
	}
	return status;
}

enum fm_status fm_gallery_face_get(struct fm_gallery *gallery, int64_t collection_key, const char *id,
        struct fm_face_record *ret_face, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status != FM_OK)
		return status;
	return find_face(reader.connection, FM_SQL_FACE_GET, FM_PARAMS(FM_INT(collection_key), FM_TEXT(id)),
	        ret_face, err);
}

enum fm_status fm_gallery_face_get_by_key(
        struct fm_gallery *gallery, int64_t face_key, struct fm_face_record *ret_face, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status != FM_OK)
		return status;
	return find_face(
	        reader.connection, FM_SQL_FACE_GET_BY_KEY, FM_PARAMS(FM_INT(face_key)), ret_face, err);
}

static enum fm_status read_listed(struct fm_query *query, void *ret_face, struct fm_error *err)
{
	return read_face(query, ret_face, err);
}

static void drop_listed(void *face)
{
	fm_face_record_done(face);
}

enum fm_status fm_gallery_face_list(struct fm_gallery *gallery, int64_t person_key,
        struct fm_face_record **ret_faces, size_t *ret_count, struct fm_error *err)
{
	static const struct fm_row_kind kind = {sizeof(**ret_faces), read_listed, drop_listed};
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_person_find_by_key(reader.connection, person_key, &person, err);
	if (status == FM_OK)
		status = fm_query_start(
		        &query, reader.connection, FM_SQL_FACE_LIST, FM_PARAMS(FM_INT(person_key)), err);
	return status == FM_OK ? fm_rows_read(&query, &kind, ret_faces, ret_count, err) : status;
}

static enum fm_status find_to_delete(
        struct fm_connection *connection, struct fm_deletion *deletion, struct fm_error *err)
{
	fm_cleanup(fm_face_record_done) struct fm_face_record face = {0};
	enum fm_status status = find_face(connection, FM_SQL_FACE_GET,
	        FM_PARAMS(FM_INT(deletion->collection_key), FM_TEXT(deletion->id)), &face, err);

	deletion->key = face.key;
	deletion->faces = 1;
	return status;
}

enum fm_status fm_gallery_face_delete(struct fm_gallery *gallery, int64_t collection_key, const char *id,
        const char *actor, struct fm_error *err)
{
	struct fm_deletion deletion = {.object = FM_OBJECT_FACE,
	        .id = id,
	        .actor = actor,
	        .collection_key = collection_key,
	        .find = find_to_delete};

	return fm_delete(gallery, &deletion, err);
}
