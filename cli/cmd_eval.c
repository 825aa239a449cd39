#include "cli/cli.h"
#include "cli/eval.h"
#include "cli/output.h"
#include "cli/plot.h"
#include "lib/base/size.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

static size_t usable_cpus(void)
{
	cpu_set_t set;
	size_t cpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;

	return cpus < FM_EMBEDDER_THREADS_MAX ? cpus : FM_EMBEDDER_THREADS_MAX;
}

/* One run's report as it stands; two under their names, with the comparison. A new reference. */
static json_t *whole_report(const struct fm_eval *eval)
{
	if (eval->run_count == 1)
		return json_incref(eval->runs[0].report);
	json_t *whole = json_object();
	for (size_t i = 0; i < eval->run_count; i++)
		json_object_set(whole, fm_precision_name(eval->runs[i].precision), eval->runs[i].report);
	json_object_set(whole, "comparison", eval->comparison);
	return whole;
}

static void print_thresholds(const struct fm_eval_run *run)
{
	size_t i;
	json_t *row;

	if (fm_stats_impostors(run->stats) == 0)
		return;
	printf("\n%s: %-10s %-11s %-11s %s\n", fm_precision_name(run->precision), "far", "threshold", "tar",
	        "false accepts");
	json_array_foreach(json_object_get(run->report, "thresholds"), i, row) printf(
	        "%*s  %-10.0e %-11.5f %-11.6f %" JSON_INTEGER_FORMAT "%s\n",
	        (int)strlen(fm_precision_name(run->precision)), "",
	        json_number_value(json_object_get(row, "far")),
	        json_number_value(json_object_get(row, "threshold")),
	        json_number_value(json_object_get(row, "tar")),
	        json_integer_value(json_object_get(row, "false_accepts")),
	        json_is_true(json_object_get(row, "supported")) ? "" : "  (too few pairs for this rate)");
}

/* How the manifest's calibration keeps its word on these photos. */
static void print_stated(const struct fm_eval_run *run)
{
	const char *precision = fm_precision_name(run->precision);
	size_t i;
	json_t *row;

	printf("\n%s: %-10s %-11s %-11s %s\n", precision, "stated fmr", "threshold", "measured",
	        "false matches");
	json_array_foreach(json_object_get(run->report, "stated_rates"), i, row) printf(
	        "%*s  %-10.0e %-11.5f %-11.2e %" JSON_INTEGER_FORMAT "%s\n", (int)strlen(precision), "",
	        json_number_value(json_object_get(row, "false_match_rate")),
	        json_number_value(json_object_get(row, "threshold")),
	        json_number_value(json_object_get(row, "measured")),
	        json_integer_value(json_object_get(row, "false_matches")),
	        json_is_true(json_object_get(row, "extrapolated")) ? "  (extrapolated by the calibration)"
	                                                           : "");
}

/* Fusions beside each other. */
static void print_fusions(const struct fm_eval_run *run)
{
	const json_t *fusions = json_object_get(run->report, "fusions");
	const char *name, *key;
	json_t *fusion, *value;

	printf("\n%-22s", fm_precision_name(run->precision));
	json_object_foreach((json_t *)fusions, name, fusion) printf(" %-17s", name);
	putchar('\n');
	json_object_foreach(json_object_get(fusions, "nearest"), key, value)
	{
		printf("%-22s", key);
		json_object_foreach((json_t *)fusions, name, fusion)
		        printf(" %-17.3g", json_number_value(json_object_get(fusion, key)));
		putchar('\n');
	}
}

