/* POST /v1/people/{id}/faces, POST /v1/enroll: a face out of a photo becomes an example of a person. */
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"
#include "daemon/handlers/shape.h"
#include "lib/base/cleanup.h"
#include "lib/base/sha256.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

/* What is to be enrolled, from the photo. */
struct candidate {
	struct fm_faces faces; /* the face to enrol is the first */
	char *quality;
	struct fm_face_insert insert;
};

static void candidate_done(struct candidate *candidate)
{
	fm_faces_done(&candidate->faces);
	free(candidate->quality);
}

/* ?face=largest, ?face=X,Y, or the only one. */
static enum fm_status read_choice(const struct fm_request *request, struct fm_embed_request *ret_embed,
        bool *ret_only, struct fm_error *err)
{
	const char *text = fm_request_query(request, "face");
	char *end;

	*ret_only = !text;
	if (!text || strcmp(text, "largest") == 0) {
		*ret_embed = (struct fm_embed_request){.which = FM_EMBED_LARGEST};
		return FM_OK;
	}
	double x = strtod(text, &end);
	if (end != text && *end == ',') {
		const char *second = end + 1;
		double y = strtod(second, &end);
		if (end != second && !*end && isfinite(x) && isfinite(y) && fabs(x) < 1e6 && fabs(y) < 1e6) {
			*ret_embed = (struct fm_embed_request){
			        .which = FM_EMBED_AT, .x_px = (float)x, .y_px = (float)y};
			return FM_OK;
		}
	}
	return fm_fail(err, FM_E_INVALID, "?face= is neither \"largest\" nor X,Y in pixels");
}

static void count_reasons(struct fm_metrics *metrics, uint32_t reasons)
{
	for (int bit = 0; bit < FM_REASON_COUNT; bit++) {
		if (reasons & 1u << bit)
			fm_metrics_add(metrics, (enum fm_counter)(FM_COUNTER_REFUSED_REASON + bit), 1);
	}
}

static enum fm_problem refuse(
        struct fm_exchange *exchange, const struct fm_faces *faces, bool only, struct fm_error *err)
{
	struct fm_metrics *metrics = exchange->app->metrics;

	if (!faces->count) {
		fm_metrics_add(metrics, FM_COUNTER_REFUSED_NO_FACE, 1);
		fm_fail(err, FM_E_NO_FACE, "no face of at least %d pixels was found",
		        (int)exchange->config->min_face_px);
		return FM_PROBLEM_NO_FACE;
	}
	if (only && faces->count > 1) {
		fm_metrics_add(metrics, FM_COUNTER_REFUSED_MULTIPLE_FACES, 1);
		fm_fail(err, FM_E_MULTIPLE_FACES,
		        "%zu faces were found; choose one by ?face=X,Y (a point of the photo) or "
		        "?face=largest",
		        faces->count);
		exchange->problem_more = json_pack("{s:o}", "faces", fm_shape_faces(faces));
		return FM_PROBLEM_MULTIPLE_FACES;
	}
	if (faces->faces[0].reasons) {
		count_reasons(metrics, faces->faces[0].reasons);
		fm_fail(err, FM_E_LOW_QUALITY, "an example like this would be matched badly");
		exchange->problem_more =
		        json_pack("{s:o, s:o}", "reasons", fm_shape_reasons(faces->faces[0].reasons),
		                "quality", fm_shape_quality(&faces->faces[0].quality));
		return FM_PROBLEM_LOW_QUALITY;
	}
	return FM_PROBLEM_NONE;
}

static enum fm_problem read_candidate(
        struct fm_exchange *exchange, struct candidate *candidate, struct fm_error *err)
{
	struct fm_embed_request embed;
	struct fm_slice photo;
	bool only;
	enum fm_problem problem = fm_problem_of(read_choice(exchange->request, &embed, &only, err));

	embed.crop = exchange->config->keep_crops;
	if (!problem)
		problem = fm_common_photo(exchange, "image", &embed, &candidate->faces, &photo, err);
	if (!problem)
		problem = refuse(exchange, &candidate->faces, only, err);
	if (problem)
		return problem;

