/*
 * Products (Conv, Gemm, MatMul) end in an epilogue: v = sum * scale + shift, + residual, activation. This
 * pass walks the nodes once and, where a product's result goes nowhere else, moves what follows into that
 * epilogue: BatchNormalization and Mul or Add by a constant per channel, Add of another tensor, Relu, PRelu,
 * Clip, GELU, and MaxPool behind a depthwise Conv. Before that, fuse_*.c find what exporters spell out.
 */
#include "lib/nn/fuse.h"
#include "lib/nn/conv_shape.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

/* Where a product's output channels are: an image's second dimension, a matrix's last. */
static size_t channel_axis(const struct fm_node *product, const struct fm_value *value)
{
	return product->op->layout == FM_OP_NHWC ? 1 : value->rank - 1;
}

/* The product that alone makes value v for its one reader, or NULL. */
static struct fm_node *product_of(struct fm_graph *graph, uint32_t v)
{
	const struct fm_value *value = &graph->values[v];

	if (value->uses != 1 || value->constant || value->producer == FM_NODE_NONE || !value->rank)
		return NULL;
	struct fm_node *node = &graph->nodes[value->producer];
	return node->op->product && !node->removed && !node->fused.pool ? node : NULL;
}

/* Whether the constant has one element, or one for each channel and stands on the channel axis. */
static bool per_channel(const struct fm_value *constant, const struct fm_value *value, size_t axis)
{
	if (constant->type != FM_ONNX_FLOAT32 || constant->rank > value->rank)
		return false;
	for (size_t i = 0; i < constant->rank; i++) {
		size_t at = i + value->rank - constant->rank;

		if (constant->dims[i] != 1 && (at != axis || constant->dims[i] != value->dims[axis]))
			return false;
	}
	return constant->elements == 1 || constant->elements == value->dims[axis];
}

static float *spread(struct fm_graph *graph, const struct fm_value *constant, size_t channels)
{
	float *values = fm_arena_alloc(graph->arena, channels, sizeof(*values));
	const float *from = constant->constant;

	for (size_t i = 0; values && i < channels; i++)
		values[i] = from[constant->elements == 1 ? 0 : i];
	return values;
}

/* The reader's output becomes the product's; the reader goes. */
static void absorb(struct fm_graph *graph, struct fm_node *product, struct fm_node *reader)
{
	graph->values[product->outputs[0]].uses = 0;
	product->outputs[0] = reader->outputs[0];
	graph->values[reader->outputs[0]].producer = (uint32_t)(product - graph->nodes);
	reader->removed = true;
}

/* v * scale + shift after what the epilogue has so far. NULL scale or shift: 1 or 0. */
static bool add_affine(struct fm_graph *graph, struct fm_node *product, size_t channels, const float *scale,
        const float *shift)
{
	struct fm_fused *fused = &product->fused;

	if (!fused->scale) {
		fused->scale = fm_arena_alloc(graph->arena, channels, sizeof(float));
		fused->shift = fm_arena_alloc(graph->arena, channels, sizeof(float));
		if (!fused->scale || !fused->shift)
			return false;
		for (size_t i = 0; i < channels; i++)
			fused->scale[i] = 1.0f;
	}
	for (size_t i = 0; i < channels; i++) {
		const double s = scale ? scale[i] : 1.0, t = shift ? shift[i] : 0.0;

		fused->shift[i] = (float)(fused->shift[i] * s + t);
		fused->scale[i] = (float)(fused->scale[i] * s);
	}
	return true;
}

static bool open_for_affine(const struct fm_node *product)
{
	return product->fused.residual == FM_VALUE_NONE && product->fused.activation == FM_ACT_NONE &&
	       !product->fused.gelu && !product->fused.first;
}

/* After a grid a residual may follow, an affine step may not. */
static bool open_for_residual(const struct fm_node *product)
{
	return product->fused.residual == FM_VALUE_NONE && product->fused.activation == FM_ACT_NONE &&
	       !product->fused.gelu && !product->fused.last;
}

static enum fm_status fuse_batch_normalization(
        struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	struct fm_node *product = product_of(graph, node->inputs[0]);
	const struct fm_value *out = &graph->values[node->outputs[0]];
	const float *scale, *shift;

	if (!product || !open_for_affine(product) || channel_axis(product, out) != 1)
		return FM_OK;
	size_t channels = out->dims[1];
	enum fm_status status = fm_batch_normalization_affine(graph, node, graph->arena, &scale, &shift, err);
	if (status)
		return status;
	if (!add_affine(graph, product, channels, scale, shift))
		return fm_node_nomem(node, err);
	absorb(graph, product, node);
	return FM_OK;
}

