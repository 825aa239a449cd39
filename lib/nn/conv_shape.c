#include "lib/nn/conv_shape.h"

#include <string.h>

#include "lib/base/banned.h"

/* A list of `count` numbers in [low, FM_CONV_EXTENT_MAX], or the fallback where it is absent. */
static enum fm_status read_extents(const struct fm_node *node, const char *name, size_t count, int64_t low,
        size_t fallback, size_t *ret_extents, struct fm_error *err)
{
	const int64_t *values;
	size_t given;
	enum fm_status status = fm_attribute_ints(node, name, &values, &given, err);

	if (status)
		return status;
	if (given && given != count)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED,
		        "%zu %s; it convolves images, and %zu are wanted", given, name, count);
	for (size_t i = 0; i < count; i++) {
		if (given && (values[i] < low || values[i] > FM_CONV_EXTENT_MAX))
			return fm_node_fail(
			        node, err, FM_E_UNSUPPORTED, "%s %lld", name, (long long)values[i]);
		ret_extents[i] = given ? (size_t)values[i] : fallback;
	}
	return FM_OK;
}

enum padding { EXPLICIT, VALID, SAME_UPPER, SAME_LOWER };

static enum fm_status read_padding(
        const struct fm_node *node, enum padding *ret_padding, struct fm_error *err)
{
	static const char *const names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
	const struct fm_onnx_attribute *attribute = fm_onnx_attribute(node->source, "auto_pad");

	*ret_padding = EXPLICIT;
	if (!attribute)
		return FM_OK;
	if (attribute->kind != FM_ONNX_ATTRIBUTE_STRING)
		return fm_node_fail(node, err, FM_E_CORRUPT, "its attribute 'auto_pad' has the wrong type");
	for (size_t i = 0; i < 4; i++)
		if (strcmp(attribute->s, names[i]) == 0) {
			*ret_padding = (enum padding)i;
			return FM_OK;
		}
	return fm_node_fail(
	        node, err, FM_E_UNSUPPORTED, "its auto_pad is none of NOTSET, VALID, SAME_UPPER, SAME_LOWER");
}

/* One direction: output size and leading pad. */
static enum fm_status resolve(const struct fm_node *node, const struct fm_conv_shape *s, size_t axis,
        size_t in, enum padding padding, size_t before, size_t after, size_t *ret_out, size_t *ret_pad,
        struct fm_error *err)
{
	const size_t reach = (s->kernel[axis] - 1) * s->dilation[axis] + 1;

	if (padding == VALID)
		before = after = 0;
	if (padding == SAME_UPPER || padding == SAME_LOWER) {
		size_t out = (in + s->stride[axis] - 1) / s->stride[axis];
		size_t needed = (out - 1) * s->stride[axis] + reach;
		size_t total = needed > in ? needed - in : 0;

		before = padding == SAME_UPPER ? total / 2 : total - total / 2;
		after = total - before;
	}
	if (reach > in + before + after)
		return fm_node_fail(node, err, FM_E_CORRUPT,
		        "its kernel reaches over %zu, its padded input has %zu", reach, in + before + after);
	*ret_out = (in + before + after - reach) / s->stride[axis] + 1;
	*ret_pad = before;
	return FM_OK;
}

static enum fm_status check_operands(const struct fm_graph *graph, const struct fm_node *node, int64_t groups,
        struct fm_conv_shape *s, struct fm_error *err)
{
	const struct fm_value *x = fm_node_input(graph, node, 0), *w = fm_node_input(graph, node, 1);
	const struct fm_value *b = fm_node_input(graph, node, 2);

	if (x->type != FM_ONNX_FLOAT32 || w->type != FM_ONNX_FLOAT32)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED, "it convolves %s with %s",
		        fm_onnx_type_name(x->type), fm_onnx_type_name(w->type));
	if (x->rank != 4 || w->rank != 4)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED,
		        "it convolves %zu dimensions with %zu; images have 4", x->rank, w->rank);
	if (x->dims[0] != 1)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED,
		        "a batch of %zu; networks run one image at a time", x->dims[0]);
	if (!x->elements || !w->elements)
		return fm_node_fail(node, err, FM_E_CORRUPT, "an operand has no elements");
	if (groups < 1 || (size_t)groups > x->dims[1] || x->dims[1] % (size_t)groups ||
	        w->dims[0] % (size_t)groups || w->dims[1] != x->dims[1] / (size_t)groups)
		return fm_node_fail(node, err, FM_E_CORRUPT,
		        "%lld groups, weights %zux%zu and %zu input channels do not fit", (long long)groups,
		        w->dims[0], w->dims[1], x->dims[1]);
	if (b && (b->type != FM_ONNX_FLOAT32 || b->elements != w->dims[0]))
		return fm_node_fail(
		        node, err, FM_E_CORRUPT, "its bias does not have %zu elements", w->dims[0]);
	s->in_channels = x->dims[1];
	s->in_h = x->dims[2];
	s->in_w = x->dims[3];
	s->out_channels = w->dims[0];
	s->groups = (size_t)groups;
	return FM_OK;
}

