/*
 * A detector's heads and branches: several 1x1 convolutions read one image, each with few outputs, heads each
 * followed by its own depthwise convolution. One of each with all their channels, and a Split behind them,
 * read the image once, quantize it once and fill vectors. No sum changes, nor its bits.
 */
#include "lib/nn/conv_shape.h"
#include "lib/nn/fuse.h"

#include <string.h>

#include "lib/base/banned.h"

#define SIBLINGS_MAX 8
/* Wider ones fill vectors on their own. */
#define CHANNELS_MAX 16

#define NO_DEPTHWISE SIZE_MAX

/* Where its two nodes are, or its one. */
struct sibling {
	size_t pointwise, depthwise;
};

static bool is_plain(const struct fm_graph *graph, const struct fm_node *node)
{
	const struct fm_fused *fused = &node->fused;

	if (node->op != &fm_op_conv || node->removed || fused->scale || fused->activation != FM_ACT_NONE ||
	        fused->residual != FM_VALUE_NONE || fused->first || fused->last || fused->weight_scale ||
	        fused->pool || graph->values[node->inputs[0]].rank != 4)
		return false;
	/* The first sibling's constants take those of all. */
	for (size_t i = 1; i < node->input_count; i++) {
		if (node->inputs[i] == FM_VALUE_NONE)
			return false;
		const struct fm_value *v = &graph->values[node->inputs[i]];
		if (!v->constant || v->type != FM_ONNX_FLOAT32 || v->uses != 1)
			return false;
	}
	return true;
}

static bool find_sibling(struct fm_graph *graph, const struct fm_node *node, struct sibling *ret)
{
	const struct fm_conv_shape *s = node->params;

	if (!is_plain(graph, node) || s->groups != 1 || s->kernel[0] * s->kernel[1] != 1 ||
	        s->out_channels > CHANNELS_MAX)
		return false;
	*ret = (struct sibling){(size_t)(node - graph->nodes), NO_DEPTHWISE};
	const struct fm_node *next = fm_only_reader(graph, node->outputs[0], &fm_op_conv);
	if (!next || next->inputs[0] != node->outputs[0] || !is_plain(graph, next))
		return true;
	const struct fm_conv_shape *d = next->params;
	if (d->groups == s->out_channels && d->out_channels == s->out_channels)
		ret->depthwise = (size_t)(next - graph->nodes);
	return true;
}

/* But for the number of channels that leave. */
static bool same_kind(const struct fm_node *a, const struct fm_node *b, bool depthwise)
{
	struct fm_conv_shape s = *(const struct fm_conv_shape *)a->params;
	const struct fm_conv_shape *other = b->params;

	s.out_channels = other->out_channels;
	if (depthwise) {
		s.in_channels = other->in_channels;
		s.groups = other->groups;
	}
	return a->input_count == b->input_count && memcmp(&s, other, sizeof(s)) == 0;
}

static size_t first_reader(const struct fm_graph *graph, uint32_t v)
{
	for (size_t n = 0; n < graph->node_count; n++) {
		const struct fm_node *node = &graph->nodes[n];

		for (size_t i = 0; !node->removed && i < node->input_count; i++)
			if (node->inputs[i] == v)
				return n;
		if (!node->removed && node->fused.residual == v)
			return n;
	}
	return graph->node_count;
}

/* The first three of the siblings' places, in order. */
static void first_places(const struct sibling *siblings, size_t count, size_t places[3])
{
	places[0] = places[1] = places[2] = SIZE_MAX;
	for (size_t i = 0; i < 2 * count; i++) {
		size_t place = i % 2 ? siblings[i / 2].depthwise : siblings[i / 2].pointwise;

		for (size_t p = 0; p < 3; p++)
			if (place < places[p]) {
				const size_t later = places[p];

				places[p] = place;
				place = later;
			}
	}
}

/* Operand `index` of all siblings' nodes, one behind the other, becomes the first one's. */
static bool join_constants(
        struct fm_graph *graph, const struct sibling *siblings, size_t count, bool depthwise, size_t index)
{
	struct fm_value *joined = NULL;
	size_t elements = 0, channels = 0;

