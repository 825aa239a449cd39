#include "lib/search/keymap.h"

#include "tests/unit/search/vectors.h"

#include <criterion/criterion.h>

#define KEYS 700

/* Against an array: random insertions and removals, so that runs form, wrap and close. */
Test(keymap, agrees_with_an_array)
{
	struct fm_keymap map = {0};
	uint32_t expected[KEYS] = {0}; /* slot, 0 for absent */
	uint64_t state = 11;
	size_t count = 0;

	cr_expect_null(fm_keymap_find(&map, 1));
	fm_keymap_remove(&map, 1);
	for (uint32_t step = 1; step <= 60000; step++) {
		/* Phases that mostly grow and phases that mostly shrink. */
		size_t i = next_random(&state) % KEYS;
		int64_t key = (int64_t)i * (i % 2 ? -1 : 4096);
		bool add = next_random(&state) % 8 < (step / 5000 % 2 ? 2 : 6);

		if (add && !expected[i]) {
			cr_assert(fm_keymap_reserve(&map));
			fm_keymap_insert(&map, key, 1 + step % 3, step);
			expected[i] = step;
			count++;
		} else if (!add) {
			fm_keymap_remove(&map, key);
			count -= expected[i] != 0;
			expected[i] = 0;
		}
		cr_assert_eq(map.count, count);
		if (step % 500)
			continue;
		for (size_t k = 0; k < KEYS; k++) {
			const struct fm_keymap_entry *entry =
			        fm_keymap_find(&map, (int64_t)k * (k % 2 ? -1 : 4096));

			cr_assert_eq(entry != NULL, expected[k] != 0);
			if (entry)
				cr_assert(entry->slot == expected[k] && entry->shelf == 1 + expected[k] % 3);
		}
	}
	fm_keymap_done(&map);
}
