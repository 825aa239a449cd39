#include "lib/gallery/jobs.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/embedding.h"
#include "lib/gallery/internal.h"
#include "lib/gallery/text.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

#define PAGE_MAX 1000
#define REEMBED  "reembed"

void fm_job_done(struct fm_job *job)
{
	free(job->error);
	memset(job, 0, sizeof(*job));
}

static enum fm_status copy_id(
        struct fm_query *query, int column, char ret_id[FM_UUID_TEXT], struct fm_error *err)
{
	const char *id = (const char *)sqlite3_column_text(query->statement, column);

	if (!id || strlen(id) != FM_UUID_TEXT - 1)
		return fm_fail(err, FM_E_CORRUPT, "gallery: a row has no proper id");
	memcpy(ret_id, id, FM_UUID_TEXT);
	return FM_OK;
}

static void copy_text(struct fm_query *query, int column, char *ret_text, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(query->statement, column);

	snprintf(ret_text, size, "%s", text ? text : "");
}

static enum fm_status read_job(struct fm_query *query, void *ret_job, struct fm_error *err)
{
	struct fm_job job = {
	        .key = sqlite3_column_int64(query->statement, 0),
	        .position = sqlite3_column_int64(query->statement, 5),
	        .done = sqlite3_column_int64(query->statement, 6),
	        .total = sqlite3_column_int64(query->statement, 7),
	        .skipped = sqlite3_column_int64(query->statement, 8),
	};
	enum fm_status status = copy_id(query, 1, job.id, err);

	copy_text(query, 2, job.kind, sizeof(job.kind));
	job.kind[strcspn(job.kind, ":")] = '\0';
	copy_text(query, 3, job.state, sizeof(job.state));
	copy_text(query, 4, job.model, sizeof(job.model));
	fm_time_text(sqlite3_column_int64(query->statement, 10), job.created_at);
	fm_time_text(sqlite3_column_int64(query->statement, 11), job.updated_at);
	if (status == FM_OK)
		status = fm_query_text(query, 9, &job.error, err);
	if (status == FM_OK)
		*(struct fm_job *)ret_job = job;
	return status;
}

static void drop_job(void *job)
{
	fm_job_done(job);
}

static enum fm_status find_job(struct fm_connection *connection, enum fm_sql sql, const char *text,
        struct fm_job *ret_job, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool found;
	enum fm_status status = fm_query_start(&query, connection, sql, FM_PARAMS(FM_TEXT(text)), err);

	if (status == FM_OK)
		status = fm_query_next(&query, &found, err);
	if (status != FM_OK)
		return status;
	return found ? read_job(&query, ret_job, err) : fm_fail(err, FM_E_NOT_FOUND, "no such job");
}

static enum fm_status read_one(struct fm_gallery *gallery, enum fm_sql sql, const char *text,
        struct fm_job *ret_job, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	return status == FM_OK ? find_job(reader.connection, sql, text, ret_job, err) : status;
}

enum fm_status fm_gallery_job_get(
        struct fm_gallery *gallery, const char *id, struct fm_job *ret_job, struct fm_error *err)
{
	return read_one(gallery, FM_SQL_JOB_GET, id, ret_job, err);
}

enum fm_status fm_gallery_reembed_running(
        struct fm_gallery *gallery, struct fm_job *ret_job, struct fm_error *err)
{
	return read_one(gallery, FM_SQL_JOB_RUNNING, REEMBED, ret_job, err);
}

static enum fm_status check_limit(size_t limit, struct fm_error *err)
{
	return limit < 1 || limit > PAGE_MAX ? fm_fail(err, FM_E_INVALID, "limit: 1 to %d", PAGE_MAX) : FM_OK;
}

