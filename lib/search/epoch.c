#include "lib/search/epoch.h"

#include <sched.h>

#include "lib/base/banned.h"

void fm_epoch_init(struct fm_epoch *epoch, struct fm_node *state)
{
	for (size_t i = 0; i < FM_EPOCH_READERS; i++)
		atomic_init(&epoch->readers[i].version, 0);
	atomic_init(&epoch->published, 1);
	atomic_init(&epoch->state, state);
	atomic_init(&epoch->left, 0);
	atomic_init(&epoch->retired, 0);
	epoch->oldest = epoch->newest = NULL;
}

static void destroy_oldest(struct fm_epoch *epoch)
{
	struct fm_node *node = epoch->oldest;

	epoch->oldest = node->next;
	if (!epoch->oldest)
		epoch->newest = NULL;
	node->destroy(node);
	atomic_fetch_sub(&epoch->retired, 1);
}

void fm_epoch_done(struct fm_epoch *epoch)
{
	while (epoch->oldest)
		destroy_oldest(epoch);
}

/* Where a thread looks for a free place first: by its stack, so that threads start apart. */
static size_t first_place(const void *on_stack)
{
	return ((uintptr_t)on_stack >> 16) * 0x9e3779b1u % FM_EPOCH_READERS;
}

const struct fm_node *fm_epoch_enter(struct fm_epoch *epoch, size_t *ret_reader)
{
	size_t place = first_place(&place);

	for (size_t tries = 1;; tries++, place = (place + 1) % FM_EPOCH_READERS) {
		uint64_t nobody = 0;

		if (atomic_compare_exchange_strong(
		            &epoch->readers[place].version, &nobody, atomic_load(&epoch->published)))
			break;
		if (tries % FM_EPOCH_READERS == 0)
			sched_yield();
	}
	*ret_reader = place;
	return atomic_load(&epoch->state);
}

void fm_epoch_leave(struct fm_epoch *epoch, size_t reader)
{
	atomic_store(&epoch->readers[reader].version, 0);
	atomic_fetch_add(&epoch->left, 1);
}

uint64_t fm_epoch_next(const struct fm_epoch *epoch)
{
	return atomic_load(&epoch->published) + 1;
}

void fm_epoch_retire(struct fm_epoch *epoch, struct fm_node *node)
{
	node->version = atomic_load(&epoch->published);
	node->next = NULL;
	if (epoch->newest)
		epoch->newest->next = node;
	else
		epoch->oldest = node;
	epoch->newest = node;
	atomic_fetch_add(&epoch->retired, 1);
}

void fm_epoch_publish(struct fm_epoch *epoch, struct fm_node *state)
{
	atomic_store(&epoch->state, state);
	atomic_fetch_add(&epoch->published, 1);
}

void fm_epoch_reclaim(struct fm_epoch *epoch)
{
	uint64_t bound = atomic_load(&epoch->published);

	for (size_t i = 0; i < FM_EPOCH_READERS; i++) {
		uint64_t version = atomic_load(&epoch->readers[i].version);

		if (version && version < bound)
			bound = version;
	}
	while (epoch->oldest && epoch->oldest->version < bound)
		destroy_oldest(epoch);
}
