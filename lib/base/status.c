#include "lib/base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

static void vformat(char *out, size_t size, const char *format, va_list ap)
{
	if (vsnprintf(out, size, format, ap) < 0)
		out[0] = '\0';
}

/* Truncation is fine: the message is for people, and its start says most. */
__attribute__((format(printf, 2, 3))) static void append(struct fm_error *err, const char *format, ...)
{
	size_t used = strlen(err->message);
	va_list ap;

	va_start(ap, format);
	vformat(err->message + used, sizeof(err->message) - used, format, ap);
	va_end(ap);
}

enum fm_status fm_fail(struct fm_error *err, enum fm_status status, const char *format, ...)
{
	if (err) {
		va_list ap;

		va_start(ap, format);
		vformat(err->message, sizeof(err->message), format, ap);
		va_end(ap);
		err->status = status;
	}
	return status;
}

static enum fm_status status_of_errno(int errnum)
{
	switch (errnum) {
	case ENOMEM: return FM_E_NOMEM;
	case ENOENT: return FM_E_NOT_FOUND;
	case EEXIST: return FM_E_CONFLICT;
	case ENOSPC:
	case EDQUOT: return FM_E_STORAGE_FULL;
	default: return FM_E_IO;
	}
}

enum fm_status fm_fail_errno(struct fm_error *err, int errnum, const char *format, ...)
{
	enum fm_status status = status_of_errno(errnum);

	if (err) {
		va_list ap;

		va_start(ap, format);
		vformat(err->message, sizeof(err->message), format, ap);
		va_end(ap);
		/* strerrordesc_np is thread-safe and not localised, unlike strerror. */
		const char *reason = strerrordesc_np(errnum);
		append(err, ": %s", reason ? reason : "unknown error");
		err->status = status;
	}
	return status;
}

enum fm_status fm_fail_prefix(struct fm_error *err, enum fm_status status, const char *format, ...)
{
	if (err) {
		char prefix[FM_ERROR_MESSAGE_MAX], rest[FM_ERROR_MESSAGE_MAX];
		va_list ap;

		va_start(ap, format);
		vformat(prefix, sizeof(prefix), format, ap);
		va_end(ap);
		memcpy(rest, err->message, sizeof(rest));
		rest[sizeof(rest) - 1] = '\0';
		err->message[0] = '\0';
		append(err, "%s: %s", prefix, rest);
		err->status = status;
	}
	return status;
}

const char *fm_status_name(enum fm_status status)
{
	static const char *const names[] = {
	        [-FM_OK] = "ok",
	        [-FM_E_INVALID] = "invalid",
	        [-FM_E_NOMEM] = "no_memory",
	        [-FM_E_IO] = "io",
	        [-FM_E_NOT_FOUND] = "not_found",
	        [-FM_E_CONFLICT] = "conflict",
	        [-FM_E_TOO_LARGE] = "too_large",
	        [-FM_E_UNSUPPORTED] = "unsupported",
	        [-FM_E_CORRUPT] = "corrupt",
	        [-FM_E_TRUNCATED] = "truncated",
	        [-FM_E_NO_FACE] = "no_face",
	        [-FM_E_MULTIPLE_FACES] = "multiple_faces",
	        [-FM_E_LOW_QUALITY] = "low_quality",
	        [-FM_E_BUSY] = "busy",
	        [-FM_E_STORAGE_FULL] = "storage_full",
	        [-FM_E_CANCELLED] = "cancelled",
	        [-FM_E_INTERNAL] = "internal",
	};
	int index = -(int)status;

	if (index < 0 || index >= (int)(sizeof(names) / sizeof(names[0])))
		return "unknown";
	return names[index];
}
