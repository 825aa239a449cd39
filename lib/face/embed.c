#include "lib/face/embed.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/face/input.h"
#include "lib/nn/session.h"

#include <math.h>
#include <stdlib.h>

#include "lib/base/banned.h"

struct fm_embed {
	const struct fm_model *model;
	struct fm_session *session;
	float *input;
	size_t input_bytes;
	bool flip;
	float *mirrored; /* [dim]: of the mirror image */
	float *upright;  /* [dim]: of the crop, for fm_embed_symmetry() */
};

void fm_embed_free(struct fm_embed *embed)
{
	if (!embed)
		return;
	fm_session_free(embed->session);
	if (embed->input)
		fm_wipe(embed->input, embed->input_bytes);
	free(embed->input);
	if (embed->mirrored)
		fm_wipe(embed->mirrored, embed->model->dim * sizeof(float));
	if (embed->upright)
		fm_wipe(embed->upright, embed->model->dim * sizeof(float));
	free(embed->mirrored);
	free(embed->upright);
	free(embed);
}
FM_DEFINE_CLEANUP(struct fm_embed *, fm_embed_free);

enum fm_status fm_embed_create(
        const struct fm_model *model, struct fm_embed **ret_embed, struct fm_error *err)
{
	fm_cleanup(fm_embed_freep) struct fm_embed *embed = fm_calloc(1, sizeof(*embed));

	if (!embed)
		return fm_fail(err, FM_E_NOMEM, "no memory for embeddings");
	embed->model = model;
	embed->flip = model->flip;
	embed->input_bytes = fm_net_input(model->net, 0)->elements * sizeof(float);
	embed->input = fm_aligned_alloc(embed->input_bytes);
	embed->mirrored = fm_aligned_alloc(model->dim * sizeof(float));
	embed->upright = fm_aligned_alloc(model->dim * sizeof(float));
	if (!embed->input || !embed->mirrored || !embed->upright)
		return fm_fail(err, FM_E_NOMEM, "no memory for embeddings");
	enum fm_status status = fm_session_create(model->net, &embed->session, err);
	if (status != FM_OK)
		return status;
	*ret_embed = fm_steal(embed);
	return FM_OK;
}

static void normalise(float *vector, size_t dim)
{
	double sum = 0;

	for (size_t i = 0; i < dim; i++)
		sum += (double)vector[i] * vector[i];
	if (!(sum > 0))
		return;
	double factor = 1 / sqrt(sum);
	for (size_t i = 0; i < dim; i++)
		vector[i] = (float)(vector[i] * factor);
}

/* Mirrors every row of the input. */
static void mirror_input(struct fm_embed *embed)
{
	size_t width = (size_t)embed->model->width_px;
	float *end = embed->input + embed->input_bytes / sizeof(float);

	for (float *row = embed->input; row < end; row += width) {
		for (size_t left = 0, right = width - 1; left < right; left++, right--) {
			float held = row[left];
			row[left] = row[right];
			row[right] = held;
		}
	}
}

void fm_embed_run(struct fm_embed *embed, const struct fm_image *aligned, float *ret_embedding)
{
	const float *const *inputs = (const float *const[]){embed->input};

	fm_input_fill(embed->model, aligned, embed->input);
	fm_session_run(embed->session, inputs, (float *const[]){ret_embedding});
	if (embed->flip) {
		mirror_input(embed);
		fm_session_run(embed->session, inputs, (float *const[]){embed->mirrored});
		for (size_t i = 0; i < embed->model->dim; i++)
			ret_embedding[i] += embed->mirrored[i];
	}
	normalise(ret_embedding, embed->model->dim);
}

double fm_embed_symmetry(struct fm_embed *embed, const struct fm_image *aligned)
{
	const float *const *inputs = (const float *const[]){embed->input};
	double cosine = 0;

	fm_input_fill(embed->model, aligned, embed->input);
	fm_session_run(embed->session, inputs, (float *const[]){embed->upright});
	mirror_input(embed);
	fm_session_run(embed->session, inputs, (float *const[]){embed->mirrored});
	normalise(embed->upright, embed->model->dim);
	normalise(embed->mirrored, embed->model->dim);
	for (size_t i = 0; i < embed->model->dim; i++)
		cosine += (double)embed->upright[i] * embed->mirrored[i];
	return cosine;
}
