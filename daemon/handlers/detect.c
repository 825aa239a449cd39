/* POST /v1/detect, POST /v1/embed */
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"
#include "daemon/handlers/shape.h"
#include "lib/base/cleanup.h"

#include "lib/base/banned.h"

enum fm_problem fm_handle_detect(struct fm_exchange *exchange, struct fm_error *err)
{
	const struct fm_embed_request embed = {.which = FM_EMBED_NONE};
	fm_cleanup(fm_faces_done) struct fm_faces faces = {0};
	enum fm_problem problem = fm_common_photo(exchange, "image", &embed, &faces, NULL, err);

	if (problem)
		return problem;
	return fm_common_reply(exchange, 200,
	        json_pack("{s:o, s:o}", "image", fm_shape_image(&faces), "faces", fm_shape_faces(&faces)),
	        err);
}

static json_t *shape_embedding(const float *embedding, size_t dim)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < dim; i++)
		json_array_append_new(array, json_real(embedding[i]));
	return array;
}

enum fm_problem fm_handle_embed(struct fm_exchange *exchange, struct fm_error *err)
{
	const struct fm_embed_request embed = {.which = FM_EMBED_ALL};
	fm_cleanup(fm_faces_done) struct fm_faces faces = {0};
	enum fm_problem problem = fm_common_photo(exchange, "image", &embed, &faces, NULL, err);

	if (problem)
		return problem;
	json_t *array = fm_shape_faces(&faces);
	for (size_t i = 0; array && i < faces.count; i++)
		json_object_set_new(json_array_get(array, i), "embedding",
		        shape_embedding(faces.faces[i].embedding, exchange->serving->models->embedding->dim));
	return fm_common_reply(exchange, 200,
	        json_pack("{s:o, s:o, s:s}", "image", fm_shape_image(&faces), "faces", array, "model",
	                fm_serving_model(exchange->serving)),
	        err);
}