/* Mul or Add by a constant; Mul by 1 goes even where there is no product before it. */
static enum fm_status fuse_constant(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	const bool swapped = graph->values[node->inputs[0]].constant != NULL;
	const uint32_t data = node->inputs[swapped ? 1 : 0];
	const struct fm_value *constant = &graph->values[node->inputs[swapped ? 0 : 1]];
	const struct fm_value *out = &graph->values[node->outputs[0]];
	struct fm_node *product = product_of(graph, data);
	const bool mul = node->op == &fm_op_mul;

	if (graph->values[data].rank != out->rank || graph->values[data].elements != out->elements)
		return FM_OK;
	if (product && open_for_affine(product) && per_channel(constant, out, channel_axis(product, out))) {
		size_t channels = out->dims[channel_axis(product, out)];
		float *values = spread(graph, constant, channels);

		if (!values ||
		        !add_affine(graph, product, channels, mul ? values : NULL, mul ? NULL : values))
			return fm_node_nomem(node, err);
		absorb(graph, product, node);
	} else if (mul && constant->elements == 1 && constant->type == FM_ONNX_FLOAT32 &&
	           *(const float *)constant->constant == 1.0f) {
		node->op = &fm_op_identity;
		node->inputs[0] = data;
		node->input_count = 1;
	}
	return FM_OK;
}

static bool same_dims(const struct fm_value *a, const struct fm_value *b)
{
	return a->rank == b->rank && memcmp(a->dims, b->dims, sizeof(a->dims)) == 0;
}

/*
 * Add of two tensors of one shape. The later product takes it, because the other operand must be there when
 * it runs.
 */
static void fuse_residual(struct fm_graph *graph, struct fm_node *node)
{
	struct fm_node *best = NULL;
	uint32_t other = FM_VALUE_NONE;

	if (!same_dims(&graph->values[node->inputs[0]], &graph->values[node->inputs[1]]))
		return;
	for (size_t i = 0; i < 2; i++) {
		struct fm_node *product = product_of(graph, node->inputs[i]);
		uint32_t made = graph->values[node->inputs[1 - i]].producer;

		if (product && open_for_residual(product) &&
		        (made == FM_NODE_NONE || &graph->nodes[made] < product)) {
			best = product;
			other = node->inputs[1 - i];
		}
	}
	if (best) {
		best->fused.residual = other;
		absorb(graph, best, node);
	}
}

static enum fm_status fuse_activation(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	struct fm_node *product = product_of(graph, node->inputs[0]);
	const struct fm_value *out = &graph->values[node->outputs[0]];

	if (!product || product->fused.activation != FM_ACT_NONE || product->fused.gelu ||
	        product->fused.last)
		return FM_OK;
	struct fm_fused *fused = &product->fused;
	if (node->op == &fm_op_relu) {
		fused->activation = FM_ACT_RELU;
	} else if (node->op == &fm_op_clip) {
		fused->activation = FM_ACT_CLIP;
		fm_clip_bounds(node, &fused->clip_low, &fused->clip_high);
	} else {
		const struct fm_value *slope = &graph->values[node->inputs[1]];

		if (!slope->constant || !per_channel(slope, out, channel_axis(product, out)))
			return FM_OK;
		fused->slope = spread(graph, slope, out->dims[channel_axis(product, out)]);
		if (!fused->slope)
			return fm_node_nomem(node, err);
		fused->activation = FM_ACT_PRELU;
	}
	absorb(graph, product, node);
	return FM_OK;
}

/* A MatMul normalizes its rows itself where nobody else wants them normalized. */
static void fuse_norm(struct fm_graph *graph, struct fm_node *node)
{
	struct fm_node *norm = fm_producer(graph, node->inputs[0], &fm_op_layer_normalization);

	if (!norm || graph->values[node->inputs[0]].uses != 1)
		return;
	node->fused.norm = norm;
	node->inputs[0] = norm->inputs[0];
	norm->removed = true;
}

static void fuse_gelu(struct fm_graph *graph, struct fm_node *node)
{
	struct fm_node *product = product_of(graph, node->inputs[0]);

	if (!product || product->op == &fm_op_conv || product->fused.gelu || product->fused.first ||
	        product->fused.last)
		return;
	product->fused.gelu = true;
	absorb(graph, product, node);
}

