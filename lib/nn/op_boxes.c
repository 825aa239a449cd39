/* Boxes of a detector from offsets and priors, in one pass: made by fuse_boxes.c. */
#include "lib/nn/boxes.h"
#include "lib/nn/op.h"

#include <string.h>

#include "lib/base/banned.h"

/* Boxes whose exponentials are computed together. */
#define BLOCK 128

typedef float four __attribute__((vector_size(16)));

static enum fm_status prepare(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	struct fm_boxes *boxes = fm_arena_memdup(build->arena, node->params, 1, sizeof(*boxes));
	const size_t floats = ((const struct fm_boxes *)node->params)->count * 2;

	if (!boxes)
		return fm_node_nomem(node, err);
	const float *spans = boxes->spans, *sizes = boxes->sizes;
	boxes->centres = fm_arena_memdup(build->arena, boxes->centres, floats, sizeof(float));
	boxes->spans = fm_arena_memdup(build->arena, spans, floats, sizeof(float));
	/* Priors are the same both times, as a rule. */
	if (boxes->spans && memcmp(spans, sizes, floats * sizeof(float)) == 0)
		boxes->sizes = boxes->spans;
	else
		boxes->sizes = fm_arena_memdup(build->arena, sizes, floats, sizeof(float));
	if (!boxes->centres || !boxes->spans || !boxes->sizes)
		return fm_node_nomem(node, err);
	step->state = boxes;
	step->info.op = "boxes";
	return FM_OK;
}

static four load(const float *from)
{
	four v;

	memcpy(&v, from, sizeof(v));
	return v;
}

static void store(float *to, four v)
{
	memcpy(to, &v, sizeof(v));
}

/* Two boxes a vector; an odd one is computed twice. */
static size_t pair_at(size_t i, size_t count)
{
	return i + 2 <= count ? i : count - 2;
}

/* Up to BLOCK boxes, two at least, from box `first` on. */
static void decode(const struct fm_boxes *boxes, const struct fm_transformer_kernels *kernels, float *out,
        const float *offsets, size_t first, size_t count)
{
	const float *centres = boxes->centres + 2 * first, *spans = boxes->spans + 2 * first;
	const float *sizes = boxes->sizes + 2 * first;
	float factors[2 * BLOCK];

	for (size_t i = 0; i < count; i += 2) {
		const size_t at = pair_at(i, count);
		const four a = load(offsets + 4 * at), b = load(offsets + 4 * at + 4);

		store(factors + 2 * at, __builtin_shufflevector(a, b, 2, 3, 6, 7) * boxes->size_scale);
	}
	kernels->exp_f32(factors, factors, 2 * count);
	for (size_t i = 0; i < count; i += 2) {
		const size_t at = pair_at(i, count);
		const four a = load(offsets + 4 * at), b = load(offsets + 4 * at + 4);
		const four offset = __builtin_shufflevector(a, b, 0, 1, 4, 5);
		const four centre =
		        offset * boxes->centre_scale * load(spans + 2 * at) + load(centres + 2 * at);
		const four half = load(sizes + 2 * at) * load(factors + 2 * at) * 0.5f;
		const four low = centre - half, high = centre + half;

		store(out + 4 * at, __builtin_shufflevector(low, high, 0, 1, 4, 5));
		store(out + 4 * at + 4, __builtin_shufflevector(low, high, 2, 3, 6, 7));
	}
}

static void run_boxes(const struct fm_step *step, const struct fm_run *run)
{
	const struct fm_boxes *boxes = step->state;
	const struct fm_transformer_kernels *kernels = fm_transformer_kernels_for(run->kernels->isa);
	const float *in = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];

	for (size_t i = 0; i < boxes->count; i += BLOCK) {
		const size_t left = boxes->count - i, count = left < BLOCK ? left : BLOCK;
		/* One box alone comes with its neighbour. */
		const size_t first = count > 1 ? i : i - 1;

		decode(boxes, kernels, out + 4 * first, in + 4 * first, first, count > 1 ? count : 2);
	}
}

const struct fm_op fm_op_boxes = {
        .name = "Boxes",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_ROW_MAJOR,
        .params_bytes = sizeof(struct fm_boxes),
        .prepare = prepare,
        .run = run_boxes,
};
