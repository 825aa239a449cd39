/*
 * Which keys the gallery's rows are sealed with, and sealing them anew with another one, in the background:
 * each row says its key, so that every state in between can be read.
 */
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/embedding.h"
#include "lib/gallery/internal.h"
#include "lib/gallery/text.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

#define BATCH_MAX 1000

enum fm_status fm_sealed_match(
        struct fm_connection *connection, struct fm_sealer *sealer, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	enum fm_status status = fm_query_start(&query, connection, FM_SQL_SEAL_LIST, NULL, 0, err);

	while (status == FM_OK) {
		bool row, known = false;

		status = fm_query_next(&query, &row, err);
		if (status != FM_OK || !row)
			break;
		const char *id = (const char *)sqlite3_column_text(query.statement, 1);
		bool retired = sqlite3_column_int64(query.statement, 2) != 0;

		for (size_t i = 0; sealer && id && i < sealer->count; i++)
			if (strcmp(sealer->seals[i].id, id) == 0) {
				sealer->seals[i].row = sqlite3_column_int64(query.statement, 0);
				known = true;
			}
		if (!known && !retired && !sealer)
			return fm_fail(err, FM_E_INVALID,
			        "the gallery is sealed, and no [gallery] key_file is set: name the file that "
			        "holds its key");
		if (!known && !retired)
			return fm_fail(err, FM_E_INVALID,
			        "the gallery is sealed with a key that is not in [gallery] key_file (its id "
			        "begins with %.8s): add that key to the file, below the current one",
			        id ? id : "");
	}
	return status;
}

struct adoption {
	struct fm_sealer *sealer;
	int64_t known_row; /* 0: the current key was never used here */
};

/* Rows are under the current key from now on: its row, and a job that seals what is not. */
static enum fm_status adopt(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct adoption *adoption = context;
	struct fm_seal *current = &adoption->sealer->seals[0];
	char id[FM_UUID_TEXT];
	enum fm_status status = FM_OK;

	if (adoption->known_row) {
		status = fm_execute(
		        connection, FM_SQL_SEAL_REVIVE, FM_PARAMS(FM_INT(adoption->known_row)), err);
	} else {
		status = fm_execute(connection, FM_SQL_SEAL_INSERT,
		        FM_PARAMS(FM_TEXT(current->id), FM_INT(fm_time_now_ms())), err);
		current->row = sqlite3_last_insert_rowid(connection->db);
	}
	if (status == FM_OK)
		status = fm_execute(
		        connection, FM_SQL_SEAL_JOB_CANCEL, FM_PARAMS(FM_INT(fm_time_now_ms())), err);
	fm_uuid_new(id);
	if (status == FM_OK)
		status = fm_execute(connection, FM_SQL_SEAL_JOB_INSERT,
		        FM_PARAMS(FM_TEXT(id), FM_TEXT(current->id), FM_INT(fm_time_now_ms())), err);
	return status;
}

struct seal_job {
	int64_t key, position;
	bool current, running; /* both false where there is none */
};

static enum fm_status find_job(
        struct fm_connection *connection, struct seal_job *ret_job, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	const struct fm_seal *current = &connection->sealer->seals[0];
	char kind[FM_SEAL_ID + 5];
	bool found;
	enum fm_status status = fm_query_start(&query, connection, FM_SQL_SEAL_JOB, NULL, 0, err);

	if (status == FM_OK)
		status = fm_query_next(&query, &found, err);
	if (status != FM_OK)
		return status;
	*ret_job = (struct seal_job){0};
	if (!found)
		return FM_OK;
	const char *of = (const char *)sqlite3_column_text(query.statement, 2);
	const char *state = (const char *)sqlite3_column_text(query.statement, 3);

	snprintf(kind, sizeof(kind), "seal:%s", current->id);
	ret_job->key = sqlite3_column_int64(query.statement, 0);
	ret_job->position = sqlite3_column_int64(query.statement, 1);
	ret_job->current = of && strcmp(of, kind) == 0;
	ret_job->running = ret_job->current && state && strcmp(state, "running") == 0;
	return FM_OK;
}

