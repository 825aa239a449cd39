#include "lib/gallery/check.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/embedding.h"
#include "lib/gallery/internal.h"
#include "lib/gallery/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define TOLD_MAX 100

struct inspection {
	const struct fm_gallery_check *check;
	struct fm_connection connection;
	struct fm_sealer sealer;
	struct fm_gallery_census census;
	const char *model;
	int64_t searchable;
	int told; /* of the kind that is looked at */
};

static void inspection_done(struct inspection *inspection)
{
	fm_connection_close(&inspection->connection);
	fm_sealer_wipe(&inspection->sealer);
}

static void find(struct inspection *inspection, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
static void find(struct inspection *inspection, const char *format, ...)
{
	char text[768];
	va_list ap;

	inspection->census.findings++;
	if (inspection->told++ >= TOLD_MAX)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	inspection->check->finding(inspection->check->context, text);
}

static const char *text_of(struct fm_query *query, int column)
{
	const char *text = (const char *)sqlite3_column_text(query->statement, column);

	return text ? text : "(nothing)";
}

static int64_t integer_of(struct fm_query *query, int column)
{
	return sqlite3_column_int64(query->statement, column);
}

/* What a row of a statement says. */
typedef void (*look_at)(struct inspection *inspection, struct fm_query *query);

static void look_at_page(struct inspection *inspection, struct fm_query *query)
{
	if (strcmp(text_of(query, 0), "ok") != 0)
		find(inspection, "the file is damaged: %s", text_of(query, 0));
}

static void look_at_reference(struct inspection *inspection, struct fm_query *query)
{
	find(inspection, "row %lld of %s refers to nothing in %s", (long long)integer_of(query, 1),
	        text_of(query, 0), text_of(query, 2));
}

static void look_at_collection(struct inspection *inspection, struct fm_query *query)
{
	int64_t people = integer_of(query, 3), faces = integer_of(query, 4);

	inspection->census.collections++;
	inspection->census.people += people;
	inspection->census.faces += faces;
	if (integer_of(query, 1) != people || integer_of(query, 2) != faces)
		find(inspection, "collection %s counts %lld people and %lld faces, and has %lld and %lld",
		        text_of(query, 0), (long long)integer_of(query, 1), (long long)integer_of(query, 2),
		        (long long)people, (long long)faces);
}

static void look_at_person(struct inspection *inspection, struct fm_query *query)
{
	find(inspection, "person %s counts %lld faces, and has %lld", text_of(query, 0),
	        (long long)integer_of(query, 1), (long long)integer_of(query, 2));
}

static void look_at_model(struct inspection *inspection, struct fm_query *query)
{
	if (inspection->model && strcmp(text_of(query, 0), inspection->model) == 0)
		inspection->searchable = integer_of(query, 2);
	if (integer_of(query, 1) != integer_of(query, 2))
		find(inspection, "model %s counts %lld embeddings, and has %lld", text_of(query, 0),
		        (long long)integer_of(query, 1), (long long)integer_of(query, 2));
}

static void look_at_double(struct inspection *inspection, struct fm_query *query)
{
	find(inspection, "face %s has two embeddings under one model", text_of(query, 0));
}

static void look_at_embedding(struct inspection *inspection, struct fm_query *query)
{
	float embedding[FM_EMBEDDING_DIM_MAX];
	/* The blob first: asking for the size before it would be undefined. */
	const void *blob = sqlite3_column_blob(query->statement, 1);
	size_t bytes = (size_t)sqlite3_column_bytes(query->statement, 1);
	int64_t dim = integer_of(query, 5);
	struct fm_error err;

	inspection->census.embeddings++;
	if (dim < 1 || dim > FM_EMBEDDING_DIM_MAX) {
		find(inspection, "model %s has %lld dimensions", text_of(query, 4), (long long)dim);
		return;
	}
	enum fm_status status = fm_embedding_unpack(query->connection, text_of(query, 3), text_of(query, 4),
	        blob, bytes, integer_of(query, 2), (size_t)dim, embedding, &err);

	if (status == FM_OK)
		status = fm_embedding_check(embedding, (size_t)dim, &err);
	if (status != FM_OK)
		find(inspection, "face %s under %s: %s", text_of(query, 3), text_of(query, 4), err.message);
	fm_wipe(embedding, sizeof(embedding));
}

static void look_at_crop(struct inspection *inspection, struct fm_query *query)
{
	fm_autofree uint8_t *jpeg = NULL;
	size_t bytes = 0;
	struct fm_error err;
	enum fm_status status = fm_crop_read(query, 0, &jpeg, &bytes, &err);

	inspection->census.crops++;
	if (status == FM_OK)
		status = inspection->check->crop(inspection->check->context, jpeg, bytes, &err);
	if (status != FM_OK)
		find(inspection, "crop of face %s: %s", text_of(query, 3), err.message);
	if (jpeg)
		fm_wipe(jpeg, bytes);
}

/* A statement that fails on a damaged file is a finding; what else can be read is read. */
static void walk(struct inspection *inspection, enum fm_sql sql, look_at look)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	struct fm_error err;
	bool row = true;
	enum fm_status status = fm_query_start(&query, &inspection->connection, sql, NULL, 0, &err);

	inspection->told = 0;
	while (status == FM_OK && row) {
		status = fm_query_next(&query, &row, &err);
		if (status == FM_OK && row)
			look(inspection, &query);
	}
	if (status != FM_OK)
		find(inspection, "%s", err.message);
}

