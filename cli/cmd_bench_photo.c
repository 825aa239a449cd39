#include "cli/cli.h"
#include "cli/json.h"
#include "cli/photo.h"
#include "cli/progress.h"
#include "cli/stats.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"
#include "lib/cpu/cpu.h"

#include <stdio.h>

#include "lib/base/banned.h"

enum {
	WARM_UP_RUNS = 2,
	RUNS_MIN = 5,
	RUNS_MAX = 100000, /* pages are only taken as they are written */
};

enum stage { DECODE, DETECT, EMBED, TOTAL, STAGE_COUNT };

static const char *const stage_names[STAGE_COUNT] = {
        [DECODE] = "decode", [DETECT] = "detect", [EMBED] = "embed", [TOTAL] = "total"};

struct measured {
	int width_px, height_px;
	size_t faces, runs;
	double median_ms[STAGE_COUNT], min_ms[STAGE_COUNT];
};

static enum fm_status run_once(struct fm_pipeline *pipeline, const void *bytes, size_t length,
        struct measured *measured, double ret_ms[STAGE_COUNT], struct fm_error *err)
{
	const struct fm_embed_request request = {.which = FM_EMBED_ALL};
	fm_cleanup(fm_faces_done) struct fm_faces faces = {0};
	double start_s = fm_clock_s();
	enum fm_status status = fm_pipeline_run(pipeline, bytes, length, &request, &faces, err);

	if (status)
		return status;
	ret_ms[TOTAL] = (fm_clock_s() - start_s) * 1e3;
	ret_ms[DECODE] = faces.decode_ms;
	ret_ms[DETECT] = faces.detect_ms;
	ret_ms[EMBED] = faces.embed_ms;
	measured->width_px = faces.image_width_px;
	measured->height_px = faces.image_height_px;
	measured->faces = faces.count;
	return FM_OK;
}

/* The file is read before the clock starts. */
static enum fm_status measure(struct fm_pipeline *pipeline, const char *path, double seconds,
        struct measured *ret_measured, struct fm_error *err)
{
	fm_autofree double *times_ms = fm_calloc((size_t)STAGE_COUNT * RUNS_MAX, sizeof(*times_ms));
	fm_autofree char *bytes = NULL;
	struct measured measured = {0};
	double ms[STAGE_COUNT], start_s = 0;
	size_t length;

	if (!times_ms)
		return fm_fail(err, FM_E_NOMEM, "no memory for the times");
	enum fm_status status = fm_file_read(path, FM_PHOTO_BYTES_MAX, &bytes, &length, err);
	for (int i = 0; !status && i < WARM_UP_RUNS; i++) {
		status = run_once(pipeline, bytes, length, &measured, ms, err);
		start_s = fm_clock_s();
	}
	while (!status && measured.runs < RUNS_MAX &&
	        (measured.runs < RUNS_MIN || fm_clock_s() - start_s < seconds)) {
		status = run_once(pipeline, bytes, length, &measured, ms, err);
		for (size_t stage = 0; !status && stage < STAGE_COUNT; stage++)
			times_ms[stage * RUNS_MAX + measured.runs] = ms[stage];
		measured.runs++;
	}
	if (status)
		return fm_fail_prefix(err, status, "%s", path);
	for (size_t stage = 0; stage < STAGE_COUNT; stage++) {
		double *of_stage = times_ms + stage * RUNS_MAX;
		measured.median_ms[stage] = fm_stats_median(of_stage, measured.runs);
		measured.min_ms[stage] = of_stage[0]; /* the median sorted them */
	}
	*ret_measured = measured;
	return FM_OK;
}

static json_t *report(const char *path, const struct measured *measured)
{
	json_t *json = json_pack("{s:o, s:i, s:i, s:I, s:I}", "file", fm_json_text(path), "width",
	        measured->width_px, "height", measured->height_px, "faces", (json_int_t)measured->faces,
	        "runs", (json_int_t)measured->runs);

	for (size_t stage = 0; json && stage < STAGE_COUNT; stage++) {
		char key[32];
		snprintf(key, sizeof(key), "%s_median_ms", stage_names[stage]);
		json_object_set_new(json, key, json_real(measured->median_ms[stage]));
		snprintf(key, sizeof(key), "%s_min_ms", stage_names[stage]);
		json_object_set_new(json, key, json_real(measured->min_ms[stage]));
	}
	return json;
}

static int bench_photo_run(struct fm_call *call)
{
	struct fm_networks networks = {.dir = call->models_dir};
	struct fm_pipeline_options pipeline_options = fm_pipeline_defaults;
	enum fm_precision precision = FM_INT8;
	long min_face_px = fm_pipeline_defaults.min_face_px;
	bool as_json = false;
	double seconds = 2;
	const struct fm_option options[] = {
	        FM_OPTION_NETWORK_ROWS(&networks),
	        FM_OPTION_PRECISION_ROW(&precision),
	        {"min-face-px", FM_OPTION_COUNT, &min_face_px, "N",
	                "faces at least this large are looked for (default: 80)", .low = 20, .high = 1024},
	        {"seconds", FM_OPTION_SECONDS, &seconds, "S", "how long to measure each photo (default: 2)",
	                .low = 0.01, .high = 3600},
	        {"json", FM_OPTION_FLAG, &as_json, NULL, "print one line of JSON a photo"},
	};
	fm_cleanup(fm_models_freep) struct fm_models *models = NULL;
	fm_cleanup(fm_pipeline_freep) struct fm_pipeline *pipeline = NULL;
	struct fm_error err;
	int result;

	if (!fm_options_parse(call, options, FM_ARRAY_SIZE(options), 1, SIZE_MAX, &result))
		return result;
	fm_cpu_flush_denormals();
	pipeline_options.min_face_px = (int)min_face_px;
	enum fm_status status = fm_photo_models_load(&networks, precision, &models, &err);
	if (!status)
		status = fm_pipeline_create(models, &pipeline_options, &pipeline, &err);
	for (size_t i = 0; !status && i < call->operand_count; i++) {
		struct measured measured = {0};
		status = measure(pipeline, call->operands[i], seconds, &measured, &err);
		if (status)
			break;
		status = fm_json_print(report(call->operands[i], &measured), as_json, &err);
	}
	if (status)
		fm_complain("%s", err.message);
	return status ? FM_EXIT_FAILURE : FM_EXIT_OK;
}

const struct fm_command fm_cmd_bench_photo = {
        .name = "bench photo",
        .operands = "FILE…",
        .summary = "time the way of a photo through all networks on this machine",
        .description =
                "Runs each photo (JPEG, PNG, WebP) as facematchd does, in one thread and with every face "
                "embedded,\n"
                "after a warm-up, and prints the median and the fastest time of each stage: decode (both "
                "times,\n"
                "where faces need more pixels), detect (with landmarks and quality), embed, and the total.\n"
                "FACEMATCH_ISA in the environment (scalar, sse41, avx2, …) lowers the instruction set.",
        .example = "  facematchctl bench photo photo.jpg --seconds 5 --json",
        .run = bench_photo_run,
};
