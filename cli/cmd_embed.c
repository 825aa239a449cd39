#include "cli/cli.h"
#include "cli/json.h"
#include "cli/photo.h"
#include "cli/progress.h"
#include "lib/base/size.h"
#include "lib/cpu/cpu.h"

#include <unistd.h>

#include "lib/base/banned.h"

static json_t *json_landmarks(const struct fm_face *face)
{
	json_t *points = json_array();

	for (size_t i = 0; i < 5; i++)
		json_array_append_new(
		        points, json_pack("[f, f]", face->landmarks[i][0], face->landmarks[i][1]));
	return points;
}

static json_t *json_reasons(uint32_t reasons)
{
	json_t *names = json_array();

	for (int bit = 0; bit < FM_REASON_COUNT; bit++)
		if (reasons & 1u << bit)
			json_array_append_new(names, json_string(fm_reason_name(bit)));
	return names;
}

static json_t *json_floats(const float *values, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, fm_json_number(values[i]));
	return array;
}

static json_t *json_face(const char *path, const struct fm_face *face, const struct fm_model *embedding)
{
	const struct fm_quality *quality = &face->quality;

	return json_pack(
	        "{s:o, s:{s:f, s:f, s:f, s:f}, s:f, s:o, s:{s:f, s:f, s:f, s:f, s:f, s:f}, s:o, s:o, s:o}",
	        "file", fm_json_text(path), "box", "x", face->box.x_px, "y", face->box.y_px, "width",
	        face->box.width_px, "height", face->box.height_px, "score", face->score, "landmarks",
	        json_landmarks(face), "quality", "score", quality->score, "size_px", quality->size_px,
	        "sharpness", quality->sharpness, "brightness", quality->brightness, "yaw_deg",
	        quality->yaw_deg, "roll_deg", quality->roll_deg, "reasons", json_reasons(face->reasons),
	        "model", fm_json_text(embedding->fingerprint), "embedding",
	        json_floats(face->embedding, embedding->dim));
}

static enum fm_status embed_file(struct fm_pipeline *pipeline, const struct fm_model *embedding,
        const char *path, struct fm_progress *progress, struct fm_error *err)
{
	fm_cleanup(fm_faces_done) struct fm_faces faces = {0};

	enum fm_status status = fm_photo_run(pipeline, path, FM_EMBED_ALL, &faces, err);
	if (!status && faces.count == 0) {
		fm_progress_hide(progress);
		fm_complain("%s: no face found", path);
	}
	for (size_t i = 0; !status && i < faces.count; i++) {
		json_t *line = json_face(path, &faces.faces[i], embedding);
		status = fm_json_print_line(line, err);
		json_decref(line);
	}
	return status;
}

static int embed_run(struct fm_call *call)
{
	struct fm_networks networks = {.dir = call->models_dir};
	enum fm_precision precision = FM_INT8;
	const struct fm_option options[] = {
	        FM_OPTION_NETWORK_ROWS(&networks),
	        FM_OPTION_PRECISION_ROW(&precision),
	};
	fm_cleanup(fm_models_freep) struct fm_models *models = NULL;
	fm_cleanup(fm_pipeline_freep) struct fm_pipeline *pipeline = NULL;
	struct fm_progress progress;
	struct fm_error err;
	int result = FM_EXIT_OK;

	if (!fm_options_parse(call, options, FM_ARRAY_SIZE(options), 1, SIZE_MAX, &result))
		return result;
	if (fm_photo_models_load(&networks, precision, &models, &err) < 0 ||
	        fm_pipeline_create(models, &fm_pipeline_defaults, &pipeline, &err) < 0) {
		fm_complain("%s", err.message);
		return FM_EXIT_FAILURE;
	}
	fm_cpu_flush_denormals();

	/* With the lines on the same terminal a bar would only be in their way. */
	fm_progress_begin(&progress, "photos", isatty(STDOUT_FILENO) ? 0 : call->operand_count);
	for (size_t i = 0; i < call->operand_count; i++) {
		if (embed_file(pipeline, models->embedding, call->operands[i], &progress, &err) < 0) {
			fm_progress_hide(&progress);
			fm_complain("%s", err.message);
			result = FM_EXIT_FAILURE;
		}
		fm_progress_step(&progress);
	}
	fm_progress_end(&progress);
	return result;
}

const struct fm_command fm_cmd_embed = {
        .name = "embed",
        .operands = "FILE…",
        .summary = "faces of photos with their embeddings, one JSON line a face",
        .description =
                "Finds the faces in each photo (JPEG, PNG, WebP) and prints one JSON line a face, largest "
                "first:\n"
                "file, box, score, landmarks, quality, reasons, model and the unit-length embedding.\n"
                "A photo without a face gives no line and a note on stderr. A file that cannot be read is\n"
                "reported on stderr, the others are still done, and the exit status is 1.",
        .example = "  facematchctl embed alice.jpg group.png | jq .box",
        .run = embed_run,
};
