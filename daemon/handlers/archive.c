/* GET /v1/admin/export, POST /v1/admin/import: a collection out of a gallery and into another. */
#include "daemon/archive.h"
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"
#include "lib/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define PAGE_MAX       1000
#define PAGE_DEFAULT   100
#define PAGE_BYTES     (8 << 20) /* a page ends with the person who passes it */
#define PAGE_BYTES_MAX (256 << 20)
#define REFUSED_MAX    100 /* lines that a reply names */

/* ---- export ---- */

struct people {
	struct fm_person *people;
	size_t count;
};

static void people_done(struct people *list)
{
	for (size_t i = 0; i < list->count; i++)
		fm_person_done(&list->people[i]);
	free(list->people);
}

struct faces {
	struct fm_face_export *faces;
	size_t count;
};

static void faces_done(struct faces *list)
{
	for (size_t i = 0; i < list->count; i++)
		fm_face_export_done(&list->faces[i]);
	free(list->faces);
}

/* The embedding of the network that serves, where the face was brought over to it. */
static enum fm_status take_current(
        struct fm_exchange *exchange, struct fm_face_export *face, struct fm_error *err)
{
	const char *model = fm_serving_model(exchange->serving);
	size_t dim = exchange->serving->models->embedding->dim;
	bool found = false;

	if (strcmp(face->model, model) == 0)
		return FM_OK;
	float *embedding = calloc(dim, sizeof(*embedding));
	char *name = strdup(model);
	enum fm_status status = embedding && name ? fm_gallery_face_embeddings(exchange->app->gallery, model,
	                                                    dim, &face->record.key, 1, embedding, &found, err)
	                                          : fm_fail(err, FM_E_NOMEM, "no memory for the archive");
	if (status || !found) {
		free(embedding);
		free(name);
		return status;
	}
	free(face->embedding);
	free(face->model);
	face->embedding = embedding;
	face->model = name;
	face->dim = dim;
	return FM_OK;
}

static enum fm_status put_person(struct fm_exchange *exchange, const struct fm_person *person,
        struct fm_buf *out, struct fm_error *err)
{
	struct fm_gallery *gallery = exchange->app->gallery;
	fm_cleanup(faces_done) struct faces list = {0};
	enum fm_status status = fm_gallery_face_export(gallery, person->key, &list.faces, &list.count, err);

	/* Who was deleted meanwhile is in no archive. */
	if (status == FM_E_NOT_FOUND)
		return FM_OK;
	if (!status)
		status = fm_archive_put_person(out, person, err);
	for (size_t i = 0; !status && i < list.count; i++) {
		fm_autofree uint8_t *crop = NULL;
		size_t crop_bytes = 0;
		status = take_current(exchange, &list.faces[i], err);
		if (!status)
			status = fm_gallery_crop_get_by_key(
			        gallery, list.faces[i].record.key, &crop, &crop_bytes, err);
		if (!status || status == FM_E_NOT_FOUND)
			status = fm_archive_put_face(out, person->id, &list.faces[i], crop, crop_bytes, err);
	}
	return status;
}

enum fm_problem fm_handle_export(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	fm_cleanup(people_done) struct people page = {0};
	fm_cleanup(fm_buf_done) struct fm_buf out;
	char next[FM_UUID_TEXT] = "";
	long limit;
	size_t length = 0;

	fm_buf_init(&out, PAGE_BYTES_MAX);
	enum fm_problem problem = fm_problem_of(
	        fm_request_integer(exchange->request, "limit", 1, PAGE_MAX, PAGE_DEFAULT, &limit, err));
	if (!problem)
		problem = fm_common_collection(exchange, &collection, err);
	if (!problem)
		problem = fm_problem_of(fm_gallery_person_list(exchange->app->gallery, collection.key, NULL,
		        fm_request_query(exchange->request, "after"), (size_t)limit, &page.people,
		        &page.count, next, err));
	for (size_t i = 0; !problem && i < page.count; i++) {
		problem = fm_problem_of(put_person(exchange, &page.people[i], &out, err));
		if (!problem && out.length > PAGE_BYTES && i + 1 < page.count) {
			memcpy(next, page.people[i].id, sizeof(next));
			break;
		}
	}
	if (problem)
		return problem;
	char *text = fm_buf_take(&out, &length);
	if (!text)
		text = strdup(""); /* nobody is in the collection */
	fm_reply_text(&exchange->reply, 200, "application/x-ndjson", text, length);
	if (next[0])
		fm_reply_header(&exchange->reply, "X-Next-Cursor", "%s", next);
	return FM_PROBLEM_NONE;
}

