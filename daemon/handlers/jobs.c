/* /v1/admin/reembed, /rollback, /forget-previous, /jobs: another embedding network for the faces there are.
 */
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"
#include "daemon/reembed.h"
#include "lib/base/cleanup.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define PAGE_MAX     1000
#define PAGE_DEFAULT 100

/* `at_work` is the id of the job that was at work before this one was read: done means that its network
 * serves. */
static json_t *shape_job(const struct fm_job *job, const char *at_work)
{
	bool done_soon = strcmp(job->state, "done") == 0 && strcmp(job->id, at_work) == 0;
	const char *state = done_soon ? "running" : job->state;

	return json_pack("{s:s, s:s, s:s, s:s*, s:I, s:I, s:I, s:s?, s:s, s:s}", "id", job->id, "kind",
	        job->kind, "state", state, "model", job->model[0] ? job->model : NULL, "done",
	        (json_int_t)job->done, "skipped", (json_int_t)job->skipped, "total", (json_int_t)job->total,
	        "error", job->error, "created_at", job->created_at, "updated_at", job->updated_at);
}

enum fm_problem fm_handle_reembed(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_job_done) struct fm_job job = {0};
	enum fm_status status = fm_reembed_start(exchange->app->reembed, &job, err);

	if (status)
		return fm_problem_of(status);
	fm_reply_header(&exchange->reply, "Location", "/v1/admin/jobs/%s", job.id);
	return fm_common_reply(exchange, 202, json_pack("{s:o}", "job", shape_job(&job, job.id)), err);
}

/* The models that were chosen, and how many faces the one in use cannot find. */
static enum fm_status shape_gallery(struct fm_app *app, json_t **ret_gallery, struct fm_error *err)
{
	struct fm_chosen_models chosen;
	struct fm_serving *serving = fm_serving_get(&app->servings);
	int64_t unsearched = 0;
	enum fm_status status = fm_gallery_models_get(app->gallery, &chosen, err);

	if (!status)
		status = fm_gallery_foreign_faces(app->gallery, fm_serving_model(serving), &unsearched, err);
	if (!status)
		*ret_gallery = json_pack("{s:s, s:s, s:s?, s:I, s:I}", "model", fm_serving_model(serving),
		        "configured_model", app->configured_model, "previous_model",
		        chosen.previous[0] ? chosen.previous : NULL, "faces",
		        (json_int_t)fm_index_total(serving->index).faces, "unsearched_faces",
		        (json_int_t)unsearched);
	fm_serving_put(serving);
	return status;
}

enum fm_problem fm_handle_rollback(struct fm_exchange *exchange, struct fm_error *err)
{
	json_t *gallery = NULL;
	enum fm_status status = fm_reembed_rollback(exchange->app->reembed, err);

	if (!status)
		status = shape_gallery(exchange->app, &gallery, err);
	return status ? fm_problem_of(status)
	              : fm_common_reply(exchange, 200, json_pack("{s:o}", "gallery", gallery), err);
}

/* When it is answered nothing of theirs is in the gallery's files any more. */
enum fm_problem fm_handle_forget_previous(struct fm_exchange *exchange, struct fm_error *err)
{
	struct fm_app *app = exchange->app;
	int64_t forgotten = 0, kept = 0;
	json_t *gallery = NULL;
	enum fm_status status = fm_reembed_claim(app->reembed, err);

	if (status)
		return fm_problem_of(status);
	struct fm_serving *serving = fm_serving_get(&app->servings);

	status = fm_gallery_forget_others(
	        app->gallery, fm_serving_model(serving), fm_common_actor(exchange), &forgotten, &kept, err);
	fm_serving_put(serving);
	fm_reembed_unclaim(app->reembed);
	if (!status)
		status = shape_gallery(app, &gallery, err);
	return status ? fm_problem_of(status)
	              : fm_common_reply(exchange, 200,
	                        json_pack("{s:I, s:I, s:o}", "forgotten", (json_int_t)forgotten, "kept",
	                                (json_int_t)kept, "gallery", gallery),
	                        err);
}

