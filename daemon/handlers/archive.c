/* GET /v1/admin/export, POST /v1/admin/import: a collection out of a gallery and into another. */
#include "daemon/archive.h"
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"
#include "lib/base/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define PAGE_MAX     1000
#define PAGE_DEFAULT 100
#define PAGE_BYTES   (8 << 20) /* a page ends with the line that passes it */
#define REFUSED_MAX  100       /* lines that a reply names */

/* ---- export ---- */

struct page {
	struct fm_buf out;
	size_t faces;
};

static void page_done(struct page *page)
{
	fm_buf_done(&page->out);
}

static enum fm_status end_page(const struct page *page)
{
	return page->out.length > PAGE_BYTES ? FM_E_CANCELLED : FM_OK;
}

static enum fm_status put_person(void *context, const struct fm_person *person, struct fm_error *err)
{
	struct page *page = context;
	enum fm_status status = fm_archive_put_person(&page->out, person, err);

	return status ? status : end_page(page);
}

static enum fm_status put_face(void *context, const struct fm_person *person,
        const struct fm_face_export *face, struct fm_error *err)
{
	struct page *page = context;
	enum fm_status status = fm_archive_put_face(&page->out, person->id, face, err);

	page->faces++;
	return status ? status : end_page(page);
}

/* The cursor: where the gallery's walk is. */
static enum fm_status read_place(
        const struct fm_request *request, struct fm_export_place *ret_place, struct fm_error *err)
{
	const char *text = fm_request_query(request, "after");
	struct fm_export_place place = {0};
	int used = 0;

	if (text && (sscanf(text, "%18" SCNd64 ".%19" SCNd64 "%n", &place.person_key, &place.face_key,
	                     &used) != 2 ||
	                    text[used] || place.person_key < 1 || place.face_key < 0))
		return fm_fail(err, FM_E_INVALID, "after: unknown cursor");
	*ret_place = place;
	return FM_OK;
}

enum fm_problem fm_handle_export(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	fm_cleanup(page_done) struct page page = {0};
	const struct fm_export_visitor visitor = {&page, put_person, put_face};
	struct fm_export_place place;
	bool more = false;
	long limit;
	size_t length = 0;

	fm_buf_init(&page.out, PAGE_BYTES + FM_ARCHIVE_LINE_MAX_BYTES);
	enum fm_status status =
	        fm_request_integer(exchange->request, "limit", 1, PAGE_MAX, PAGE_DEFAULT, &limit, err);
	if (!status)
		status = read_place(exchange->request, &place, err);
	if (status)
		return fm_problem_of(status);
	enum fm_problem problem = fm_common_collection(exchange, &collection, err);
	if (problem)
		return problem;
	status = fm_gallery_export(exchange->app->gallery, collection.key,
	        fm_serving_model(exchange->serving), (size_t)limit, &visitor, &place, &more, err);
	/* What cannot be recorded does not leave. */
	if (!status)
		status = fm_gallery_audit_passage(exchange->app->gallery, &collection, "export",
		        (int64_t)page.faces, fm_common_actor(exchange), err);
	if (status)
		return fm_problem_of(status);
	char *text = fm_buf_take(&page.out, &length);
	if (!text)
		text = strdup(""); /* nobody is in the collection */
	fm_reply_text(&exchange->reply, 200, "application/x-ndjson", text, length);
	if (more)
		fm_reply_header(&exchange->reply, "X-Next-Cursor", "%" PRId64 ".%" PRId64, place.person_key,
		        place.face_key);
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
	/* What came in before the gallery failed is there to stay. */
	if (intake.people + intake.faces) {
		enum fm_status recorded = fm_gallery_audit_passage(exchange->app->gallery, &collection,
		        "import", (int64_t)intake.faces, fm_common_actor(exchange), status ? NULL : err);
		status = status ? status : recorded;
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
