/* Transposes between images and rows, moved to where they cost nothing. */
#include "lib/nn/fuse.h"

#include <string.h>

#include "lib/base/banned.h"

static const size_t to_rows[4] = {0, 2, 3, 1}, to_image[4] = {0, 3, 1, 2}, swap[3] = {0, 2, 1};

static void set_dims(struct fm_value *value, size_t rank, const size_t *dims)
{
	value->rank = rank;
	memset(value->dims, 0, sizeof(value->dims));
	memcpy(value->dims, dims, rank * sizeof(*dims));
}

static enum fm_status make_transpose(struct fm_graph *graph, struct fm_node *node, uint32_t in, uint32_t out,
        const size_t from[4], struct fm_error *err)
{
	struct fm_permutation *permutation = fm_node_become(graph, node, &fm_op_transpose, 1, &in);
	uint32_t *output = fm_arena_memdup(graph->arena, &out, 1, sizeof(out));

	if (!permutation || !output)
		return fm_node_nomem(node, err);
	memcpy(permutation->from, from, 4 * sizeof(*from));
	node->outputs = output;
	graph->values[out].producer = (uint32_t)(node - graph->nodes);
	return FM_OK;
}

/* [N][C][H][W] -> [N][C][HW] -> [N][HW][C] becomes [N][C][H][W] -> [N][H][W][C] -> [N][HW][C]. */
static enum fm_status flatten_after(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	struct fm_node *flatten = fm_producer(graph, node->inputs[0], &fm_op_reshape);
	struct fm_value *between = &graph->values[node->inputs[0]];

	if (!flatten || between->uses != 1 || !fm_transposes(graph, node, 3, swap))
		return FM_OK;
	const uint32_t image = flatten->inputs[0], rows = node->inputs[0];
	const size_t *d = graph->values[image].dims;
	if (graph->values[image].rank != 4 || d[0] != between->dims[0] || d[1] != between->dims[1] ||
	        d[2] * d[3] != between->dims[2])
		return FM_OK;
	set_dims(between, 4, (size_t[4]){d[0], d[2], d[3], d[1]});
	if (!fm_node_become(graph, node, &fm_op_reshape, 1, &rows))
		return fm_node_nomem(node, err);
	return make_transpose(graph, flatten, image, rows, to_rows, err);
}

/*
 * image + Transpose(product) becomes Transpose(product + Transpose(image)): of the three nodes' places, in
 * order, the first transposes the image, the second is the product and the third transposes back.
 */
static enum fm_status add_before(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	for (size_t i = 0; i < 2; i++) {
		const uint32_t image = node->inputs[1 - i], turned = node->inputs[i];
		struct fm_node *transpose = fm_producer(graph, turned, &fm_op_transpose);

		if (!transpose || graph->values[turned].uses != 1 ||
		        !fm_transposes(graph, transpose, 4, to_image))
			continue;
		const uint32_t rows = transpose->inputs[0], made = graph->values[image].producer;
		struct fm_node *product = fm_producer(graph, rows, &fm_op_matmul);
		if (!product || graph->values[rows].uses != 1 || product->fused.residual != FM_VALUE_NONE ||
		        product->fused.activation != FM_ACT_NONE || product->fused.gelu ||
		        graph->values[image].constant ||
		        (made != FM_NODE_NONE && &graph->nodes[made] > product) ||
		        memcmp(graph->values[image].dims, graph->values[turned].dims,
		                sizeof(graph->values[image].dims)) != 0)
			continue;
		const uint32_t sum = node->outputs[0];
		enum fm_status status;

		set_dims(&graph->values[turned], 4, graph->values[rows].dims);
		*transpose = *product;
		transpose->fused.residual = turned;
		graph->values[rows].producer = (uint32_t)(transpose - graph->nodes);
		if ((status = make_transpose(graph, product, image, turned, to_rows, err)))
			return status;
		product->fused = (struct fm_fused){.residual = FM_VALUE_NONE};
		return make_transpose(graph, node, rows, sum, to_image, err);
	}
	return FM_OK;
}

enum fm_status fm_fuse_transpose(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	if (node->op == &fm_op_transpose)
		return flatten_after(graph, node, err);
	if (node->op == &fm_op_add)
		return add_before(graph, node, err);
	return FM_OK;
}