static void print_comparison(const struct fm_eval *eval)
{
	const char *first = fm_precision_name(eval->runs[0].precision);
	const char *second = fm_precision_name(eval->runs[1].precision);
	size_t i;
	json_t *test;

	printf("\n%s against %s, embeddings of the same photos:\n", first, second);
	fm_json_print_table(eval->comparison);
	json_array_foreach(json_object_get(eval->comparison, "tests"), i, test)
	{
		char only[2][32];
		snprintf(only[0], sizeof(only[0]), "%s_only", first);
		snprintf(only[1], sizeof(only[1]), "%s_only", second);
		json_int_t alone[] = {json_integer_value(json_object_get(test, only[0])),
		        json_integer_value(json_object_get(test, only[1]))};
		double mid_p = json_number_value(json_object_get(test, "mcnemar_mid_p"));
		printf("\n%s: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " decided differently",
		        json_string_value(json_object_get(test, "decision")), alone[0] + alone[1],
		        json_integer_value(json_object_get(test, "cases")));
		if (alone[0] + alone[1] == 0) {
			putchar('\n');
			continue;
		}
		printf(": %" JSON_INTEGER_FORMAT " right in %s alone, %" JSON_INTEGER_FORMAT " in %s alone\n"
		       "  McNemar's test: exact p = %.3g, mid-p = %.3g: %s at the 5 %% level\n",
		        alone[0], first, alone[1], second,
		        json_number_value(json_object_get(test, "mcnemar_exact_p")), mid_p,
		        mid_p < 0.05 ? "a difference" : "no difference shown");
	}
}

static void print_reports(const struct fm_eval *eval)
{
	const json_t *reports[FM_EVAL_RUNS_MAX] = {NULL};

	for (size_t i = 0; i < eval->run_count; i++)
		reports[i] = eval->runs[i].report;
	fm_json_print_columns(reports, eval->run_count);
	for (size_t i = 0; i < eval->run_count; i++)
		if (json_object_get(reports[i], "thresholds"))
			print_thresholds(&eval->runs[i]);
	for (size_t i = 0; i < eval->run_count; i++)
		if (json_is_array(json_object_get(reports[i], "stated_rates")) &&
		        fm_stats_impostors(eval->runs[i].stats) > 0)
			print_stated(&eval->runs[i]);
	for (size_t i = 0; i < eval->run_count; i++)
		if (json_object_get(reports[i], "fusions"))
			print_fusions(&eval->runs[i]);
	if (eval->comparison)
		print_comparison(eval);
}

static enum fm_status write_plot(const struct fm_eval *eval, const char *path, struct fm_error *err)
{
	struct fm_roc_point points[FM_EVAL_RUNS_MAX][FM_ROC_POINTS_MAX];
	struct fm_plot plot = {.title = eval->title,
	        .subtitle = eval->subtitle,
	        .x_label = eval->x_label,
	        .y_label = eval->y_label,
	        .x_name = eval->x_name,
	        .y_name = eval->y_name};
	fm_autofree char *svg = NULL;
	size_t length;

	for (size_t i = 0; i < eval->run_count; i++) {
		size_t count = fm_stats_roc(eval->runs[i].stats, points[i]);
		if (count == 0)
			return fm_fail(err, FM_E_INVALID,
			        "there is nothing to plot without genuine and impostor decisions both");
		plot.series[plot.series_count++] =
		        (struct fm_plot_series){fm_precision_name(eval->runs[i].precision), count, points[i]};
	}
	enum fm_status status = fm_plot_det(&plot, &svg, &length, err);
	return status ? status : fm_output_write(path, svg, length, err);
}

struct wanted {
	const char *pairs, *gallery, *probes, *json, *plot;
	bool all_pairs, fusion;
};

static enum fm_status evaluate(struct fm_eval *eval, const struct wanted *wanted, struct fm_error *err)
{
	enum fm_status status = wanted->pairs       ? fm_eval_pairs(eval, wanted->pairs, err)
	                        : wanted->all_pairs ? fm_eval_all_pairs(eval, err)
	                        : wanted->fusion
	                                ? fm_eval_fusion(eval, err)
	                                : fm_eval_identify(eval, wanted->gallery, wanted->probes, err);
	if (!status && wanted->json) {
		json_t *whole = whole_report(eval);
		status = fm_json_write(wanted->json, whole, err);
		json_decref(whole);
	}
	if (!status && !(wanted->json && strcmp(wanted->json, "-") == 0))
		print_reports(eval);
	if (!status && wanted->plot)
		status = write_plot(eval, wanted->plot, err);
	return status;
}

