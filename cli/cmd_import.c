/* facematchctl import: photos of people, from folders or a list, into a running daemon's gallery. */
#include "cli/archive.h"
#include "cli/import_report.h"
#include "cli/labelled.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/banned.h"

#define JOBS_MAX        64
#define PHOTO_BYTES_MAX ((size_t)256 << 20) /* the daemon's own limit is asked for each */

FM_DEFINE_CLEANUP(struct fm_remote *, fm_remote_free);

struct import {
	const struct fm_remote_options *remote;
	const char *collection, *face;
	char *images; /* what the photos' paths are relative to */
	struct fm_labelled photos;
	struct fm_import_report report;
	struct fm_progress progress;
	atomic_size_t next;
	atomic_size_t outcomes[FM_IMPORT_OUTCOMES];
	pthread_mutex_t lock;
	bool stopped; /* the daemon does not answer: the rest is for the next run */
	struct fm_error err;
};

static void import_done(struct import *import)
{
	fm_labelled_done(&import->photos);
	free(import->images);
}

static void settle(struct import *import, const struct fm_labelled_photo *photo,
        enum fm_import_outcome outcome, const char *code, const char *detail, const char *face)
{
	const struct fm_import_line line = {photo->path, photo->person, outcome, code, detail, face};

	fm_import_report_add(&import->report, &line);
	atomic_fetch_add(&import->outcomes[outcome], 1);
	if (outcome == FM_IMPORT_REFUSED || outcome == FM_IMPORT_FAILED) {
		pthread_mutex_lock(&import->lock);
		fm_progress_hide(&import->progress);
		fm_complain("%s: %s: %s: %s", photo->path, fm_import_outcome_name(outcome), code, detail);
		pthread_mutex_unlock(&import->lock);
	}
	fm_progress_step(&import->progress);
}

/* "no_face", or of a low quality its reasons: "low_sharpness small_face". */
static void read_code(const struct fm_remote_reply *reply, char *code, size_t size)
{
	const json_t *reasons = json_object_get(reply->json, "reasons");
	size_t used = 0, i;
	json_t *reason;

	snprintf(code, size, "%s", fm_remote_code(reply));
	json_array_foreach(reasons, i, reason)
	{
		int length =
		        snprintf(code + used, size - used, "%s%s", i ? " " : "", json_string_value(reason));
		if (length < 0 || (size_t)length >= size - used)
			break;
		used += (size_t)length;
	}
}

static void take_reply(
        struct import *import, const struct fm_labelled_photo *photo, const struct fm_remote_reply *reply)
{
	const char *face = json_string_value(json_object_get(json_object_get(reply->json, "face"), "id"));
	char code[256];
	long status = reply->http_status;

	read_code(reply, code, sizeof(code));
	if (status == 201 || status == 200) {
		settle(import, photo, status == 201 ? FM_IMPORT_ENROLLED : FM_IMPORT_PRESENT, "", "",
		        face ? face : "");
		return;
	}
	/* What the photo is at fault for; a missing right or a full disk is not. */
	bool refused = status == 400 || status == 413 || status == 415 || status == 422;
	if (!*code)
		snprintf(code, sizeof(code), "status %ld", status);
	settle(import, photo, refused ? FM_IMPORT_REFUSED : FM_IMPORT_FAILED, code, fm_remote_detail(reply),
	        "");
}

static void stop(struct import *import, const struct fm_error *err)
{
	pthread_mutex_lock(&import->lock);
	if (!import->stopped)
		import->err = *err;
	import->stopped = true;
	pthread_mutex_unlock(&import->lock);
}

static bool is_stopped(struct import *import)
{
	pthread_mutex_lock(&import->lock);
	bool stopped = import->stopped;
	pthread_mutex_unlock(&import->lock);
	return stopped;
}

static void import_photo(
        struct import *import, struct fm_remote *remote, const struct fm_labelled_photo *photo)
{
	fm_autofree char *path = NULL;
	fm_autofree char *bytes = NULL;
	struct fm_remote_reply reply;
	size_t length = 0;
	struct fm_error err;

