/* MaxPool on images, NHWC: the largest of each channel under a window; the padding takes no part. */
#include "lib/nn/conv_shape.h"

#include <string.h>

#include "lib/base/banned.h"

static enum fm_status check(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	return fm_pool_shape_read(graph, node, node->params, err);
}

static enum fm_status shape(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_conv_shape *s = node->params;
	const size_t dims[4] = {1, s->out_channels, s->out_h, s->out_w};

	return fm_value_set_shape(&graph->values[node->outputs[0]], FM_ONNX_FLOAT32, 4, dims, node, err);
}

static enum fm_status prepare(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	step->state = fm_arena_memdup(build->arena, node->params, 1, sizeof(struct fm_conv_shape));
	if (!step->state)
		return fm_node_nomem(node, err);
	step->info.op = "maxpool";
	return FM_OK;
}

/* Sixteen at a time, by way of a local: what a compiler makes vectors of at -O2. */
static void keep_larger(float *out, const float *in, size_t channels)
{
	float larger[16];
	size_t c = 0;

	for (; c + 16 <= channels; c += 16) {
		for (size_t i = 0; i < 16; i++)
			larger[i] = in[c + i] > out[c + i] ? in[c + i] : out[c + i];
		memcpy(out + c, larger, sizeof(larger));
	}
	for (; c < channels; c++)
		out[c] = in[c] > out[c] ? in[c] : out[c];
}

static void run_pool(const struct fm_step *step, const struct fm_run *run)
{
	const struct fm_conv_shape *s = step->state;
	const size_t channels = s->in_channels;
	const float *in = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];

	for (size_t y = 0; y < s->out_h; y++)
		for (size_t x = 0; x < s->out_w; x++, out += channels) {
			const size_t top = y * s->stride[0], left = x * s->stride[1]; /* padding counted */
			bool first = true;

			for (size_t i = 0; i < s->kernel[0]; i++)
				for (size_t j = 0; j < s->kernel[1]; j++) {
					/* Below the padding they wrap around, and are beyond the end. */
					const size_t iy = top + i - s->pad[0], ix = left + j - s->pad[1];

					if (iy >= s->in_h || ix >= s->in_w)
						continue;
					const float *tap = in + (iy * s->in_w + ix) * channels;
					if (first)
						memcpy(out, tap, channels * sizeof(*out));
					else
						keep_larger(out, tap, channels);
					first = false;
				}
		}
}

const struct fm_op fm_op_max_pool = {
        .name = "MaxPool",
        .inputs_min = 1,
        .inputs_max = 1,
        .outputs_max = 1,
        .layout = FM_OP_NHWC,
        .params_bytes = sizeof(struct fm_conv_shape),
        .check = check,
        .shape = shape,
        .prepare = prepare,
        .run = run_pool,
};