static enum fm_status open_file(
        struct inspection *inspection, const char *path, const char *key_file, struct fm_error *err)
{
	struct fm_connection *connection = &inspection->connection;
	int64_t version = 0;
	fm_autofree char *absolute = realpath(path, NULL);
	enum fm_status status =
	        absolute ? fm_connection_open_to_read(connection, absolute, err)
	                 : fm_fail(err, FM_E_NOT_FOUND, "there is no such file, or it may not be looked at");

	if (status == FM_OK)
		status = fm_schema_check(connection, err);
	if (status == FM_OK)
		status = fm_connection_integer(connection, "PRAGMA user_version", &version, err);
	if (status == FM_OK && version != fm_schema_version())
		return fm_fail(err, FM_E_UNSUPPORTED,
		        "an older facematchd wrote this gallery (schema %lld): this one migrates it when it "
		        "starts",
		        (long long)version);
	if (status == FM_OK)
		status = fm_connection_prepare(connection, err);
	if (status == FM_OK && key_file)
		status = fm_sealer_read(key_file, &inspection->sealer, err);
	if (status == FM_OK)
		status = fm_sealed_match(
		        connection, inspection->sealer.count ? &inspection->sealer : NULL, err);
	if (status == FM_OK && inspection->sealer.count)
		connection->sealer = &inspection->sealer;
	if (status == FM_OK)
		status = fm_execute(connection, FM_SQL_BEGIN_READ, NULL, 0, err);
	return status;
}

enum fm_status fm_gallery_check_file(const char *path, const char *key_file,
        const struct fm_gallery_check *check, const char *model, struct fm_gallery_census *ret_census,
        int64_t *ret_searchable, struct fm_error *err)
{
	static const struct {
		enum fm_sql sql;
		look_at look;
	} walks[] = {
	        {FM_SQL_CHECK_PAGES, look_at_page},
	        {FM_SQL_CHECK_REFERENCES, look_at_reference},
	        {FM_SQL_CHECK_COLLECTIONS, look_at_collection},
	        {FM_SQL_CHECK_PEOPLE, look_at_person},
	        {FM_SQL_CHECK_MODELS, look_at_model},
	        {FM_SQL_CHECK_TWICE, look_at_double},
	        {FM_SQL_CHECK_EMBEDDINGS, look_at_embedding},
	        {FM_SQL_CHECK_CROPS, look_at_crop},
	};
	fm_cleanup(inspection_done) struct inspection inspection = {.check = check, .model = model};
	enum fm_status status = open_file(&inspection, path, key_file, err);

	if (status != FM_OK)
		return fm_fail_prefix(err, status, "%s", path);
	for (size_t i = 0; i < sizeof(walks) / sizeof(walks[0]); i++)
		walk(&inspection, walks[i].sql, walks[i].look);
	*ret_census = inspection.census;
	*ret_searchable = inspection.searchable;
	return FM_OK;
}
