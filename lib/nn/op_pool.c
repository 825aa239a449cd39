/* MaxPool on images, NHWC: the largest of each channel under a window; the padding takes no part. */
#include "lib/nn/conv_shape.h"

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
	const struct fm_conv_shape *s = node->params;
	const struct fm_dwconv_shape pool = {.in_h = s->in_h,
	        .in_w = s->in_w,
	        .out_h = s->out_h,
	        .out_w = s->out_w,
	        .channels = s->in_channels,
	        .kernel_h = s->kernel[0],
	        .kernel_w = s->kernel[1],
	        .stride_h = s->stride[0],
	        .stride_w = s->stride[1],
	        .dilation_h = 1,
	        .dilation_w = 1,
	        .pad_top = s->pad[0],
	        .pad_left = s->pad[1]};

	step->state = fm_arena_memdup(build->arena, &pool, 1, sizeof(pool));
	if (!step->state)
		return fm_node_nomem(node, err);
	step->strip = fm_conv_strip_shape(s);
	step->info.op = "maxpool";
	return FM_OK;
}

static void run_strip(const struct fm_step *step, const struct fm_run *run, const struct fm_strip *strip)
{
	struct fm_dwconv_shape shape = *(const struct fm_dwconv_shape *)step->state;
	const float *in = fm_dwconv_strip(&shape, strip);

	run->kernels->max_pool_f32(strip->out, in, &shape);
}

static void run_pool(const struct fm_step *step, const struct fm_run *run)
{
	fm_step_run_whole(step, run, run_strip);
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
        .run_strip = run_strip,
};
