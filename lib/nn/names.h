/* Name -> index, filled once, in an arena. Names are kept by pointer. Threads: one owner. */
#ifndef FM_NN_NAMES_H
#define FM_NN_NAMES_H

#include "lib/base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fm_names_slot {
	const char *name; /* NULL: free */
	uint32_t index;
};

struct fm_names {
	struct fm_names_slot *slots;
	size_t mask;
};

/* Room for `count` names. False: no memory. */
bool fm_names_init(struct fm_names *names, struct fm_arena *arena, size_t count);
/* False: the name is there already. At most `count` names. */
bool fm_names_add(struct fm_names *names, const char *name, uint32_t index);
bool fm_names_find(const struct fm_names *names, const char *name, uint32_t *ret_index);

#endif