enum fm_status fm_sealed_attach(struct fm_gallery *gallery, struct fm_error *err)
{
	struct fm_sealer *sealer = gallery->sealer.count ? &gallery->sealer : NULL;
	struct seal_job job;
	enum fm_status status = fm_sealed_match(&gallery->writer, sealer, err);

	if (status != FM_OK || !sealer)
		return status;
	gallery->writer.sealer = sealer;
	for (size_t i = 0; i < FM_GALLERY_READERS; i++)
		gallery->readers[i].sealer = sealer;
	status = find_job(&gallery->writer, &job, err);
	if (status == FM_OK && !job.current) {
		struct adoption adoption = {sealer, sealer->seals[0].row};

		status = fm_gallery_change(
		        gallery, &(struct fm_change){.run = adopt, .context = &adoption}, err);
	}
	return status;
}

struct reseal {
	size_t limit, count;
};

/* The next row of a query that is not sealed with the current key, its bytes opened. */
struct plain {
	int64_t key;
	char id[FM_UUID_TEXT];
	char *model;
	size_t bytes;
	uint8_t *data;
};

static void plain_done(struct plain *plain)
{
	if (plain->data)
		fm_wipe(plain->data, plain->bytes);
	free(plain->data);
	free(plain->model);
	memset(plain, 0, sizeof(*plain));
}

/* Columns: key, blob, seal, face's id, model (or NULL: a crop), bytes that are meant. *ret_found: plain->key.
 */
static enum fm_status next_plain(struct fm_connection *connection, enum fm_sql sql,
        const struct fm_param *params, size_t count, struct plain *plain, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	char purpose[FM_PURPOSE_BYTES];
	bool found;
	enum fm_status status = fm_query_start(&query, connection, sql, params, count, err);

	if (status == FM_OK)
		status = fm_query_next(&query, &found, err);
	if (status != FM_OK || !found)
		return status;
	const void *blob = sqlite3_column_blob(query.statement, 1);
	size_t blob_bytes = (size_t)sqlite3_column_bytes(query.statement, 1);
	int64_t seal = sqlite3_column_int64(query.statement, 2);
	const char *id = (const char *)sqlite3_column_text(query.statement, 3);
	int64_t bytes = sqlite3_column_int64(query.statement, 5);

	plain->key = sqlite3_column_int64(query.statement, 0);
	if (!blob || !id || strlen(id) != FM_UUID_TEXT - 1 || bytes < 1 || (size_t)bytes > blob_bytes)
		return fm_fail(
		        err, FM_E_CORRUPT, "gallery: row %lld cannot be sealed", (long long)plain->key);
	memcpy(plain->id, id, FM_UUID_TEXT);
	status = fm_query_text(&query, 4, &plain->model, err);
	if (status != FM_OK)
		return status;
	/* Plain embeddings stand behind zeros, plain crops before them. */
	size_t skip = !seal && plain->model ? blob_bytes - (size_t)bytes : 0;

	plain->data = fm_calloc(1, blob_bytes);
	plain->bytes = (size_t)bytes;
	if (!plain->data)
		return fm_fail(err, FM_E_NOMEM, "gallery: no memory to seal a row");
	fm_seal_purpose(plain->id, plain->model, purpose);
	if (!seal) {
		memcpy(plain->data, (const uint8_t *)blob + skip, plain->bytes);
		return FM_OK;
	}
	if (blob_bytes != plain->bytes + FM_SEAL_OVERHEAD_BYTES)
		return fm_fail(
		        err, FM_E_CORRUPT, "gallery: row %lld has another size", (long long)plain->key);
	return fm_sealer_open(connection->sealer, seal, purpose, blob, blob_bytes, plain->data, err);
}

static enum fm_status store_sealed(
        struct fm_connection *connection, enum fm_sql sql, const struct plain *plain, struct fm_error *err)
{
	const struct fm_sealer *sealer = connection->sealer;
	size_t bytes = plain->bytes + FM_SEAL_OVERHEAD_BYTES;
	fm_autofree uint8_t *blob = fm_calloc(1, bytes);
	char purpose[FM_PURPOSE_BYTES];

