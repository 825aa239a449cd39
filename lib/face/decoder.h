/*
 * What a detection network's outputs mean: one struct fm_decoder for each family of networks, all of them in
 * the table of decoder.c. Threads: pure.
 */
#ifndef FM_FACE_DECODER_H
#define FM_FACE_DECODER_H

#include "lib/face/align.h"
#include "lib/face/model.h"

#define FM_DECODER_OUTPUTS_MAX 12

/* What may be a face, in 0..1 of the network's input; may leave it. */
struct fm_candidate {
	float corners[4]; /* x1, y1, x2, y2 */
	float score;
	float points[FM_POINTS][2]; /* only of a decoder that has them */
};

struct fm_decoder {
	const char *name; /* as manifests say it */
	bool has_points;  /* the network gives the five points as well */
	size_t output_count;
	/* their names in the network; NULL: the network has no more outputs than these, in this order */
	const char *outputs[FM_DECODER_OUTPUTS_MAX];
	/* Does the network give what decode() reads? FM_E_INVALID says what is wanted. */
	enum fm_status (*check)(const struct fm_model *model, struct fm_error *err);
	/* No decode() gives more. */
	size_t (*candidates_max)(const struct fm_model *model);
	/*
	 * Candidates of more than score_min; none has a number that is not finite. outputs[i] holds what the
	 * output named outputs[i] of the table says. Returns their number.
	 */
	size_t (*decode)(const struct fm_model *model, const float *const *outputs, float score_min,
	        struct fm_candidate *ret_candidates);
};

extern const struct fm_decoder fm_decoder_ultraface; /* RFB-320 and its like */
extern const struct fm_decoder fm_decoder_anchors;   /* the same before its anchors, at any input size */
extern const struct fm_decoder fm_decoder_yunet;     /* YuNet, with points */

/* NULL when there is none of that name. */
const struct fm_decoder *fm_decoder_find(const char *name);

/* The network's output of that name, or NULL. */
const struct fm_tensor_info *fm_decoder_output(const struct fm_model *model, const char *name);

/* Are all numbers finite? Used on what networks say before it is believed. */
bool fm_decoder_finite(const float *numbers, size_t count);

/*
 * e^x, the same to the last bit with every C library, for |x| <= FM_DECODER_EXP_MAX: the square of e^(x/2),
 * ten times, of a series that is good to 1e-16 where |x| is below 0.01, and to 1e-14 up to there.
 */
#define FM_DECODER_EXP_MAX 20.0F
double fm_decoder_exp(double x);

#endif
