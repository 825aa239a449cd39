/*
 * A growable byte buffer with a maximum set at init: what comes from outside can never grow it further.
 * The bytes are always followed by a NUL that is not counted. Threads: one owner.
 */
#ifndef FM_BASE_BUF_H
#define FM_BASE_BUF_H

#include "lib/base/status.h"

#include <stddef.h>

struct fm_buf {
	char *data; /* NULL until the first append */
	size_t length;
	size_t capacity;
	size_t maximum;
};

void fm_buf_init(struct fm_buf *buf, size_t maximum_bytes);
void fm_buf_done(struct fm_buf *buf);

/* FM_E_TOO_LARGE beyond the maximum, FM_E_NOMEM; the buffer keeps what it had. */
enum fm_status fm_buf_append(struct fm_buf *buf, const void *bytes, size_t length, struct fm_error *err);
enum fm_status fm_buf_printf(struct fm_buf *buf, struct fm_error *err, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Hands the bytes (NUL-terminated, free() them) to the caller and empties the buffer. NULL when nothing was
 * appended. */
char *fm_buf_take(struct fm_buf *buf, size_t *ret_length);

#endif
