#include "cli/calibration.h"
#include "cli/calibrator.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/plot.h"
#include "lib/base/file.h"
#include "lib/base/size.h"
#include "lib/face/paths.h"

#include <ctype.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

/* A manifest's lines hold 190 characters, the key and " = " among them. */
#define DESCRIPTION_MAX    150
#define MANIFEST_MAX_BYTES ((size_t)64 << 10)

#define SPLITS_DEFAULT 10

struct wanted {
	const char *description, *output, *json, *plot, *det;
};

static size_t usable_cpus(void)
{
	cpu_set_t set;
	size_t cpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;

	return cpus < FM_EMBEDDER_THREADS_MAX ? cpus : FM_EMBEDDER_THREADS_MAX;
}

/* A value that a manifest gives back as it is: one line without a comment. */
static bool is_description(const char *text)
{
	size_t length = strlen(text);

	for (size_t i = 0; i < length; i++)
		if (iscntrl((unsigned char)text[i]) || text[i] == ';')
			return false;
	return length <= DESCRIPTION_MAX && !isspace((unsigned char)text[0]);
}

/* The section as text; the caller frees it. */
static enum fm_status make_section(const struct fm_calibrator *calibrator, const char *description,
        char **ret_text, size_t *ret_length, struct fm_error *err)
{
	const struct fm_calibration *calibration = &calibrator->calibration;
	char by_default[DESCRIPTION_MAX];
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_length);

	if (!out)
		return fm_fail(err, FM_E_NOMEM, "no memory for a calibration");
	snprintf(by_default, sizeof(by_default), "all impostor pairs%s, %s pipeline",
	        calibrator->hold_out ? " of every second person" : "",
	        fm_precision_name(calibrator->eval->runs[0].precision));
	fm_calibration_print(out, calibration, description ? description : by_default);
	bool failed = ferror(out) != 0;
	failed |= fclose(out) != 0;
	if (failed) {
		free(text);
		return fm_fail(err, FM_E_NOMEM, "no memory for a calibration");
	}
	*ret_text = text;
	return FM_OK;
}

/* Where a line begins with "[", after the line at text; or the end. */
static char *next_section(char *text)
{
	char *found = strstr(text, "\n[");

	return found ? found + 1 : text + strlen(text);
}

/* The manifest in use, its section of calibration (the last, if it has several) replaced by this one. */
static enum fm_status write_manifest(
        const struct fm_networks *wanted, const char *section, const char *path, struct fm_error *err)
{
	fm_autofree char *networks = NULL, *manifests = NULL, *source = NULL, *old = NULL, *whole = NULL;
	size_t length;

	enum fm_status status = fm_models_find(wanted->dir, &networks, &manifests, err);
	if (status)
		return status;
	if (asprintf(&source, "%s/%s.conf", manifests,
	            wanted->embedding ? wanted->embedding : fm_models_defaults.embedding) < 0) {
		source = NULL;
		return fm_fail(err, FM_E_NOMEM, "no memory for a path");
	}
	status = fm_file_read(source, MANIFEST_MAX_BYTES, &old, &length, err);
	if (status)
		return status;
	char *begin = old;
	while (*begin && strncmp(begin, "[calibration]", strlen("[calibration]")) != 0)
		begin = next_section(begin);
	const char *rest = *begin ? next_section(begin) : begin;
	int written = asprintf(&whole, "%.*s%s%s%s%s", (int)(begin - old), old,
	        begin > old && begin[-1] != '\n' ? "\n" : "", *begin ? "" : "\n", section, rest);
	if (written < 0) {
		whole = NULL;
		return fm_fail(err, FM_E_NOMEM, "no memory for a manifest");
	}
	return fm_output_write(path, whole, (size_t)written, err);
}

static enum fm_status write_det(
        const struct fm_calibrator *calibrator, const char *path, struct fm_error *err)
{
	struct fm_roc_point points[FM_ROC_POINTS_MAX];
	fm_autofree char *svg = NULL;
	char subtitle[160];
	size_t length, count = fm_stats_roc(calibrator->stats, points);

	if (count == 0)
		return fm_fail(err, FM_E_INVALID, "no DET curve without two photos of a person");
	snprintf(subtitle, sizeof(subtitle), "%zu people, %zu photos", calibrator->calibration.people,
	        calibrator->calibration.photos);
	const struct fm_plot plot = {.title = "Detection error trade-off",
	        .subtitle = subtitle,
	        .x_label = "False match rate (FMR)",
	        .y_label = "False non-match rate (FNMR)",
	        .x_name = "FMR",
	        .y_name = "FNMR",
	        .series_count = 1,
	        .series = {{fm_precision_name(calibrator->eval->runs[0].precision), count, points}}};
	enum fm_status status = fm_plot_det(&plot, &svg, &length, err);
	return status ? status : fm_output_write(path, svg, length, err);
}

