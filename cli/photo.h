/* What embed and eval share: the models, and a photo file through a pipeline. Threads: as lib/face. */
#ifndef FM_CLI_PHOTO_H
#define FM_CLI_PHOTO_H

#include "cli/cli.h"
#include "lib/base/cleanup.h"
#include "lib/face/pipeline.h"

#define FM_PHOTO_BYTES_MAX ((size_t)64 << 20)

FM_DEFINE_CLEANUP(struct fm_models *, fm_models_free);
FM_DEFINE_CLEANUP(struct fm_pipeline *, fm_pipeline_free);

/* Which networks: names of manifests, NULL where the daemon's default is meant. */
struct fm_networks {
	const char *dir; /* --models DIR or NULL */
	const char *detection, *embedding;
	const char *landmarks; /* "none": the detector's own points */
};

#define FM_OPTION_NETWORK_ROWS(networks)                                                                     \
	FM_OPTION_MODELS_ROW(&(networks)->dir),                                                              \
	        {"detection", FM_OPTION_TEXT, &(networks)->detection, "NAME",                                \
	                "manifest of the detector (default: fr_detect)"},                                    \
	        {"landmarks", FM_OPTION_TEXT, &(networks)->landmarks, "NAME|none",                           \
	                "of the landmarks; none: the detector's own (default: fr_landmark)"},                \
	{                                                                                                    \
		"embedding", FM_OPTION_TEXT, &(networks)->embedding, "NAME",                                 \
		        "of the embedding (default: fr_feature)"                                             \
	}

/* The networks, found as the daemon finds them. */
enum fm_status fm_photo_models_load(const struct fm_networks *networks, enum fm_precision precision,
        struct fm_models **ret_models, struct fm_error *err);

/* Reads the file and runs the pipeline on it; the message of an error names the file. */
enum fm_status fm_photo_run(struct fm_pipeline *pipeline, const char *path, enum fm_embed_which which,
        struct fm_faces *ret_faces, struct fm_error *err);

#endif
