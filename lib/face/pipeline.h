/*
 * A photo in, faces with landmarks, quality and embeddings out: decode, detect, landmarks, align, embed.
 * Threads: struct fm_models is immutable and shared; a struct fm_pipeline serves one thread at a time.
 */
#ifndef FM_FACE_PIPELINE_H
#define FM_FACE_PIPELINE_H

#include "lib/face/box.h"
#include "lib/face/model.h"
#include "lib/image/decode.h"

#include <stdbool.h>
#include <stdint.h>

/* Why a face would be refused for enrolment; a bit set. Names as in API.md: fm_reason_name(). */
enum fm_reason {
	FM_REASON_SMALL_FACE = 1 << 0,
	FM_REASON_LOW_SHARPNESS = 1 << 1,
	FM_REASON_LOW_BRIGHTNESS = 1 << 2,
	FM_REASON_HIGH_BRIGHTNESS = 1 << 3,
	FM_REASON_EXTREME_POSE = 1 << 4,
	FM_REASON_LOW_CONFIDENCE = 1 << 5,
	FM_REASON_CUT_BY_BORDER = 1 << 6,
};
#define FM_REASON_COUNT 7
/* bit index 0..FM_REASON_COUNT-1 -> "small_face", … */
const char *fm_reason_name(int bit);

struct fm_quality {
	float score;      /* 0..1, all of the below in one number */
	float size_px;    /* the shorter side of the box */
	float sharpness;  /* 0..1 */
	float brightness; /* 0..1: mean luma of the aligned crop */
	float yaw_deg, roll_deg;
};

struct fm_face {
	struct fm_box box; /* may leave the photo */
	float score;       /* detector confidence 0..1 */
	float landmarks[5][2];
	struct fm_quality quality;
	uint32_t reasons; /* enum fm_reason bits */
	float *embedding; /* [dim] unit length, or NULL when not asked for; owned by struct fm_faces */
};

struct fm_faces {
	int image_width_px, image_height_px;
	bool truncated; /* the photo's bytes end early */
	size_t count;
	struct fm_face *faces; /* largest box first */
	float *embeddings;     /* [count][dim]; rows not asked for are zero; NULL when none was */
	size_t dim;
	uint8_t *crop; /* JPEG of the first face as the network saw it, where asked for; else NULL */
	size_t crop_bytes;
	/* milliseconds, for Server-Timing */
	double decode_ms, detect_ms, embed_ms;
};
/* Wipes embeddings and crop. */
void fm_faces_done(struct fm_faces *faces);

struct fm_models {
	struct fm_model *detection, *embedding;
	struct fm_model *landmarks; /* NULL where the detector's own points are used */
};

struct fm_models_options {
	const char *models_dir;    /* the ONNX files */
	const char *manifests_dir; /* NAME.conf */
	/* manifest names; landmarks NULL or "": the detector's own, FM_E_INVALID where it has none */
	const char *detection, *landmarks, *embedding;
	enum fm_precision precision; /* of the embedding; detector and landmarks: whichever measured best */
};
/* fr_detect, fr_landmark, fr_feature, int8. */
extern const struct fm_models_options fm_models_defaults;

enum fm_status fm_models_load(
        const struct fm_models_options *options, struct fm_models **ret_models, struct fm_error *err);
void fm_models_free(struct fm_models *models);

struct fm_pipeline_options {
	struct fm_image_limits limits;
	int min_face_px;  /* faces at least this large (shorter side of the box) are found; 20..1024 */
	size_t faces_max; /* the largest so many are kept */
	/* enrolment gates */
	float min_sharpness, min_brightness, max_brightness, max_yaw_deg, max_roll_deg, min_score;
	int min_enroll_px;
};
extern const struct fm_pipeline_options fm_pipeline_defaults;

struct fm_pipeline;
enum fm_status fm_pipeline_create(const struct fm_models *models, const struct fm_pipeline_options *options,
        struct fm_pipeline **ret_pipeline, struct fm_error *err);
void fm_pipeline_free(struct fm_pipeline *pipeline);

/* Frees scratch for large photos (29 MiB by the default networks) where none has taken it since the last
 * call; the next one makes it anew. */
void fm_pipeline_tidy(struct fm_pipeline *pipeline);

/* Other options from the next photo on, within the same bounds as at creation. FM_E_INVALID. */
enum fm_status fm_pipeline_set_options(
        struct fm_pipeline *pipeline, const struct fm_pipeline_options *options, struct fm_error *err);

/* What to compute an embedding for: costs about one network run a face. */
enum fm_embed_which {
	FM_EMBED_NONE, /* detect only */
	FM_EMBED_ALL,
	FM_EMBED_LARGEST, /* the first face */
	FM_EMBED_CENTRAL, /* the face whose centre is nearest to the photo's; moved to the front */
	FM_EMBED_AT,      /* the face at a point; moved to the front; FM_E_NO_FACE when there is none */
};
struct fm_embed_request {
	enum fm_embed_which which;
	float x_px, y_px; /* FM_EMBED_AT */
	bool crop;        /* the first face's too, of those that are embedded */
};

/* A photo without a face is FM_OK with count 0. Errors: those of fm_image_decode; FM_E_NO_FACE for
 * FM_EMBED_AT. */
enum fm_status fm_pipeline_run(struct fm_pipeline *pipeline, const void *photo, size_t length,
        const struct fm_embed_request *request, struct fm_faces *ret_faces, struct fm_error *err);

#endif
