#include "daemon/rate.h"

#include <criterion/criterion.h>
#include <string.h>

#include "lib/base/banned.h"

static struct fm_rate *rate;

static void begin(void)
{
	cr_assert_eq(fm_rate_create(64, &rate, NULL), FM_OK);
}

static void end(void)
{
	fm_rate_free(rate);
}

TestSuite(rate, .init = begin, .fini = end);

static bool take(uint64_t who, double per_second, double burst, double now_s)
{
	uint8_t name[FM_RATE_NAME_BYTES] = {0};
	double wait_s = -1;

	memcpy(name, &who, sizeof(who));
	bool there = fm_rate_take(
	        rate, name, (struct fm_rate_limit){.per_second = per_second, .burst = burst}, now_s, &wait_s);
	cr_expect(there ? wait_s == -1 : wait_s > 0 && wait_s <= 1 / per_second + 1e-9, "%g", wait_s);
	return there;
}

Test(rate, a_burst_then_the_rate)
{
	for (int i = 0; i < 5; i++)
		cr_expect(take(1, 2, 5, 100), "%d", i);
	cr_expect_not(take(1, 2, 5, 100));
	cr_expect_not(take(1, 2, 5, 100.4));
	cr_expect(take(1, 2, 5, 100.6));
	cr_expect_not(take(1, 2, 5, 100.6));
	/* Never more than the burst, however long it rested. */
	for (int i = 0; i < 5; i++)
		cr_expect(take(1, 2, 5, 1000), "%d", i);
	cr_expect_not(take(1, 2, 5, 1000));
}

Test(rate, names_do_not_share)
{
	cr_expect(take(1, 1, 1, 5));
	cr_expect_not(take(1, 1, 1, 5));
	cr_expect(take(2, 1, 1, 5));
}

Test(rate, a_look_takes_nothing)
{
	uint8_t name[FM_RATE_NAME_BYTES] = {7};
	const struct fm_rate_limit limit = {.per_second = 1, .burst = 1};
	double wait_s;

	for (int i = 0; i < 3; i++)
		cr_expect(fm_rate_peek(rate, name, limit, 5, NULL));
	cr_expect(fm_rate_take(rate, name, limit, 5, NULL));
	cr_expect_not(fm_rate_peek(rate, name, limit, 5.5, &wait_s));
	cr_expect_float_eq(wait_s, 0.5, 1e-9);
	cr_expect(fm_rate_peek(rate, name, limit, 6.1, NULL));
}

Test(rate, other_limits_from_the_next_call)
{
	for (int i = 0; i < 5; i++)
		take(1, 1, 5, 5);
	cr_expect_not(take(1, 1, 5, 5));
	cr_expect(take(1, 100, 5, 5.1), "a faster rate counts at once");
}

/* The busy one stays while many others pass through the table. */
Test(rate, the_table_is_bounded_and_keeps_who_is_busy)
{
	cr_assert(take(1, 0.001, 3, 5));
	cr_assert(take(1, 0.001, 3, 5));
	cr_assert(take(1, 0.001, 3, 5));
	for (uint64_t i = 2; i < 2000; i++)
		take(i, 1000, 3, 6 + (double)i);
	cr_expect_not(take(1, 0.001, 3, 7));
}