/* Everything but the operands: strides, dilations, padding, and the output's size that follows. */
static enum fm_status read_window(
        const struct fm_node *node, struct fm_conv_shape *s, size_t ret_pads[4], struct fm_error *err)
{
	enum padding padding;
	enum fm_status status;

	if ((status = read_extents(node, "strides", 2, 1, 1, s->stride, err)) ||
	        (status = read_extents(node, "dilations", 2, 1, 1, s->dilation, err)) ||
	        (status = read_extents(node, "pads", 4, 0, 0, ret_pads, err)) ||
	        (status = read_padding(node, &padding, err)) ||
	        (status = resolve(
	                 node, s, 0, s->in_h, padding, ret_pads[0], ret_pads[2], &s->out_h, &s->pad[0], err)))
		return status;
	return resolve(node, s, 1, s->in_w, padding, ret_pads[1], ret_pads[3], &s->out_w, &s->pad[1], err);
}

enum fm_status fm_conv_shape_read(const struct fm_graph *graph, const struct fm_node *node,
        struct fm_conv_shape *ret_shape, struct fm_error *err)
{
	const struct fm_value *w = fm_node_input(graph, node, 1);
	struct fm_conv_shape s = {0};
	size_t pads[4]; /* top, left, bottom, right */
	int64_t groups;
	enum fm_status status;

	if ((status = fm_attribute_int(node, "group", 1, &groups, err)) ||
	        (status = check_operands(graph, node, groups, &s, err)) ||
	        (status = read_extents(node, "kernel_shape", 2, 1, 0, s.kernel, err)))
		return status;
	for (size_t i = 0; i < 2; i++) {
		if (s.kernel[i] && s.kernel[i] != w->dims[2 + i])
			return fm_node_fail(node, err, FM_E_CORRUPT, "its kernel_shape is not its weights'");
		if (w->dims[2 + i] > FM_CONV_EXTENT_MAX)
			return fm_node_fail(node, err, FM_E_UNSUPPORTED, "a kernel of %zu", w->dims[2 + i]);
		s.kernel[i] = w->dims[2 + i];
	}
	if ((status = read_window(node, &s, pads, err)))
		return status;
	*ret_shape = s;
	return FM_OK;
}

enum fm_status fm_pool_shape_read(const struct fm_graph *graph, const struct fm_node *node,
        struct fm_conv_shape *ret_shape, struct fm_error *err)
{
	const struct fm_value *x = fm_node_input(graph, node, 0);
	size_t pads[4];
	int64_t ceil_mode;
	enum fm_status status;

	if ((status = fm_attribute_int(node, "ceil_mode", 0, &ceil_mode, err)))
		return status;
	if (x->type != FM_ONNX_FLOAT32 || x->rank != 4 || x->dims[0] != 1 || !x->elements || ceil_mode)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED,
		        "it pools %s of %zu dimensions%s; one float32 image is supported",
		        fm_onnx_type_name(x->type), x->rank, ceil_mode ? ", rounding up," : "");
	struct fm_conv_shape s = {.in_channels = x->dims[1],
	        .in_h = x->dims[2],
	        .in_w = x->dims[3],
	        .out_channels = x->dims[1],
	        .groups = x->dims[1]};
	if ((status = read_extents(node, "kernel_shape", 2, 1, 0, s.kernel, err)))
		return status;
	if (!s.kernel[0] || !s.kernel[1])
		return fm_node_fail(node, err, FM_E_CORRUPT, "it has no kernel_shape");
	if ((status = read_window(node, &s, pads, err)))
		return status;
	for (size_t i = 0; i < 2; i++)
		if (s.dilation[i] != 1 || pads[i] >= s.kernel[i] || pads[2 + i] >= s.kernel[i])
			return fm_node_fail(node, err, FM_E_UNSUPPORTED,
			        "its windows are dilated, or may lie wholly in the padding");
	*ret_shape = s;
	return FM_OK;
}

struct fm_strip_shape fm_conv_strip_shape(const struct fm_conv_shape *shape)
{
	return (struct fm_strip_shape){.in_h = shape->in_h,
	        .out_h = shape->out_h,
	        .in_row = shape->in_w * shape->in_channels,
	        .out_row = shape->out_w * shape->out_channels,
	        .kernel = shape->kernel[0],
	        .stride = shape->stride[0],
	        .dilation = shape->dilation[0],
	        .pad = shape->pad[0]};
}

const float *fm_dwconv_strip(struct fm_dwconv_shape *shape, const struct fm_strip *strip)
{
	const size_t top = strip->begin * shape->stride_h, pad = shape->pad_top;
	size_t first = top > pad ? top - pad : 0;

	first = first < shape->in_h ? first : shape->in_h;
	shape->in_h -= first;
	shape->out_h = strip->end - strip->begin;
	shape->pad_top = top < pad ? pad - top : 0;
	return strip->in + (first - strip->in_first) * shape->in_w * shape->channels;
}

void fm_step_run_whole(const struct fm_step *step, const struct fm_run *run,
        void (*run_strip)(const struct fm_step *, const struct fm_run *, const struct fm_strip *))
{
	run_strip(step, run,
	        &(struct fm_strip){.end = step->strip.out_h,
	                .in = run->values[step->inputs[0]],
	                .out = run->values[step->outputs[0]],
	                .residual = step->input_count > 1 ? run->values[step->inputs[1]] : NULL});
}
