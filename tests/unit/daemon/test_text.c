#include "daemon/text.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

static bool utf8(const char *text)
{
	return fm_utf8_valid(text, strlen(text));
}

Test(text, utf8_is_rfc_3629)
{
	cr_expect(utf8(""));
	cr_expect(utf8("Zo\xc3\xab \xe4\xb8\xad \xf0\x9f\x98\x80"));
	cr_expect(utf8("\xf4\x8f\xbf\xbf"), "U+10FFFF");
	cr_expect_not(utf8("\xff"));
	cr_expect_not(utf8("\x80"), "continuation alone");
	cr_expect_not(utf8("\xc3"), "cut");
	cr_expect_not(utf8("\xe4\xb8"), "cut");
	cr_expect_not(utf8("\xc0\xaf"), "overlong");
	cr_expect_not(utf8("\xe0\x80\xaf"), "overlong");
	cr_expect_not(utf8("\xf0\x80\x80\xaf"), "overlong");
	cr_expect_not(utf8("\xed\xa0\x80"), "surrogate");
	cr_expect_not(utf8("\xf4\x90\x80\x80"), "above U+10FFFF");
	cr_expect_not(utf8("\xc3("), "continuation missing");
}

Test(text, repair_replaces_only_what_is_wrong)
{
	char text[] = "a\xff\xc3\xab\xe4\xb8";

	fm_utf8_repair(text);
	cr_expect_str_eq(text, "a?\xc3\xab??");
}

Test(text, names)
{
	struct fm_error err;

	cr_expect_eq(fm_name_check("x", "Zo\xc3\xab", &err), FM_OK);
	cr_expect_eq(fm_name_check("x", "", &err), FM_E_INVALID);
	cr_expect_eq(fm_name_check("x", "   ", &err), FM_E_INVALID);
	cr_expect_eq(fm_name_check("x", "a\nb", &err), FM_E_INVALID);
	cr_expect_eq(fm_name_check("x", "a\x7f", &err), FM_E_INVALID);
	cr_expect_eq(fm_name_check("the name", "\xff", &err), FM_E_INVALID);
	cr_expect(strstr(err.message, "the name"), "says what: %s", err.message);
}

static char *decode(const char *text, bool plus)
{
	char *decoded = NULL;

	cr_assert_eq(fm_percent_decode(text, strlen(text), plus, &decoded, NULL), FM_OK, "%s", text);
	return decoded;
}

Test(text, percent_decoding)
{
	static const char *const wrong[] = {"%", "%4", "%4g", "%g4", "a%00b", "%ff", "%c3"};
	char *text = decode("a%20b%2Fc+d", true);

	cr_expect_str_eq(text, "a b/c d");
	free(text);
	text = decode("a+b%c3%ab", false);
	cr_expect_str_eq(text, "a+b\xc3\xab");
	free(text);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char *none = NULL;
		cr_expect_eq(fm_percent_decode(wrong[i], strlen(wrong[i]), true, &none, NULL), FM_E_INVALID,
		        "%s", wrong[i]);
		cr_expect_null(none);
	}
}

Test(text, percent_decoding_stops_at_its_length)
{
	char *none = NULL;

	cr_expect_eq(fm_percent_decode("%41", 2, true, &none, NULL), FM_E_INVALID);
}

Test(text, base64)
{
	static const struct {
		const char *encoded, *bytes;
	} good[] = {
	        {"", ""},
	        {"Zg==", "f"},
	        {"Zm8=", "fo"},
	        {"Zm9v", "foo"},
	        {"Zm9vYg==", "foob"},
	        {"Zm9vYmE=", "fooba"},
	        {"Zm9vYmFy", "foobar"},
	        {"Zm9vYg", "foob"}, /* padding left out */
	        {"Zm9v\r\nYmFy\n", "foobar"},
	        {"+/+/", "\xfb\xff\xbf"},
	};
	static const char *const wrong[] = {
	        "Z", "Zm9vY", "Zg=", "Zg===", "Zm9v=", "Zg==Zg==", "Zm9-", "Zm\x80v"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char *bytes = NULL;
		size_t length = 99;
		cr_assert_eq(
		        fm_base64_decode(good[i].encoded, strlen(good[i].encoded), &bytes, &length, NULL),
		        FM_OK, "%s", good[i].encoded);
		cr_expect_eq(length, strlen(good[i].bytes), "%s", good[i].encoded);
		cr_expect_eq(memcmp(bytes, good[i].bytes, length), 0, "%s", good[i].encoded);
		free(bytes);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char *bytes = NULL;
		size_t length;
		cr_expect_eq(fm_base64_decode(wrong[i], strlen(wrong[i]), &bytes, &length, NULL),
		        FM_E_INVALID, "%s", wrong[i]);
		cr_expect_null(bytes);
	}
}

static enum fm_status bounded(const char *text)
{
	return fm_json_bounded(text, strlen(text), FM_JSON_DEPTH_MAX, FM_JSON_VALUES_MAX, NULL);
}

Test(text, json_is_bounded_before_it_is_parsed)
{
	char text[20000];

	memset(text, '[', 32);
	text[32] = '\0';
	cr_expect_eq(bounded(text), FM_OK);
	memset(text, '[', 33);
	text[33] = '\0';
	cr_expect_eq(bounded(text), FM_E_INVALID);
	memset(text, ',', 4095);
	text[4095] = '\0';
	cr_expect_eq(bounded(text), FM_OK);
	memset(text, ',', 4096);
	text[4096] = '\0';
	cr_expect_eq(bounded(text), FM_E_INVALID);
	memset(text, ',', sizeof(text));
	text[0] = '"';
	text[1] = '\\';
	text[2] = '"';
	text[sizeof(text) - 2] = '"';
	text[sizeof(text) - 1] = '\0';
	cr_expect_eq(bounded(text), FM_OK, "a string is one value");
	cr_expect_eq(bounded("]]]]}}}}\"\\"), FM_OK, "not JSON is the parser's to say");
}
