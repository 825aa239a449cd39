/* Which model searches are answered under, and where a rollback leads. */
#include "lib/base/cleanup.h"
#include "lib/gallery/internal.h"
#include "lib/gallery/jobs.h"
#include "lib/gallery/text.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

static void copy_text(struct fm_query *query, int column, char ret_text[FM_MODEL_TEXT_BYTES])
{
	const char *text = (const char *)sqlite3_column_text(query->statement, column);

	snprintf(ret_text, FM_MODEL_TEXT_BYTES, "%s", text ? text : "");
}

enum fm_status fm_gallery_models_get(
        struct fm_gallery *gallery, struct fm_chosen_models *ret_chosen, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool found;
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_query_start(&query, reader.connection, FM_SQL_MODEL_CHOSEN, NULL, 0, err);
	if (status == FM_OK)
		status = fm_query_next(&query, &found, err);
	if (status == FM_OK && !found)
		return fm_fail(err, FM_E_CORRUPT, "gallery: its own row is missing");
	if (status == FM_OK) {
		copy_text(&query, 2, ret_chosen->active);
		copy_text(&query, 3, ret_chosen->previous);
	}
	return status;
}

struct choice {
	const char *model, *job_id;
	size_t dim;
};

static enum fm_status choose(struct fm_connection *connection, void *context, struct fm_error *err)
{
	const struct choice *choice = context;
	int64_t key, active = 0, previous = 0;
	bool found = false;
	enum fm_status status = fm_model_find_or_add(connection, choice->model, choice->dim, &key, err);

	if (status == FM_OK) {
		fm_cleanup(fm_query_done) struct fm_query query = {0};

		status = fm_query_start(&query, connection, FM_SQL_MODEL_CHOSEN, NULL, 0, err);
		if (status == FM_OK)
			status = fm_query_next(&query, &found, err);
		if (status == FM_OK && found) {
			active = sqlite3_column_int64(query.statement, 0);
			previous = sqlite3_column_int64(query.statement, 1);
		}
	}
	if (status == FM_OK)
		status = fm_execute(connection, FM_SQL_MODEL_CHOOSE,
		        FM_PARAMS(FM_INT(key), FM_INT(active && active != key ? active : previous)), err);
	if (status != FM_OK || !choice->job_id)
		return status;
	status = fm_execute(connection, FM_SQL_JOB_END,
	        FM_PARAMS(FM_TEXT(choice->job_id), FM_TEXT("done"), FM_TEXT(NULL), FM_INT(fm_time_now_ms())),
	        err);
	if (status == FM_OK && sqlite3_changes(connection->db) == 0)
		return fm_fail(err, FM_E_CONFLICT, "the job does not run any more");
	return status;
}

enum fm_status fm_gallery_models_choose(
        struct fm_gallery *gallery, const char *model, size_t dim, const char *job_id, struct fm_error *err)
{
	struct choice choice = {.model = model, .job_id = job_id, .dim = dim};
	enum fm_status status = fm_text_check(model, FM_TEXT_LINE, FM_MODEL_TEXT_BYTES - 1, "model", err);

	return status == FM_OK ? fm_gallery_change(
	                                 gallery, &(struct fm_change){.run = choose, .context = &choice}, err)
	                       : status;
}

/* Goes through the models that faces have embeddings under. */
static enum fm_status count_models(struct fm_gallery *gallery, const char *model, int64_t *ret_faces,
        size_t *ret_models, char ret_last[FM_MODEL_TEXT_BYTES], struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool row = true;
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	*ret_faces = 0;
	*ret_models = 0;
	ret_last[0] = '\0';
	if (status == FM_OK)
		status = fm_query_start(&query, reader.connection, FM_SQL_MODEL_LIST, NULL, 0, err);
	while (status == FM_OK && row) {
		status = fm_query_next(&query, &row, err);
		if (status != FM_OK || !row)
			break;
		copy_text(&query, 0, ret_last);
		++*ret_models;
		if (model && strcmp(ret_last, model) == 0)
			*ret_faces = sqlite3_column_int64(query.statement, 1);
	}
	return status;
}

enum fm_status fm_gallery_model_faces(
        struct fm_gallery *gallery, const char *model, int64_t *ret_count, struct fm_error *err)
{
	char last[FM_MODEL_TEXT_BYTES];
	int64_t faces;
	size_t models;
	enum fm_status status = count_models(gallery, model, &faces, &models, last, err);

	if (status == FM_OK)
		*ret_count = faces;
	return status;
}

enum fm_status fm_gallery_model_only(
        struct fm_gallery *gallery, char ret_model[FM_MODEL_TEXT_BYTES], struct fm_error *err)
{
	char last[FM_MODEL_TEXT_BYTES];
	int64_t faces;
	size_t models;
	enum fm_status status = count_models(gallery, NULL, &faces, &models, last, err);

	if (status == FM_OK)
		snprintf(ret_model, FM_MODEL_TEXT_BYTES, "%s", models == 1 ? last : "");
	return status;
}

enum fm_status fm_gallery_model_dim(
        struct fm_gallery *gallery, const char *model, size_t *ret_dim, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	int64_t key;
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_model_find(reader.connection, model, &key, ret_dim, err);
	if (status == FM_OK && !key)
		return fm_fail(err, FM_E_NOT_FOUND, "the gallery does not know %s", model);
	return status;
}
