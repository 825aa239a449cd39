#include "lib/base/buf.h"

#include "lib/base/size.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

void fm_buf_init(struct fm_buf *buf, size_t maximum_bytes)
{
	*buf = (struct fm_buf){.maximum = maximum_bytes};
}

void fm_buf_done(struct fm_buf *buf)
{
	free(buf->data);
	*buf = (struct fm_buf){.maximum = buf->maximum};
}

static enum fm_status reserve(struct fm_buf *buf, size_t extra, struct fm_error *err)
{
	size_t needed, with_nul;

	if (!fm_size_add(buf->length, extra, &needed) || needed > buf->maximum ||
	        !fm_size_add(needed, 1, &with_nul))
		return fm_fail(err, FM_E_TOO_LARGE, "more than %zu bytes", buf->maximum);
	if (with_nul <= buf->capacity)
		return FM_OK;

	size_t capacity = buf->capacity < 256 ? 256 : buf->capacity + buf->capacity / 2;
	if (capacity < with_nul)
		capacity = with_nul;
	if (capacity > buf->maximum && buf->maximum >= needed && with_nul <= buf->maximum + 1)
		capacity = buf->maximum + 1;
	char *data = realloc(buf->data, capacity);
	if (!data)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu bytes", capacity);
	buf->data = data;
	buf->capacity = capacity;
	return FM_OK;
}

enum fm_status fm_buf_append(struct fm_buf *buf, const void *bytes, size_t length, struct fm_error *err)
{
	enum fm_status status = reserve(buf, length, err);

	if (status)
		return status;
	if (length)
		memcpy(buf->data + buf->length, bytes, length);
	buf->length += length;
	buf->data[buf->length] = '\0';
	return FM_OK;
}

enum fm_status fm_buf_printf(struct fm_buf *buf, struct fm_error *err, const char *format, ...)
{
	va_list ap, again;

	va_start(ap, format);
	va_copy(again, ap);
	int length = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	if (length < 0) {
		va_end(again);
		return fm_fail(err, FM_E_INVALID, "cannot format text");
	}
	enum fm_status status = reserve(buf, (size_t)length, err);
	if (!status) {
		vsnprintf(buf->data + buf->length, (size_t)length + 1, format, again);
		buf->length += (size_t)length;
	}
	va_end(again);
	return status;
}

char *fm_buf_take(struct fm_buf *buf, size_t *ret_length)
{
	char *data = buf->data;

	if (ret_length)
		*ret_length = buf->length;
	*buf = (struct fm_buf){.maximum = buf->maximum};
	return data;
}