static enum fm_status write_results(
        const struct fm_calibrator *calibrator, const struct wanted *wanted, struct fm_error *err)
{
	fm_autofree char *section = NULL, *svg = NULL;
	bool json_alone = wanted->json && strcmp(wanted->json, "-") == 0;
	size_t length;

	enum fm_status status = make_section(calibrator, wanted->description, &section, &length, err);
	if (status)
		return status;
	json_object_set_new(calibrator->report, "calibration", fm_json_text(section));
	if (wanted->json)
		status = fm_json_write(wanted->json, calibrator->report, err);
	if (!status && wanted->output)
		status = write_manifest(&calibrator->eval->networks, section, wanted->output, err);
	if (!status && wanted->plot) {
		status = fm_calibrator_plot(calibrator, &svg, &length, err);
		if (!status)
			status = fm_output_write(wanted->plot, svg, length, err);
	}
	if (!status && wanted->det)
		status = write_det(calibrator, wanted->det, err);
	if (!status && !json_alone) {
		json_object_del(calibrator->report, "calibration");
		fm_calibrator_print(calibrator->report);
		if (!wanted->output)
			printf("\n%s", section);
	}
	return status;
}

static int calibrate_run(struct fm_call *call)
{
	struct wanted wanted = {0};
	enum fm_precision precision = FM_INT8;
	long threads = (long)usable_cpus(), splits = SPLITS_DEFAULT;
	fm_cleanup(fm_eval_done) struct fm_eval eval = {.networks.dir = call->models_dir};
	fm_cleanup(fm_calibrator_done) struct fm_calibrator calibrator = {.eval = &eval};
	const struct fm_option options[] = {
	        {"images", FM_OPTION_TEXT, &eval.images_dir, "DIR", "photos, a folder for each person",
	                .required = true},
	        FM_OPTION_PRECISION_ROW(&precision),
	        {"output", FM_OPTION_TEXT, &wanted.output, "FILE",
	                "write the network's manifest with this calibration"},
	        {"description", FM_OPTION_TEXT, &wanted.description, "TEXT",
	                "what the photos are, for the manifest"},
	        {"hold-out", FM_OPTION_FLAG, &calibrator.hold_out, NULL,
	                "calibrate on every second person, measure on the others"},
	        {"splits", FM_OPTION_COUNT, &splits, "N",
	                "random halves and galleries it is checked on (default: 10)", .low = 0,
	                .high = FM_CALIBRATOR_SPLITS_MAX},
	        {"json", FM_OPTION_TEXT, &wanted.json, "FILE", "write the report there; - is stdout alone"},
	        {"plot", FM_OPTION_TEXT, &wanted.plot, "FILE.svg", "draw FMR and FNMR against the threshold"},
	        {"det", FM_OPTION_TEXT, &wanted.det, "FILE.svg", "draw FNMR against FMR"},
	        {"threads", FM_OPTION_COUNT, &threads, "N", "photos worked on at once (default: all cores)",
	                .low = 1, .high = FM_EMBEDDER_THREADS_MAX},
	        FM_OPTION_NETWORK_ROWS(&eval.networks),
	};
	struct fm_error err;
	int exit_status;

	if (!fm_options_parse(call, options, FM_ARRAY_SIZE(options), 0, 0, &exit_status))
		return exit_status;
	if (wanted.description && !is_description(wanted.description))
		return fm_usage_error(call->command,
		        "--description: one line of at most %d characters, without ; and blanks in front",
		        DESCRIPTION_MAX);
	eval.threads = (size_t)threads;
	eval.precisions = 1u << precision;
	calibrator.splits = (size_t)splits;
	enum fm_status status = fm_calibrator_run(&calibrator, &err);
	if (!status)
		status = write_results(&calibrator, &wanted, &err);
	if (status)
		fm_complain("%s", err.message);
	return status ? FM_EXIT_FAILURE : FM_EXIT_OK;
}

const struct fm_command fm_cmd_calibrate = {
        .name = "calibrate",
        .operands = "",
        .summary = "false match rates of a network, from your own labelled photos",
        .description =
                "Embeds the photos DIR/PERSON/PHOTO, compares everybody with everybody else, and makes the\n"
                "[calibration] section of the network's manifest: which cosine two different people reach "
                "how\n"
                "often. Rates down to 10 false matches in the sample are measured, rarer ones extrapolated "
                "from\n"
                "a generalized Pareto distribution of the tail. Take many people, few photos of each, and "
                "nobody\n"
                "who is enrolled; 50 people and 10,000 pairs are the least, 1e-4 is measured from some 450\n"
                "people on. The same person under two names spoils the tail.\n"
                "What it states is then measured on people it has not seen: random halves (FMR, 1:1) and "
                "random\n"
                "galleries with the others as strangers (FPIR, 1:N).",
        .example = "  facematchctl calibrate --images staff --output fr_feature.conf --plot rates.svg\n"
                   "  facematchctl calibrate --images lfw --hold-out --splits 20 --json report.json",
        .run = calibrate_run,
};