	const struct fm_face *face = &candidate->faces.faces[0];
	json_t *quality = fm_shape_quality(&face->quality);
	candidate->quality = quality ? json_dumps(quality, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	json_decref(quality);
	if (!candidate->quality) {
		fm_fail(err, FM_E_NOMEM, "no memory for the face");
		return FM_PROBLEM_OVERLOADED;
	}
	candidate->insert = (struct fm_face_insert){
	        .embedding = face->embedding,
	        .dim = exchange->serving->models->embedding->dim,
	        .model = fm_serving_model(exchange->serving),
	        .quality = candidate->quality,
	        .crop = candidate->faces.crop,
	        .crop_bytes = candidate->faces.crop_bytes,
	        .box = {face->box.x_px, face->box.y_px, face->box.width_px, face->box.height_px},
	};
	fm_sha256(photo.data, photo.length, candidate->insert.image_sha256);
	return FM_PROBLEM_NONE;
}

/* Who else a search would take this face for. Asked before it is enrolled; who it goes to is filtered later.
 */
struct lookalikes {
	struct fm_index_hit hits[2];
	size_t count;
	struct fm_threshold threshold;
};

static enum fm_problem find_lookalikes(struct fm_exchange *exchange, int64_t collection_key,
        const struct candidate *candidate, struct lookalikes *ret, struct fm_error *err)
{
	struct fm_index_size size;
	enum fm_status status = fm_common_search(exchange, collection_key, candidate->insert.embedding, 1,
	        sizeof(ret->hits) / sizeof(ret->hits[0]), ret->hits, &ret->count, &size, err);

	if (!status)
		ret->threshold = fm_match_identification(exchange->serving, exchange->config, &size, -1);
	return fm_problem_of(status);
}

/* [] or one resembles_other_person. */
static json_t *shape_warnings(
        struct fm_exchange *exchange, const struct lookalikes *lookalikes, int64_t person_key)
{
	json_t *warnings = json_array();

	for (size_t i = 0; i < lookalikes->count; i++) {
		const struct fm_index_hit *hit = &lookalikes->hits[i];
		fm_cleanup(fm_person_done) struct fm_person other = {0};
		if (hit->person_key == person_key || hit->cosine < lookalikes->threshold.cosine)
			continue;
		/* A person who went away meanwhile cannot be mistaken for. */
		if (fm_gallery_person_get_by_key(exchange->app->gallery, hit->person_key, &other, NULL))
			continue;
		double similarity = fm_match_similarity(exchange->serving, hit->cosine);
		json_array_append_new(warnings,
		        json_pack("{s:s, s:s, s:o, s:o, s:o}", "code", "resembles_other_person", "detail",
		                "This face passes the threshold of another enrolled person.", "person",
		                fm_shape_person_brief(&other), "similarity", fm_shape_number(similarity, 6),
		                "cosine", fm_shape_number(hit->cosine, 6)));
		break;
	}
	return warnings;
}

enum fm_problem fm_handle_face_add(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	fm_cleanup(candidate_done) struct candidate candidate = {0};
	fm_cleanup(fm_face_record_done) struct fm_face_record face = {0};
	struct lookalikes lookalikes = {0};
	char id[FM_UUID_TEXT];
	bool existed = false;
	enum fm_problem problem = fm_common_id(exchange, 0, "person", id, err);

	if (!problem)
		problem = fm_common_collection(exchange, &collection, err);
	if (!problem)
		problem = fm_problem_of(
		        fm_gallery_person_get(exchange->app->gallery, collection.key, id, &person, err));
	if (!problem)
		problem = read_candidate(exchange, &candidate, err);
	if (!problem)
		problem = find_lookalikes(exchange, collection.key, &candidate, &lookalikes, err);
	if (!problem)
		problem = fm_problem_of(fm_gallery_face_add(
		        exchange->app->gallery, person.key, &candidate.insert, &face, &existed, err));
	if (problem)
		return problem;
	fm_metrics_add(exchange->app->metrics, FM_COUNTER_ENROLLED, !existed);
	return fm_common_reply(exchange, existed ? 200 : 201,
	        json_pack("{s:o, s:o}", "face", fm_shape_face_record(&face), "warnings",
	                shape_warnings(exchange, &lookalikes, person.key)),
	        err);
}

enum fm_problem fm_handle_enroll(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_collection_done) struct fm_collection collection = {0};
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	fm_cleanup(candidate_done) struct candidate candidate = {0};
	fm_cleanup(fm_face_record_done) struct fm_face_record face = {0};
	struct lookalikes lookalikes = {0};
	const char *name = NULL;
	bool existed = false;
	enum fm_problem problem = fm_request_text(exchange->request, "name", &name, err);

	if (!problem && !name) {
		fm_fail(err, FM_E_INVALID, "?name= is missing");
		problem = FM_PROBLEM_BAD_REQUEST;
	}
	if (!problem)
		problem = fm_problem_of(fm_name_check("the name", name, err));
	if (!problem)
		problem = fm_common_collection(exchange, &collection, err);
	if (!problem)
		problem = read_candidate(exchange, &candidate, err);
	if (!problem)
		problem = find_lookalikes(exchange, collection.key, &candidate, &lookalikes, err);
	if (!problem)
		problem = fm_problem_of(fm_gallery_enroll_by_name(exchange->app->gallery, collection.key,
		        name, &candidate.insert, &person, &face, &existed, err));
	if (problem)
		return problem;
	fm_metrics_add(exchange->app->metrics, FM_COUNTER_ENROLLED, !existed);
	return fm_common_reply(exchange, existed ? 200 : 201,
	        json_pack("{s:o, s:o, s:o}", "person", fm_shape_person(&person), "face",
	                fm_shape_face_record(&face), "warnings",
	                shape_warnings(exchange, &lookalikes, person.key)),
	        err);
}
