/* GET /v1/people/{id}/faces, GET and DELETE /v1/faces/{id}, GET /v1/faces/{id}/crop */
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"
#include "daemon/handlers/shape.h"
#include "lib/base/cleanup.h"

#include "lib/base/banned.h"

struct faces {
	struct fm_face_record *list;
	size_t count;
};

static void faces_done(struct faces *faces)
{
	for (size_t i = 0; i < faces->count; i++)
		fm_face_record_done(&faces->list[i]);
	free(faces->list);
}

enum fm_problem fm_handle_faces_list(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	fm_cleanup(faces_done) struct faces faces = {0};
	struct fm_gallery *gallery = exchange->app->gallery;
	char id[FM_UUID_TEXT];
	enum fm_problem problem = fm_common_id(exchange, 0, "person", id, err);

	if (!problem)
		problem = fm_common_collection(exchange, &collection, err);
	if (!problem)
		problem = fm_problem_of(fm_gallery_person_get(gallery, collection.key, id, &person, err));
	if (!problem)
		problem = fm_problem_of(
		        fm_gallery_face_list(gallery, person.key, &faces.list, &faces.count, err));
	if (problem)
		return problem;
	json_t *array = json_array();
	for (size_t i = 0; array && i < faces.count; i++)
		json_array_append_new(array, fm_shape_face_record(&faces.list[i]));
	return fm_common_reply(exchange, 200, json_pack("{s:o}", "faces", array), err);
}

enum fm_problem fm_handle_face_get(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	fm_cleanup(fm_face_record_done) struct fm_face_record face = {0};
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	struct fm_gallery *gallery = exchange->app->gallery;
	char id[FM_UUID_TEXT];
	enum fm_problem problem = fm_common_id(exchange, 0, "face", id, err);

	if (!problem)
		problem = fm_common_collection(exchange, &collection, err);
	if (!problem)
		problem = fm_problem_of(fm_gallery_face_get(gallery, collection.key, id, &face, err));
	if (!problem)
		problem = fm_problem_of(fm_gallery_person_get_by_key(gallery, face.person_key, &person, err));
	if (problem)
		return problem;
	json_t *body = fm_shape_face_record(&face);

	if (body)
		json_object_set_new(body, "person", fm_shape_person_brief(&person));
	return fm_common_reply(exchange, 200, body, err);
}

enum fm_problem fm_handle_face_delete(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	char id[FM_UUID_TEXT];
	enum fm_problem problem = fm_common_id(exchange, 0, "face", id, err);

	if (!problem)
		problem = fm_common_collection(exchange, &collection, err);
	if (!problem)
		problem = fm_problem_of(fm_gallery_face_delete(
		        exchange->app->gallery, collection.key, id, fm_common_actor(exchange), err));
	if (!problem)
		fm_reply_no_content(&exchange->reply);
	return problem;
}

enum fm_problem fm_handle_face_crop(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	char id[FM_UUID_TEXT];
	uint8_t *crop;
	size_t bytes;
	enum fm_problem problem = fm_common_id(exchange, 0, "face", id, err);

	if (!problem)
		problem = fm_common_collection(exchange, &collection, err);
	if (!problem)
		problem = fm_problem_of(
		        fm_gallery_crop_get(exchange->app->gallery, collection.key, id, &crop, &bytes, err));
	if (!problem)
		fm_reply_text(&exchange->reply, 200, "image/jpeg", (char *)crop, bytes);
	return problem;
}
