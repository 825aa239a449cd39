#include "lib/base/arena.h"

#include "lib/base/cleanup.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(arena, hands_out_zeroed_aligned_memory_that_does_not_overlap)
{
	fm_cleanup(fm_arena_done) struct fm_arena arena;
	unsigned char *parts[200];
	size_t sizes[200], total = 0;

	fm_arena_init(&arena, 32 << 20);
	for (size_t i = 0; i < 200; i++) {
		sizes[i] = i % 5 == 4 ? 1000 * i : i + 1;
		parts[i] = fm_arena_alloc(&arena, sizes[i], 1);
		cr_assert_not_null(parts[i]);
		cr_expect_eq((uintptr_t)parts[i] % (sizes[i] >= 256 ? 64 : 16), 0u);
		for (size_t j = 0; j < sizes[i]; j++)
			cr_assert_eq(parts[i][j], 0);
		memset(parts[i], (int)(i + 1), sizes[i]);
		total += sizes[i];
	}
	for (size_t i = 0; i < 200; i++)
		for (size_t j = 0; j < sizes[i]; j++)
			cr_assert_eq(parts[i][j], i + 1);
	cr_expect_geq(arena.used_bytes, total);
}

Test(arena, never_passes_its_limit)
{
	fm_cleanup(fm_arena_done) struct fm_arena arena;

	fm_arena_init(&arena, 1000);
	cr_expect_null(fm_arena_alloc(&arena, 1001, 1));
	cr_expect_null(fm_arena_alloc(&arena, SIZE_MAX / 2, 3));
	cr_expect_null(fm_arena_alloc(&arena, SIZE_MAX, 1));
	cr_expect_not_null(fm_arena_alloc(&arena, 448, 1));
	cr_expect_not_null(fm_arena_alloc(&arena, 448, 1));
	cr_expect_null(fm_arena_alloc(&arena, 448, 1));
	cr_expect_not_null(fm_arena_alloc(&arena, 0, 8));
	cr_expect_leq(arena.used_bytes, 1000u);
}

Test(arena, copies)
{
	fm_cleanup(fm_arena_done) struct fm_arena arena;
	const int numbers[3] = {1, 2, 3};

	fm_arena_init(&arena, 4096);
	cr_expect_str_eq(fm_arena_strdup(&arena, "text"), "text");
	cr_expect_str_eq(fm_arena_strdup(&arena, ""), "");
	cr_expect_arr_eq(fm_arena_memdup(&arena, numbers, 3, sizeof(int)), numbers, sizeof(numbers));
	cr_expect_not_null(fm_arena_memdup(&arena, NULL, 0, sizeof(int)));
}