/* ---- import ---- */

struct intake {
	struct fm_exchange *exchange;
	int64_t collection_key;
	size_t people, faces, present, refused;
	json_t *refusals;
};

static enum fm_status take_person(
        struct intake *intake, const struct fm_person_fields *fields, struct fm_error *err)
{
	struct fm_gallery *gallery = intake->exchange->app->gallery;
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	enum fm_status status =
	        fm_gallery_person_get(gallery, intake->collection_key, fields->id, &person, err);

	if (status == FM_OK) {
		intake->present++;
		return FM_OK;
	}
	if (status == FM_E_NOT_FOUND)
		status = fm_gallery_person_create(gallery, intake->collection_key, fields, &person, err);
	intake->people += status == FM_OK;
	return status;
}

static enum fm_status take_face(
        struct intake *intake, const struct fm_archive_line *line, struct fm_error *err)
{
	struct fm_gallery *gallery = intake->exchange->app->gallery;
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	fm_cleanup(fm_face_record_done) struct fm_face_record face = {0};
	struct fm_face_insert insert = line->face;
	bool existed = false;
	enum fm_status status =
	        fm_gallery_person_get(gallery, intake->collection_key, line->person_id, &person, err);

	/* What the operator does not want kept is not kept either when it comes from elsewhere. */
	if (!intake->exchange->config->keep_crops)
		insert.crop = NULL;
	if (!status)
		status = fm_gallery_face_add(gallery, person.key, &insert, &face, &existed, err);
	if (!status)
		(*(existed ? &intake->present : &intake->faces))++;
	return status;
}

/* What is wrong with the line, and not with the gallery or the machine, is for the reply. */
static bool is_refusal(enum fm_status status)
{
	return status == FM_E_INVALID || status == FM_E_TOO_LARGE || status == FM_E_CONFLICT ||
	       status == FM_E_NOT_FOUND || status == FM_E_UNSUPPORTED;
}

static enum fm_status take_line(
        struct intake *intake, const char *text, size_t length, size_t number, struct fm_error *err)
{
	fm_cleanup(fm_archive_line_done) struct fm_archive_line line = {0};
	enum fm_status status = fm_archive_read(text, length, &line, err);

	if (!status)
		status =
		        line.is_face ? take_face(intake, &line, err) : take_person(intake, &line.person, err);
	if (!is_refusal(status))
		return status;
	intake->refused++;
	if (json_array_size(intake->refusals) < REFUSED_MAX) {
		fm_utf8_repair(err->message);
		json_array_append_new(intake->refusals,
		        json_pack("{s:I, s:s}", "line", (json_int_t)number, "detail", err->message));
	}
	return FM_OK;
}

enum fm_problem fm_handle_import(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	struct intake intake = {.exchange = exchange};
	const struct fm_buf *body = &exchange->request->body;
	enum fm_problem problem = fm_common_collection(exchange, &collection, err);
	enum fm_status status = FM_OK;
	size_t number = 0;

	if (problem)
		return problem;
	intake.collection_key = collection.key;
	intake.refusals = json_array();
	for (size_t at = 0; !status && at < body->length; number++) {
		const char *line = body->data + at, *end = memchr(line, '\n', body->length - at);
		size_t length = end ? (size_t)(end - line) : body->length - at;
		if (length)
			status = take_line(&intake, line, length, number + 1, err);
		at += length + 1;
	}
	if (status) {
		json_decref(intake.refusals);
		return fm_problem_of(status);
	}
	return fm_common_reply(exchange, 200,
	        json_pack("{s:I, s:I, s:I, s:I, s:o}", "people", (json_int_t)intake.people, "faces",
	                (json_int_t)intake.faces, "present", (json_int_t)intake.present, "refused",
	                (json_int_t)intake.refused, "refusals", intake.refusals),
	        err);
}