enum fm_status fm_gallery_job_list(struct fm_gallery *gallery, size_t limit, struct fm_job **ret_jobs,
        size_t *ret_count, struct fm_error *err)
{
	static const struct fm_row_kind kind = {sizeof(**ret_jobs), read_job, drop_job};
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	enum fm_status status = check_limit(limit, err);

	if (status == FM_OK)
		status = fm_reader_begin(gallery, &reader, err);
	if (status == FM_OK)
		status = fm_query_start(
		        &query, reader.connection, FM_SQL_JOB_LIST, FM_PARAMS(FM_INT((int64_t)limit)), err);
	return status == FM_OK ? fm_rows_read(&query, &kind, ret_jobs, ret_count, err) : status;
}

struct ending {
	const char *id, *state, *error;
};

static enum fm_status end(struct fm_connection *connection, void *context, struct fm_error *err)
{
	const struct ending *ending = context;
	fm_cleanup(fm_job_done) struct fm_job job = {0};
	enum fm_status status = find_job(connection, FM_SQL_JOB_GET, ending->id, &job, err);

	if (status == FM_OK && (strcmp(job.state, "running") != 0 || strcmp(job.kind, REEMBED) != 0))
		return fm_fail(
		        err, FM_E_CONFLICT, "the job is %s, of kind %s: nothing to end", job.state, job.kind);
	if (status == FM_OK)
		status = fm_execute(connection, FM_SQL_JOB_END,
		        FM_PARAMS(FM_TEXT(ending->id), FM_TEXT(ending->state), FM_TEXT(ending->error),
		                FM_INT(fm_time_now_ms())),
		        err);
	return status;
}

enum fm_status fm_gallery_job_end(struct fm_gallery *gallery, const char *id, const char *state,
        const char *error, struct fm_error *err)
{
	struct ending ending = {.id = id, .state = state, .error = error};

	return fm_gallery_change(gallery, &(struct fm_change){.run = end, .context = &ending}, err);
}

/* ---- what was skipped ---- */

void fm_job_skip_done(struct fm_job_skip *skip)
{
	free(skip->collection);
	free(skip->reason);
	memset(skip, 0, sizeof(*skip));
}

static enum fm_status read_skip(struct fm_query *query, void *ret_skip, struct fm_error *err)
{
	fm_cleanup(fm_job_skip_done) struct fm_job_skip skip = {
	        .face_key = sqlite3_column_int64(query->statement, 0)};
	enum fm_status status = copy_id(query, 1, skip.face_id, err);

	if (status == FM_OK)
		status = copy_id(query, 2, skip.person_id, err);
	if (status == FM_OK)
		status = fm_query_text(query, 3, &skip.collection, err);
	if (status == FM_OK)
		status = fm_query_text(query, 4, &skip.reason, err);
	if (status == FM_OK) {
		*(struct fm_job_skip *)ret_skip = skip;
		memset(&skip, 0, sizeof(skip));
	}
	return status;
}

static void drop_skip(void *skip)
{
	fm_job_skip_done(skip);
}

enum fm_status fm_gallery_job_skips(struct fm_gallery *gallery, const char *id, int64_t after, size_t limit,
        struct fm_job_skip **ret_skips, size_t *ret_count, struct fm_error *err)
{
	static const struct fm_row_kind kind = {sizeof(**ret_skips), read_skip, drop_skip};
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	fm_cleanup(fm_job_done) struct fm_job job = {0};
	enum fm_status status = check_limit(limit, err);

	if (status == FM_OK)
		status = fm_reader_begin(gallery, &reader, err);
	if (status == FM_OK)
		status = find_job(reader.connection, FM_SQL_JOB_GET, id, &job, err);
	if (status == FM_OK)
		status = fm_query_start(&query, reader.connection, FM_SQL_JOB_SKIPS,
		        FM_PARAMS(FM_INT(job.key), FM_INT(after), FM_INT((int64_t)limit)), err);
	return status == FM_OK ? fm_rows_read(&query, &kind, ret_skips, ret_count, err) : status;
}

/* ---- the job ---- */