	for (int pass = 0; pass < 2; pass++) {
		float *to = pass ? fm_arena_alloc(graph->arena, elements, sizeof(*to)) : NULL;

		if (pass && !to)
			return false;
		const float *all = to;
		for (size_t i = 0; i < count; i++) {
			const size_t n = depthwise ? siblings[i].depthwise : siblings[i].pointwise;
			struct fm_value *v = &graph->values[graph->nodes[n].inputs[index]];

			if (pass) {
				memcpy(to, v->constant, v->elements * sizeof(*to));
				to += v->elements;
				continue;
			}
			joined = joined ? joined : v;
			elements += v->elements;
			channels += v->dims[0];
		}
		if (pass) {
			joined->constant = all;
			joined->elements = elements;
			joined->dims[0] = channels;
		}
	}
	return true;
}

static void widen(struct fm_value *value, const struct fm_value *like, size_t channels)
{
	value->type = like->type;
	value->rank = like->rank;
	memcpy(value->dims, like->dims, sizeof(value->dims));
	value->elements = like->elements / like->dims[1] * channels;
	value->dims[1] = channels;
}

static enum fm_status join(
        struct fm_graph *graph, const struct sibling *siblings, size_t count, struct fm_error *err)
{
	struct fm_node pointwise = graph->nodes[siblings[0].pointwise];
	struct fm_node depthwise = graph->nodes[siblings[0].depthwise], split = depthwise;
	struct fm_conv_shape *p = pointwise.params, *d = depthwise.params;
	/* What the first two pointwise nodes made nobody reads any more. */
	uint32_t *between = fm_arena_alloc(graph->arena, 2, sizeof(*between));
	uint32_t *outputs = fm_arena_alloc(graph->arena, count, sizeof(*outputs));
	size_t places[3], channels = 0;

	if (!between || !outputs)
		return fm_node_nomem(&pointwise, err);
	for (size_t i = 0; i < 2; i++)
		between[i] = graph->nodes[siblings[i].pointwise].outputs[0];
	for (size_t i = 0; i < count; i++) {
		outputs[i] = graph->nodes[siblings[i].depthwise].outputs[0];
		channels += graph->values[outputs[i]].dims[1];
	}
	for (size_t i = 1; i < pointwise.input_count; i++)
		if (!join_constants(graph, siblings, count, false, i))
			return fm_node_nomem(&pointwise, err);
	for (size_t i = 1; i < depthwise.input_count; i++)
		if (!join_constants(graph, siblings, count, true, i))
			return fm_node_nomem(&pointwise, err);
	size_t *axis = fm_node_become(graph, &split, &fm_op_split, 1, &between[1]);
	uint32_t *inputs = fm_arena_memdup(
	        graph->arena, depthwise.inputs, depthwise.input_count, sizeof(*depthwise.inputs));
	if (!axis || !inputs)
		return fm_node_nomem(&pointwise, err);
	*axis = 1;
	split.outputs = outputs;
	split.output_count = count;
	inputs[0] = between[0];
	depthwise.inputs = inputs;
	pointwise.outputs = &between[0];
	depthwise.outputs = &between[1];
	p->out_channels = d->in_channels = d->out_channels = d->groups = channels;
	widen(&graph->values[between[0]], &graph->values[between[0]], channels);
	widen(&graph->values[between[1]], &graph->values[outputs[0]], channels);

	for (size_t i = 0; i < count; i++)
		graph->nodes[siblings[i].pointwise].removed = graph->nodes[siblings[i].depthwise].removed =
		        true;
	first_places(siblings, count, places);
	graph->nodes[places[0]] = pointwise;
	graph->nodes[places[1]] = depthwise;
	graph->nodes[places[2]] = split;
	graph->values[between[0]].producer = (uint32_t)places[0];
	graph->values[between[1]].producer = (uint32_t)places[1];
	for (size_t i = 0; i < count; i++)
		graph->values[outputs[i]].producer = (uint32_t)places[2];
	return FM_OK;
}