struct jobs {
	struct fm_job *list;
	size_t count;
};

static void jobs_done(struct jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++)
		fm_job_done(&jobs->list[i]);
	free(jobs->list);
}

enum fm_problem fm_handle_jobs_list(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(jobs_done) struct jobs jobs = {0};
	json_t *gallery = NULL;
	char at_work[FM_UUID_TEXT];

	fm_reembed_job(exchange->app->reembed, at_work);
	enum fm_status status =
	        fm_gallery_job_list(exchange->app->gallery, PAGE_DEFAULT, &jobs.list, &jobs.count, err);

	if (!status)
		status = shape_gallery(exchange->app, &gallery, err);
	if (status)
		return fm_problem_of(status);
	json_t *array = json_array();

	for (size_t i = 0; array && i < jobs.count; i++)
		json_array_append_new(array, shape_job(&jobs.list[i], at_work));
	return fm_common_reply(
	        exchange, 200, json_pack("{s:o, s:o}", "jobs", array, "gallery", gallery), err);
}

enum fm_problem fm_handle_job_get(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(fm_job_done) struct fm_job job = {0};
	char id[FM_UUID_TEXT];
	enum fm_problem problem = fm_common_id(exchange, 0, "job", id, err);
	char at_work[FM_UUID_TEXT];

	fm_reembed_job(exchange->app->reembed, at_work);
	if (!problem)
		problem = fm_problem_of(fm_gallery_job_get(exchange->app->gallery, id, &job, err));
	return problem ? problem : fm_common_reply(exchange, 200, shape_job(&job, at_work), err);
}

enum fm_problem fm_handle_job_cancel(struct fm_exchange *exchange, struct fm_error *err)
{
	char id[FM_UUID_TEXT];
	enum fm_problem problem = fm_common_id(exchange, 0, "job", id, err);

	if (!problem)
		problem = fm_problem_of(fm_reembed_cancel(exchange->app->reembed, id, err));
	if (!problem)
		fm_reply_no_content(&exchange->reply);
	return problem;
}

struct skips {
	struct fm_job_skip *list;
	size_t count;
};

static void skips_done(struct skips *skips)
{
	for (size_t i = 0; i < skips->count; i++)
		fm_job_skip_done(&skips->list[i]);
	free(skips->list);
}

enum fm_problem fm_handle_job_skipped(struct fm_exchange *exchange, struct fm_error *err)
{
	fm_cleanup(skips_done) struct skips skips = {0};
	char id[FM_UUID_TEXT];
	long limit, after;
	enum fm_problem problem = fm_common_id(exchange, 0, "job", id, err);

	if (!problem)
		problem = fm_problem_of(fm_request_integer(
		        exchange->request, "limit", 1, PAGE_MAX, PAGE_DEFAULT, &limit, err));
	if (!problem)
		problem = fm_problem_of(
		        fm_request_integer(exchange->request, "after", 0, LONG_MAX, 0, &after, err));
	if (!problem)
		problem = fm_problem_of(fm_gallery_job_skips(
		        exchange->app->gallery, id, after, (size_t)limit, &skips.list, &skips.count, err));
	if (problem)
		return problem;
	json_t *array = json_array();

	for (size_t i = 0; array && i < skips.count; i++) {
		const struct fm_job_skip *skip = &skips.list[i];

		json_array_append_new(array,
		        json_pack("{s:s, s:s, s:s, s:s}", "face_id", skip->face_id, "person_id",
		                skip->person_id, "collection", skip->collection, "reason", skip->reason));
	}
	/* A full page may have been the last; the next one is empty then. */
	return fm_common_reply(exchange, 200,
	        json_pack("{s:o, s:o}", "faces", array, "next",
	                skips.count == (size_t)limit ? json_integer(skips.list[skips.count - 1].face_key)
	                                             : json_null()),
	        err);
}