	if (asprintf(&path, "%s/%s", import->images, photo->path) < 0) {
		path = NULL;
		settle(import, photo, FM_IMPORT_FAILED, "memory", "no memory for a path", "");
		return;
	}
	if (fm_file_read(path, PHOTO_BYTES_MAX, &bytes, &length, &err)) {
		settle(import, photo, FM_IMPORT_FAILED, "file", err.message, "");
		return;
	}
	const char *const query[][2] = {{"name", photo->person}, {"collection", import->collection},
	        {"face", import->face}, {NULL, NULL}};
	const struct fm_remote_request request = {
	        .method = "POST",
	        .path = "/v1/enroll",
	        .query = query,
	        .content_type = "application/octet-stream",
	        .body = bytes,
	        .length = length,
	};
	if (fm_remote_send(remote, &request, &reply, &err)) {
		stop(import, &err);
		return;
	}
	take_reply(import, photo, &reply);
	/* A key that does not open, or a collection that is not there, will not for the next photo either. */
	if (reply.http_status == 401 || reply.http_status == 403 || reply.http_status == 404) {
		fm_fail(&err, FM_E_IO, "the daemon says %ld %s: %s", reply.http_status,
		        fm_remote_code(&reply), fm_remote_detail(&reply));
		stop(import, &err);
	}
	fm_remote_reply_done(&reply);
}

static void *work(void *context)
{
	struct import *import = context;
	fm_cleanup(fm_remote_freep) struct fm_remote *remote = NULL;
	struct fm_error err;

	if (fm_remote_create(import->remote, &remote, &err)) {
		stop(import, &err);
		return NULL;
	}
	while (!is_stopped(import)) {
		size_t i = atomic_fetch_add(&import->next, 1);
		if (i >= import->photos.count)
			break;
		if (!fm_import_report_settled(&import->report, import->photos.photos[i].path))
			import_photo(import, remote, &import->photos.photos[i]);
	}
	return NULL;
}

static enum fm_status read_photos(
        struct import *import, const char *what, const char *images, struct fm_error *err)
{
	struct stat status_of;
	bool is_directory = stat(what, &status_of) == 0 && S_ISDIR(status_of.st_mode);

	if (is_directory && images)
		return fm_fail(err, FM_E_INVALID, "--images goes with a list, and %s is a folder", what);
	if (is_directory || images) {
		import->images = strdup(is_directory ? what : images);
	} else {
		const char *slash = strrchr(what, '/');
		import->images =
		        slash ? strndup(what, slash == what ? 1 : (size_t)(slash - what)) : strdup(".");
	}
	if (!import->images)
		return fm_fail(err, FM_E_NOMEM, "no memory for a path");
	return is_directory ? fm_labelled_scan(what, &import->photos, err)
	                    : fm_labelled_read(what, &import->photos, err);
}

static void run_jobs(struct import *import, size_t jobs)
{
	pthread_t threads[JOBS_MAX];
	size_t started = 0;

	while (started + 1 < jobs && pthread_create(&threads[started], NULL, work, import) == 0)
		started++;
	work(import);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}

static int summarize(struct import *import, size_t settled_before)
{
	size_t counts[FM_IMPORT_OUTCOMES], seen = settled_before;

	for (int i = 0; i < FM_IMPORT_OUTCOMES; i++) {
		counts[i] = atomic_load(&import->outcomes[i]);
		seen += counts[i];
	}
	printf("%zu enrolled, %zu there already, %zu refused, %zu failed", counts[FM_IMPORT_ENROLLED],
	        counts[FM_IMPORT_PRESENT], counts[FM_IMPORT_REFUSED], counts[FM_IMPORT_FAILED]);
	if (settled_before)
		printf(", %zu settled by an earlier run", settled_before);
	if (seen < import->photos.count)
		printf(", %zu not tried", import->photos.count - seen);
	putchar('\n');
	if (import->stopped)
		fm_complain("stopped: %s", import->err.message);
	return import->stopped || counts[FM_IMPORT_FAILED] ? FM_EXIT_FAILURE : FM_EXIT_OK;
}