static int eval_run(struct fm_call *call)
{
	struct wanted wanted = {0};
	long threads = (long)usable_cpus();
	fm_cleanup(fm_eval_done) struct fm_eval eval = {
	        .networks.dir = call->models_dir, .precisions = 1u << FM_INT8};
	const struct fm_option options[] = {
	        {"images", FM_OPTION_TEXT, &eval.images_dir, "DIR", "where the photos are", .required = true},
	        {"pairs", FM_OPTION_TEXT, &wanted.pairs, "FILE", "1:1, CSV with the header a,b,same[,fold]"},
	        {"gallery", FM_OPTION_TEXT, &wanted.gallery, "FILE", "1:N, CSV with the header image,person"},
	        {"probes", FM_OPTION_TEXT, &wanted.probes, "FILE", "1:N, the same header"},
	        {"all-pairs", FM_OPTION_FLAG, &wanted.all_pairs, NULL,
	                "every photo against every other; a folder for each person"},
	        {"fusion", FM_OPTION_FLAG, &wanted.fusion, NULL,
	                "several photos as one decision: nearest, mean, template; the same folders"},
	        {"precision", FM_OPTION_PRECISIONS, &eval.precisions, "float32|int8|both",
	                "arithmetic of the network; both side by side (default: int8)"},
	        {"json", FM_OPTION_TEXT, &wanted.json, "FILE",
	                "write the result there too; - is stdout alone"},
	        {"plot", FM_OPTION_TEXT, &wanted.plot, "FILE.svg", "draw the error rates"},
	        {"threads", FM_OPTION_COUNT, &threads, "N", "photos worked on at once (default: all cores)",
	                .low = 1, .high = FM_EMBEDDER_THREADS_MAX},
	        FM_OPTION_NETWORK_ROWS(&eval.networks),
	};
	struct fm_error err;
	int exit_status;

	if (!fm_options_parse(call, options, FM_ARRAY_SIZE(options), 0, 0, &exit_status))
		return exit_status;
	eval.threads = (size_t)threads;
	if ((wanted.pairs != NULL) + (wanted.gallery || wanted.probes) + wanted.all_pairs + wanted.fusion !=
	        1)
		return fm_usage_error(call->command,
		        "one of --pairs, --gallery with --probes, --all-pairs and --fusion is wanted");
	if (wanted.fusion && wanted.plot)
		return fm_usage_error(call->command, "--fusion has no plot");
	if (!wanted.gallery != !wanted.probes)
		return fm_usage_error(call->command, "--gallery and --probes go together");
	if (evaluate(&eval, &wanted, &err) < 0) {
		fm_complain("%s", err.message);
		return FM_EXIT_FAILURE;
	}
	return FM_EXIT_OK;
}

const struct fm_command fm_cmd_eval = {
        .name = "eval",
        .operands = "",
        .summary = "accuracy on labelled photos: 1:1, 1:N, all pairs",
        .description =
                "Embeds labelled photos, once, and reports how well the cosine tells people apart.\n"
                "--pairs: a CSV file with the header a,b,same: two paths relative to --images, and 1 or 0.\n"
                "  Accuracy at the best threshold, area under the ROC curve, true accept rates at false "
                "accept\n"
                "  rates of 1e-2, 1e-3 and further powers of ten that the pairs support. With a column "
                "fold,\n"
                "  accuracy of each fold at the threshold of the others, mean and standard deviation.\n"
                "--gallery, --probes: CSV files with the header image,person. Rank 1 rate, and misses "
                "(FNIR) at\n"
                "  stated rates of strangers found (FPIR). A probe whose person is not in the gallery is a "
                "stranger.\n"
                "--all-pairs: DIR/PERSON/PHOTO, every photo against every other: thresholds at false accept "
                "rates\n"
                "  down to 1e-6, and what the rates that the network's manifest states measure here.\n"
                "--fusion: DIR/PERSON/PHOTO, each photo against the others of its person, who has three or "
                "more, by\n"
                "  nearest, mean, nearest and mean, and template: FNMR at FMR and FNIR at FPIR, thresholds "
                "from the\n"
                "  other half of the people, over 20 random halves.\n"
                "A rate is supported when three impostors are expected at it. --precision both compares "
                "float32\n"
                "with int8 on the same photos, with McNemar's test on what they decide differently.\n"
                "The person meant is the face nearest to the photo's centre. A photo without a face, or one "
                "that\n"
                "cannot be decoded, is a miss: its pairs score a cosine of -1, it finds nobody.",
        .example =
                "  facematchctl eval --images lfw --pairs pairs.csv --precision both --json result.json\n"
                "  facematchctl eval --images lfw --gallery enrolled.csv --probes seen.csv --plot det.svg\n"
                "  facematchctl eval --images lfw --all-pairs",
        .run = eval_run,
};
