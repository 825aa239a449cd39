#include "daemon/text.h"

#include "lib/base/cleanup.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

/* Length of the sequence that starts here, or 0 where it is not UTF-8. Ranges: RFC 3629 section 4. */
static size_t utf8_sequence(const unsigned char *at, size_t left)
{
	unsigned char first = at[0], low = 0x80, high = 0xBF;
	size_t length;

	if (first < 0x80)
		return 1;
	if (first >= 0xC2 && first <= 0xDF)
		length = 2;
	else if (first >= 0xE0 && first <= 0xEF)
		length = 3;
	else if (first >= 0xF0 && first <= 0xF4)
		length = 4;
	else
		return 0;
	if (left < length)
		return 0;
	if (first == 0xE0)
		low = 0xA0;
	else if (first == 0xED)
		high = 0x9F;
	else if (first == 0xF0)
		low = 0x90;
	else if (first == 0xF4)
		high = 0x8F;
	if (at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++) {
		if ((at[i] & 0xC0) != 0x80)
			return 0;
	}
	return length;
}

bool fm_utf8_valid(const char *text, size_t length)
{
	const unsigned char *at = (const unsigned char *)text;

	while (length) {
		size_t step = utf8_sequence(at, length);
		if (!step)
			return false;
		at += step;
		length -= step;
	}
	return true;
}

void fm_utf8_repair(char *text)
{
	size_t left = strlen(text);

	while (left) {
		size_t step = utf8_sequence((const unsigned char *)text, left);
		if (!step) {
			*text = '?';
			step = 1;
		}
		text += step;
		left -= step;
	}
}

enum fm_status fm_name_check(const char *what, const char *text, struct fm_error *err)
{
	bool blank = true;

	if (!fm_utf8_valid(text, strlen(text)))
		return fm_fail(err, FM_E_INVALID, "%s is not UTF-8", what);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			return fm_fail(err, FM_E_INVALID, "%s holds a control character", what);
		blank = blank && *c == ' ';
	}
	if (blank)
		return fm_fail(err, FM_E_INVALID, "%s is empty", what);
	return FM_OK;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

enum fm_status fm_percent_decode(
        const char *encoded, size_t length, bool plus, char **ret_text, struct fm_error *err)
{
	fm_autofree char *text = malloc(length + 1);
	size_t used = 0;

	if (!text)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu bytes", length);
	for (size_t i = 0; i < length; i++) {
		char c = encoded[i];
		if (c == '%') {
			int high = i + 2 < length ? hex_digit(encoded[i + 1]) : -1;
			int low = i + 2 < length ? hex_digit(encoded[i + 2]) : -1;
			if (high < 0 || low < 0)
				return fm_fail(err, FM_E_INVALID,
				        "a percent sign without two hexadecimal digits after it");
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (!c)
			return fm_fail(err, FM_E_INVALID, "a NUL character");
		text[used++] = c;
	}
	text[used] = '\0';
	if (!fm_utf8_valid(text, used))
		return fm_fail(err, FM_E_INVALID, "text that is not UTF-8");
	*ret_text = fm_steal(text);
	return FM_OK;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

enum fm_status fm_base64_decode(
        const char *encoded, size_t length, char **ret_bytes, size_t *ret_length, struct fm_error *err)
{
	fm_autofree char *bytes = malloc(length / 4 * 3 + 4);
	size_t used = 0, digits = 0, padding = 0;
	uint32_t group = 0;

	if (!bytes)
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu bytes", length);
	for (size_t i = 0; i < length; i++) {
		char c = encoded[i];
		if (c == '\n' || c == '\r' || c == ' ' || c == '\t')
			continue;
		if (c == '=') {
			padding++;
			continue;
		}
		int value = base64_value(c);
		if (value < 0 || padding)
			return fm_fail(err, FM_E_INVALID, "not base64 at character %zu", i + 1);
		group = group << 6 | (uint32_t)value;
		if (++digits % 4 == 0) {
			bytes[used++] = (char)(group >> 16);
			bytes[used++] = (char)(group >> 8);
			bytes[used++] = (char)group;
			group = 0;
		}
	}
	size_t rest = digits % 4;
	if (rest == 1 || (padding && (rest == 0 || rest + padding != 4)))
		return fm_fail(err, FM_E_INVALID, "base64 of a length that no bytes encode to");
	if (rest >= 2)
		bytes[used++] = (char)(rest == 2 ? group >> 4 : group >> 10);
	if (rest == 3)
		bytes[used++] = (char)(group >> 2);
	*ret_bytes = fm_steal(bytes);
	*ret_length = used;
	return FM_OK;
}

enum fm_status fm_json_bounded(
        const char *text, size_t length, size_t depth_max, size_t values_max, struct fm_error *err)
{
	size_t depth = 0, values = 1;
	bool in_string = false;

	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
			continue;
		}
		if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			values++;
			if (++depth > depth_max)
				return fm_fail(
				        err, FM_E_INVALID, "JSON nested deeper than %zu levels", depth_max);
		} else if (c == '}' || c == ']') {
			depth -= depth > 0;
		} else if (c == ',') {
			values++;
		}
		if (values > values_max)
			return fm_fail(err, FM_E_INVALID, "JSON with more than %zu values", values_max);
	}
	return FM_OK;
}
