#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/internal.h"
#include "lib/gallery/text.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

#define PAGE_MAX 100000 /* people a page, so that a limit from outside cannot ask for all memory */

void fm_person_done(struct fm_person *person)
{
	free(person->name);
	free(person->external_id);
	free(person->metadata);
	memset(person, 0, sizeof(*person));
}

static void take_person(struct fm_person *from, struct fm_person *ret_person)
{
	*ret_person = *from;
	memset(from, 0, sizeof(*from));
}

enum fm_status fm_person_read(struct fm_query *query, struct fm_person *ret_person, struct fm_error *err)
{
	fm_cleanup(fm_person_done) struct fm_person person = {
	        .key = sqlite3_column_int64(query->statement, 0),
	        .collection_key = sqlite3_column_int64(query->statement, 1),
	        .faces = sqlite3_column_int64(query->statement, 8),
	};
	const char *id = (const char *)sqlite3_column_text(query->statement, 2);
	enum fm_status status = FM_OK;

	if (!id || strlen(id) != FM_UUID_TEXT - 1)
		return fm_fail(
		        err, FM_E_CORRUPT, "gallery: person %lld has no proper id", (long long)person.key);
	memcpy(person.id, id, FM_UUID_TEXT);
	status = fm_query_text(query, 3, &person.name, err);
	if (status == FM_OK)
		status = fm_query_text(query, 4, &person.external_id, err);
	if (status == FM_OK)
		status = fm_query_text(query, 5, &person.metadata, err);
	if (status != FM_OK)
		return status;
	fm_time_text(sqlite3_column_int64(query->statement, 6), person.created_at);
	fm_time_text(sqlite3_column_int64(query->statement, 7), person.updated_at);
	take_person(&person, ret_person);
	return FM_OK;
}

/* The one row of a started query. */
static enum fm_status read_only_row(
        struct fm_query *query, struct fm_person *ret_person, bool *ret_found, struct fm_error *err)
{
	bool found;
	enum fm_status status = fm_query_next(query, &found, err);

	if (status == FM_OK && found)
		status = fm_person_read(query, ret_person, err);
	if (status == FM_OK)
		*ret_found = found;
	return status;
}

enum fm_status fm_person_find(struct fm_connection *connection, int64_t collection_key, const char *id,
        struct fm_person *ret_person, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool found;
	enum fm_status status = fm_query_start(
	        &query, connection, FM_SQL_PERSON_GET, FM_PARAMS(FM_INT(collection_key), FM_TEXT(id)), err);

	if (status == FM_OK)
		status = read_only_row(&query, ret_person, &found, err);
	if (status == FM_OK && !found)
		return fm_fail(err, FM_E_NOT_FOUND, "no such person in this collection");
	return status;
}

enum fm_status fm_person_find_by_key(
        struct fm_connection *connection, int64_t key, struct fm_person *ret_person, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool found;
	enum fm_status status =
	        fm_query_start(&query, connection, FM_SQL_PERSON_GET_BY_KEY, FM_PARAMS(FM_INT(key)), err);

	if (status == FM_OK)
		status = read_only_row(&query, ret_person, &found, err);
	if (status == FM_OK && !found)
		return fm_fail(err, FM_E_NOT_FOUND, "no such person");
	return status;
}

enum fm_status fm_person_find_oldest(struct fm_connection *connection, int64_t collection_key,
        const char *name, struct fm_person *ret_person, bool *ret_found, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	enum fm_status status = fm_query_start(&query, connection, FM_SQL_PERSON_OLDEST_NAMED,
	        FM_PARAMS(FM_INT(collection_key), FM_TEXT(name)), err);

	return status == FM_OK ? read_only_row(&query, ret_person, ret_found, err) : status;
}

static enum fm_status check_texts(const struct fm_person_fields *fields, struct fm_error *err)
{
	enum fm_status status = FM_OK;

	if (fields->name)
		status = fm_text_check(fields->name, FM_TEXT_LINE, FM_NAME_MAX_BYTES, "name", err);
	if (status == FM_OK && fields->external_id)
		status = fm_text_check(
		        fields->external_id, FM_TEXT_LINE, FM_NAME_MAX_BYTES, "external_id", err);
	if (status == FM_OK && fields->metadata)
		status =
		        fm_text_check(fields->metadata, FM_TEXT_JSON, FM_METADATA_MAX_BYTES, "metadata", err);
	if (status == FM_OK && fields->external_id && fields->clear_external_id)
		return fm_fail(err, FM_E_INVALID, "external_id: both set and cleared");
	return status;
}

