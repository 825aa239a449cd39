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

static enum fm_status create(struct fm_connection *connection, const char *name,
        struct fm_collection *ret_collection, struct fm_error *err)
{
	enum fm_status status = fm_execute(connection, FM_SQL_COLLECTION_INSERT,
	        FM_PARAMS(FM_TEXT(name), FM_INT(fm_time_now_ms())), err);

	if (status == FM_E_CONFLICT)
		return fm_fail(err, FM_E_CONFLICT, "collection \"%s\" exists already", name);
	return status == FM_OK ? find(connection, name, ret_collection, err) : status;
}

enum fm_status fm_gallery_collection_create(struct fm_gallery *gallery, const char *name,
        struct fm_collection *ret_collection, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	struct fm_connection *connection;
	enum fm_status status = fm_text_check(name, FM_TEXT_LINE, FM_NAME_MAX_BYTES, "collection", err);

	if (status == FM_OK)
		status = fm_write_begin(gallery, &connection, err);
	if (status != FM_OK)
		return status;
	status = fm_write_end(gallery, create(connection, name, &collection, err), err);
	if (status == FM_OK) {
		*ret_collection = collection;
		memset(&collection, 0, sizeof(collection));
	}
	return status;
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

static enum fm_status erase(
        struct fm_connection *connection, const char *name, int64_t *ret_key, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	enum fm_status status = find(connection, name, &collection, err);

	if (status == FM_OK)
		status = fm_execute(
		        connection, FM_SQL_COLLECTION_DELETE, FM_PARAMS(FM_INT(collection.key)), err);
	if (status == FM_OK)
		*ret_key = collection.key;
	return status;
}

enum fm_status fm_gallery_collection_delete(
        struct fm_gallery *gallery, const char *name, int64_t *ret_key, struct fm_error *err)
{
	struct fm_connection *connection;
	int64_t key = 0;
	enum fm_status status = fm_text_check(name, FM_TEXT_LINE, FM_NAME_MAX_BYTES, "collection", err);

	if (status == FM_OK && strcmp(name, FM_GALLERY_DEFAULT_COLLECTION) == 0)
		return fm_fail(err, FM_E_CONFLICT, "collection \"%s\" always exists", name);
	if (status == FM_OK)
		status = fm_write_begin(gallery, &connection, err);
	if (status != FM_OK)
		return status;
	status = fm_erase_end(gallery, erase(connection, name, &key, err), err);
	if (status == FM_OK)
		*ret_key = key;
	return status;
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
