/* GELU as exporters spell it out: x / sqrt 2, Erf, + 1, times x, times 1/2, the last two in any order. */
#include "lib/nn/fuse.h"

#include "lib/base/banned.h"

/* The x of v = x / sqrt 2, or FM_VALUE_NONE. */
static uint32_t before_root_two(struct fm_graph *graph, uint32_t v)
{
	const struct fm_node *div = fm_producer(graph, v, &fm_op_div);
	const struct fm_node *mul = fm_producer(graph, v, &fm_op_mul);

	if (div && fm_is_constant(graph, div->inputs[1], 1.41421356f))
		return div->inputs[0];
	for (size_t i = 0; mul && i < 2; i++)
		if (fm_is_constant(graph, mul->inputs[1 - i], 0.70710678f))
			return mul->inputs[i];
	return FM_VALUE_NONE;
}

/* Whether v = x / 2. */
static bool is_half_of(struct fm_graph *graph, uint32_t v, uint32_t x)
{
	const struct fm_node *mul = fm_producer(graph, v, &fm_op_mul);

	return mul && fm_is_constant(graph, fm_other_input(mul, x), 0.5f);
}

enum fm_status fm_fuse_gelu(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	if (node->op != &fm_op_erf)
		return FM_OK;
	const uint32_t x = before_root_two(graph, node->inputs[0]);
	struct fm_node *add = fm_only_reader(graph, node->outputs[0], &fm_op_add);
	if (x == FM_VALUE_NONE || !add || !fm_is_constant(graph, fm_other_input(add, node->outputs[0]), 1.0f))
		return FM_OK;

	struct fm_node *last = fm_only_reader(graph, add->outputs[0], &fm_op_mul);
	const uint32_t other = last ? fm_other_input(last, add->outputs[0]) : FM_VALUE_NONE;
	if (other == FM_VALUE_NONE)
		return FM_OK;
	if (!is_half_of(graph, other, x)) {
		const uint32_t product = last->outputs[0];

		last = fm_only_reader(graph, product, &fm_op_mul);
		if (!last ||
		        !((other == x && fm_is_constant(graph, fm_other_input(last, product), 0.5f)) ||
		                (fm_is_constant(graph, other, 0.5f) && fm_other_input(last, product) == x)))
			return FM_OK;
	}
	/* A factor that broadcast would have changed the shape. */
	if (graph->values[last->outputs[0]].elements != graph->values[x].elements ||
	        graph->values[last->outputs[0]].rank != graph->values[x].rank)
		return FM_OK;
	return fm_node_become(graph, last, &fm_op_gelu, 1, &x) ? FM_OK : fm_node_nomem(node, err);
}
