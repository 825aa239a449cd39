#include "lib/search/best.h"

#include <math.h>

#include "lib/base/banned.h"

float fm_best_least(const struct fm_best *best)
{
	return best->count < best->limit ? -INFINITY : best->people[best->weakest].lower;
}

const struct fm_best_person *fm_best_find(const struct fm_best *best, int64_t person_key)
{
	for (size_t i = 0; i < best->count; i++)
		if (best->people[i].person_key == person_key)
			return &best->people[i];
	return NULL;
}

static void find_weakest(struct fm_best *best)
{
	best->weakest = 0;
	for (size_t i = 1; i < best->count; i++)
		if (best->people[i].lower < best->people[best->weakest].lower)
			best->weakest = i;
}

void fm_best_offer(struct fm_best *best, int64_t person_key, uint32_t slot, float lower)
{
	const bool full = best->count == best->limit;

	if (full && lower <= best->people[best->weakest].lower)
		return;
	const struct fm_best_person *known = fm_best_find(best, person_key);
	size_t place = known ? (size_t)(known - best->people) : full ? best->weakest : best->count;

	if (known && lower <= known->lower)
		return;
	best->people[place] = (struct fm_best_person){.person_key = person_key, .slot = slot, .lower = lower};
	best->count += !known && !full;
	if (best->count == best->limit && (!full || place == best->weakest))
		find_weakest(best);
}
