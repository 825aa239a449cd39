#include "daemon/multipart.h"

#include "lib/base/size.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/banned.h"

#define BOUNDARY_MAX 70 /* RFC 2046 section 5.1.1 */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * Finds parameter `key` in "type; a=b; c=\"d\"" and gives its value without quotes. Keys are compared
 * without case. A quoted value may hold semicolons; it ends at the first quote that no backslash precedes.
 */
static bool find_parameter(struct fm_slice header, const char *key, struct fm_slice *ret_value)
{
	const char *at = header.data, *end = header.data + header.length;
	size_t key_length = strlen(key);

	while ((at = memchr(at, ';', (size_t)(end - at)))) {
		at++;
		while (at < end && is_blank(*at))
			at++;
		const char *name = at;
		while (at < end && *at != '=' && *at != ';')
			at++;
		if (at == end || *at == ';')
			continue;
		size_t name_length = (size_t)(at - name);
		at++;
		struct fm_slice value;
		if (at < end && *at == '"') {
			value.data = ++at;
			while (at < end && *at != '"')
				at += *at == '\\' && at + 1 < end ? 2 : 1;
			if (at >= end)
				return false;
			value.length = (size_t)(at - value.data);
		} else {
			value.data = at;
			while (at < end && *at != ';')
				at++;
			value.length = (size_t)(at - value.data);
			while (value.length && is_blank(value.data[value.length - 1]))
				value.length--;
		}
		if (name_length == key_length && strncasecmp(name, key, key_length) == 0) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

/* Reads one part's headers; *at moves behind the empty line. */
static enum fm_status parse_headers(
        const char **at, const char *end, struct fm_slice *ret_name, struct fm_error *err)
{
	static const char wanted[] = "content-disposition:";
	const char *line = *at, *start = *at;
	bool named = false;

	for (;;) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		if (!newline)
			return fm_fail(
			        err, FM_E_TRUNCATED, "the multipart body ends within a part's headers");
		if ((size_t)(newline - start) > FM_MULTIPART_HEADERS_MAX_BYTES)
			return fm_fail(err, FM_E_INVALID, "a part's headers are longer than %d bytes",
			        FM_MULTIPART_HEADERS_MAX_BYTES);
		struct fm_slice text = {line, (size_t)(newline - line)};
		if (text.length && text.data[text.length - 1] == '\r')
			text.length--;
		line = newline + 1;
		if (!text.length)
			break;
		if (text.length > sizeof(wanted) - 1 &&
		        strncasecmp(text.data, wanted, sizeof(wanted) - 1) == 0)
			named = find_parameter(text, "name", ret_name);
	}
	if (!named)
		return fm_fail(err, FM_E_INVALID, "a multipart part without a name");
	*at = line;
	return FM_OK;
}

static const char *find(const char *from, const char *end, const char *what, size_t length)
{
	return memmem(from, (size_t)(end - from), what, length);
}

enum fm_status fm_multipart_parse(const char *content_type, struct fm_slice body,
        struct fm_part ret_parts[FM_MULTIPART_PARTS_MAX], size_t *ret_count, struct fm_error *err)
{
	struct fm_slice boundary;
	char delimiter[BOUNDARY_MAX + 5]; /* CRLF "--" boundary */
	struct fm_part parts[FM_MULTIPART_PARTS_MAX];
	size_t count = 0;

	if (!find_parameter((struct fm_slice){content_type, strlen(content_type)}, "boundary", &boundary) ||
	        !boundary.length || boundary.length > BOUNDARY_MAX)
		return fm_fail(err, FM_E_INVALID,
		        "multipart/form-data without a boundary of 1 to %d characters", BOUNDARY_MAX);
	size_t length = (size_t)snprintf(
	        delimiter, sizeof(delimiter), "\r\n--%.*s", (int)boundary.length, boundary.data);

	const char *at = body.data, *end = body.data + body.length;
	if (!body.length)
		return fm_fail(err, FM_E_TRUNCATED, "the multipart body is empty");
	/* The first delimiter opens the body, or follows a preamble. */
	if (body.length >= length - 2 && memcmp(at, delimiter + 2, length - 2) == 0) {
		at += length - 2;
	} else {
		at = find(at, end, delimiter, length);
		if (!at)
			return fm_fail(err, FM_E_INVALID, "the boundary of Content-Type is not in the body");
		at += length;
	}

	for (;;) {
		if (end - at >= 2 && at[0] == '-' && at[1] == '-')
			break;
		while (at < end && is_blank(*at))
			at++;
		if (at < end && (*at == '\r' || (*at == '-' && at + 1 == end)))
			at++;
		if (at == end)
			return fm_fail(err, FM_E_TRUNCATED, "the multipart body has no closing boundary");
		if (*at != '\n')
			return fm_fail(err, FM_E_INVALID, "something follows a boundary on its line");
		at++;
		if (count == FM_MULTIPART_PARTS_MAX)
			return fm_fail(err, FM_E_INVALID, "more than %d parts", FM_MULTIPART_PARTS_MAX);
		enum fm_status status = parse_headers(&at, end, &parts[count].name, err);
		if (status)
			return status;
		/* An empty part: its closing delimiter's CRLF is the one that ended the headers. */
		const char *close = at - 2 >= body.data ? find(at - 2, end, delimiter, length) : NULL;
		if (!close)
			return fm_fail(err, FM_E_TRUNCATED, "the multipart body has no closing boundary");
		parts[count].value.data = at;
		parts[count].value.length = close > at ? (size_t)(close - at) : 0;
		count++;
		at = close + length;
	}
	memcpy(ret_parts, parts, count * sizeof(parts[0]));
	*ret_count = count;
	return FM_OK;
}
