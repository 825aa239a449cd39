#include "lib/base/cleanup.h"
#include "lib/gallery/internal.h"
#include "lib/gallery/text.h"

#include <string.h>

#include "lib/base/banned.h"

void fm_collection_done(struct fm_collection *collection)
{
	free(collection->name);
	memset(collection, 0, sizeof(*collection));
}

static enum fm_status read_collection(
        struct fm_query *query, struct fm_collection *ret_collection, struct fm_error *err)
{
	struct fm_collection collection = {
	        .key = sqlite3_column_int64(query->statement, 0),
	        .people = sqlite3_column_int64(query->statement, 3),
	        .faces = sqlite3_column_int64(query->statement, 4),
	        .retention_days = sqlite3_column_int64(query->statement, 5), /* NULL reads as 0 */
	};
	enum fm_status status = fm_query_text(query, 1, &collection.name, err);

	if (status != FM_OK)
		return status;
	fm_time_text(sqlite3_column_int64(query->statement, 2), collection.created_at);
	*ret_collection = collection;
	return FM_OK;
}

static enum fm_status find(struct fm_connection *connection, const char *name,
        struct fm_collection *ret_collection, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool found;
	enum fm_status status =
	        fm_query_start(&query, connection, FM_SQL_COLLECTION_GET, FM_PARAMS(FM_TEXT(name)), err);

	if (status == FM_OK)
		status = fm_query_next(&query, &found, err);
	if (status != FM_OK)
		return status;
	if (!found)
		return fm_fail(err, FM_E_NOT_FOUND, "no collection \"%s\"", name);
	return read_collection(&query, ret_collection, err);
}

/* A change of one collection. */
struct collection_change {
	const char *name;
	int64_t retention_days;
	struct fm_collection collection; /* as it is in the end */
};

static enum fm_status create(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct collection_change *change = context;
	enum fm_status status = fm_execute(connection, FM_SQL_COLLECTION_INSERT,
	        FM_PARAMS(FM_TEXT(change->name), FM_INT(fm_time_now_ms()), FM_INT(change->retention_days)),
	        err);

	if (status == FM_E_CONFLICT)
		return fm_fail(err, FM_E_CONFLICT, "collection \"%s\" exists already", change->name);
	fm_collection_done(&change->collection);
	return status == FM_OK ? find(connection, change->name, &change->collection, err) : status;
}

static enum fm_status retain(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct collection_change *change = context;

	fm_collection_done(&change->collection);
	enum fm_status status = find(connection, change->name, &change->collection, err);

	if (status == FM_OK)
		status = fm_execute(connection, FM_SQL_COLLECTION_RETAIN,
		        FM_PARAMS(FM_INT(change->collection.key), FM_INT(change->retention_days)), err);
	if (status == FM_OK)
		change->collection.retention_days = change->retention_days;
	return status;
}

static enum fm_status change_collection(struct fm_gallery *gallery,
        enum fm_status (*run)(struct fm_connection *, void *, struct fm_error *),
        struct collection_change *context, struct fm_collection *ret_collection, struct fm_error *err)
{
	enum fm_status status =
	        fm_text_check(context->name, FM_TEXT_LINE, FM_NAME_MAX_BYTES, "collection", err);

	if (status == FM_OK &&
	        (context->retention_days < 0 || context->retention_days > FM_RETENTION_DAYS_MAX))
		return fm_fail(err, FM_E_INVALID, "retention_days: 1 to %d", FM_RETENTION_DAYS_MAX);
	if (status == FM_OK)
		status = fm_gallery_change(gallery, &(struct fm_change){.run = run, .context = context}, err);
	if (status == FM_OK)
		*ret_collection = context->collection;
	else
		fm_collection_done(&context->collection);
	return status;
}

enum fm_status fm_gallery_collection_create(struct fm_gallery *gallery, const char *name,
        int64_t retention_days, struct fm_collection *ret_collection, struct fm_error *err)
{
	struct collection_change context = {.name = name, .retention_days = retention_days};

	return change_collection(gallery, create, &context, ret_collection, err);
}

enum fm_status fm_gallery_collection_set_retention(struct fm_gallery *gallery, const char *name,
        int64_t retention_days, struct fm_collection *ret_collection, struct fm_error *err)
{
	struct collection_change context = {.name = name, .retention_days = retention_days};

	return change_collection(gallery, retain, &context, ret_collection, err);
}

enum fm_status fm_gallery_collection_get(struct fm_gallery *gallery, const char *name,
        struct fm_collection *ret_collection, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	enum fm_status status = fm_text_check(name, FM_TEXT_LINE, FM_NAME_MAX_BYTES, "collection", err);

	if (status == FM_OK)
		status = fm_reader_begin(gallery, &reader, err);
	return status == FM_OK ? find(reader.connection, name, ret_collection, err) : status;
}

static enum fm_status find_to_delete(
        struct fm_connection *connection, struct fm_deletion *deletion, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	enum fm_status status = find(connection, deletion->id, &collection, err);

	deletion->key = deletion->collection_key = collection.key;
	deletion->faces = collection.faces;
	return status;
}

enum fm_status fm_gallery_collection_delete(
        struct fm_gallery *gallery, const char *name, const char *actor, struct fm_error *err)
{
	struct fm_deletion deletion = {
	        .object = FM_OBJECT_COLLECTION, .id = name, .actor = actor, .find = find_to_delete};
	enum fm_status status = fm_text_check(name, FM_TEXT_LINE, FM_NAME_MAX_BYTES, "collection", err);

	if (status == FM_OK && strcmp(name, FM_GALLERY_DEFAULT_COLLECTION) == 0)
		return fm_fail(err, FM_E_CONFLICT, "collection \"%s\" always exists", name);
	return status == FM_OK ? fm_delete(gallery, &deletion, err) : status;
}

enum fm_status fm_gallery_collection_each(
        struct fm_gallery *gallery, fm_collection_visit visit, void *context, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_query_start(&query, reader.connection, FM_SQL_COLLECTION_LIST, NULL, 0, err);
	while (status == FM_OK) {
		fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
		bool row;

		status = fm_query_next(&query, &row, err);
		if (status != FM_OK || !row)
			break;
		status = read_collection(&query, &collection, err);
		if (status == FM_OK)
			status = visit(context, &collection, err);
	}
	return status;
}
