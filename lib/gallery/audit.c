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

void fm_audit_record_done(struct fm_audit_record *record)
{
	free(record->actor);
	free(record->action);
	free(record->object_kind);
	free(record->object_id);
	free(record->collection);
	memset(record, 0, sizeof(*record));
}

static enum fm_status read_record(
        struct fm_query *query, struct fm_audit_record *ret_record, struct fm_error *err)
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
		*ret_record = record;
		memset(&record, 0, sizeof(record));
	}
	return status;
}

struct records {
	struct fm_audit_record *list;
	size_t count;
};

static void records_done(struct records *records)
{
	for (size_t i = 0; i < records->count; i++)
		fm_audit_record_done(&records->list[i]);
	free(records->list);
}

enum fm_status fm_gallery_audit_list(struct fm_gallery *gallery, int64_t after, size_t limit,
        struct fm_audit_record **ret_records, size_t *ret_count, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	fm_cleanup(records_done) struct records records = {0};
	bool row = true;

	if (limit < 1 || limit > PAGE_MAX)
		return fm_fail(err, FM_E_INVALID, "limit: 1 to %d records", PAGE_MAX);
	records.list = fm_calloc(limit, sizeof(*records.list));
	if (!records.list)
		return fm_fail(err, FM_E_NOMEM, "gallery: no memory for the audit");
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_query_start(&query, reader.connection, FM_SQL_AUDIT_LIST,
		        FM_PARAMS(FM_INT(after), FM_INT((int64_t)limit)), err);
	while (status == FM_OK && row) {
		status = fm_query_next(&query, &row, err);
		if (status == FM_OK && row)
			status = read_record(&query, &records.list[records.count], err);
		records.count += status == FM_OK && row;
	}
	if (status != FM_OK)
		return status;
	*ret_count = records.count;
	*ret_records = fm_steal(records.list);
	records.count = 0;
	return FM_OK;
}
