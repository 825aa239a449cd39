/* What embed and eval share: the models, and a photo file through a pipeline. Threads: as lib/face. */
#ifndef FM_CLI_PHOTO_H
#define FM_CLI_PHOTO_H

#include "lib/base/cleanup.h"
#include "lib/face/pipeline.h"

#define FM_PHOTO_BYTES_MAX ((size_t)64 << 20)

FM_DEFINE_CLEANUP(struct fm_models *, fm_models_free);
FM_DEFINE_CLEANUP(struct fm_pipeline *, fm_pipeline_free);

/* The default networks, found as the daemon finds them; `given` is --models DIR or NULL. */
enum fm_status fm_photo_models_load(
        const char *given, enum fm_precision precision, struct fm_models **ret_models, struct fm_error *err);

/* Reads the file and runs the pipeline on it; the message of an error names the file. */
enum fm_status fm_photo_run(struct fm_pipeline *pipeline, const char *path, enum fm_embed_which which,
        struct fm_faces *ret_faces, struct fm_error *err);

#endif
