/* What tests of convolutions in random forms share. */
#ifndef FM_TESTS_UNIT_NN_CONV_SHAPES_H
#define FM_TESTS_UNIT_NN_CONV_SHAPES_H

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>

static inline uint32_t next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static inline size_t between(uint32_t *state, size_t low, size_t high)
{
	return low + next(state) % (high - low + 1);
}

static inline void *alloc64(size_t bytes)
{
	void *p = aligned_alloc(64, (bytes + 63) & ~(size_t)63);

	cr_assert_not_null(p);
	return p;
}

/* One side of the output, at least one pixel long: the input grows until it is. */
static inline size_t out_side(size_t *in, size_t pad_before, size_t pad_after, size_t reach, size_t stride)
{
	while (*in + pad_before + pad_after < reach)
		++*in;
	return (*in + pad_before + pad_after - reach) / stride + 1;
}

#endif
