/*
 * Cross-covariance attention as exporters spell it out, found from its Softmax:
 *   qkv [N][T][3 H D] reshaped to [N][T][3][H][D], transposed to [3][N][H][D][T], split, squeezed;
 *   q and k divided by their lengths over T; softmax(q k^T * temperature[H]); times v;
 *   transposed to [N][T][H][D], reshaped to [N][T][H D].
 */
#include "lib/nn/fuse.h"

#include <string.h>

#include "lib/base/banned.h"

/* The x of v = x / max(|x|, least), lengths over the last axis; FM_VALUE_NONE where v is something else. */
static uint32_t normalized(struct fm_graph *graph, uint32_t v, float *ret_least)
{
	const struct fm_node *div = fm_producer(graph, v, &fm_op_div);
	const struct fm_node *expand = div ? fm_producer(graph, div->inputs[1], &fm_op_expand) : NULL;
	const struct fm_node *clip =
	        div ? fm_producer(graph, expand ? expand->inputs[0] : div->inputs[1], &fm_op_clip) : NULL;
	const struct fm_node *length = clip ? fm_producer(graph, clip->inputs[0], &fm_op_reduce_l2) : NULL;
	float high;

	if (!length || length->inputs[0] != div->inputs[0] || !fm_reduces_last(graph, length))
		return FM_VALUE_NONE;
	fm_clip_bounds(clip, ret_least, &high);
	return *ret_least > 0.0f && high > 1e30f ? div->inputs[0] : FM_VALUE_NONE;
}

/* The Split of which v is part `part`, squeezed. */
static struct fm_node *split_of(struct fm_graph *graph, uint32_t v, size_t part)
{
	const struct fm_node *squeeze = fm_producer(graph, v, &fm_op_squeeze);
	struct fm_node *split = squeeze ? fm_producer(graph, squeeze->inputs[0], &fm_op_split) : NULL;

	if (!split || split->output_count != 3 || split->outputs[part] != squeeze->inputs[0] ||
	        graph->values[split->outputs[part]].dims[0] != 1)
		return NULL;
	return split;
}

/* The temperature for each head: [H][1][1], perhaps with a leading 1. */
static const float *temperature_of(
        struct fm_graph *graph, const struct fm_node *scale, uint32_t product, size_t heads)
{
	const uint32_t other = fm_other_input(scale, product);

	if (other == FM_VALUE_NONE)
		return NULL;
	const struct fm_value *t = &graph->values[other];
	const bool shaped = t->rank >= 3 && t->dims[t->rank - 3] == heads && t->elements == heads;
	return t->constant && t->type == FM_ONNX_FLOAT32 && shaped ? t->constant : NULL;
}

/* The value that holds q, k and v, and the sizes; FM_VALUE_NONE where the split is of something else. */
static uint32_t source_of(struct fm_graph *graph, const struct fm_node *split, struct fm_attention *attention)
{
	static const size_t from[5] = {2, 0, 3, 4, 1};
	const struct fm_node *transpose = fm_producer(graph, split->inputs[0], &fm_op_transpose);

	if (!transpose || !fm_transposes(graph, transpose, 5, from))
		return FM_VALUE_NONE;
	const struct fm_node *reshape = fm_producer(graph, transpose->inputs[0], &fm_op_reshape);
	const size_t *d = graph->values[transpose->inputs[0]].dims;
	if (!reshape || d[0] != 1 || d[2] != 3 || d[3] * d[4] < 16)
		return FM_VALUE_NONE;
	attention->tokens = d[1];
	attention->heads = d[3];
	attention->size = d[4];
	return reshape->inputs[0];
}

/* The Reshape in which the mixed values end, and the product that mixes; NULL where the end is another. */
static struct fm_node *end_of(
        struct fm_graph *graph, const struct fm_node *softmax, uint32_t *ret_v, const struct fm_attention *a)
{
	static const size_t from[4] = {0, 3, 1, 2};
	const struct fm_node *mix = fm_only_reader(graph, softmax->outputs[0], &fm_op_matmul_batched);
	const struct fm_node *transpose =
	        mix ? fm_only_reader(graph, mix->outputs[0], &fm_op_transpose) : NULL;
	struct fm_node *end = transpose ? fm_only_reader(graph, transpose->outputs[0], &fm_op_reshape) : NULL;

	if (!end || mix->inputs[0] != softmax->outputs[0] || !fm_transposes(graph, transpose, 4, from))
		return NULL;
	const struct fm_value *out = &graph->values[end->outputs[0]];
	*ret_v = mix->inputs[1];
	return out->rank == 3 && out->dims[1] == a->tokens && out->dims[2] == a->heads * a->size ? end : NULL;
}

enum fm_status fm_fuse_attention(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	static const size_t last_two[4] = {0, 1, 3, 2};
	struct fm_attention attention = {0};
	uint32_t v;
	float least[2];

	if (node->op != &fm_op_softmax || graph->opset < 13)
		return FM_OK;
	const struct fm_node *scale = fm_producer(graph, node->inputs[0], &fm_op_mul), *product = NULL;
	for (size_t i = 0; scale && !product && i < 2; i++)
		product = fm_producer(graph, scale->inputs[i], &fm_op_matmul_batched);
	if (!product || !fm_softmax_is_last(graph, node))
		return FM_OK;
	const struct fm_node *turn = fm_producer(graph, product->inputs[1], &fm_op_transpose);
	if (!turn || !fm_transposes(graph, turn, 4, last_two))
		return FM_OK;
	const uint32_t q = normalized(graph, product->inputs[0], &least[0]);
	const uint32_t k = normalized(graph, turn->inputs[0], &least[1]);
	struct fm_node *split = split_of(graph, q, 0);
	if (!split || split_of(graph, k, 1) != split || least[0] != least[1])
		return FM_OK;
	const uint32_t qkv = source_of(graph, split, &attention);
	if (qkv == FM_VALUE_NONE || graph->values[q].rank != 4 ||
	        graph->values[q].dims[3] != attention.tokens)
		return FM_OK;
	attention.norm_min = least[0];
	attention.temperature = temperature_of(graph, scale, product->outputs[0], attention.heads);
	struct fm_node *end = end_of(graph, node, &v, &attention);
	if (!attention.temperature || !end || split_of(graph, v, 2) != split)
		return FM_OK;
	struct fm_attention *params = fm_node_become(graph, end, &fm_op_attention, 1, &qkv);
	if (!params)
		return fm_node_nomem(node, err);
	*params = attention;
	return FM_OK;
}
