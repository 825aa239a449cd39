#include "cli/json.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/size.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/banned.h"

Test(json, text_that_is_not_utf8_is_repaired)
{
	static const struct {
		const char *given, *wanted;
	} cases[] = {
	        {"plain.jpg", "plain.jpg"},
	        {"Zoë/日本.jpg", "Zoë/日本.jpg"},
	        {"Zo\xeb.jpg", "Zo\xef\xbf\xbd.jpg"},
	        {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
	        {"cut \xe6\x97", "cut \xef\xbf\xbd\xef\xbf\xbd"},
	        {"\xc3\xab\xff\xc3\xab", "\xc3\xab\xef\xbf\xbd\xc3\xab"},
	        {"over\xc0\xaf", "over\xef\xbf\xbd\xef\xbf\xbd"},
	        {"", ""},
	};

	for (size_t i = 0; i < FM_ARRAY_SIZE(cases); i++) {
		json_t *json = fm_json_text(cases[i].given);
		cr_assert_not_null(json);
		cr_expect_str_eq(json_string_value(json), cases[i].wanted, "case %zu", i);
		json_decref(json);
	}
}

Test(json, what_is_no_number_is_null)
{
	json_t *number = fm_json_number(0.25), *nan = fm_json_number(NAN),
	       *infinite = fm_json_number(INFINITY);

	cr_expect_eq(json_real_value(number), 0.25);
	cr_expect(json_is_null(nan));
	cr_expect(json_is_null(infinite));
	json_decref(number);
	json_decref(nan);
	json_decref(infinite);
}

Test(json, a_file_gets_every_float_whole_in_directories_that_were_not_there)
{
	const float value = 0.1f;
	char dir[] = "/tmp/facematchctl-json-XXXXXX", path[128];
	fm_autofree char *text = NULL;
	size_t length;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a/b/out.json", dir);
	json_t *json = json_pack("{s:f}", "value", value), *read;
	cr_assert_eq(fm_json_write(path, json, NULL), FM_OK);
	json_decref(json);
	cr_assert_eq(fm_file_read(path, 4096, &text, &length, NULL), FM_OK);
	cr_expect_eq(text[length - 1], '\n');
	cr_expect_eq(strlen(text), length);
	read = json_loads(text, 0, NULL);
	cr_expect_eq((float)json_real_value(json_object_get(read, "value")), value);
	json_decref(read);
	cr_expect_eq(unlink(path), 0);
	for (int up = 0; up < 3; up++) {
		*strrchr(path, '/') = '\0';
		cr_expect_eq(rmdir(path), 0, "%s", path);
	}
}

Test(json, no_result_is_no_memory)
{
	struct fm_error err;

	cr_expect_eq(fm_json_print_line(NULL, &err), FM_E_NOMEM);
	cr_expect_eq(fm_json_write("/nonexistent", NULL, &err), FM_E_NOMEM);
}
