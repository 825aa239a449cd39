/*
 * Manifests: what an operator must say about a network before it can be used (config/models/NAME.conf, INI):
 *
 *	[model]
 *	name = fr_feature       ; letters, digits, - and _
 *	role = embedding        ; detection | landmarks | embedding
 *	file = fr_feature.onnx  ; a plain name, in the models directory
 *	sha256 = 87aacdfe...    ; of that file; a mismatch is refused
 *	license = MIT           ; this and source are shown by `facematchctl model check` and /v1/info
 *	source = https://...
 *	[input]
 *	width_px = 112          ; with height_px and color the network's input, 1 x channels x height x width
 *	height_px = 112
 *	color = bgr             ; rgb | bgr | gray
 *	mean = 127              ; one number, or one per channel in the network's order
 *	scale = 0.0078125       ; the same; the network sees (value - mean) * scale, values 0 to 255
 *	[detection]             ; role detection alone
 *	decoder = ultraface     ; ultraface | yunet: what the outputs mean, decoder.h
 *	score_min = 0.65        ; optional: lowest score of a face at first sight,
 *	sure_min = 0.995        ; of one that needs no second look,
 *	confirmed_min = 0.75    ; and of one that was not sure and was looked at again
 *	iou_max = 0.4           ; optional: two boxes that share more are one face
 *	raw_scores = 461        ; optional, both or none, decoder ultraface: the tensors to which anchors and
 *	raw_boxes = 462         ; softmax are applied. Large photos are then shown in larger tiles.
 *	[landmarks]             ; role landmarks alone
 *	layout = ibug68         ; one output of 68 x (x, y), 0..1 of the crop
 *	[embedding]             ; role embedding alone
 *	template = arcface112   ; five points in 112 x 112, docs/MODELS.md
 *	dim = 512               ; length of the one output
 *	flip = no               ; optional; yes: the crop and its mirror image together, at twice the time
 *	mirror_min = 0.85       ; optional: lowest cosine to its mirror image of a face that was in doubt
 *	[calibration]           ; optional: without it nothing ever matches
 *	points = 0.131:1e-1,    ; cosine : false match rate, as measured; rising : falling; at least two.
 *	         0.195:3e-2     ; Goes on over indented lines.
 *	tail_scale = 0.048      ; the tail's model beyond the last point; both or none, with impostor_pairs
 *	tail_shape = -0.075
 *	description = ...       ; on which photos
 *	people = 482            ; how many
 *	photos = 800
 *	impostor_pairs = 314300 ; over how many comparisons of different people
 *
 * Unknown keys are errors, as are keys given twice and lines beyond 190 characters.
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

/* How often different people's photos come as near as a cosine: lib/face/calibrate.h computes with it. */
struct fm_calibration {
	size_t count;                                                  /* 0: not calibrated */
	struct fm_calibration_point points[FM_CALIBRATION_POINTS_MAX]; /* rising cosine, falling rate */
	double tail_scale, tail_shape;         /* generalized Pareto beyond the last point; scale 0: none */
	size_t people, photos, impostor_pairs; /* measured on; 0 when not stated */
	char *description;                     /* NULL when not stated */
};

struct fm_decoder;

struct fm_model {
	char *name, *file, *license, *source;
	char sha256[FM_SHA256_HEX];
	enum fm_model_role role;
	int width_px, height_px;
	enum fm_color_order color;
	float mean[3], scale[3]; /* in the network's colour order */
	/* detection */
	const struct fm_decoder *decoder;
	float score_min, sure_min, confirmed_min, iou_max;
	char *raw_scores, *raw_boxes;            /* NULL where not given */
	int trained_width_px, trained_height_px; /* the manifest's input size, in `wide` too */
	/* The same network with larger inputs, fields as here, all but sizes, net and decoder shared. */
	struct fm_model *wide;
	size_t wide_count;
	/* embedding */
	size_t dim;
	bool flip;
	float mirror_min; /* 0: mirror images are not asked */
	struct fm_calibration calibration;
	/* "name@" and the first 16 hex digits of SHA-256 over the file's digest and all that changes its
	 * output: precision and preprocessing. Embeddings with different fingerprints are never compared. */
	char fingerprint[96];
	struct fm_net *net; /* loaded */
};

/*
 * Loads manifest `manifest_path` and its network, looked up in models_dir, and checks that the network has
 * the inputs and outputs that the manifest says. Errors name the file, the line or key: FM_E_NOT_FOUND,
 * FM_E_IO, FM_E_INVALID (manifest), FM_E_CORRUPT (sha256 differs, malformed network), FM_E_UNSUPPORTED.
 */
enum fm_status fm_model_load(const char *manifest_path, const char *models_dir, enum fm_precision precision,
        struct fm_model **ret_model, struct fm_error *err);
void fm_model_free(struct fm_model *model);

/* "detection", … and "rgb", … as in manifests. */
const char *fm_model_role_name(enum fm_model_role role);
const char *fm_color_order_name(enum fm_color_order color);

#endif
