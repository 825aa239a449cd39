/*
 * Resize of images to the nearest pixel, by scales or by sizes. Which pixel is nearest is worked out at load,
 * by the formulas of the ONNX operator's definition; a run only copies.
 */
#include "lib/nn/op.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

enum coordinates { ASYMMETRIC, HALF_PIXEL };
enum rounding { FLOOR, CEIL, PREFER_FLOOR, PREFER_CEIL };

struct resize {
	enum coordinates coordinates;
	enum rounding rounding;
	size_t out_h, out_w;
	double scale_h, scale_w;
};

struct resize_state {
	size_t in_w, out_h, out_w, channels;
	const size_t *rows, *columns; /* [out_h], [out_w]: where in the input */
};

/* One of `names` (NULL ends them), the first when the attribute is absent. */
static enum fm_status read_choice(const struct fm_node *node, const char *name, const char *const *names,
        int *ret_choice, struct fm_error *err)
{
	const struct fm_onnx_attribute *attribute = fm_onnx_attribute(node->source, name);

	*ret_choice = 0;
	if (!attribute)
		return FM_OK;
	if (attribute->kind != FM_ONNX_ATTRIBUTE_STRING)
		return fm_node_fail(node, err, FM_E_CORRUPT, "its attribute '%s' has the wrong type", name);
	for (int i = 0; names[i]; i++)
		if (strcmp(attribute->s, names[i]) == 0) {
			*ret_choice = i;
			return FM_OK;
		}
	return fm_node_fail(node, err, FM_E_UNSUPPORTED, "its %s is '%.40s'; '%s' is supported", name,
	        attribute->s, names[0]);
}

static enum fm_status read_attributes(const struct fm_node *node, struct resize *resize, struct fm_error *err)
{
	static const char *const modes[] = {"nearest", NULL};
	static const char *const coordinates[] = {"half_pixel", "asymmetric", NULL};
	static const char *const roundings[] = {
	        "round_prefer_floor", "floor", "ceil", "round_prefer_ceil", NULL};
	static const enum rounding rounding_of[] = {PREFER_FLOOR, FLOOR, CEIL, PREFER_CEIL};
	int mode, coordinate, rounding;
	enum fm_status status;

	if ((status = read_choice(node, "mode", modes, &mode, err)) ||
	        (status = read_choice(
	                 node, "coordinate_transformation_mode", coordinates, &coordinate, err)) ||
	        (status = read_choice(node, "nearest_mode", roundings, &rounding, err)))
		return status;
	resize->coordinates = coordinate ? ASYMMETRIC : HALF_PIXEL;
	resize->rounding = rounding_of[rounding];
	return FM_OK;
}

static enum fm_status check_sizes(const struct fm_node *node, const struct fm_value *in, const int64_t *sizes,
        size_t count, struct resize *resize, struct fm_error *err)
{
	if (count != 4 || sizes[0] != 1 || sizes[1] != (int64_t)in->dims[1] || sizes[2] < 1 || sizes[3] < 1 ||
	        sizes[2] > (int64_t)FM_VALUE_ELEMENTS_MAX || sizes[3] > (int64_t)FM_VALUE_ELEMENTS_MAX)
		return fm_node_fail(
		        node, err, FM_E_UNSUPPORTED, "its sizes do not keep batch and channels, or are none");
	resize->out_h = (size_t)sizes[2];
	resize->out_w = (size_t)sizes[3];
	resize->scale_h = (double)resize->out_h / (double)in->dims[2];
	resize->scale_w = (double)resize->out_w / (double)in->dims[3];
	return FM_OK;
}

static enum fm_status check_scales(const struct fm_graph *graph, const struct fm_node *node,
        const struct fm_value *in, struct resize *resize, struct fm_error *err)
{
	const float *scales;
	enum fm_status status = fm_node_floats(graph, node, 2, &scales, err);

	if (status)
		return status;
	if (fm_node_input(graph, node, 2)->elements != 4 || scales[0] != 1.0f || scales[1] != 1.0f ||
	        !(scales[2] > 0.0f && scales[3] > 0.0f))
		return fm_node_fail(node, err, FM_E_UNSUPPORTED,
		        "its scales do not keep batch and channels, or are none");
	const double h = floor((double)in->dims[2] * scales[2]), w = floor((double)in->dims[3] * scales[3]);
	if (!(h >= 1 && w >= 1 && h <= (double)FM_VALUE_ELEMENTS_MAX && w <= (double)FM_VALUE_ELEMENTS_MAX))
		return fm_node_fail(node, err, FM_E_TOO_LARGE, "it makes an image of %g x %g", w, h);
	resize->out_h = (size_t)h;
	resize->out_w = (size_t)w;
	resize->scale_h = scales[2];
	resize->scale_w = scales[3];
	return FM_OK;
}

