/* Text that comes from outside, and times as text. Threads: pure. */
#ifndef FM_GALLERY_TEXT_H
#define FM_GALLERY_TEXT_H

#include "lib/base/status.h"

#include <stddef.h>
#include <stdint.h>

enum fm_text_kind {
	FM_TEXT_LINE, /* a name, an id: no control characters (C0, DEL, C1) */
	FM_TEXT_JSON, /* as JSON has them: tab, line feed and carriage return are white space, the rest is not
	               */
};

/*
 * Accepts 1 to maximum_bytes of well-formed UTF-8 (Unicode 15, table 3-7: no overlong forms, no surrogates,
 * nothing above U+10FFFF). Nothing is trimmed or normalised. FM_E_INVALID otherwise, and for NULL; `what`
 * names the text in the message.
 */
enum fm_status fm_text_check(const char *text, enum fm_text_kind kind, size_t maximum_bytes, const char *what,
        struct fm_error *err);

/* Milliseconds since 1970-01-01 UTC, now. */
int64_t fm_time_now_ms(void);

/* RFC 3339 in UTC with milliseconds; clamped to the years 1970 to 9999, which is what the format can hold. */
void fm_time_text(int64_t time_ms, char ret_text[32]);

/*
 * The inverse, of a time that has been: what a clock elsewhere says is still to come becomes now, so that
 * nothing is kept for longer than from now. FM_E_INVALID: any other form, no such time, or 1970 itself.
 */
enum fm_status fm_time_parse_past(const char *text, int64_t *ret_time_ms, struct fm_error *err);

#endif