static int import_archive(const struct fm_remote_options *options, const char *path, const char *collection)
{
	fm_cleanup(fm_remote_freep) struct fm_remote *remote = NULL;
	struct fm_archive_counts counts = {0};
	struct fm_error err;
	enum fm_status status = fm_remote_create(options, &remote, &err);

	if (!status)
		status = fm_archive_send(remote, path, collection, &counts, &err);
	printf("%zu people and %zu faces added, %zu there already, %zu lines refused\n", counts.people,
	        counts.faces, counts.present, counts.refused);
	if (status)
		fm_complain("stopped: %s", err.message);
	return status || counts.refused ? FM_EXIT_FAILURE : FM_EXIT_OK;
}

static int run(struct fm_call *call)
{
	struct fm_remote_options remote = {.url = FM_REMOTE_URL};
	fm_cleanup(import_done) struct import import = {.remote = &remote};
	const char *report = NULL, *images = NULL;
	bool largest = false;
	long jobs = 4;
	const struct fm_option options[] = {
	        {"collection", FM_OPTION_TEXT, &import.collection, "NAME", "where to (default: default)"},
	        {"images", FM_OPTION_TEXT, &images, "DIR",
	                "what a list's paths are relative to (default: the list's)"},
	        {"largest", FM_OPTION_FLAG, &largest, NULL, "of a photo with several faces take the largest"},
	        {"jobs", FM_OPTION_COUNT, &jobs, "N", "photos on their way at a time (default: 4)", .low = 1,
	                .high = JOBS_MAX},
	        {"report", FM_OPTION_TEXT, &report, "FILE",
	                "write what became of each photo as CSV; where FILE exists, go on from it"},
	        FM_REMOTE_OPTION_ROWS(&remote),
	};
	struct fm_error err;
	size_t settled = 0;
	int exit_code;

	if (!fm_options_parse(call, options, sizeof(options) / sizeof(options[0]), 1, 1, &exit_code))
		return exit_code;
	if (fm_archive_is_one(call->operands[0])) {
		if (report || images || largest)
			return fm_usage_error(
			        call->command, "--report, --images and --largest go with photos");
		return import_archive(&remote, call->operands[0], import.collection);
	}
	import.face = largest ? "largest" : NULL;
	if (read_photos(&import, call->operands[0], images, &err) ||
	        fm_import_report_open(report, &import.report, &err)) {
		fm_complain("%s", err.message);
		return FM_EXIT_FAILURE;
	}
	for (size_t i = 0; i < import.photos.count; i++)
		settled += fm_import_report_settled(&import.report, import.photos.photos[i].path);
	pthread_mutex_init(&import.lock, NULL);
	fm_progress_begin(&import.progress, "photos", import.photos.count - settled);
	run_jobs(&import, (size_t)jobs);
	fm_progress_end(&import.progress);
	exit_code = summarize(&import, settled);
	pthread_mutex_destroy(&import.lock);
	if (fm_import_report_close(&import.report, &err)) {
		fm_complain("%s: %s", report, err.message);
		exit_code = FM_EXIT_FAILURE;
	}
	return exit_code;
}

const struct fm_command fm_cmd_import = {
        .name = "import",
        .operands = "DIR|LIST.csv|ARCHIVE.jsonl",
        .summary = "enrol many photos: a folder for each person, or a list",
        .description =
                "Enrols photos in a running facematchd: DIR/PERSON/PHOTO, or a CSV file whose header names "
                "the\n"
                "columns image and person. A photo that shows nobody, several people, or a face that is not\n"
                "good enough is refused, and the reason told. The very same photo twice is enrolled once, "
                "so\n"
                "that an import may be repeated; with --report it goes on where it was. An archive of "
                "`facematchctl\n"
                "export` comes in with its ids; what is there already is left alone. Exit status 1: the\n"
                "daemon did not answer, or photos could not be read.",
        .example = "  facematchctl import photos/ --collection staff --report import.csv --jobs 8",
        .run = run,
};
