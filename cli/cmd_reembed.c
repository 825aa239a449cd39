/* facematchctl reembed: a running daemon's faces under the embedding network that is configured. */
#include "cli/progress.h"
#include "cli/remote.h"
#include "lib/base/cleanup.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/banned.h"

#define POLL_NS 500000000L

FM_DEFINE_CLEANUP(struct fm_remote *, fm_remote_free);

struct options {
	struct fm_remote_options remote;
	bool follow, rollback, forget, status;
	const char *cancel;
};

static enum fm_status ask(struct fm_remote *remote, const char *method, const char *path,
        struct fm_remote_reply *ret_reply, struct fm_error *err)
{
	const struct fm_remote_request request = {
	        .method = method, .path = path, .body = strcmp(method, "POST") == 0 ? "" : NULL};

	return fm_remote_expect(remote, &request, ret_reply, err);
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static long long number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_job(const json_t *job)
{
	printf("%s  %s  %s  %lld of %lld faces, %lld skipped  %s\n", text(job, "id"), text(job, "state"),
	        text(job, "created_at"), number(job, "done"), number(job, "total"), number(job, "skipped"),
	        text(job, "model"));
	if (text(job, "error")[0])
		printf("    %s\n", text(job, "error"));
}

static void print_models(const json_t *gallery)
{
	printf("in use:     %s, %lld faces\n", text(gallery, "model"), number(gallery, "faces"));
	printf("configured: %s\n", text(gallery, "configured_model"));
	if (text(gallery, "previous_model")[0])
		printf("previous:   %s\n", text(gallery, "previous_model"));
	if (number(gallery, "unsearched_faces"))
		printf("%lld faces are not searched: they have no embedding of the network in use\n",
		        number(gallery, "unsearched_faces"));
}

static enum fm_status show(struct fm_remote *remote, struct fm_error *err)
{
	fm_cleanup(fm_remote_reply_done) struct fm_remote_reply reply = {0};
	enum fm_status status = ask(remote, "GET", "/v1/admin/jobs", &reply, err);
	json_t *job;
	size_t i;

	if (status)
		return status;
	print_models(json_object_get(reply.json, "gallery"));
	json_array_foreach(json_object_get(reply.json, "jobs"), i, job)
	{
		if (strcmp(text(job, "kind"), "reembed") == 0)
			print_job(job);
	}
	return FM_OK;
}

static enum fm_status roll_back(struct fm_remote *remote, struct fm_error *err)
{
	fm_cleanup(fm_remote_reply_done) struct fm_remote_reply reply = {0};
	enum fm_status status = ask(remote, "POST", "/v1/admin/rollback", &reply, err);

	if (!status)
		print_models(json_object_get(reply.json, "gallery"));
	return status;
}

static enum fm_status forget_previous(struct fm_remote *remote, struct fm_error *err)
{
	fm_cleanup(fm_remote_reply_done) struct fm_remote_reply reply = {0};
	enum fm_status status = ask(remote, "POST", "/v1/admin/forget-previous", &reply, err);

	if (status)
		return status;
	printf("forgotten: what other networks computed of %lld faces\n", number(reply.json, "forgotten"));
	if (number(reply.json, "kept"))
		printf("kept: %lld faces have no embedding of the network in use; delete them, or enrol them "
		       "anew\n",
		        number(reply.json, "kept"));
	print_models(json_object_get(reply.json, "gallery"));
	return FM_OK;
}

static enum fm_status cancel(struct fm_remote *remote, const char *id, struct fm_error *err)
{
	fm_cleanup(fm_remote_reply_done) struct fm_remote_reply reply = {0};
	char path[128];

	if (strlen(id) > 64)
		return fm_fail(err, FM_E_INVALID, "that is no job's id");
	snprintf(path, sizeof(path), "/v1/admin/jobs/%s", id);
	return ask(remote, "DELETE", path, &reply, err);
}

/* Every face that was left out, a line each. */
static enum fm_status list_skipped(struct fm_remote *remote, const char *id, struct fm_error *err)
{
	long long after = 0;
	enum fm_status status = FM_OK;

	do {
		fm_cleanup(fm_remote_reply_done) struct fm_remote_reply reply = {0};
		char path[160];
		json_t *face;
		size_t i;

		snprintf(path, sizeof(path), "/v1/admin/jobs/%s/skipped?limit=1000&after=%lld", id, after);
		status = ask(remote, "GET", path, &reply, err);
		json_array_foreach(json_object_get(reply.json, "faces"), i, face)
		        printf("skipped: face %s of person %s in %s: %s\n", text(face, "face_id"),
		                text(face, "person_id"), text(face, "collection"), text(face, "reason"));
		after = number(reply.json, "next");
	} while (!status && after);
	return status;
}

/* Until it ends; a daemon that is restarted meanwhile goes on with it, and so does this. */
static enum fm_status follow(struct fm_remote *remote, const char *id, struct fm_error *err)
{
	struct fm_progress progress;
	char path[128];
	bool begun = false, running = true;
	enum fm_status status = FM_OK;

