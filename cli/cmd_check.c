/* facematchctl check: is a gallery whole, and does a daemon search what is in it? */
#include "cli/remote.h"
#include "lib/base/cleanup.h"
#include "lib/gallery/check.h"
#include "lib/image/decode.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

#define CROP_PIXELS_MAX 1048576
#define CROP_SIDE_MAX   4096

FM_DEFINE_CLEANUP(struct fm_remote *, fm_remote_free);

struct options {
	struct fm_remote_options remote;
	const char *gallery, *seal_keys;
};

/* What the daemon says it searches. */
struct searched {
	char model[512];
	int64_t faces;
};

static void print_finding(void *context, const char *text)
{
	char printable[768];

	(void)context;
	snprintf(printable, sizeof(printable), "%s", text);
	printf("finding: %s\n", fm_printable(printable));
}

static enum fm_status look_at_crop(void *context, const uint8_t *jpeg, size_t bytes, struct fm_error *err)
{
	const struct fm_image_limits limits = {.pixels_max = CROP_PIXELS_MAX, .side_max_px = CROP_SIDE_MAX};
	fm_cleanup(fm_image_done) struct fm_image crop = {0};
	bool truncated = false;
	enum fm_status status = fm_image_decode(jpeg, bytes, &limits, 1, &crop, &truncated, err);

	(void)context;
	return !status && truncated ? fm_fail(err, FM_E_TRUNCATED, "it ends early") : status;
}

static enum fm_status ask(struct fm_remote *remote, struct searched *ret_searched, struct fm_error *err)
{
	const struct fm_remote_request request = {.method = "GET", .path = "/v1/admin/jobs"};
	fm_cleanup(fm_remote_reply_done) struct fm_remote_reply reply = {0};
	enum fm_status status = fm_remote_expect(remote, &request, &reply, err);

	if (status)
		return status;
	const json_t *gallery = json_object_get(reply.json, "gallery");
	const char *model = json_string_value(json_object_get(gallery, "model"));

	if (!model)
		return fm_fail(err, FM_E_UNSUPPORTED, "what answers there is no facematchd of this version");
	snprintf(ret_searched->model, sizeof(ret_searched->model), "%s", model);
	ret_searched->faces = json_integer_value(json_object_get(gallery, "faces"));
	return FM_OK;
}

/* Asked before and after: while faces come and go no number is right or wrong. Returns 1 for a finding. */
static int64_t compare(const struct searched *before, const struct searched *after, int64_t searchable)
{
	if (before->faces != after->faces || strcmp(before->model, after->model) != 0) {
		printf("the daemon's gallery changed meanwhile: its index was not compared\n");
		return 0;
	}
	printf("%lld faces are searched under %s\n", (long long)after->faces, after->model);
	if (after->faces == searchable)
		return 0;
	printf("finding: %lld faces have an embedding under it\n", (long long)searchable);
	return 1;
}

static enum fm_status check(
        const struct options *options, struct fm_remote *remote, int64_t *ret_findings, struct fm_error *err)
{
	const struct fm_gallery_check inspector = {.finding = print_finding, .crop = look_at_crop};
	struct searched before = {0}, after = {0};
	struct fm_gallery_census census = {0};
	int64_t searchable = 0;
	enum fm_status status = remote ? ask(remote, &before, err) : FM_OK;

	if (!status)
		status = fm_gallery_check_file(options->gallery, options->seal_keys, &inspector,
		        remote ? before.model : NULL, &census, &searchable, err);
	if (!status && remote)
		status = ask(remote, &after, err);
	if (status)
		return status;
	printf("%lld collections, %lld people, %lld faces, %lld embeddings, %lld crops\n",
	        (long long)census.collections, (long long)census.people, (long long)census.faces,
	        (long long)census.embeddings, (long long)census.crops);
	*ret_findings = census.findings + (remote ? compare(&before, &after, searchable) : 0);
	return FM_OK;
}

static int run(struct fm_call *call)
{
	struct options options = {0};
	const struct fm_option rows[] = {
	        {"gallery", FM_OPTION_TEXT, &options.gallery, "FILE", "the gallery", .required = true},
	        {"seal-keys", FM_OPTION_TEXT, &options.seal_keys, "FILE",
	                "the keys that it is sealed with ([gallery] key_file)"},
	        {"url", FM_OPTION_TEXT, &options.remote.url, "URL",
	                "the daemon that serves it, to compare with"},
	        {"socket", FM_OPTION_TEXT, &options.remote.socket, "PATH", "its Unix socket"},
	        {"key-file", FM_OPTION_TEXT, &options.remote.key_file, "FILE",
	                "a file with the key to show (default: $FACEMATCH_KEY, or none)"},
	        {"ca-file", FM_OPTION_TEXT, &options.remote.ca_file, "FILE",
	                "certificates that vouch for an https URL (default: the system's)"},
	};
	fm_cleanup(fm_remote_freep) struct fm_remote *remote = NULL;
	struct fm_error err;
	int64_t findings = 0;
	int exit_code;

	if (!fm_options_parse(call, rows, sizeof(rows) / sizeof(rows[0]), 0, 0, &exit_code))
		return exit_code;
	enum fm_status status = FM_OK;

	if (options.remote.url || options.remote.socket) {
		if (!options.remote.url)
			options.remote.url = FM_REMOTE_URL;
		status = fm_remote_create(&options.remote, &remote, &err);
	}
	if (!status)
		status = check(&options, remote, &findings, &err);
	if (status) {
		fm_complain("%s", err.message);
		return FM_EXIT_FAILURE;
	}
	if (findings)
		printf("%lld findings\n", (long long)findings);
	else
		printf("nothing is wrong\n");
	return findings ? FM_EXIT_FAILURE : FM_EXIT_OK;
}

const struct fm_command fm_cmd_check = {
        .name = "check",
        .operands = "",
        .summary = "look for damage in a gallery",
        .description =
                "Reads a whole gallery and changes nothing: the file's structure, references between rows,\n"
                "counters against what they count, embeddings (length, unit norm, seal) and crops. With\n"
                "--url or --socket it also asks the daemon that serves this gallery how many faces it\n"
                "searches. Run it as the daemon's user, stopped or running. Exit status 1 where something\n"
                "is wrong.",
        .example = "  facematchctl check --gallery /var/lib/facematchd/gallery.db",
        .run = run,
};
