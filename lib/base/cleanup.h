/*
 * Scope-bound ownership: fm_cleanup(free_fn) on a variable runs free_fn(&variable) when it leaves scope;
 * fm_steal(pointer) hands ownership out and leaves NULL behind.
 *
 *	fm_cleanup(fm_buf_done) struct fm_buf buf = {0};
 *	fm_autofree char *text = malloc(n);
 *	*ret_text = fm_steal(text);
 *
 * FM_DEFINE_CLEANUP(struct fm_net *, fm_net_free) makes fm_net_freep for fm_cleanup(fm_net_freep).
 */
#ifndef FM_BASE_CLEANUP_H
#define FM_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define fm_cleanup(function) __attribute__((cleanup(function)))

#define FM_DEFINE_CLEANUP(type, function)                                                                    \
	static inline __attribute__((unused)) void function##p(type *pointer)                                \
	{                                                                                                    \
		function(*pointer);                                                                          \
	}                                                                                                    \
	struct fm_swallow_semicolon

#define fm_steal(pointer)                                                                                    \
	__extension__({                                                                                      \
		__typeof__(pointer) *fm_steal_from = &(pointer);                                             \
		__typeof__(pointer) fm_stolen = *fm_steal_from;                                              \
		*fm_steal_from = NULL;                                                                       \
		fm_stolen;                                                                                   \
	})

static inline void fm_free_pointer(void *pointer)
{
	free(*(void **)pointer);
}
#define fm_autofree fm_cleanup(fm_free_pointer)

static inline void fm_close_pointer(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define fm_autoclose fm_cleanup(fm_close_pointer)

#endif