/* A depthwise convolution stores the largest of its outputs where nobody else wants all of them. */
static void fuse_pool(struct fm_graph *graph, struct fm_node *node)
{
	const struct fm_conv_shape *pool = node->params;
	struct fm_node *conv = product_of(graph, node->inputs[0]);

	if (!conv || conv->op != &fm_op_conv || conv->fused.residual != FM_VALUE_NONE || conv->fused.first ||
	        conv->fused.last)
		return;
	const struct fm_conv_shape *s = conv->params;
	if (s->groups != s->in_channels || s->groups != s->out_channels)
		return;
	for (size_t i = 0; i < 2; i++)
		if (pool->kernel[i] != 2 || pool->stride[i] != 2 || pool->pad[i])
			return;
	if (2 * pool->out_h > pool->in_h || 2 * pool->out_w > pool->in_w)
		return;
	conv->fused.pool = true;
	absorb(graph, conv, node);
}

static void fuse_quantize(struct fm_graph *graph, struct fm_node *node)
{
	struct fm_node *product = product_of(graph, node->inputs[0]);

	if (product && fm_fuse_grid(&product->fused, node))
		absorb(graph, product, node);
}

/* Readers of what an Identity makes read what it reads. */
static enum fm_status skip_identities(struct fm_graph *graph, struct fm_error *err)
{
	uint32_t *alias = fm_arena_alloc(graph->arena, graph->value_count, sizeof(*alias));

	if (!alias)
		return fm_fail(err, FM_E_NOMEM, "the graph needs more memory than there is or is allowed");
	for (uint32_t v = 0; v < graph->value_count; v++)
		alias[v] = v;
	for (size_t n = 0; n < graph->node_count; n++) {
		struct fm_node *node = &graph->nodes[n];

		for (size_t i = 0; !node->removed && i < node->input_count; i++)
			if (node->inputs[i] != FM_VALUE_NONE)
				node->inputs[i] = alias[node->inputs[i]];
		if (!node->removed && node->op == &fm_op_identity)
			alias[node->outputs[0]] = node->inputs[0];
	}
	fm_graph_count_uses(graph);
	return FM_OK;
}

static enum fm_status fuse_node(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	if (node->op == &fm_op_matmul)
		fuse_norm(graph, node);
	if (node->op == &fm_op_gelu)
		fuse_gelu(graph, node);
	if (node->op == &fm_op_max_pool)
		fuse_pool(graph, node);
	if (node->op == &fm_op_quantize_linear)
		fuse_quantize(graph, node);
	if (node->op->product)
		return fm_fuse_static(graph, node, err);
	if (node->op == &fm_op_batch_normalization)
		return fuse_batch_normalization(graph, node, err);
	if (node->op == &fm_op_relu || node->op == &fm_op_prelu || node->op == &fm_op_clip)
		return fuse_activation(graph, node, err);
	if (node->op == &fm_op_mul || node->op == &fm_op_add) {
		if (graph->values[node->inputs[0]].constant || graph->values[node->inputs[1]].constant)
			return fuse_constant(graph, node, err);
		if (node->op == &fm_op_add)
			fuse_residual(graph, node);
	}
	return FM_OK;
}

typedef enum fm_status (*pass)(struct fm_graph *graph, struct fm_node *node, struct fm_error *err);

/* In this order: each sees what those before it left. */
static const pass passes[] = {fm_fuse_layer_norm, fm_fuse_gelu, fm_fuse_attention, fm_fuse_boxes, fuse_node,
        fm_fuse_transpose, fm_fuse_siblings};

enum fm_status fm_graph_fuse(struct fm_graph *graph, struct fm_error *err)
{
	enum fm_status status = skip_identities(graph, err);

	if (status)
		return status;
	for (size_t p = 0; p < sizeof(passes) / sizeof(*passes); p++) {
		for (size_t n = 0; n < graph->node_count; n++) {
			if (graph->nodes[n].removed)
				continue;
			if ((status = passes[p](graph, &graph->nodes[n], err)))
				return status;
		}
		fm_graph_count_uses(graph);
	}
	for (size_t n = 0; n < graph->node_count; n++)
		if (!graph->nodes[n].removed)
			fm_fuse_drop_grid(graph, &graph->nodes[n]);
	return FM_OK;
}
