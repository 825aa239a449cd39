/* GET /v1/admin/audit: what was forgotten, and what left or came in. */
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"
#include "lib/base/cleanup.h"

#include <limits.h>
#include <stdlib.h>

#include "lib/base/banned.h"

#define PAGE_MAX     1000
#define PAGE_DEFAULT 100

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

static json_t *shape_record(const struct fm_audit_record *record)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "time", record->time, "actor", record->actor,
	        "action", record->action, "object_kind", record->object_kind, "object_id", record->object_id,
	        "collection", record->collection, "faces", (json_int_t)record->faces);
}

enum fm_problem fm_handle_audit_list(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(records_done) struct records records = {0};
	long limit, after;
	enum fm_status status =
	        fm_request_integer(exchange->request, "limit", 1, PAGE_MAX, PAGE_DEFAULT, &limit, err);

	if (!status)
		status = fm_request_integer(exchange->request, "after", 0, LONG_MAX, 0, &after, err);
	if (!status)
		status = fm_gallery_audit_list(
		        exchange->app->gallery, after, (size_t)limit, &records.list, &records.count, err);
	if (status)
		return fm_problem_of(status);
	json_t *array = json_array();

	for (size_t i = 0; array && i < records.count; i++)
		json_array_append_new(array, shape_record(&records.list[i]));
	/* A full page may have been the last; the next one is empty then. */
	bool full = records.count == (size_t)limit;

	return fm_common_reply(exchange, 200,
	        json_pack("{s:o, s:o}", "records", array, "next",
	                full ? json_integer(records.list[records.count - 1].key) : json_null()),
	        err);
}
