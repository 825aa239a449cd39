/* POST /v1/identify: who is in this photo? Every face against the collection. */
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"
#include "daemon/handlers/shape.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <string.h>

#include "lib/base/banned.h"

#define LIMIT_MAX     100
#define LIMIT_DEFAULT 5

struct search {
	struct fm_exchange *exchange;
	int64_t collection_key;
	size_t limit;
	double min_similarity;
	struct fm_index_size size; /* of what was searched */
	struct fm_index_hit *hits; /* [faces][limit] */
	size_t *counts;            /* [faces] */
};

static void search_done(struct search *search)
{
	free(search->hits);
	free(search->counts);
}

/* All faces of the photo at once: one scan of the gallery, and one state of it. */
static enum fm_status search_faces(struct search *search, const struct fm_faces *faces, struct fm_error *err)
{
	const size_t dim = search->exchange->serving->models->embedding->dim;
	fm_autofree float *probes = fm_calloc(faces->count, dim * sizeof(*probes));

	search->hits = fm_calloc(faces->count, search->limit * sizeof(*search->hits));
	search->counts = fm_calloc(faces->count, sizeof(*search->counts));
	if (!probes || !search->hits || !search->counts)
		return fm_fail(err, FM_E_NOMEM, "no memory for a search");
	for (size_t i = 0; i < faces->count; i++)
		memcpy(probes + i * dim, faces->faces[i].embedding, dim * sizeof(*probes));
	enum fm_status status = fm_common_search(search->exchange, search->collection_key, probes,
	        faces->count, search->limit, search->hits, search->counts, &search->size, err);

	fm_wipe(probes, faces->count * dim * sizeof(*probes));
	return status;
}

/* NULL without an error where person or face went away after the search. */
static enum fm_status shape_candidate(const struct search *search, const struct fm_index_hit *hit,
        json_t **ret_candidate, struct fm_error *err)
{
	const struct fm_app *app = search->exchange->app;
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	fm_cleanup(fm_face_record_done) struct fm_face_record face = {0};
	enum fm_status status = fm_gallery_person_get_by_key(app->gallery, hit->person_key, &person, err);

	*ret_candidate = NULL;
	if (!status)
		status = fm_gallery_face_get_by_key(app->gallery, hit->face_key, &face, err);
	if (status == FM_E_NOT_FOUND)
		return FM_OK;
	if (status)
		return status;
	*ret_candidate = json_pack("{s:o, s:o, s:o, s:s}", "person", fm_shape_person_brief(&person),
	        "similarity", fm_shape_number(fm_match_similarity(search->exchange->serving, hit->cosine), 6),
	        "cosine", fm_shape_number(hit->cosine, 6), "face_id", face.id);
	return *ret_candidate ? FM_OK : fm_fail(err, FM_E_NOMEM, "no memory for the reply");
}

/* So that drift shows: of the faces, or of the photos that come in. */
static void count_decision(
        const struct fm_exchange *exchange, const struct fm_index_hit *hits, size_t count, bool match)
{
	const struct fm_app *app = exchange->app;

	fm_metrics_add(app->metrics, match ? FM_COUNTER_IDENTIFY_MATCH : FM_COUNTER_IDENTIFY_UNKNOWN, 1);
	if (!count)
		return;
	double best = fm_match_similarity(exchange->serving, hits[0].cosine);
	fm_metrics_observe(app->metrics, FM_HISTOGRAM_SIMILARITY, best);
	if (count > 1)
		fm_metrics_observe(app->metrics, FM_HISTOGRAM_MARGIN,
		        best - fm_match_similarity(exchange->serving, hits[1].cosine));
}

/* Adds decision, person, candidates and threshold to the face's object. */
static enum fm_status shape_identity(
        const struct search *search, size_t index, json_t *object, struct fm_error *err)
{
	const struct fm_index_hit *hits = search->hits + index * search->limit;
	enum fm_status status = FM_OK;
	struct fm_threshold threshold = fm_match_identification(
	        search->exchange->serving, search->exchange->config, &search->size, search->min_similarity);
	json_t *candidates = json_array();
	json_t *person = NULL; /* borrowed from the best candidate */
	for (size_t i = 0; !status && i < search->counts[index]; i++) {
		json_t *candidate;
		status = shape_candidate(search, &hits[i], &candidate, err);
		if (status || !candidate)
			continue;
		if (!json_array_size(candidates) && hits[i].cosine >= threshold.cosine)
			person = json_object_get(candidate, "person");
		json_array_append_new(candidates, candidate);
	}
	count_decision(search->exchange, hits, search->counts[index], person != NULL);
	json_object_set_new(object, "decision", json_string(person ? "match" : "unknown"));
	json_object_set(object, "person", person ? person : json_null());
	json_object_set_new(object, "candidates", candidates);
	json_object_set_new(object, "threshold", fm_shape_threshold(&threshold));
	return status;
}

enum fm_problem fm_handle_identify(struct fm_exchange *exchange, struct fm_error *err)
{
	const struct fm_embed_request embed = {.which = FM_EMBED_ALL};
	fm_cleanup(search_done) struct search search = {.exchange = exchange};
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	fm_cleanup(fm_faces_done) struct fm_faces faces = {0};
	long limit;
	enum fm_problem problem = fm_problem_of(
	        fm_request_integer(exchange->request, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &limit, err));

	if (!problem)
		problem = fm_common_min_similarity(exchange, &search.min_similarity, err);
	if (!problem)
		problem = fm_common_collection(exchange, &collection, err);
	if (!problem)
		problem = fm_common_photo(exchange, "image", &embed, &faces, NULL, err);
	if (problem)
		return problem;

	search.limit = (size_t)limit;
	search.collection_key = collection.key;
	search.size = fm_index_size(exchange->serving->index, collection.key);
	json_t *array = fm_shape_faces(&faces);
	enum fm_status status = faces.count ? search_faces(&search, &faces, err) : FM_OK;
	for (size_t i = 0; array && !status && i < faces.count; i++)
		status = shape_identity(&search, i, json_array_get(array, i), err);
	if (status) {
		json_decref(array);
		return fm_problem_of(status);
	}
	return fm_common_reply(exchange, 200,
	        json_pack("{s:o, s:o, s:{s:I, s:I}}", "image", fm_shape_image(&faces), "faces", array,
	                "gallery", "people", (json_int_t)search.size.people, "faces",
	                (json_int_t)search.size.faces),
	        err);
}
