#include "daemon/handlers/common.h"

#include <ctype.h>
#include <time.h>

#include "lib/base/banned.h"

enum fm_problem fm_common_collection(
        struct fm_exchange *exchange, struct fm_collection *ret_collection, struct fm_error *err)
{
	const char *name = fm_request_query(exchange->request, "collection");
	enum fm_status status = fm_gallery_collection_get(
	        exchange->app->gallery, name ? name : FM_GALLERY_DEFAULT_COLLECTION, ret_collection, err);

	return fm_problem_of(status);
}

const char *fm_common_actor(const struct fm_exchange *exchange)
{
	/* Without keys everybody who reaches the port is the same. */
	return exchange->key_id[0] ? exchange->key_id : "http";
}

enum fm_problem fm_common_id(struct fm_exchange *exchange, size_t parameter, const char *what,
        char ret_id[FM_UUID_TEXT], struct fm_error *err)
{
	const char *text = exchange->request->parameters[parameter];

	if (!fm_uuid_valid(text)) {
		fm_fail(err, FM_E_NOT_FOUND, "no such %s: ids are UUIDs", what);
		return FM_PROBLEM_NOT_FOUND;
	}
	for (size_t i = 0; i < FM_UUID_TEXT; i++)
		ret_id[i] = (char)tolower((unsigned char)text[i]);
	return FM_PROBLEM_NONE;
}

enum fm_problem fm_common_photo(struct fm_exchange *exchange, const char *name,
        const struct fm_embed_request *embed, struct fm_faces *ret_faces, struct fm_slice *ret_photo,
        struct fm_error *err)
{
	struct fm_slice photo;
	struct fm_faces faces = {0};
	enum fm_problem problem = fm_request_image(exchange->request, name, &photo, err);

	if (problem)
		return problem;
	exchange->photo_work = true;
	enum fm_status status =
	        fm_pipeline_run(exchange->pipeline, photo.data, photo.length, embed, &faces, err);
	if (status)
		return fm_problem_of_photo(status);
	fm_metrics_add(exchange->app->metrics, FM_COUNTER_FACES_FOUND, faces.count);
	exchange->decode_ms += faces.decode_ms;
	exchange->detect_ms += faces.detect_ms;
	exchange->embed_ms += faces.embed_ms;
	*ret_faces = faces;
	if (ret_photo)
		*ret_photo = photo;
	return FM_PROBLEM_NONE;
}

enum fm_status fm_common_search(struct fm_exchange *exchange, int64_t collection_key, const float *probes,
        size_t probe_count, size_t limit, struct fm_index_hit *ret_hits, size_t *ret_counts,
        struct fm_index_size *ret_size, struct fm_error *err)
{
	struct timespec begin, end;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	enum fm_status status = fm_index_search(exchange->serving->index, collection_key, probes, probe_count,
	        limit, ret_hits, ret_counts, ret_size, err);
	clock_gettime(CLOCK_MONOTONIC, &end);
	exchange->search_ms +=
	        (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) * 1e-6;
	return status;
}

enum fm_problem fm_common_min_similarity(
        struct fm_exchange *exchange, double *ret_similarity, struct fm_error *err)
{
	return fm_problem_of(
	        fm_request_real(exchange->request, "min_similarity", 0, 1, -1, ret_similarity, err));
}

enum fm_problem fm_common_reply(
        struct fm_exchange *exchange, int http_status, json_t *body, struct fm_error *err)
{
	return fm_problem_of(fm_reply_json(&exchange->reply, http_status, body, err));
}
