/* /v1/people and /v1/people/{id} */
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"
#include "daemon/handlers/shape.h"
#include "lib/base/cleanup.h"

#include <string.h>

#include "lib/base/banned.h"

#define PAGE_MAX     1000
#define PAGE_DEFAULT 100

/* A string member that is fit for a name; NULL where it is absent. */
static enum fm_status read_string(
        json_t *object, const char *key, const char **ret_text, struct fm_error *err)
{
	json_t *member = json_object_get(object, key);

	*ret_text = json_string_value(member);
	if (!member)
		return FM_OK;
	if (!*ret_text)
		return fm_fail(err, FM_E_INVALID, "\"%s\" is not a string", key);
	return fm_name_check(key, *ret_text, err);
}

/* *ret_metadata holds what fields->metadata points at; the caller frees it. */
static enum fm_status read_fields(
        json_t *object, struct fm_person_fields *fields, char **ret_metadata, struct fm_error *err)
{
	json_t *metadata = json_object_get(object, "metadata");
	json_t *external_id = json_object_get(object, "external_id");
	enum fm_status status = read_string(object, "name", &fields->name, err);

	fields->clear_external_id = json_is_null(external_id);
	if (!status && !fields->clear_external_id)
		status = read_string(object, "external_id", &fields->external_id, err);
	if (status || !metadata)
		return status;
	if (json_is_null(metadata)) {
		fields->metadata = "{}";
		return FM_OK;
	}
	if (!json_is_object(metadata))
		return fm_fail(err, FM_E_INVALID, "\"metadata\" is not an object");
	*ret_metadata = json_dumps(metadata, JSON_COMPACT);
	if (!*ret_metadata)
		return fm_fail(err, FM_E_NOMEM, "no memory for the metadata");
	if (strlen(*ret_metadata) > FM_METADATA_MAX_BYTES)
		return fm_fail(
		        err, FM_E_INVALID, "\"metadata\" has more than %d bytes", FM_METADATA_MAX_BYTES);
	fields->metadata = *ret_metadata;
	return FM_OK;
}

enum fm_problem fm_handle_people_create(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	fm_autofree char *metadata = NULL;
	struct fm_person_fields fields = {0};
	json_t *object;
	enum fm_problem problem = fm_request_json(exchange->request, &object, err);

	if (!problem)
		problem = fm_problem_of(read_fields(object, &fields, &metadata, err));
	if (!problem && !fields.name) {
		fm_fail(err, FM_E_INVALID, "\"name\" is missing");
		problem = FM_PROBLEM_BAD_REQUEST;
	}
	if (!problem)
		problem = fm_common_collection(exchange, &collection, err);
	if (!problem)
		problem = fm_problem_of(fm_gallery_person_create(
		        exchange->app->gallery, collection.key, &fields, &person, err));
	if (problem)
		return problem;
	fm_reply_header(&exchange->reply, "Location", "/v1/people/%s", person.id);
	return fm_common_reply(exchange, 201, fm_shape_person(&person), err);
}

struct people {
	struct fm_person *list;
	size_t count;
};

static void people_done(struct people *people)
{
	for (size_t i = 0; i < people->count; i++)
		fm_person_done(&people->list[i]);
	free(people->list);
}

/* A page of the one person with this external_id, or of nobody. */
static enum fm_status find_external(struct fm_exchange *exchange, int64_t collection_key,
        const char *external_id, struct people *ret_people, struct fm_error *err)
{
	struct fm_person person;
	enum fm_status status = fm_gallery_person_get_by_external_id(
	        exchange->app->gallery, collection_key, external_id, &person, err);

	if (status)
		return status == FM_E_NOT_FOUND ? FM_OK : status;
	ret_people->list = malloc(sizeof(person));
	if (!ret_people->list) {
		fm_person_done(&person);
		return fm_fail(err, FM_E_NOMEM, "no memory for a person");
	}
	ret_people->list[ret_people->count++] = person;
	return FM_OK;
}

enum fm_problem fm_handle_people_list(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	fm_cleanup(people_done) struct people people = {0};
	const char *name = fm_request_query(exchange->request, "name");
	const char *after = fm_request_query(exchange->request, "after");
	const char *external_id = fm_request_query(exchange->request, "external_id");
	char next[FM_UUID_TEXT] = "";
	long limit;
	enum fm_problem problem = fm_problem_of(
	        fm_request_integer(exchange->request, "limit", 1, PAGE_MAX, PAGE_DEFAULT, &limit, err));

	if (!problem && external_id && (name || after)) {
		fm_fail(err, FM_E_INVALID, "external_id goes with neither name nor after");
		problem = FM_PROBLEM_BAD_REQUEST;
	}
	if (!problem)
		problem = fm_common_collection(exchange, &collection, err);
	if (!problem)
		problem = fm_problem_of(
		        external_id ? find_external(exchange, collection.key, external_id, &people, err)
		                    : fm_gallery_person_list(exchange->app->gallery, collection.key, name,
		                              after, (size_t)limit, &people.list, &people.count, next, err));
	if (problem)
		return problem;
	json_t *array = json_array();
	for (size_t i = 0; array && i < people.count; i++)
		json_array_append_new(array, fm_shape_person(&people.list[i]));
	return fm_common_reply(
	        exchange, 200, json_pack("{s:o, s:s?}", "people", array, "next", next[0] ? next : NULL), err);
}

/* The collection and the id of the path: what the three functions below begin with. */
static enum fm_problem locate(struct fm_exchange *exchange, struct fm_collection *collection,
        char id[FM_UUID_TEXT], struct fm_error *err)
{
	enum fm_problem problem = fm_common_id(exchange, 0, "person", id, err);

	return problem ? problem : fm_common_collection(exchange, collection, err);
}

enum fm_problem fm_handle_person_get(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	char id[FM_UUID_TEXT];
	enum fm_problem problem = locate(exchange, &collection, id, err);

	if (!problem)
		problem = fm_problem_of(
		        fm_gallery_person_get(exchange->app->gallery, collection.key, id, &person, err));
	return problem ? problem : fm_common_reply(exchange, 200, fm_shape_person(&person), err);
}

enum fm_problem fm_handle_person_update(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	fm_autofree char *metadata = NULL;
	struct fm_person_fields fields = {0};
	char id[FM_UUID_TEXT];
	json_t *object;
	enum fm_problem problem = locate(exchange, &collection, id, err);

	if (!problem)
		problem = fm_request_json(exchange->request, &object, err);
	if (!problem)
		problem = fm_problem_of(read_fields(object, &fields, &metadata, err));
	if (!problem)
		problem = fm_problem_of(fm_gallery_person_update(
		        exchange->app->gallery, collection.key, id, &fields, &person, err));
	return problem ? problem : fm_common_reply(exchange, 200, fm_shape_person(&person), err);
}

enum fm_problem fm_handle_person_delete(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	char id[FM_UUID_TEXT];
	enum fm_problem problem = locate(exchange, &collection, id, err);

	if (!problem)
		problem = fm_problem_of(fm_gallery_person_delete(
		        exchange->app->gallery, collection.key, id, fm_common_actor(exchange), err));
	if (!problem)
		fm_reply_no_content(&exchange->reply);
	return problem;
}
