#include "daemon/request.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

static struct fm_request request;
static struct fm_error err;

static void begin(void)
{
	fm_request_init(&request, NULL, 1 << 20);
}

static void end(void)
{
	fm_request_done(&request);
}

TestSuite(request, .init = begin, .fini = end);

static void set_body(const char *type, const void *bytes, size_t length)
{
	fm_request_done(&request);
	fm_request_init(&request, NULL, 1 << 20);
	request.content_type = type ? strdup(type) : NULL;
	cr_assert_eq(fm_buf_append(&request.body, bytes, length, &err), FM_OK);
}

static void set_text(const char *type, const char *text)
{
	set_body(type, text, strlen(text));
}

static void expect_image(const char *name, const char *wanted)
{
	struct fm_slice image = {0};

	cr_assert_eq(fm_request_image(&request, name, &image, &err), FM_PROBLEM_NONE, "%s", err.message);
	cr_expect_eq(image.length, strlen(wanted));
	cr_expect_eq(memcmp(image.data, wanted, image.length), 0);
}

static void expect_no_image(const char *name, enum fm_problem wanted)
{
	struct fm_slice image = {0};
	enum fm_problem problem = fm_request_image(&request, name, &image, &err);

	cr_expect_eq(problem, wanted, "%s, not %s", fm_problem_code(problem), fm_problem_code(wanted));
	cr_expect_null(image.data);
}

Test(request, id_is_taken_only_when_it_is_harmless)
{
	static const char *const wrong[] = {"", "a b", "a\"b", "a\nb", "\xff",
	        "01234567890123456789012345678901234567890123456789012345678901234"};

	fm_request_init(&request, "abc-DEF_1.2", 0);
	cr_expect_str_eq(request.id, "abc-DEF_1.2");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		fm_request_init(&request, wrong[i], 0);
		cr_expect_eq(strlen(request.id), 36, "%s", request.id);
	}
}

Test(request, query)
{
	cr_assert_eq(fm_request_set_target(&request, "/a%2Fb?x=1&y=a+b%26c&&empty=&flag", &err), FM_OK, "%s",
	        err.message);
	cr_expect_str_eq(request.path, "/a%2Fb");
	cr_expect_str_eq(fm_request_query(&request, "x"), "1");
	cr_expect_str_eq(fm_request_query(&request, "y"), "a b&c");
	cr_expect_str_eq(fm_request_query(&request, "empty"), "");
	cr_expect_str_eq(fm_request_query(&request, "flag"), "");
	cr_expect_null(fm_request_query(&request, "z"));
}

Test(request, query_is_refused)
{
	static const char *const wrong[] = {"/a?x=%", "/a?x=%zz", "/a?x=%00", "/a?x=%ff", "/a?x=1&x=2",
	        "/a?x=1&%78=2",
	        "/a?a1&a2&a3&a4&a5&a6&a7&a8&a9&b1&b2&b3&b4&b5&b6&b7&b8&b9&c1&c2&c3&c4&c5&c6&c7&c8&c9&d1&d2&"
	        "d3&"
	        "d4&d5&d6"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		fm_request_done(&request);
		cr_expect_eq(fm_request_set_target(&request, wrong[i], &err), FM_E_INVALID, "%s", wrong[i]);
	}
}

Test(request, numbers)
{
	long whole;
	double real;

	cr_assert_eq(fm_request_set_target(
	                     &request, "/?a=7&b=x&c=&d=99999999999999999999&e=0.5&f=nan&g=1e999&h=7x", &err),
	        FM_OK);
	cr_expect_eq(fm_request_integer(&request, "a", 1, 7, 3, &whole, &err), FM_OK);
	cr_expect_eq(whole, 7);
	cr_expect_eq(fm_request_integer(&request, "none", 1, 7, 3, &whole, &err), FM_OK);
	cr_expect_eq(whole, 3);
	cr_expect_eq(fm_request_integer(&request, "a", 1, 6, 3, &whole, &err), FM_E_INVALID);
	cr_expect_eq(fm_request_real(&request, "e", 0, 1, -1, &real, &err), FM_OK);
	cr_expect_eq(real, 0.5);
	cr_expect_eq(fm_request_real(&request, "none", 0, 1, -1, &real, &err), FM_OK);
	cr_expect_eq(real, -1.0);
	for (const char *key = "bcdefgh"; *key; key++) {
		char name[2] = {*key, '\0'};
		cr_expect_eq(fm_request_integer(&request, name, 0, 1000, 3, &whole, &err), FM_E_INVALID, "%s",
		        name);
		if (*key != 'd' && *key != 'e')
			cr_expect_eq(fm_request_real(&request, name, 0, 1e300, 3, &real, &err), FM_E_INVALID,
			        "%s", name);
	}
	cr_expect_eq(fm_request_real(&request, "a", 0, 1, 3, &real, &err), FM_E_INVALID);
}

Test(request, image_three_ways)
{
	set_text("image/jpeg", "bytes");
	expect_image("image", "bytes");
	set_text("Application/Octet-Stream", "bytes");
	expect_image("image", "bytes");
	set_text(NULL, "bytes");
	expect_image("image", "bytes");
	set_text("application/x-www-form-urlencoded", "bytes");
	expect_image("image", "bytes");
	set_text("multipart/form-data; boundary=X",
	        "--X\r\nContent-Disposition: form-data; name=image1; filename=image\r\n\r\none\r\n"
	        "--X\r\nContent-Disposition: form-data; name=image2\r\n\r\ntwo\r\n--X--\r\n");
	expect_image("image1", "one");
	expect_image("image2", "two");
	expect_no_image("image", FM_PROBLEM_BAD_REQUEST);
	set_text("application/json; charset=utf-8", "{\"image\": \"Ynl0ZXM=\"}");
	expect_image("image", "bytes");
	set_text("application/json", "{\"image\": \"data:image/jpeg;base64,Ynl0ZXM=\"}");
	expect_image("image", "bytes");
	set_text("application/json", "{\"image1\": \"b25l\", \"image2\": \"dHdv\"}");
	expect_image("image1", "one");
	expect_image("image2", "two");
}

