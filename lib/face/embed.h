/* Aligned crops to embeddings. Threads: a struct fm_embed serves one thread at a time. */
#ifndef FM_FACE_EMBED_H
#define FM_FACE_EMBED_H

#include "lib/face/model.h"
#include "lib/image/image.h"

struct fm_embed;

/* `model` must have role embedding and outlive it. */
enum fm_status fm_embed_create(
        const struct fm_model *model, struct fm_embed **ret_embed, struct fm_error *err);
/* Wipes what the last run left. */
void fm_embed_free(struct fm_embed *embed);

/*
 * `aligned` has the model's size; ret_embedding[model->dim] gets unit length (or all zeros, were it so).
 * Where the model flips it is the direction of the sum over the crop and its mirror image.
 */
void fm_embed_run(struct fm_embed *embed, const struct fm_image *aligned, float *ret_embedding);

/*
 * How much a crop resembles its mirror image: the cosine of their two embeddings, whether or not the model
 * flips. Nearly all faces are above 0.9; what is no face has no reason to be. Two runs of the network.
 */
double fm_embed_symmetry(struct fm_embed *embed, const struct fm_image *aligned);

#endif
