#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/internal.h"
#include "lib/gallery/text.h"

#include <string.h>

#include "lib/base/banned.h"

#define PAGE_MAX 1000

enum fm_status fm_audit_check_actor(const char *actor, struct fm_error *err)
{
	return fm_text_check(actor, FM_TEXT_LINE, FM_ACTOR_MAX_BYTES, "actor", err);
}

enum fm_status fm_audit_insert(
        struct fm_connection *connection, const struct fm_audit *audit, struct fm_error *err)
{
	return fm_execute(connection, FM_SQL_AUDIT_INSERT,
	        FM_PARAMS(FM_INT(fm_time_now_ms()), FM_TEXT(audit->actor), FM_TEXT(audit->action),
	                FM_TEXT(audit->object_kind), FM_TEXT(audit->object_id), FM_INT(audit->collection_key),
	                FM_INT(audit->faces)),
	        err);
}

struct passage {
	const struct fm_collection *collection;
	const char *action, *actor;
	int64_t faces;
};

static enum fm_status pass(struct fm_connection *connection, void *context, struct fm_error *err)
{
	const struct passage *passage = context;

	return fm_audit_insert(connection,
	        &(struct fm_audit){.actor = passage->actor,
	                .action = passage->action,
	                .object_kind = "collection",
	                .object_id = passage->collection->name,
	                .collection_key = passage->collection->key,
	                .faces = passage->faces},
	        err);
}

enum fm_status fm_gallery_audit_passage(struct fm_gallery *gallery, const struct fm_collection *collection,
        const char *action, int64_t faces, const char *actor, struct fm_error *err)
{
	struct passage passage = {.collection = collection, .action = action, .actor = actor, .faces = faces};
	enum fm_status status = fm_audit_check_actor(actor, err);

	return status == FM_OK ? fm_gallery_change(
	                                 gallery, &(struct fm_change){.run = pass, .context = &passage}, err)
	                       : status;
}

void fm_audit_record_done(struct fm_audit_record *record)
{
	free(record->actor);
	free(record->action);
	free(record->object_kind);
	free(record->object_id);
	free(record->collection);
	memset(record, 0, sizeof(*record));
}

static enum fm_status read_record(struct fm_query *query, void *ret_record, struct fm_error *err)
{
	fm_cleanup(fm_audit_record_done) struct fm_audit_record record = {
	        .key = sqlite3_column_int64(query->statement, 0),
	        .faces = sqlite3_column_int64(query->statement, 7),
	};
	char **const texts[] = {
	        &record.actor, &record.action, &record.object_kind, &record.object_id, &record.collection};
	enum fm_status status = FM_OK;

	fm_time_text(sqlite3_column_int64(query->statement, 1), record.time);
	for (int i = 0; i < 5 && status == FM_OK; i++)
		status = fm_query_text(query, i + 2, texts[i], err);
	if (status == FM_OK) {
		*(struct fm_audit_record *)ret_record = record;
		memset(&record, 0, sizeof(record));
	}
	return status;
}

static void drop_record(void *record)
{
	fm_audit_record_done(record);
}

enum fm_status fm_gallery_audit_list(struct fm_gallery *gallery, int64_t after, size_t limit,
        struct fm_audit_record **ret_records, size_t *ret_count, struct fm_error *err)
{
	static const struct fm_row_kind kind = {sizeof(**ret_records), read_record, drop_record};
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};

	if (limit < 1 || limit > PAGE_MAX)
		return fm_fail(err, FM_E_INVALID, "limit: 1 to %d records", PAGE_MAX);
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_query_start(&query, reader.connection, FM_SQL_AUDIT_LIST,
		        FM_PARAMS(FM_INT(after), FM_INT((int64_t)limit)), err);
	return status == FM_OK ? fm_rows_read(&query, &kind, ret_records, ret_count, err) : status;
}

struct pruning {
	int64_t before_ms;
	size_t limit, count;
};

static enum fm_status prune(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct pruning *pruning = context;
	enum fm_status status = fm_execute(connection, FM_SQL_AUDIT_PRUNE,
	        FM_PARAMS(FM_INT(pruning->before_ms), FM_INT((int64_t)pruning->limit)), err);

	pruning->count = status == FM_OK ? (size_t)sqlite3_changes(connection->db) : 0;
	return status;
}

/* Nothing is written, and no log emptied, where nothing is old. */
static enum fm_status find_old(
        struct fm_gallery *gallery, const struct pruning *pruning, bool *ret_any, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_query_start(&query, reader.connection, FM_SQL_AUDIT_OLD,
		        FM_PARAMS(FM_INT(pruning->before_ms), FM_INT((int64_t)pruning->limit)), err);
	return status == FM_OK ? fm_query_next(&query, ret_any, err) : status;
}

enum fm_status fm_gallery_audit_prune(
        struct fm_gallery *gallery, int64_t before_ms, size_t limit, size_t *ret_count, struct fm_error *err)
{
	struct pruning pruning = {.before_ms = before_ms, .limit = limit};
	bool any;

	if (limit < 1 || limit > PAGE_MAX)
		return fm_fail(err, FM_E_INVALID, "limit: 1 to %d records", PAGE_MAX);
	enum fm_status status = find_old(gallery, &pruning, &any, err);

	if (status == FM_OK && any)
		status = fm_gallery_change(
		        gallery, &(struct fm_change){.run = prune, .context = &pruning, .erases = true}, err);
	if (status == FM_OK)
		*ret_count = pruning.count;
	return status;
}
