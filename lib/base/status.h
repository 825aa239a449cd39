/*
 * Errors are values: every function that can fail returns an enum fm_status and, on failure, writes one
 * sentence for people into a struct fm_error: what failed, why, and where it helps what to do.
 *
 * Outputs (ret_ arguments) change only on success. A NULL err is allowed everywhere and means "status is
 * enough". Threads: pure; a struct fm_error belongs to its caller.
 */
#ifndef FM_BASE_STATUS_H
#define FM_BASE_STATUS_H

enum fm_status {
	FM_OK = 0,
	FM_E_INVALID = -1,         /* the caller's input is wrong: argument, option, field */
	FM_E_NOMEM = -2,           /* memory could not be had */
	FM_E_IO = -3,              /* read, write, open: errno is in the message */
	FM_E_NOT_FOUND = -4,       /* no such file, id, name */
	FM_E_CONFLICT = -5,        /* exists already, or changed meanwhile */
	FM_E_TOO_LARGE = -6,       /* beyond a stated limit */
	FM_E_UNSUPPORTED = -7,     /* well-formed, but of a kind that is not handled */
	FM_E_CORRUPT = -8,         /* malformed bytes: photo, model, database, archive */
	FM_E_TRUNCATED = -9,       /* bytes end too early */
	FM_E_NO_FACE = -10,        /* the photo shows no face */
	FM_E_MULTIPLE_FACES = -11, /* more than one where one is wanted */
	FM_E_LOW_QUALITY = -12,    /* the face is refused for enrolment; the reasons are in the face */
	FM_E_BUSY = -13,           /* queue full, database locked: try again */
	FM_E_STORAGE_FULL = -14,   /* disk full or quota */
	FM_E_CANCELLED = -15,      /* shutting down */
	FM_E_INTERNAL = -16,       /* our own defect; never the caller's fault */
};

#define FM_ERROR_MESSAGE_MAX 384

struct fm_error {
	enum fm_status status;
	char message[FM_ERROR_MESSAGE_MAX];
};

/* Writes status and message into err (when not NULL) and returns status, so that callers can `return
 * fm_fail(…)`. */
enum fm_status fm_fail(struct fm_error *err, enum fm_status status, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* The same, with ": strerror(errnum)" appended. ENOSPC and EDQUOT become FM_E_STORAGE_FULL, ENOENT
 * FM_E_NOT_FOUND. */
enum fm_status fm_fail_errno(struct fm_error *err, int errnum, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Prefixes err's message with "text: ", for context added on the way up. Keeps the status and returns it. */
enum fm_status fm_fail_prefix(struct fm_error *err, enum fm_status status, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* "invalid", "not_found", …: stable, lower case. Never NULL. */
const char *fm_status_name(enum fm_status status);

#endif
