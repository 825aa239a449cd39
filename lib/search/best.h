/*
 * The best people so far, by what they reach for certain: gives the value that a face must be able to reach
 * to matter. Threads: one owner.
 */
#ifndef FM_SEARCH_BEST_H
#define FM_SEARCH_BEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fm_best {
	struct fm_best_person {
		int64_t person_key;
		uint32_t slot; /* the face that reaches it */
		float lower;
	} * people; /* [limit], no order; owned by the caller */
	size_t limit, count;
	size_t weakest; /* of a full list */
};

/* A face of the person has at least this cosine. */
void fm_best_offer(struct fm_best *best, int64_t person_key, uint32_t slot, float lower);

/* What `limit` people reach for certain; -inf while there are fewer. */
float fm_best_least(const struct fm_best *best);

/* NULL where the person is not among them. */
const struct fm_best_person *fm_best_find(const struct fm_best *best, int64_t person_key);

#endif
