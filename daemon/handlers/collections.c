/* /v1/collections and /v1/collections/{name} */
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"
#include "daemon/handlers/shape.h"
#include "lib/base/cleanup.h"

#include "lib/base/banned.h"

static enum fm_status append(void *context, const struct fm_collection *collection, struct fm_error *err)
{
	if (json_array_append_new(context, fm_shape_collection(collection)))
		return fm_fail(err, FM_E_NOMEM, "no memory for the reply");
	return FM_OK;
}

enum fm_problem fm_handle_collections_list(struct fm_exchange *exchange, struct fm_error *err)
{
	json_t *array = json_array();
	enum fm_status status = fm_gallery_collection_each(exchange->app->gallery, append, array, err);

	if (status) {
		json_decref(array);
		return fm_problem_of(status);
	}
	return fm_common_reply(exchange, 200, json_pack("{s:o}", "collections", array), err);
}

/* *ret_days is 0 where the member is absent or null: faces are kept. */
static enum fm_status read_retention(json_t *object, int64_t *ret_days, struct fm_error *err)
{
	json_t *member = json_object_get(object, "retention_days");

	*ret_days = 0;
	if (!member || json_is_null(member))
		return FM_OK;
	*ret_days = json_integer_value(member);
	if (!json_is_integer(member) || *ret_days < 1 || *ret_days > FM_RETENTION_DAYS_MAX)
		return fm_fail(err, FM_E_INVALID, "\"retention_days\" is neither null nor 1 to %d",
		        FM_RETENTION_DAYS_MAX);
	return FM_OK;
}

enum fm_problem fm_handle_collection_create(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	json_t *object;
	int64_t days;
	enum fm_problem problem = fm_request_json(exchange->request, &object, err);

	if (problem)
		return problem;
	const char *name = json_string_value(json_object_get(object, "name"));
	enum fm_status status = name ? fm_name_check("\"name\"", name, err)
	                             : fm_fail(err, FM_E_INVALID, "\"name\" is missing or not a string");
	if (!status)
		status = read_retention(object, &days, err);
	if (!status)
		status = fm_gallery_collection_create(exchange->app->gallery, name, days, &collection, err);
	if (status)
		return fm_problem_of(status);
	return fm_common_reply(exchange, 201, fm_shape_collection(&collection), err);
}

enum fm_problem fm_handle_collection_update(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	const char *name = exchange->request->parameters[0];
	json_t *object;
	int64_t days;
	enum fm_problem problem = fm_request_json(exchange->request, &object, err);

	if (problem)
		return problem;
	enum fm_status status = read_retention(object, &days, err);

	if (!status && json_object_get(object, "retention_days"))
		status = fm_gallery_collection_set_retention(
		        exchange->app->gallery, name, days, &collection, err);
	else if (!status)
		status = fm_gallery_collection_get(exchange->app->gallery, name, &collection, err);
	if (status)
		return fm_problem_of(status);
	return fm_common_reply(exchange, 200, fm_shape_collection(&collection), err);
}

enum fm_problem fm_handle_collection_get(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	enum fm_status status = fm_gallery_collection_get(
	        exchange->app->gallery, exchange->request->parameters[0], &collection, err);

	if (status)
		return fm_problem_of(status);
	return fm_common_reply(exchange, 200, fm_shape_collection(&collection), err);
}

enum fm_problem fm_handle_collection_delete(struct fm_exchange *exchange, struct fm_error *err)
{
	enum fm_status status = fm_gallery_collection_delete(
	        exchange->app->gallery, exchange->request->parameters[0], fm_common_actor(exchange), err);

	if (!status)
		fm_reply_no_content(&exchange->reply);
	return fm_problem_of(status);
}
