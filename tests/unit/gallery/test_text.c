#include "lib/gallery/text.h"

#include "lib/base/size.h"

#include <criterion/criterion.h>
#include <string.h>

static enum fm_status check(const char *text, enum fm_text_kind kind)
{
	return fm_text_check(text, kind, 16, "text", NULL);
}

Test(text, accepts_well_formed_utf8)
{
	static const char *const good[] = {
	        "a",
	        " a ",
	        "\xc2\xa0",         /* U+00A0, the first after C1 */
	        "\xdf\xbf",         /* U+07FF */
	        "\xe0\xa0\x80",     /* U+0800 */
	        "\xed\x9f\xbf",     /* U+D7FF */
	        "\xee\x80\x80",     /* U+E000 */
	        "\xef\xbf\xbf",     /* U+FFFF */
	        "\xf0\x90\x80\x80", /* U+10000 */
	        "\xf4\x8f\xbf\xbf", /* U+10FFFF */
	        "0123456789abcdef",
	};

	for (size_t i = 0; i < FM_ARRAY_SIZE(good); i++) {
		cr_expect_eq(check(good[i], FM_TEXT_LINE), FM_OK, "case %zu", i);
		cr_expect_eq(check(good[i], FM_TEXT_JSON), FM_OK, "case %zu", i);
	}
	cr_expect_eq(check("{\t\"a\":\r\n1}", FM_TEXT_JSON), FM_OK);
}

Test(text, refuses_everything_else)
{
	static const char *const bad[] = {
	        NULL,
	        "",
	        "\x80",
	        "a\xbf",
	        "\xc0\xaf", /* overlong */
	        "\xc1\xbf",
	        "\xe0\x9f\xbf",
	        "\xf0\x8f\xbf\xbf",
	        "\xed\xa0\x80", /* surrogates */
	        "\xed\xbf\xbf",
	        "\xf4\x90\x80\x80", /* above U+10FFFF */
	        "\xf8\x88\x80\x80\x80",
	        "\xfe",
	        "\xff",
	        "\xc3", /* cut short */
	        "\xe2\x82",
	        "\xe2\x82z",
	        "\xf0\x9f\x99",
	        "a\x01",
	        "\x1f",
	        "0123456789abcdefg",
	};
	static const char *const controls[] = {"a\tb", "\n", "\r", "\x7f", "\xc2\x80", "\xc2\x9f"};

	for (size_t i = 0; i < FM_ARRAY_SIZE(bad); i++) {
		cr_expect_eq(check(bad[i], FM_TEXT_LINE), FM_E_INVALID, "case %zu", i);
		cr_expect_eq(check(bad[i], FM_TEXT_JSON), FM_E_INVALID, "case %zu", i);
	}
	for (size_t i = 0; i < FM_ARRAY_SIZE(controls); i++)
		cr_expect_eq(check(controls[i], FM_TEXT_LINE), FM_E_INVALID, "control %zu", i);
}

/* Every sequence of three bytes, against the definition by ranges (Unicode 15, table 3-7). */
Test(text, agrees_with_the_unicode_table)
{
	for (unsigned a = 0xc0; a <= 0xff; a++)
		for (unsigned b = 1; b <= 0xff; b++)
			for (unsigned c = 0x7f; c <= 0xc0; c++) {
				const char text[] = {(char)a, (char)b, (char)c, 0};
				bool two = a >= 0xc2 && a <= 0xdf && b >= (a == 0xc2 ? 0xa0 : 0x80) &&
				           b <= 0xbf && c < 0x7f;
				bool three = a >= 0xe0 && a <= 0xef && b >= (a == 0xe0 ? 0xa0u : 0x80u) &&
				             b <= (a == 0xed ? 0x9fu : 0xbfu) && c >= 0x80 && c <= 0xbf;

				cr_assert_eq(check(text, FM_TEXT_LINE) == FM_OK, two || three,
				        "%02x %02x %02x", a, b, c);
			}
}

Test(text, times)
{
	char text[32];

	fm_time_text(0, text);
	cr_expect_str_eq(text, "1970-01-01T00:00:00.000Z");
	fm_time_text(INT64_C(1709251199007), text);
	cr_expect_str_eq(text, "2024-02-29T23:59:59.007Z");
	fm_time_text(INT64_MIN, text);
	cr_expect_str_eq(text, "1970-01-01T00:00:00.000Z");
	fm_time_text(INT64_MAX, text);
	cr_expect_str_eq(text, "9999-12-31T23:59:59.999Z");
	cr_expect_gt(fm_time_now_ms(), INT64_C(1700000000000));
}
