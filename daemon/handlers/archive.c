/* GET /v1/admin/export, POST /v1/admin/import: a collection out of a gallery and into another. */
#include "daemon/archive.h"
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define PAGE_MAX     1000
#define PAGE_DEFAULT 100
#define PAGE_BYTES   (8 << 20) /* a page ends with the line that passes it */
#define REFUSED_MAX  100       /* lines that a reply names */
#define GROUP_LINES  128       /* that come in together */
#define GROUP_BYTES  (1 << 20)

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

/* Lines that come in together, in one transaction. */
struct group {
	struct fm_archive_line lines[GROUP_LINES];
	struct fm_newcomer newcomers[GROUP_LINES];
	size_t numbers[GROUP_LINES]; /* in the request */
	size_t count, bytes;
};

static void group_clear(struct group *group)
{
	for (size_t i = 0; i < group->count; i++)
		fm_archive_line_done(&group->lines[i]);
	group->count = group->bytes = 0;
}

static void group_free(struct group **group)
{
	if (*group)
		group_clear(*group);
	free(*group);
}

struct intake {
	struct fm_exchange *exchange;
	int64_t collection_key;
	size_t people, faces, present, refused;
	json_t *refusals;
};

static void refuse(struct intake *intake, size_t number, struct fm_error *why)
{
	intake->refused++;
	if (json_array_size(intake->refusals) >= REFUSED_MAX)
		return;
	fm_utf8_repair(why->message);
	json_array_append_new(intake->refusals,
	        json_pack("{s:I, s:s}", "line", (json_int_t)number, "detail", why->message));
}

static enum fm_status take_group(struct intake *intake, struct group *group, struct fm_error *err)
{
	if (!group->count)
		return FM_OK;
	enum fm_status status = fm_gallery_take_newcomers(
	        intake->exchange->app->gallery, intake->collection_key, group->newcomers, group->count, err);

	for (size_t i = 0; !status && i < group->count; i++) {
		struct fm_newcomer *newcomer = &group->newcomers[i];

		if (newcomer->status)
			refuse(intake, group->numbers[i], &newcomer->err);
		else
			++*(newcomer->existed    ? &intake->present
			        : newcomer->face ? &intake->faces
			                         : &intake->people);
	}
	group_clear(group);
	return status;
}

static enum fm_status take_line(struct intake *intake, struct group *group, const char *text, size_t length,
        size_t number, struct fm_error *err)
{
	struct fm_archive_line *line = &group->lines[group->count];
	struct fm_newcomer *newcomer = &group->newcomers[group->count];
	enum fm_status status = fm_archive_read(text, length, line, err);

	*newcomer = (struct fm_newcomer){0};
	if (status == FM_E_INVALID || status == FM_E_TOO_LARGE) {
		newcomer->refused = true;
		newcomer->status = status;
		newcomer->err = *err;
	} else if (status) {
		return status;
	} else if (line->is_face) {
		/* What the operator does not want kept is not kept either when it comes from elsewhere. */
		if (!intake->exchange->config->keep_crops)
			line->face.crop = NULL;
		newcomer->face = &line->face;
		newcomer->person_id = line->person_id;
	} else {
		newcomer->person = &line->person;
	}
	group->numbers[group->count++] = number;
	group->bytes += length;
	return group->count == GROUP_LINES || group->bytes > GROUP_BYTES ? take_group(intake, group, err)
	                                                                 : FM_OK;
}

enum fm_problem fm_handle_import(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	fm_cleanup(group_free) struct group *group = NULL;
	struct intake intake = {.exchange = exchange};
	const struct fm_buf *body = &exchange->request->body;
	enum fm_problem problem = fm_common_collection(exchange, &collection, err);
	enum fm_status status = FM_OK;
	size_t number = 0;

	if (problem)
		return problem;
	group = fm_calloc(1, sizeof(*group));
	if (!group)
		return fm_problem_of(fm_fail(err, FM_E_NOMEM, "no memory for an archive"));
	intake.collection_key = collection.key;
	intake.refusals = json_array();
	for (size_t at = 0; !status && at < body->length; number++) {
		const char *line = body->data + at, *end = memchr(line, '\n', body->length - at);
		size_t length = end ? (size_t)(end - line) : body->length - at;
		if (length)
			status = take_line(&intake, group, line, length, number + 1, err);
		at += length + 1;
	}
	if (!status)
		status = take_group(&intake, group, err);
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
