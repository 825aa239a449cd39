/*
 * Where each tensor of a run lies in one block of memory. A tensor lives from the step that makes it to the
 * last one that reads it; tensors whose lives do not meet share bytes. Views share their source's memory, and
 * a step that may work in place takes over an input that dies with it. Placement is greedy, largest first,
 * lowest offset that fits.
 */
#ifndef FM_NN_PLAN_H
#define FM_NN_PLAN_H

#include "lib/nn/op.h"

struct fm_plan_item {
	size_t bytes;
	size_t first, last; /* steps, both included */
	size_t offset;      /* set by fm_plan_place, 64-byte aligned */
};

/* Places all items; FM_E_TOO_LARGE beyond limit_bytes. */
enum fm_status fm_plan_place(struct fm_arena *arena, struct fm_plan_item *items, size_t count,
        size_t limit_bytes, size_t *ret_bytes, struct fm_error *err);

enum fm_slot_kind { FM_SLOT_NONE = 0, FM_SLOT_CONSTANT, FM_SLOT_INPUT, FM_SLOT_ARENA };

/* Where a run finds a value. */
struct fm_slot {
	enum fm_slot_kind kind;
	const void *constant;
	size_t input;  /* FM_SLOT_INPUT: the caller's buffer of that index */
	size_t offset; /* FM_SLOT_ARENA */
	size_t bytes, first, last;
};

/*
 * Slots of all values of a laid-out graph whose nodes were prepared into steps, in step order; slots
 * [value_count] comes with the constants filled in. Temporary memory is taken from the graph's arena.
 */
enum fm_status fm_plan_make(const struct fm_graph *graph, const struct fm_step *steps, size_t step_count,
        size_t limit_bytes, struct fm_slot *slots, size_t *ret_bytes, struct fm_error *err);

#endif
