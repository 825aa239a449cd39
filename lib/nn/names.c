#include "lib/nn/names.h"

#include <string.h>

#include "lib/base/banned.h"

/* FNV-1a, 64 bit (draft-eastlake-fnv): names are short, and their count is bounded. */
static uint64_t hash(const char *name)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3u;
	return h ^ h >> 32;
}

bool fm_names_init(struct fm_names *names, struct fm_arena *arena, size_t count)
{
	size_t slots = 16;

	while (slots < 2 * count)
		slots *= 2;
	names->slots = fm_arena_alloc(arena, slots, sizeof(*names->slots));
	names->mask = slots - 1;
	return names->slots != NULL;
}

static struct fm_names_slot *slot_of(const struct fm_names *names, const char *name)
{
	size_t at = hash(name) & names->mask;

	while (names->slots[at].name && strcmp(names->slots[at].name, name) != 0)
		at = (at + 1) & names->mask;
	return &names->slots[at];
}

bool fm_names_add(struct fm_names *names, const char *name, uint32_t index)
{
	struct fm_names_slot *slot = slot_of(names, name);

	if (slot->name)
		return false;
	*slot = (struct fm_names_slot){name, index};
	return true;
}

bool fm_names_find(const struct fm_names *names, const char *name, uint32_t *ret_index)
{
	const struct fm_names_slot *slot = slot_of(names, name);

	if (!slot->name)
		return false;
	*ret_index = slot->index;
	return true;
}