struct beginning {
	const char *model;
	size_t dim;
	struct fm_job job;
};

static enum fm_status count_missing(
        struct fm_connection *connection, const char *model, int64_t *ret_count, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool row;
	enum fm_status status = fm_query_start(
	        &query, connection, FM_SQL_MODEL_FOREIGN_FACES, FM_PARAMS(FM_TEXT(model)), err);

	if (status == FM_OK)
		status = fm_query_next(&query, &row, err);
	if (status == FM_OK)
		*ret_count = sqlite3_column_int64(query.statement, 0);
	return status;
}

static enum fm_status begin(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct beginning *beginning = context;
	fm_cleanup(fm_job_done) struct fm_job other = {0};
	char id[FM_UUID_TEXT];
	int64_t model_key = 0, total = 0;
	enum fm_status status = find_job(connection, FM_SQL_JOB_RUNNING, REEMBED, &other, NULL);

	if (status == FM_OK)
		return fm_fail(err, FM_E_CONFLICT, "a job runs already: %s", other.id);
	status = fm_model_find_or_add(connection, beginning->model, beginning->dim, &model_key, err);
	if (status == FM_OK)
		status = count_missing(connection, beginning->model, &total, err);
	if (status != FM_OK)
		return status;
	fm_uuid_new(id);
	status = fm_execute(connection, FM_SQL_JOB_INSERT,
	        FM_PARAMS(FM_TEXT(id), FM_TEXT(REEMBED), FM_INT(model_key), FM_INT(fm_time_now_ms()),
	                FM_INT(total)),
	        err);
	fm_job_done(&beginning->job);
	return status == FM_OK ? find_job(connection, FM_SQL_JOB_GET, id, &beginning->job, err) : status;
}

enum fm_status fm_gallery_reembed_begin(struct fm_gallery *gallery, const char *model, size_t dim,
        struct fm_job *ret_job, struct fm_error *err)
{
	struct beginning beginning = {.model = model, .dim = dim};
	enum fm_status status =
	        fm_gallery_change(gallery, &(struct fm_change){.run = begin, .context = &beginning}, err);

	if (status == FM_OK)
		*ret_job = beginning.job;
	else
		fm_job_done(&beginning.job);
	return status;
}

enum fm_status fm_gallery_reembed_next(struct fm_gallery *gallery, const struct fm_job *job,
        struct fm_reembed_face *ret_faces, size_t *ret_count, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	int64_t model_key;
	size_t dim, count = 0;
	bool row = true;
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_model_find(reader.connection, job->model, &model_key, &dim, err);
	if (status == FM_OK)
		status = fm_query_start(&query, reader.connection, FM_SQL_EMBEDDING_MISSING,
		        FM_PARAMS(FM_INT(job->position), FM_INT(model_key), FM_INT(FM_REEMBED_BATCH_MAX)),
		        err);
	while (status == FM_OK && row && count < FM_REEMBED_BATCH_MAX) {
		status = fm_query_next(&query, &row, err);
		if (status != FM_OK || !row)
			break;
		ret_faces[count] = (struct fm_reembed_face){
		        .key = sqlite3_column_int64(query.statement, 0),
		        .collection_key = sqlite3_column_int64(query.statement, 2),
		        .person_key = sqlite3_column_int64(query.statement, 3),
		};
		status = copy_id(&query, 1, ret_faces[count].id, err);
		count += status == FM_OK;
	}
	if (status == FM_OK)
		*ret_count = count;
	return status;
}

struct storing {
	struct fm_job *job;
	struct fm_reembed_face *faces;
	size_t count, dim;
	int64_t done, skipped;
};

