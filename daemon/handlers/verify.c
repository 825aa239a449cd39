/* POST /v1/verify: is this the same person? Two photos, or a photo and an enrolled person. */
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"
#include "daemon/handlers/shape.h"
#include "lib/base/cleanup.h"

#include <math.h>

#include "lib/base/banned.h"

/* The largest face of a photo counts. */
static enum fm_problem one_face(
        struct fm_exchange *exchange, const char *name, struct fm_faces *ret_faces, struct fm_error *err)
{
	const struct fm_embed_request embed = {.which = FM_EMBED_LARGEST};
	enum fm_problem problem = fm_common_photo(exchange, name, &embed, ret_faces, NULL, err);

	if (!problem && !ret_faces->count) {
		fm_fail(err, FM_E_NO_FACE, "no face of at least %d pixels was found in \"%s\"",
		        (int)exchange->config->min_face_px, name);
		return FM_PROBLEM_NO_FACE;
	}
	return problem;
}

/* Against `enrolled` faces, of which the nearest is at `cosine`. Takes the reference to `faces`. */
static json_t *shape_decision(struct fm_exchange *exchange, double cosine, size_t enrolled,
        double min_similarity, json_t *faces, size_t ignored)
{
	struct fm_threshold threshold =
	        fm_match_verification(exchange->serving, exchange->config, enrolled, min_similarity);
	double similarity = fm_match_similarity(exchange->serving, cosine);
	bool match = cosine >= threshold.cosine;

	fm_metrics_add(
	        exchange->app->metrics, match ? FM_COUNTER_VERIFY_MATCH : FM_COUNTER_VERIFY_DIFFERENT, 1);
	return json_pack("{s:b, s:o, s:o, s:o, s:o, s:I}", "match", match, "similarity",
	        fm_shape_number(similarity, 6), "cosine", fm_shape_number(cosine, 6), "threshold",
	        fm_shape_threshold(&threshold), "faces", faces, "ignored_faces", (json_int_t)ignored);
}

static enum fm_problem verify_photos(
        struct fm_exchange *exchange, double min_similarity, struct fm_error *err)
{
	fm_cleanup(fm_faces_done) struct fm_faces first = {0};
	fm_cleanup(fm_faces_done) struct fm_faces second = {0};
	enum fm_problem problem = one_face(exchange, "image1", &first, err);

	if (!problem)
		problem = one_face(exchange, "image2", &second, err);
	if (problem)
		return problem;
	double cosine =
	        fm_match_cosine(exchange->serving, first.faces[0].embedding, second.faces[0].embedding);
	json_t *faces = json_pack("[o, o]", fm_shape_face(&first.faces[0]), fm_shape_face(&second.faces[0]));
	return fm_common_reply(exchange, 200,
	        shape_decision(exchange, cosine, 1, min_similarity, faces, first.count + second.count - 2),
	        err);
}

/* The nearest of the person's faces counts; the threshold knows how many there are. */
static enum fm_problem verify_person(
        struct fm_exchange *exchange, const char *id, double min_similarity, struct fm_error *err)
{
	const struct fm_app *app = exchange->app;
	const struct fm_serving *serving = exchange->serving;
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	fm_cleanup(fm_faces_done) struct fm_faces probe = {0};
	fm_autofree float *embeddings = NULL;
	size_t count = 0;
	enum fm_problem problem = fm_common_collection(exchange, &collection, err);

	if (!problem)
		problem =
		        fm_problem_of(fm_gallery_person_get(app->gallery, collection.key, id, &person, err));
	if (!problem)
		problem = one_face(exchange, "image", &probe, err);
	if (!problem)
		problem = fm_problem_of(
		        fm_gallery_person_embeddings(app->gallery, person.key, fm_serving_model(serving),
		                serving->models->embedding->dim, &embeddings, &count, err));
	if (problem)
		return problem;
	if (!count) {
		fm_fail(err, FM_E_CONFLICT,
		        "nothing to compare with: no face of this person is enrolled under "
		        "the model in use");
		return FM_PROBLEM_CONFLICT;
	}
	double best = -1;
	for (size_t i = 0; i < count; i++)
		best = fmax(best, fm_match_cosine(serving, probe.faces[0].embedding,
		                          embeddings + i * serving->models->embedding->dim));
	json_t *body = shape_decision(exchange, best, count, min_similarity,
	        json_pack("[o]", fm_shape_face(&probe.faces[0])), probe.count - 1);
	json_object_set_new(body, "person", fm_shape_person_brief(&person));
	return fm_common_reply(exchange, 200, body, err);
}

enum fm_problem fm_handle_verify(struct fm_exchange *exchange, struct fm_error *err)
{
	const char *person = fm_request_query(exchange->request, "person");
	double min_similarity;
	enum fm_problem problem = fm_common_min_similarity(exchange, &min_similarity, err);

	if (problem)
		return problem;
	return person ? verify_person(exchange, person, min_similarity, err)
	              : verify_photos(exchange, min_similarity, err);
}
