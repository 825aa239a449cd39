#include "lib/nn/plan.h"

#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <stdlib.h>

#include "lib/base/banned.h"

static int larger_first(const void *a, const void *b)
{
	const struct fm_plan_item *x = *(struct fm_plan_item *const *)a,
	                          *y = *(struct fm_plan_item *const *)b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* `placed` is sorted by offset; finds the lowest gap among those alive together with the item. */
static bool find_gap(
        struct fm_plan_item *const *placed, size_t count, const struct fm_plan_item *item, size_t *ret_offset)
{
	size_t offset = 0;

	for (size_t i = 0; i < count; i++) {
		const struct fm_plan_item *other = placed[i];

		if (other->last < item->first || item->last < other->first)
			continue;
		if (other->offset >= offset && other->offset - offset >= item->bytes)
			break;
		if (other->offset + other->bytes > offset)
			offset = other->offset + other->bytes;
	}
	*ret_offset = offset;
	return offset <= SIZE_MAX - item->bytes;
}

enum fm_status fm_plan_place(struct fm_arena *arena, struct fm_plan_item *items, size_t count,
        size_t limit_bytes, size_t *ret_bytes, struct fm_error *err)
{
	struct fm_plan_item **order = fm_arena_alloc(arena, count, sizeof(*order));
	struct fm_plan_item **placed = fm_arena_alloc(arena, count, sizeof(*placed));
	size_t total = 0;

	if (!order || !placed)
		return fm_fail(
		        err, FM_E_NOMEM, "the memory plan needs more memory than there is or is allowed");
	for (size_t i = 0; i < count; i++) {
		if (!fm_size_align(items[i].bytes, FM_ALIGNMENT, &items[i].bytes) ||
		        items[i].bytes > limit_bytes)
			return fm_fail(err, FM_E_TOO_LARGE,
			        "a tensor of %zu bytes is beyond the limit of %zu", items[i].bytes,
			        limit_bytes);
		order[i] = &items[i];
	}
	qsort(order, count, sizeof(*order), larger_first);
	for (size_t i = 0; i < count; i++) {
		size_t at = i;

		if (!find_gap(placed, i, order[i], &order[i]->offset) ||
		        order[i]->offset + order[i]->bytes > limit_bytes)
			return fm_fail(err, FM_E_TOO_LARGE, "one run needs more than %zu bytes", limit_bytes);
		for (; at > 0 && placed[at - 1]->offset > order[i]->offset; at--)
			placed[at] = placed[at - 1];
		placed[at] = order[i];
		if (order[i]->offset + order[i]->bytes > total)
			total = order[i]->offset + order[i]->bytes;
	}
	*ret_bytes = total;
	return FM_OK;
}

struct plan {
	const struct fm_graph *graph;
	uint32_t *root; /* [value]: whose memory it uses; itself when its own */
	size_t *first, *last;
};

static uint32_t root_of(const struct plan *plan, uint32_t v)
{
	while (plan->root[v] != v)
		v = plan->root[v];
	return v;
}

/* Whether the step's output may take over the memory of its in_place input. */
static bool can_take_over(
        const struct plan *plan, const struct fm_step *step, size_t index, const struct fm_slot *slots)
{
	if (step->in_place == FM_VALUE_NONE)
		return false;
	const uint32_t root = root_of(plan, step->in_place);
	size_t readers = 0;

	for (size_t i = 0; i < step->input_count; i++)
		readers += root_of(plan, step->inputs[i]) == root;
	return readers == 1 && slots[root].kind == FM_SLOT_ARENA && plan->last[root] == index &&
	       plan->graph->values[root].elements == plan->graph->values[step->outputs[0]].elements;
}

/*
 * Images often are a multiple of 4096 bytes, and the tensors of a layer would lie the same way in a page:
 * their rows would share the sets of a first cache, and loads wait for stores that only look as if they
 * overlap. Some lines more keep them apart.
 */
static size_t bytes_apart(size_t elements)
{
	const size_t bytes = elements * sizeof(float), page = 4096, lines = 17;

	return bytes < page ? bytes : bytes + lines * FM_ALIGNMENT;
}

static enum fm_status place(const struct plan *plan, size_t limit_bytes, struct fm_slot *slots,
        size_t *ret_bytes, struct fm_error *err)
{
	const struct fm_graph *graph = plan->graph;
	struct fm_plan_item *items = fm_arena_alloc(graph->arena, graph->value_count, sizeof(*items));
	size_t count = 0;

	if (!items)
		return fm_fail(
		        err, FM_E_NOMEM, "the memory plan needs more memory than there is or is allowed");
	for (uint32_t v = 0; v < graph->value_count; v++)
		if (slots[v].kind == FM_SLOT_ARENA && plan->root[v] == v)
			items[count++] =
			        (struct fm_plan_item){.bytes = bytes_apart(graph->values[v].elements),
			                .first = plan->first[v],
			                .last = plan->last[v]};
	enum fm_status status = fm_plan_place(graph->arena, items, count, limit_bytes, ret_bytes, err);
	if (status)
		return status;
	count = 0;
	for (uint32_t v = 0; v < graph->value_count; v++)
		if (slots[v].kind == FM_SLOT_ARENA && plan->root[v] == v) {
			slots[v].offset = items[count].offset;
			slots[v].bytes = items[count].bytes;
			slots[v].first = items[count].first;
			slots[v].last = items[count++].last;
		}
	for (uint32_t v = 0; v < graph->value_count; v++)
		if (plan->root[v] != v)
			slots[v] = slots[root_of(plan, v)];
	return FM_OK;
}

enum fm_status fm_plan_make(const struct fm_graph *graph, const struct fm_step *steps, size_t step_count,
        size_t limit_bytes, struct fm_slot *slots, size_t *ret_bytes, struct fm_error *err)
{
	struct plan plan = {.graph = graph,
	        .root = fm_arena_alloc(graph->arena, graph->value_count, sizeof(*plan.root)),
	        .first = fm_arena_alloc(graph->arena, graph->value_count, sizeof(*plan.first)),
	        .last = fm_arena_alloc(graph->arena, graph->value_count, sizeof(*plan.last))};

	if (!plan.root || !plan.first || !plan.last)
		return fm_fail(
		        err, FM_E_NOMEM, "the memory plan needs more memory than there is or is allowed");
	for (uint32_t v = 0; v < graph->value_count; v++)
		plan.root[v] = v;
	for (size_t i = 0; i < graph->input_count; i++)
		slots[graph->inputs[i]] = (struct fm_slot){.kind = FM_SLOT_INPUT, .input = i};

	for (size_t s = 0; s < step_count; s++) {
		for (size_t i = 0; i < steps[s].input_count; i++)
			plan.last[root_of(&plan, steps[s].inputs[i])] = s;
		for (size_t i = 0; i < steps[s].output_count; i++) {
			const uint32_t v = steps[s].outputs[i];

			plan.first[v] = plan.last[v] = s;
			slots[v].kind = FM_SLOT_ARENA;
		}
		if (steps[s].view)
			plan.root[steps[s].outputs[0]] = root_of(&plan, steps[s].inputs[0]);
	}
	/* Outputs are copied out after the last step. */
	for (size_t i = 0; i < graph->output_count; i++)
		plan.last[root_of(&plan, graph->outputs[i])] = step_count;

	for (size_t s = 0; s < step_count; s++) {
		const uint32_t out = steps[s].outputs[0];

		if (steps[s].view || !can_take_over(&plan, &steps[s], s, slots))
			continue;
		const uint32_t root = root_of(&plan, steps[s].in_place);
		plan.root[out] = root;
		plan.last[root] = plan.last[out];
	}
	return place(&plan, limit_bytes, slots, ret_bytes, err);
}
