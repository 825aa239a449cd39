/*
 * Manifests: what an operator must say about a network before it can be used (config/models/NAME.conf, INI):
 *
 *	[model]
 *	name = fr_feature            ; letters, digits, - and _
 *	role = embedding             ; detection | landmarks | embedding
 *	file = fr_feature.onnx       ; beside the models directory's other files
 *	sha256 = 87aacdfe…           ; of that file; a mismatch is refused
 *	license = MIT                ; and source = …: shown by `facematchctl model check`, /v1/info
 *	[input]
 *	width_px = 112, height_px = 112, color = bgr | rgb | gray, mean = 127, scale = 0.0078125 ; (x - mean)
 ** scale [detection]  decoder = ultraface, …   [landmarks] layout = ibug68, crop… [embedding] dim = 512,
 *template = arcface112 [calibration] points = 0.31:1e-3, …  ; cosine : false match rate, measured;
 *description, impostor_pairs
 *
 * Threads: a struct fm_model is immutable after loading.
 */
#ifndef FM_FACE_MODEL_H
#define FM_FACE_MODEL_H

#include "lib/base/sha256.h"
#include "lib/base/status.h"
#include "lib/nn/net.h"

#include <stdbool.h>
#include <stddef.h>

enum fm_model_role { FM_ROLE_DETECTION, FM_ROLE_LANDMARKS, FM_ROLE_EMBEDDING };
enum fm_color_order { FM_COLOR_RGB, FM_COLOR_BGR, FM_COLOR_GRAY };

#define FM_CALIBRATION_POINTS_MAX 32

struct fm_calibration_point {
	double cosine, false_match_rate;
};

struct fm_model {
	char *name, *file, *license, *source;
	char sha256[FM_SHA256_HEX];
	enum fm_model_role role;
	int width_px, height_px;
	enum fm_color_order color;
	float mean[3], scale[3]; /* in the network's colour order */
	/* detection */
	float score_min, iou_max;
	/* embedding */
	size_t dim;
	size_t calibration_count;
	struct fm_calibration_point calibration[FM_CALIBRATION_POINTS_MAX]; /* rising cosine, falling rate */
	char *calibration_description;
	/* "name@" and the first 16 hex digits of SHA-256 over the file's digest and all that changes its
	 * output: precision and preprocessing. Embeddings with different fingerprints are never compared. */
	char fingerprint[96];
	struct fm_net *net; /* loaded */
};

/*
 * Loads manifest `manifest_path` and its network, looked up in models_dir. Errors name the file, the line or
 * key.
 */
enum fm_status fm_model_load(const char *manifest_path, const char *models_dir, enum fm_precision precision,
        struct fm_model **ret_model, struct fm_error *err);
void fm_model_free(struct fm_model *model);

#endif