/* Nodes from `at` on move to the next place, the last of them to that of a node that is gone. */
static void make_room(struct fm_graph *graph, size_t at, size_t gone)
{
	const struct fm_node *nodes = graph->nodes;

	for (size_t n = gone; n > at; n--) {
		graph->nodes[n] = graph->nodes[n - 1];
		for (size_t i = 0; i < nodes[n].output_count; i++)
			graph->values[nodes[n].outputs[i]].producer = (uint32_t)n;
	}
	for (size_t v = 0; v < graph->value_count; v++) {
		const uint32_t consumer = graph->values[v].consumer;

		if (consumer != FM_NODE_NONE && consumer >= at && consumer < gone)
			graph->values[v].consumer++;
	}
	for (size_t n = 0; n < graph->node_count; n++) {
		const struct fm_node **norm = &graph->nodes[n].fused.norm;

		if (*norm && *norm >= nodes + at && *norm < nodes + gone)
			++*norm;
	}
}

/* Without depthwise convolutions; the Split comes right behind the first of the siblings. */
static enum fm_status join_pointwise(
        struct fm_graph *graph, const struct sibling *siblings, size_t count, struct fm_error *err)
{
	const size_t place = siblings[0].pointwise;
	struct fm_node *pointwise = &graph->nodes[place];
	struct fm_node split = *pointwise;
	struct fm_conv_shape *s = pointwise->params;
	uint32_t *outputs = fm_arena_alloc(graph->arena, count, sizeof(*outputs));
	uint32_t *joined = fm_arena_alloc(graph->arena, 1, sizeof(*joined));

	if (!outputs || !joined)
		return fm_node_nomem(pointwise, err);
	*joined = fm_graph_add_value(graph, graph->values[pointwise->outputs[0]].name);
	size_t *axis = fm_node_become(graph, &split, &fm_op_split, 1, joined);
	if (*joined == FM_VALUE_NONE || !axis)
		return fm_node_nomem(pointwise, err);
	for (size_t i = 1; i < pointwise->input_count; i++)
		if (!join_constants(graph, siblings, count, false, i))
			return fm_node_nomem(pointwise, err);
	s->out_channels = 0;
	for (size_t i = 0; i < count; i++) {
		struct fm_node *node = &graph->nodes[siblings[i].pointwise];

		outputs[i] = node->outputs[0];
		s->out_channels += graph->values[outputs[i]].dims[1];
		graph->values[outputs[i]].producer = (uint32_t)place + 1;
		node->removed = i > 0;
	}
	*axis = 1;
	split.outputs = outputs;
	split.output_count = count;
	pointwise->outputs = joined;
	graph->values[*joined].producer = (uint32_t)place;
	widen(&graph->values[*joined], &graph->values[outputs[0]], s->out_channels);
	make_room(graph, place + 1, siblings[1].pointwise);
	graph->nodes[place + 1] = split;
	return FM_OK;
}

enum fm_status fm_fuse_siblings(struct fm_graph *graph, struct fm_node *node, struct fm_error *err)
{
	struct sibling siblings[SIBLINGS_MAX];
	size_t count = 1, places[3];

	if (node->op != &fm_op_conv || !find_sibling(graph, node, &siblings[0]))
		return FM_OK;
	const bool heads = siblings[0].depthwise != NO_DEPTHWISE;
	for (size_t n = siblings[0].pointwise + 1; n < graph->node_count && count < SIBLINGS_MAX; n++) {
		const struct fm_node *other = &graph->nodes[n];

		if (other->removed || other->op != &fm_op_conv || other->inputs[0] != node->inputs[0] ||
		        !find_sibling(graph, other, &siblings[count]) || !same_kind(node, other, false) ||
		        heads != (siblings[count].depthwise != NO_DEPTHWISE) ||
		        (heads && !same_kind(&graph->nodes[siblings[0].depthwise],
		                          &graph->nodes[siblings[count].depthwise], true)))
			continue;
		count++;
	}
	if (count == 1)
		return FM_OK;
	if (!heads)
		return join_pointwise(graph, siblings, count, err);
	/* All three nodes come before whoever reads a head. */
	first_places(siblings, count, places);
	for (size_t i = 0; i < count; i++)
		if (first_reader(graph, graph->nodes[siblings[i].depthwise].outputs[0]) <= places[2])
			return FM_OK;
	return join(graph, siblings, count, err);
}
