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

enum fm_problem fm_handle_collection_create(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	json_t *object;
	enum fm_problem problem = fm_request_json(exchange->request, &object, err);

	if (problem)
		return problem;
	const char *name = json_string_value(json_object_get(object, "name"));
	enum fm_status status = name ? fm_name_check("\"name\"", name, err)
	                             : fm_fail(err, FM_E_INVALID, "\"name\" is missing or not a string");
	if (!status)
		status = fm_gallery_collection_create(exchange->app->gallery, name, &collection, err);
	if (status)
		return fm_problem_of(status);
	return fm_common_reply(exchange, 201, fm_shape_collection(&collection), err);
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
