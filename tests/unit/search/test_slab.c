#include "lib/search/slab.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define CELL  5000
#define CELLS 2000 /* five chunks */

static bool all(const unsigned char *cell, unsigned char value)
{
	for (size_t i = 0; i < CELL; i++)
		if (cell[i] != value)
			return false;
	return true;
}

Test(slab, cells_are_zeroed_apart_and_come_back)
{
	static unsigned char *cells[CELLS];
	struct fm_slab slab;

	fm_slab_init(&slab, CELL);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < CELLS; i++) {
			if (cells[i])
				continue;
			cells[i] = fm_slab_alloc(&slab);
			cr_assert_not_null(cells[i]);
			cr_assert_eq((uintptr_t)cells[i] % 64, 0);
			cr_assert(all(cells[i], 0));
			memset(cells[i], 1 + (int)(i % 250), CELL);
		}
		for (size_t i = 0; i < CELLS; i++)
			cr_assert(all(cells[i], (unsigned char)(1 + i % 250)), "cell %zu was overwritten", i);
		/* Some, then all: chunks empty in an order of their own. */
		for (size_t i = 0; i < CELLS; i++)
			if (round == 2 || i * 7 % 5 == (size_t)round) {
				fm_slab_free(&slab, cells[i]);
				cells[i] = NULL;
			}
	}
	cr_expect(slab.open && !slab.full, "one empty chunk stays");
	fm_slab_done(&slab);
}

Test(slab, memory_in_advance_is_used)
{
	struct fm_slab slab;
	size_t made = 0;

	fm_slab_init(&slab, CELL);
	cr_expect_not_null(fm_slab_alloc(&slab));
	for (; fm_slab_lacks(&slab, CELLS); made++)
		fm_slab_take_chunk(&slab, fm_slab_make_chunk());
	cr_expect_eq(made, 4);
	for (size_t i = 1; i < CELLS; i++) {
		unsigned char *cell = fm_slab_alloc(&slab);
		cr_assert(all(cell, 0));
		memset(cell, 1, CELL);
	}
	cr_expect_eq(slab.chunks, 5, "no other chunk was mapped");
	cr_expect_not(fm_slab_lacks(&slab, CELLS));
	cr_expect(fm_slab_lacks(&slab, CELLS + 500));
	fm_slab_done(&slab);
}

Test(slab, cells_follow_each_other)
{
	struct fm_slab slab;
	char *previous;

	fm_slab_init(&slab, 4160);
	previous = fm_slab_alloc(&slab);
	for (int i = 0; i < 100; i++) {
		char *cell = fm_slab_alloc(&slab);

		cr_assert_eq(cell - previous, 4160);
		previous = cell;
	}
	fm_slab_done(&slab);
}