	snprintf(path, sizeof(path), "/v1/admin/jobs/%s", id);
	while (!status && running) {
		fm_cleanup(fm_remote_reply_done) struct fm_remote_reply reply = {0};

		status = ask(remote, "GET", path, &reply, err);
		if (status)
			break;
		size_t gone = (size_t)(number(reply.json, "done") + number(reply.json, "skipped"));

		if (!begun)
			fm_progress_begin(&progress, "faces", (size_t)number(reply.json, "total"));
		begun = true;
		fm_progress_set(&progress, gone, (size_t)number(reply.json, "total"));
		running = strcmp(text(reply.json, "state"), "running") == 0;
		if (running) {
			nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
			continue;
		}
		fm_progress_hide(&progress);
		print_job(reply.json);
		if (strcmp(text(reply.json, "state"), "done") != 0)
			status = fm_fail(err, FM_E_CANCELLED, "the job is %s", text(reply.json, "state"));
	}
	if (begun)
		fm_progress_end(&progress);
	return status;
}

/* The job that runs, or a new one. */
static enum fm_status begin(struct fm_remote *remote, char ret_id[64], struct fm_error *err)
{
	fm_cleanup(fm_remote_reply_done) struct fm_remote_reply jobs = {0};
	fm_cleanup(fm_remote_reply_done) struct fm_remote_reply reply = {0};
	enum fm_status status = ask(remote, "GET", "/v1/admin/jobs", &jobs, err);
	json_t *job;
	size_t i;

	if (status)
		return status;
	json_array_foreach(json_object_get(jobs.json, "jobs"), i, job)
	{
		if (strcmp(text(job, "kind"), "reembed") != 0 || strcmp(text(job, "state"), "running") != 0)
			continue;
		snprintf(ret_id, 64, "%s", text(job, "id"));
		printf("job %s runs already\n", ret_id);
		return FM_OK;
	}
	status = ask(remote, "POST", "/v1/admin/reembed", &reply, err);
	if (status)
		return status;
	job = json_object_get(reply.json, "job");
	snprintf(ret_id, 64, "%s", text(job, "id"));
	printf("job %s: %lld faces to bring over to %s\n", ret_id, number(job, "total"), text(job, "model"));
	return FM_OK;
}

static enum fm_status run_job(struct fm_remote *remote, bool follows, struct fm_error *err)
{
	char id[64];
	enum fm_status status = begin(remote, id, err);

	if (status || !follows)
		return status;
	fflush(stdout);
	status = follow(remote, id, err);
	if (!status || status == FM_E_CANCELLED) {
		enum fm_status listed = list_skipped(remote, id, status ? NULL : err);
		status = status ? status : listed;
	}
	return status;
}

static int run(struct fm_call *call)
{
	struct options options = {.remote = {.url = FM_REMOTE_URL}};
	const struct fm_option rows[] = {
	        {"follow", FM_OPTION_FLAG, &options.follow, NULL, "wait for the end, with a progress bar"},
	        {"status", FM_OPTION_FLAG, &options.status, NULL, "say which networks and jobs there are"},
	        {"rollback", FM_OPTION_FLAG, &options.rollback, NULL, "go back to the previous network"},
	        {"forget-previous", FM_OPTION_FLAG, &options.forget, NULL,
	                "forget what other networks than the one in use computed"},
	        {"cancel", FM_OPTION_TEXT, &options.cancel, "JOB", "cancel a job"},
	        FM_REMOTE_OPTION_ROWS(&options.remote),
	};
	fm_cleanup(fm_remote_freep) struct fm_remote *remote = NULL;
	struct fm_error err;
	int exit_code;

	if (!fm_options_parse(call, rows, sizeof(rows) / sizeof(rows[0]), 0, 0, &exit_code))
		return exit_code;
	if (options.follow + options.status + options.rollback + options.forget + (options.cancel != NULL) >
	        1)
		return fm_usage_error(call->command,
		        "one of --follow, --status, --rollback, --forget-previous and --cancel");
	enum fm_status status = fm_remote_create(&options.remote, &remote, &err);

	if (!status)
		status = options.status     ? show(remote, &err)
		         : options.rollback ? roll_back(remote, &err)
		         : options.forget   ? forget_previous(remote, &err)
		         : options.cancel   ? cancel(remote, options.cancel, &err)
		                            : run_job(remote, options.follow, &err);
	if (!status)
		return FM_EXIT_OK;
	fm_complain("%s", err.message);
	return FM_EXIT_FAILURE;
}

const struct fm_command fm_cmd_reembed = {
        .name = "reembed",
        .operands = "",
        .summary = "bring enrolled faces over to another network",
        .description =
                "Tells a running facematchd to compute the embeddings of its faces under the network that\n"
                "is configured, from the aligned crops that it kept ([gallery] keep_crops). It goes on\n"
                "serving under the old network until all are done, then the new one takes over at once.\n"
                "The daemon works on it in the background, whether or not this command waits for it, and\n"
                "goes on by itself after a restart. Faces without a crop stay in the gallery and are\n"
                "listed. --rollback goes back to the previous network; --forget-previous erases what other\n"
                "networks than the one in use have computed, after which there is no way back.",
        .example = "  facematchctl reembed --follow --key-file /root/admin.key",
        .run = run,
};