Test(request, image_refused)
{
	set_text("image/jpeg", "bytes");
	expect_no_image("image1", FM_PROBLEM_BAD_REQUEST);
	set_text("text/plain", "bytes");
	expect_no_image("image", FM_PROBLEM_UNSUPPORTED_MEDIA_TYPE);
	set_text("image/jpeg", "");
	expect_no_image("image", FM_PROBLEM_BAD_REQUEST);
	set_text("multipart/form-data; boundary=X", "--X\r\nContent-Disposition: form-data; name=ima");
	expect_no_image("image", FM_PROBLEM_BAD_MULTIPART);
	expect_no_image("image", FM_PROBLEM_BAD_MULTIPART);
	set_text("multipart/form-data; boundary=X",
	        "--X\r\nContent-Disposition: form-data; name=image\r\n\r\n\r\n--X--\r\n");
	expect_no_image("image", FM_PROBLEM_BAD_REQUEST);
	set_text("multipart/form-data; boundary=X",
	        "--X\r\nContent-Disposition: form-data; name=image\r\n\r\n1\r\n"
	        "--X\r\nContent-Disposition: form-data; name=image\r\n\r\n2\r\n--X--\r\n");
	expect_no_image("image", FM_PROBLEM_BAD_REQUEST);
	set_text("application/json", "{\"image\": \"*\"}");
	expect_no_image("image", FM_PROBLEM_BAD_BASE64);
	set_text("application/json", "{\"image\": \"\"}");
	expect_no_image("image", FM_PROBLEM_BAD_REQUEST);
	set_text("application/json", "{\"image\": 1}");
	expect_no_image("image", FM_PROBLEM_BAD_REQUEST);
	set_text("application/json", "{\"picture\": \"\"}");
	expect_no_image("image", FM_PROBLEM_BAD_REQUEST);
}

Test(request, json_refused)
{
	static const char *const wrong[] = {"{", "[]", "\"text\"", "{\"a\":1,\"a\":2}", "{\"a\":\"\\u0000\"}",
	        "{\"a\":\"\xff\"}", "{} {}", "{\"\\ud800\":1}"};
	json_t *object;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		set_text("application/json", wrong[i]);
		cr_expect_eq(fm_request_json(&request, &object, &err), FM_PROBLEM_BAD_JSON, "%s", wrong[i]);
	}
	char deep[2001];
	memset(deep, '[', 2000);
	deep[2000] = '\0';
	set_text("application/json", deep);
	cr_expect_eq(fm_request_json(&request, &object, &err), FM_PROBLEM_BAD_JSON);
	set_body("application/json", "{\"a\":\"b\0c\"}", 11);
	cr_expect_eq(fm_request_json(&request, &object, &err), FM_PROBLEM_BAD_JSON, "NUL");
	set_text("application/json", "");
	cr_expect_eq(fm_request_json(&request, &object, &err), FM_PROBLEM_BAD_REQUEST);
	set_text("text/plain", "{}");
	cr_expect_eq(fm_request_json(&request, &object, &err), FM_PROBLEM_UNSUPPORTED_MEDIA_TYPE);
	set_text("image/png", "{}");
	cr_expect_eq(fm_request_json(&request, &object, &err), FM_PROBLEM_UNSUPPORTED_MEDIA_TYPE);
}

Test(request, json_accepted)
{
	static const char *const types[] = {"application/json", "application/merge-patch+json",
	        "application/x-www-form-urlencoded", NULL};
	json_t *object;

	for (size_t i = 0; i < 4; i++) {
		set_text(types[i], " {\"name\": \"A\"} ");
		cr_assert_eq(fm_request_json(&request, &object, &err), FM_PROBLEM_NONE, "%s", err.message);
		cr_expect_str_eq(json_string_value(json_object_get(object, "name")), "A");
	}
}

Test(request, texts_come_from_query_json_or_part)
{
	const char *text;

	set_text("application/json", "{\"name\": \"json\", \"number\": 1}");
	cr_assert_eq(fm_request_set_target(&request, "/?name=query", &err), FM_OK);
	cr_assert_eq(fm_request_text(&request, "name", &text, &err), FM_PROBLEM_NONE);
	cr_expect_str_eq(text, "query");
	set_text("application/json", "{\"name\": \"json\", \"number\": 1}");
	cr_assert_eq(fm_request_text(&request, "name", &text, &err), FM_PROBLEM_NONE);
	cr_expect_str_eq(text, "json");
	cr_expect_eq(fm_request_text(&request, "number", &text, &err), FM_PROBLEM_BAD_REQUEST);
	set_text("multipart/form-data; boundary=X",
	        "--X\r\nContent-Disposition: form-data; name=name\r\n\r\npart\r\n--X--\r\n");
	cr_assert_eq(fm_request_text(&request, "name", &text, &err), FM_PROBLEM_NONE);
	cr_expect_str_eq(text, "part");
	cr_assert_eq(fm_request_text(&request, "other", &text, &err), FM_PROBLEM_NONE);
	cr_expect_null(text);
	set_body("multipart/form-data; boundary=X",
	        "--X\r\nContent-Disposition: form-data; name=name\r\n\r\np\0rt\r\n--X--\r\n", 61);
	cr_expect_eq(fm_request_text(&request, "name", &text, &err), FM_PROBLEM_BAD_REQUEST, "NUL");
}