enum fm_status fm_person_check(const struct fm_person_fields *fields, struct fm_error *err)
{
	if (!fields->name)
		return fm_fail(err, FM_E_INVALID, "name: missing");
	if (fields->id && !fm_uuid_valid(fields->id))
		return fm_fail(err, FM_E_INVALID, "id: no UUID");
	return check_texts(fields, err);
}

static enum fm_status external_id_taken(const char *external_id, struct fm_error *err)
{
	return fm_fail(err, FM_E_CONFLICT, "external_id \"%s\" belongs to somebody else in this collection",
	        external_id);
}

enum fm_status fm_person_insert(struct fm_connection *connection, int64_t collection_key,
        const struct fm_person_fields *fields, int64_t *ret_key, struct fm_error *err)
{
	char id[FM_UUID_TEXT];
	int64_t created_at_ms = fm_time_now_ms();
	enum fm_status status = FM_OK;

	if (fields->id)
		snprintf(id, sizeof(id), "%s", fields->id);
	else
		fm_uuid_new(id);
	if (fields->created_at)
		status = fm_time_parse_past(fields->created_at, &created_at_ms, err);
	if (status != FM_OK)
		return status;
	status = fm_execute(connection, FM_SQL_PERSON_INSERT,
	        FM_PARAMS(FM_INT(collection_key), FM_TEXT(id), FM_TEXT(fields->name),
	                FM_TEXT(fields->external_id), FM_TEXT(fields->metadata ? fields->metadata : "{}"),
	                FM_INT(created_at_ms)),
	        err);

	if (status == FM_E_CONFLICT && fields->id)
		return fm_fail(err, FM_E_CONFLICT, "the id %s, or the external_id, is taken", fields->id);
	if (status == FM_E_CONFLICT && fields->external_id)
		return external_id_taken(fields->external_id, err);
	if (status == FM_E_NOT_FOUND)
		return fm_fail(err, FM_E_NOT_FOUND, "no such collection");
	if (status == FM_OK)
		*ret_key = sqlite3_last_insert_rowid(connection->db);
	return status;
}

/* A change of one person. */
struct person_change {
	int64_t collection_key;
	const char *id;
	const struct fm_person_fields *fields;
	struct fm_person person; /* as it is in the end */
};

static enum fm_status create(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct person_change *change = context;
	int64_t key;
	enum fm_status status =
	        fm_person_insert(connection, change->collection_key, change->fields, &key, err);

	fm_person_done(&change->person);
	return status == FM_OK ? fm_person_find_by_key(connection, key, &change->person, err) : status;
}

static enum fm_status change_person(struct fm_gallery *gallery,
        enum fm_status (*run)(struct fm_connection *, void *, struct fm_error *),
        struct person_change *context, struct fm_person *ret_person, struct fm_error *err)
{
	enum fm_status status = check_texts(context->fields, err);

	if (status == FM_OK)
		status = fm_gallery_change(gallery, &(struct fm_change){.run = run, .context = context}, err);
	if (status == FM_OK)
		take_person(&context->person, ret_person);
	else
		fm_person_done(&context->person);
	return status;
}

enum fm_status fm_gallery_person_create(struct fm_gallery *gallery, int64_t collection_key,
        const struct fm_person_fields *fields, struct fm_person *ret_person, struct fm_error *err)
{
	struct person_change context = {.collection_key = collection_key, .fields = fields};

	enum fm_status status = fm_person_check(fields, err);

	return status == FM_OK ? change_person(gallery, create, &context, ret_person, err) : status;
}

enum fm_status fm_gallery_person_get(struct fm_gallery *gallery, int64_t collection_key, const char *id,
        struct fm_person *ret_person, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	return status == FM_OK ? fm_person_find(reader.connection, collection_key, id, ret_person, err)
	                       : status;
}

enum fm_status fm_gallery_person_get_by_key(
        struct fm_gallery *gallery, int64_t person_key, struct fm_person *ret_person, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	return status == FM_OK ? fm_person_find_by_key(reader.connection, person_key, ret_person, err)
	                       : status;
}

enum fm_status fm_gallery_person_get_by_external_id(struct fm_gallery *gallery, int64_t collection_key,
        const char *external_id, struct fm_person *ret_person, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool found;
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_query_start(&query, reader.connection, FM_SQL_PERSON_GET_BY_EXTERNAL_ID,
		        FM_PARAMS(FM_INT(collection_key), FM_TEXT(external_id)), err);
	if (status == FM_OK)
		status = read_only_row(&query, ret_person, &found, err);
	if (status == FM_OK && !found)
		return fm_fail(err, FM_E_NOT_FOUND, "nobody in this collection has that external_id");
	return status;
}