static enum fm_status store_face(struct fm_connection *connection, const struct storing *storing,
        int64_t model_key, struct fm_reembed_face *face, struct fm_error *err)
{
	uint8_t blob[FM_EMBEDDING_BLOB_MAX];
	size_t blob_bytes;
	int64_t seal;

	face->stored = false;
	if (!face->embedding)
		return fm_execute(connection, FM_SQL_JOB_SKIP,
		        FM_PARAMS(FM_INT(storing->job->key), FM_INT(face->key), FM_TEXT(face->reason)), err);
	fm_embedding_pack(connection, face->id, storing->job->model, face->embedding, storing->dim, blob,
	        &blob_bytes, &seal);
	enum fm_status status = fm_execute(connection, FM_SQL_EMBEDDING_INSERT,
	        FM_PARAMS(FM_INT(face->key), FM_INT(model_key), FM_BLOB(blob, blob_bytes), FM_INT(seal)),
	        err);

	face->stored = status == FM_OK && sqlite3_changes(connection->db) > 0;
	fm_wipe(blob, blob_bytes);
	return status;
}

static enum fm_status store(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct storing *storing = context;
	struct fm_job *job = storing->job;
	int64_t model_key = 0;
	enum fm_status status = fm_model_find_or_add(connection, job->model, storing->dim, &model_key, err);

	storing->done = storing->skipped = 0;
	for (size_t i = 0; status == FM_OK && i < storing->count; i++) {
		status = store_face(connection, storing, model_key, &storing->faces[i], err);
		if (status != FM_OK)
			break;
		/* Of a face that is gone no skip was written, and none counts. */
		if (storing->faces[i].embedding)
			storing->done += storing->faces[i].stored;
		else
			storing->skipped += sqlite3_changes(connection->db) > 0;
	}
	if (status != FM_OK)
		return status;
	status = fm_execute(connection, FM_SQL_JOB_ADVANCE,
	        FM_PARAMS(FM_INT(job->key), FM_INT(storing->faces[storing->count - 1].key),
	                FM_INT(storing->done), FM_INT(storing->skipped), FM_INT(fm_time_now_ms())),
	        err);
	if (status == FM_OK && sqlite3_changes(connection->db) == 0)
		return fm_fail(err, FM_E_CANCELLED, "the job does not run any more");
	return status;
}

/* In the order of the commits, so that a face that is deleted next is not added after it. */
static enum fm_status stored(struct fm_gallery *gallery, void *context, struct fm_error *err)
{
	struct storing *storing = context;
	const struct fm_gallery_observer *observer = &gallery->observer;
	enum fm_status status = FM_OK;

	for (size_t i = 0; observer->face_added && status == FM_OK && i < storing->count; i++) {
		const struct fm_reembed_face *face = &storing->faces[i];
		struct fm_face_record record = {.key = face->key,
		        .person_key = face->person_key,
		        .collection_key = face->collection_key};

		memcpy(record.id, face->id, FM_UUID_TEXT);
		if (face->stored)
			status = observer->face_added(observer->context, &record, storing->job->model,
			        face->embedding, storing->dim, err);
	}
	return status;
}

enum fm_status fm_gallery_reembed_store(struct fm_gallery *gallery, struct fm_job *job,
        struct fm_reembed_face *faces, size_t count, size_t dim, struct fm_error *err)
{
	struct storing storing = {.job = job, .faces = faces, .count = count, .dim = dim};
	enum fm_status status = FM_OK;

	if (count < 1 || count > FM_REEMBED_BATCH_MAX)
		return fm_fail(err, FM_E_INVALID, "1 to %d faces", FM_REEMBED_BATCH_MAX);
	for (size_t i = 0; status == FM_OK && i < count; i++)
		if (faces[i].embedding)
			status = fm_embedding_check(faces[i].embedding, dim, err);
	if (status == FM_OK)
		status = fm_gallery_change(gallery,
		        &(struct fm_change){.run = store, .applied = stored, .context = &storing}, err);
	if (status == FM_OK) {
		job->position = faces[count - 1].key;
		job->done += storing.done;
		job->skipped += storing.skipped;
	}
	return status;
}
