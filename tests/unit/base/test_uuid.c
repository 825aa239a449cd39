#include "lib/base/uuid.h"

#include <criterion/criterion.h>
#include <string.h>

Test(uuid, new_ones_are_version_4_in_lower_case)
{
	for (int i = 0; i < 100; i++) {
		char text[FM_UUID_TEXT];

		fm_uuid_new(text);
		cr_assert_eq(strlen(text), 36);
		cr_assert_eq(strspn(text, "0123456789abcdef-"), 36, "%s", text);
		cr_assert_eq(text[14], '4', "RFC 9562: the version, in %s", text);
		cr_assert_not_null(strchr("89ab", text[19]), "RFC 9562: the variant, in %s", text);
		cr_assert(fm_uuid_valid(text));
	}
}

Test(uuid, new_ones_differ)
{
	char a[FM_UUID_TEXT], b[FM_UUID_TEXT];

	fm_uuid_new(a);
	fm_uuid_new(b);
	cr_assert_str_neq(a, b);
}

Test(uuid, only_whole_ones_are_valid)
{
	static const char *const wrong[] = {
	        "",
	        "x",
	        "123e4567-e89b-42d3-a456-42661417400",
	        "123e4567-e89b-42d3-a456-4266141740000",
	        "123e4567-e89b-42d3-a456-42661417400g",
	        "123e4567e89b42d3a456426614174000",
	        "{123e4567-e89b-42d3-a456-426614174000}",
	        " 123e4567-e89b-42d3-a456-426614174000",
	        "123e4567-e89b-42d3-a456-426614174000 ",
	        "123e4567-e89b-42d3-a456-426614174000' OR 1=1",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_expect_not(fm_uuid_valid(wrong[i]), "%s", wrong[i]);
	cr_expect(fm_uuid_valid("123e4567-e89b-42d3-a456-426614174000"));
	cr_expect(fm_uuid_valid("123E4567-E89B-42D3-A456-426614174000"));
}