static enum fm_status update(struct fm_connection *connection, void *context, struct fm_error *err)
{
	fm_cleanup(fm_person_done) struct fm_person before = {0};
	struct person_change *change = context;
	const struct fm_person_fields *fields = change->fields;
	enum fm_status status = fm_person_find(connection, change->collection_key, change->id, &before, err);

	if (status == FM_OK)
		status = fm_execute(connection, FM_SQL_PERSON_UPDATE,
		        FM_PARAMS(FM_INT(before.key), FM_TEXT(fields->name), FM_TEXT(fields->external_id),
		                FM_INT(fields->clear_external_id), FM_TEXT(fields->metadata),
		                FM_INT(fm_time_now_ms())),
		        err);
	if (status == FM_E_CONFLICT && fields->external_id)
		return external_id_taken(fields->external_id, err);
	fm_person_done(&change->person);
	return status == FM_OK ? fm_person_find_by_key(connection, before.key, &change->person, err) : status;
}

enum fm_status fm_gallery_person_update(struct fm_gallery *gallery, int64_t collection_key, const char *id,
        const struct fm_person_fields *fields, struct fm_person *ret_person, struct fm_error *err)
{
	struct person_change context = {.collection_key = collection_key, .id = id, .fields = fields};

	return change_person(gallery, update, &context, ret_person, err);
}

static enum fm_status find_to_delete(
        struct fm_connection *connection, struct fm_deletion *deletion, struct fm_error *err)
{
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	enum fm_status status =
	        fm_person_find(connection, deletion->collection_key, deletion->id, &person, err);

	deletion->key = person.key;
	deletion->faces = person.faces;
	return status;
}

enum fm_status fm_gallery_person_delete(struct fm_gallery *gallery, int64_t collection_key, const char *id,
        const char *actor, struct fm_error *err)
{
	struct fm_deletion deletion = {.object = FM_OBJECT_PERSON,
	        .id = id,
	        .actor = actor,
	        .collection_key = collection_key,
	        .find = find_to_delete};

	return fm_delete(gallery, &deletion, err);
}

static enum fm_status read_listed(struct fm_query *query, void *ret_person, struct fm_error *err)
{
	return fm_person_read(query, ret_person, err);
}

static void drop_listed(void *person)
{
	fm_person_done(person);
}

/* The row key behind a cursor; 0, below every key, for the first page. */
static enum fm_status cursor_key(struct fm_connection *connection, int64_t collection_key, const char *after,
        int64_t *ret_key, struct fm_error *err)
{
	fm_cleanup(fm_person_done) struct fm_person person = {0};

	if (!after) {
		*ret_key = 0;
		return FM_OK;
	}
	enum fm_status status = fm_person_find(connection, collection_key, after, &person, err);

	if (status == FM_E_NOT_FOUND)
		return fm_fail(err, FM_E_INVALID, "after: unknown cursor");
	if (status == FM_OK)
		*ret_key = person.key;
	return status;
}

enum fm_status fm_gallery_person_list(struct fm_gallery *gallery, int64_t collection_key, const char *name,
        const char *after, size_t limit, struct fm_person **ret_people, size_t *ret_count,
        char ret_next[FM_UUID_TEXT], struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	static const struct fm_row_kind kind = {sizeof(**ret_people), read_listed, drop_listed};
	struct fm_person *people;
	int64_t after_key = 0;
	size_t count;

	if (limit == 0 || limit > PAGE_MAX)
		return fm_fail(err, FM_E_INVALID, "limit: 1 to %d people", PAGE_MAX);
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = cursor_key(reader.connection, collection_key, after, &after_key, err);
	if (status != FM_OK)
		return status;
	/* One more than wanted tells whether there is a next page. */
	const struct fm_param collection = FM_INT(collection_key), from = FM_INT(after_key),
	                      most = FM_INT((int64_t)limit + 1);

	if (name)
		status = fm_query_start(&query, reader.connection, FM_SQL_PERSON_LIST_NAMED,
		        FM_PARAMS(collection, from, most, FM_TEXT(name)), err);
	else
		status = fm_query_start(&query, reader.connection, FM_SQL_PERSON_LIST,
		        FM_PARAMS(collection, from, most), err);
	if (status == FM_OK)
		status = fm_rows_read(&query, &kind, &people, &count, err);
	if (status != FM_OK)
		return status;
	ret_next[0] = '\0';
	if (count > limit) {
		fm_person_done(&people[--count]);
		memcpy(ret_next, people[count - 1].id, FM_UUID_TEXT);
	}
	*ret_count = count;
	*ret_people = people;
	return FM_OK;
}
