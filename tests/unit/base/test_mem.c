#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

Test(mem, aligned_memory_is_aligned_and_zeroed_to_the_rounded_end)
{
	static const size_t sizes[] = {0, 1, 63, 64, 65, 4097};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		/* Dirty the heap first, so that zeroes are not luck. */
		void *dirt = malloc(8192);
		memset(dirt, 0x5a, 8192);
		free(dirt);

		fm_autofree unsigned char *memory = fm_aligned_alloc(sizes[i]);
		size_t rounded = ((sizes[i] ? sizes[i] : 1) + 63) / 64 * 64;
		cr_assert_not_null(memory);
		cr_expect_eq((uintptr_t)memory % FM_ALIGNMENT, 0);
		for (size_t j = 0; j < rounded; j++)
			cr_assert_eq(memory[j], 0, "%zu bytes, byte %zu", sizes[i], j);
	}
}

Test(mem, sizes_that_overflow_give_null)
{
	/* volatile: the compiler would warn of what is tested here. */
	volatile size_t huge = SIZE_MAX;

	cr_expect_null(fm_aligned_alloc(huge));
	cr_expect_null(fm_aligned_alloc(huge - 62));
	cr_expect_null(fm_calloc(huge / 2 + 1, 2));
}

Test(mem, calloc_of_nothing_is_memory)
{
	fm_autofree void *memory = fm_calloc(0, 16);
	fm_autofree void *other = fm_calloc(16, 0);

	cr_expect_not_null(memory);
	cr_expect_not_null(other);
}

Test(mem, wipe_overwrites_exactly)
{
	char secret[8] = "1234567";

	fm_wipe(secret + 2, 3);
	cr_assert_eq(memcmp(secret,
	                     "12\0\0\0"
	                     "67",
	                     8),
	        0);
}

static int freed;
static void count_free(void *memory)
{
	freed += memory != NULL;
	free(memory);
}
FM_DEFINE_CLEANUP(void *, count_free);

Test(mem, cleanup_frees_at_the_end_of_scope_unless_stolen)
{
	void *kept;

	{
		fm_cleanup(count_freep) void *a = malloc(1);
		fm_cleanup(count_freep) void *b = malloc(1);
		cr_assert_not_null(a);
		kept = fm_steal(b);
		cr_assert_null(b);
		cr_assert_eq(freed, 0);
	}
	cr_assert_eq(freed, 1);
	cr_assert_not_null(kept);
	free(kept);
}