static enum fm_status check(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(graph, node, 0);
	const struct fm_value *scales = fm_node_input(graph, node, 2);
	struct resize *resize = node->params;
	const int64_t *sizes;
	size_t count;
	enum fm_status status = fm_check_float(graph, node, err);

	if (status || (status = read_attributes(node, resize, err)))
		return status;
	if (graph->opset < 11 || in->rank != 4 || in->dims[0] != 1 || !in->elements)
		return fm_node_fail(node, err, FM_E_UNSUPPORTED,
		        "it resizes %zu dimensions at opset %lld; one image, from opset 11 on, is supported",
		        in->rank, (long long)graph->opset);
	if (scales && scales->elements)
		return check_scales(graph, node, in, resize, err);
	if ((status = fm_node_ints(graph, node, 3, &sizes, &count, err)))
		return status;
	return check_sizes(node, in, sizes, count, resize, err);
}

static enum fm_status shape(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const struct resize *resize = node->params;
	const size_t dims[4] = {1, fm_node_input(graph, node, 0)->dims[1], resize->out_h, resize->out_w};

	return fm_value_set_shape(&graph->values[node->outputs[0]], FM_ONNX_FLOAT32, 4, dims, node, err);
}

static size_t nearest(const struct resize *resize, size_t at, double scale, size_t length)
{
	double x = resize->coordinates == ASYMMETRIC ? (double)at / scale : ((double)at + 0.5) / scale - 0.5;

	switch (resize->rounding) {
	case FLOOR: x = floor(x); break;
	case CEIL: x = ceil(x); break;
	case PREFER_FLOOR: x = ceil(x - 0.5); break;
	case PREFER_CEIL: x = floor(x + 0.5); break;
	}
	return x <= 0 ? 0 : x >= (double)length ? length - 1 : (size_t)x;
}

static enum fm_status prepare(
        const struct fm_build *build, struct fm_node *node, struct fm_step *step, struct fm_error *err)
{
	const struct fm_value *in = fm_node_input(build->graph, node, 0);
	const struct resize *resize = node->params;
	struct resize_state *state = fm_arena_alloc(build->arena, 1, sizeof(*state));
	size_t *rows = fm_arena_alloc(build->arena, resize->out_h, sizeof(*rows));
	size_t *columns = fm_arena_alloc(build->arena, resize->out_w, sizeof(*columns));

	if (!state || !rows || !columns)
		return fm_node_nomem(node, err);
	for (size_t y = 0; y < resize->out_h; y++)
		rows[y] = nearest(resize, y, resize->scale_h, in->dims[2]);
	for (size_t x = 0; x < resize->out_w; x++)
		columns[x] = nearest(resize, x, resize->scale_w, in->dims[3]);
	*state = (struct resize_state){in->dims[3], resize->out_h, resize->out_w, in->dims[1], rows, columns};
	step->state = state;
	step->input_count = 1;
	step->info.op = "resize";
	return FM_OK;
}

static void run_resize(const struct fm_step *step, const struct fm_run *run)
{
	const struct resize_state *s = step->state;
	const float *in = run->values[step->inputs[0]];
	float *out = run->values[step->outputs[0]];
	const size_t row_bytes = s->out_w * s->channels * sizeof(float);

	for (size_t y = 0; y < s->out_h; y++) {
		if (y && s->rows[y] == s->rows[y - 1]) {
			memcpy(out, (const char *)out - row_bytes, row_bytes);
			out += s->out_w * s->channels;
			continue;
		}
		const float *row = in + s->rows[y] * s->in_w * s->channels;
		for (size_t x = 0; x < s->out_w; x++, out += s->channels)
			memcpy(out, row + s->columns[x] * s->channels, s->channels * sizeof(*out));
	}
}

const struct fm_op fm_op_resize = {
        .name = "Resize",
        .inputs_min = 1,
        .inputs_max = 4,
        .outputs_max = 1,
        .layout = FM_OP_NHWC,
        .params_bytes = sizeof(struct resize),
        .check = check,
        .shape = shape,
        .prepare = prepare,
        .run = run_resize,
};
