/*
 * Text from clients: percent-encoding, UTF-8, base64, JSON's shape. Threads: pure.
 */
#ifndef FM_DAEMON_TEXT_H
#define FM_DAEMON_TEXT_H

#include "lib/base/status.h"

#include <stdbool.h>
#include <stddef.h>

/* Bytes inside a request; not NUL-terminated, owned by whoever holds the request. */
struct fm_slice {
	const char *data;
	size_t length;
};

/* UTF-8 of RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool fm_utf8_valid(const char *text, size_t length);

/* Replaces what is not UTF-8 by '?', in place: for text that quotes what a client sent. */
void fm_utf8_repair(char *text);

/*
 * Whether text may be a name: not empty, not white space alone, valid UTF-8, no control characters.
 * FM_E_INVALID says which of them, and calls the text `what`.
 */
enum fm_status fm_name_check(const char *what, const char *text, struct fm_error *err);

/*
 * Percent-decodes (RFC 3986) `length` bytes into text that the caller frees; '+' is a space where plus is
 * true, as in a query. FM_E_INVALID: a percent sign without two digits after it, NUL, or not UTF-8.
 */
enum fm_status fm_percent_decode(
        const char *encoded, size_t length, bool plus, char **ret_text, struct fm_error *err);

/*
 * Base64 (RFC 4648 section 4; padding may be left out, line breaks and blanks are skipped) into bytes that
 * the caller frees. FM_E_INVALID: any other character, or a length that no bytes encode to.
 */
enum fm_status fm_base64_decode(
        const char *encoded, size_t length, char **ret_bytes, size_t *ret_length, struct fm_error *err);

/*
 * Bounds what a JSON parser will allocate before it is called: levels of nesting, and values. FM_E_INVALID
 * beyond. Says nothing about whether the text is JSON at all.
 */
#define FM_JSON_DEPTH_MAX  32 /* of a request */
#define FM_JSON_VALUES_MAX 4096
enum fm_status fm_json_bounded(
        const char *text, size_t length, size_t depth_max, size_t values_max, struct fm_error *err);

#endif