	if (!blob)
		return fm_fail(err, FM_E_NOMEM, "gallery: no memory to seal a row");
	fm_seal_purpose(plain->id, plain->model, purpose);
	fm_sealer_seal(sealer, purpose, plain->data, plain->bytes, blob);
	return fm_execute(connection, sql,
	        FM_PARAMS(FM_INT(plain->key), FM_BLOB(blob, bytes), FM_INT(sealer->seals[0].row)), err);
}

/* Seals every row that a query gives until it gives none. */
static enum fm_status reseal_rows(struct fm_connection *connection, enum fm_sql find, enum fm_sql store,
        int64_t face_key, struct fm_error *err)
{
	enum fm_status status = FM_OK;
	int64_t key;

	do {
		fm_cleanup(plain_done) struct plain plain = {0};

		status = next_plain(connection, find,
		        FM_PARAMS(FM_INT(face_key), FM_INT(connection->sealer->seals[0].row)), &plain, err);
		key = plain.key;
		if (status == FM_OK && key)
			status = store_sealed(connection, store, &plain, err);
	} while (status == FM_OK && key);
	return status;
}

/* The next face, with its crop and what it has under other models; *ret_found is false after the last. */
static enum fm_status reseal_face(
        struct fm_connection *connection, struct seal_job *job, bool *ret_found, struct fm_error *err)
{
	fm_cleanup(plain_done) struct plain plain = {0};
	const struct fm_param current = FM_INT(connection->sealer->seals[0].row);
	enum fm_status status = next_plain(
	        connection, FM_SQL_FACE_UNSEALED, FM_PARAMS(FM_INT(job->position), current), &plain, err);

	*ret_found = plain.key != 0;
	if (status != FM_OK || !plain.key)
		return status;
	job->position = plain.key;
	status = store_sealed(connection, FM_SQL_FACE_SEAL, &plain, err);
	/* These are never under an older key than their face. */
	if (status == FM_OK)
		status = reseal_rows(connection, FM_SQL_CROP_UNSEALED, FM_SQL_CROP_SEAL, plain.key, err);
	if (status == FM_OK)
		status = reseal_rows(
		        connection, FM_SQL_EMBEDDING_UNSEALED, FM_SQL_EMBEDDING_SEAL, plain.key, err);
	return status;
}

static enum fm_status reseal(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct reseal *reseal = context;
	struct seal_job job;
	bool more = true;
	enum fm_status status = find_job(connection, &job, err);

	reseal->count = 0;
	if (status != FM_OK || !job.running)
		return status;
	while (status == FM_OK && more && reseal->count < reseal->limit) {
		status = reseal_face(connection, &job, &more, err);
		reseal->count += status == FM_OK && more;
	}
	if (status == FM_OK)
		status = fm_execute(connection, FM_SQL_SEAL_JOB_ADVANCE,
		        FM_PARAMS(FM_INT(job.key), FM_INT(job.position), FM_INT((int64_t)reseal->count),
		                FM_TEXT(more ? "running" : "done"), FM_INT(fm_time_now_ms())),
		        err);
	if (status == FM_OK && !more)
		status = fm_execute(connection, FM_SQL_SEAL_RETIRE_OTHERS,
		        FM_PARAMS(FM_INT(connection->sealer->seals[0].row), FM_INT(fm_time_now_ms())), err);
	return status;
}

static enum fm_status is_running(struct fm_gallery *gallery, bool *ret_running, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	struct seal_job job;
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = find_job(reader.connection, &job, err);
	if (status == FM_OK)
		*ret_running = job.running;
	return status;
}

enum fm_status fm_gallery_reseal(
        struct fm_gallery *gallery, size_t limit, size_t *ret_count, struct fm_error *err)
{
	struct reseal context = {.limit = limit};
	bool running = false;
	enum fm_status status = FM_OK;

	if (limit < 1 || limit > BATCH_MAX)
		return fm_fail(err, FM_E_INVALID, "limit: 1 to %d faces", BATCH_MAX);
	if (gallery->sealer.count)
		status = is_running(gallery, &running, err);
	if (status == FM_OK && running) /* what was plain, or under a key that leaked, must leave the log */
		status = fm_gallery_change(gallery,
		        &(struct fm_change){.run = reseal, .context = &context, .erases = true}, err);
	if (status == FM_OK)
		*ret_count = context.count;
	return status;
}
