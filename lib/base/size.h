/* Checked size arithmetic: each returns false on overflow and leaves *ret_result unspecified. */
#ifndef FM_BASE_SIZE_H
#define FM_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline __attribute__((warn_unused_result)) bool fm_size_add(size_t a, size_t b, size_t *ret_result)
{
	return !__builtin_add_overflow(a, b, ret_result);
}

static inline __attribute__((warn_unused_result)) bool fm_size_mul(size_t a, size_t b, size_t *ret_result)
{
	return !__builtin_mul_overflow(a, b, ret_result);
}

/* Rounds up to a multiple of a power of two. */
static inline __attribute__((warn_unused_result)) bool fm_size_align(
        size_t a, size_t alignment, size_t *ret_result)
{
	if (!fm_size_add(a, alignment - 1, ret_result))
		return false;
	*ret_result &= ~(alignment - 1);
	return true;
}

#define FM_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
