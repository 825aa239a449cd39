#include "lib/base/size.h"

#include <criterion/criterion.h>
#include <limits.h>

Test(size, add)
{
	size_t result;

	cr_assert(fm_size_add(2, 3, &result));
	cr_assert_eq(result, 5);
	cr_assert(fm_size_add(SIZE_MAX, 0, &result));
	cr_assert_eq(result, SIZE_MAX);
	cr_assert_not(fm_size_add(SIZE_MAX, 1, &result));
	cr_assert_not(fm_size_add(SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1, &result));
}

Test(size, mul)
{
	size_t result;

	cr_assert(fm_size_mul(7, 6, &result));
	cr_assert_eq(result, 42);
	cr_assert(fm_size_mul(SIZE_MAX, 0, &result));
	cr_assert_eq(result, 0);
	cr_assert(fm_size_mul(SIZE_MAX, 1, &result));
	cr_assert_not(fm_size_mul(SIZE_MAX / 2 + 1, 2, &result));
	cr_assert_not(fm_size_mul((size_t)1 << 32, (size_t)1 << 32, &result));
}

Test(size, align)
{
	static const struct {
		size_t from, alignment, to;
	} cases[] = {{0, 64, 0}, {1, 64, 64}, {63, 64, 64}, {64, 64, 64}, {65, 64, 128}, {5, 1, 5},
	        {9, 4, 12}, {SIZE_MAX - 63, 64, SIZE_MAX - 63}};
	size_t result;

	for (size_t i = 0; i < FM_ARRAY_SIZE(cases); i++) {
		cr_expect(fm_size_align(cases[i].from, cases[i].alignment, &result));
		cr_expect_eq(result, cases[i].to, "%zu to %zu", cases[i].from, cases[i].alignment);
	}
	cr_expect_not(fm_size_align(SIZE_MAX, 64, &result));
	cr_expect_not(fm_size_align(SIZE_MAX - 62, 64, &result));
}
