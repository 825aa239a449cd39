#include "daemon/multipart.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define TYPE "multipart/form-data; boundary=XX"

static struct fm_part parts[FM_MULTIPART_PARTS_MAX];
static size_t count;

/* From a copy of exactly the body's size, so that a sanitizer sees a read beyond it. */
static enum fm_status parse(const char *type, const char *body, size_t length)
{
	static char *copy;
	struct fm_error err;

	free(copy);
	copy = malloc(length ? length : 1);
	memcpy(copy, body, length);
	return fm_multipart_parse(type, (struct fm_slice){copy, length}, parts, &count, &err);
}

static bool is(struct fm_slice slice, const char *text)
{
	return slice.length == strlen(text) && memcmp(slice.data, text, slice.length) == 0;
}

static const char two_parts[] = "--XX\r\n"
                                "Content-Disposition: form-data; name=\"image\"; filename=\"image\"\r\n"
                                "\r\n"
                                "bytes\r\n-\r\n--X\r\n"
                                "--XX\r\n"
                                "content-type: text/plain\r\n"
                                "content-disposition: form-data; filename=\"a;name=b\\\"c\"; name=name\r\n"
                                "\r\n"
                                "\r\n"
                                "--XX--\r\n";

Test(multipart, parts_are_slices_with_names)
{
	cr_assert_eq(parse(TYPE, two_parts, strlen(two_parts)), FM_OK);
	cr_assert_eq(count, 2);
	cr_expect(is(parts[0].name, "image"));
	cr_expect(is(parts[0].value, "bytes\r\n-\r\n--X"));
	cr_expect(is(parts[1].name, "name"), "a quoted semicolon is no separator");
	cr_expect(is(parts[1].value, ""));
}

Test(multipart, boundary_forms)
{
	static const char *const types[] = {
	        "multipart/form-data; boundary=XX",
	        "multipart/form-data; BOUNDARY=\"XX\"",
	        "multipart/form-data;charset=utf-8;boundary=XX ; other=1",
	};

	for (size_t i = 0; i < 3; i++)
		cr_expect_eq(parse(types[i], two_parts, strlen(two_parts)), FM_OK, "%s", types[i]);
	cr_expect_eq(parse("multipart/form-data", two_parts, strlen(two_parts)), FM_E_INVALID);
	cr_expect_eq(parse("multipart/form-data; boundary=", two_parts, strlen(two_parts)), FM_E_INVALID);
	cr_expect_eq(parse("multipart/form-data; boundary=\"XX", two_parts, strlen(two_parts)), FM_E_INVALID);
	cr_expect_eq(parse("multipart/form-data; boundary=YY", two_parts, strlen(two_parts)), FM_E_INVALID);
}

Test(multipart, preamble_and_epilogue_are_ignored)
{
	static const char body[] = "preamble\r\n--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n"
	                           "--XX--\r\nepilogue --XX";

	cr_assert_eq(parse(TYPE, body, strlen(body)), FM_OK);
	cr_expect_eq(count, 1);
	cr_expect(is(parts[0].value, "1"));
}

Test(multipart, no_parts)
{
	cr_expect_eq(parse(TYPE, "--XX--", 6), FM_OK);
	cr_expect_eq(count, 0);
}

Test(multipart, every_cut_is_truncated_or_invalid)
{
	/* The closing "--" completes a body; what follows it does not matter. */
	size_t complete = strlen(two_parts) - 2;

	for (size_t length = 0; length < complete; length++) {
		enum fm_status status = parse(TYPE, two_parts, length);
		cr_expect(status == FM_E_TRUNCATED || (status == FM_E_INVALID && length < 4), "%zu bytes: %s",
		        length, fm_status_name(status));
	}
	cr_expect_eq(parse(TYPE, two_parts, complete), FM_OK);
}

Test(multipart, refused)
{
	static const char *const bodies[] = {
	        "--XX\r\n\r\nno headers\r\n--XX--",
	        "--XX\r\nContent-Type: image/jpeg\r\n\r\nno name\r\n--XX--",
	        "--XX\r\nContent-Disposition: form-data; filename=a\r\n\r\nno name\r\n--XX--",
	        "--XXY\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--XX--",
	};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		cr_expect_eq(parse(TYPE, bodies[i], strlen(bodies[i])), FM_E_INVALID, "%s", bodies[i]);
}

Test(multipart, parts_and_headers_are_bounded)
{
	char body[16384], *at = body;

	for (int i = 0; i <= FM_MULTIPART_PARTS_MAX; i++)
		at += snprintf(at, 100, "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n");
	snprintf(at, 100, "--XX--");
	cr_expect_eq(parse(TYPE, body, strlen(body)), FM_E_INVALID, "too many parts");

	snprintf(body, sizeof(body),
	        "--XX\r\nX: %*d\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--XX--",
	        FM_MULTIPART_HEADERS_MAX_BYTES, 1);
	cr_expect_eq(parse(TYPE, body, strlen(body)), FM_E_INVALID, "headers too long");
}
