#include "daemon/log.h"

#include <criterion/criterion.h>

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/banned.h"

Test(log, levels_by_name)
{
	enum fm_log_level level = FM_LOG_INFO;

	cr_expect_eq(fm_log_level_parse("debug", &level, NULL), FM_OK);
	cr_expect_eq(level, FM_LOG_DEBUG);
	cr_expect_eq(fm_log_level_parse("Debug", &level, NULL), FM_E_INVALID);
}

Test(log, fields_are_logfmt)
{
	static const char *const fields[] = {
	        "a", "1", "b", "two words", "c", "say \"x\\y\"", "d", "", "e", "k=v", NULL};
	char line[200];

	fm_log_format(line, sizeof(line), "message", fields);
	cr_expect_str_eq(line, "message a=1 b=\"two words\" c=\"say \\\"x\\\\y\\\"\" d=\"\" e=\"k=v\"");
}

Test(log, clients_cannot_forge_lines)
{
	static const char *const fields[] = {"path", "/a\nerror forged\x1b[2J", NULL};
	char line[200];

	fm_log_format(line, sizeof(line), "m\n", fields);
	cr_expect_str_eq(line, "m\\x0a path=\"/a\\x0aerror forged\\x1b[2J\"");
}

Test(log, long_lines_are_cut)
{
	char value[400], line[100];
	const char *fields[] = {"v", value, NULL};

	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	fm_log_format(line, sizeof(line), "m", fields);
	cr_expect_eq(strlen(line), sizeof(line) - 1);
}

/* What a call writes to standard error. */
static void capture(char *out, size_t size, enum fm_log_level level)
{
	int pipe_fds[2];

	cr_assert_eq(pipe(pipe_fds), 0);
	int saved = dup(STDERR_FILENO);
	dup2(pipe_fds[1], STDERR_FILENO);
	fm_log(level, "hello", "key", "value", NULL);
	dup2(saved, STDERR_FILENO);
	close(pipe_fds[1]);
	ssize_t length = read(pipe_fds[0], out, size - 1);
	out[length > 0 ? length : 0] = '\0';
	close(pipe_fds[0]);
	close(saved);
}

Test(log, priority_under_systemd_and_time_elsewhere)
{
	char line[200];

	setenv("JOURNAL_STREAM", "8:1", 1);
	capture(line, sizeof(line), FM_LOG_WARNING);
	cr_expect_str_eq(line, "<4>hello key=value\n");
	unsetenv("JOURNAL_STREAM");
	capture(line, sizeof(line), FM_LOG_WARNING);
	cr_expect(strstr(line, "Z warning hello key=value\n"), "%s", line);
	capture(line, sizeof(line), FM_LOG_DEBUG);
	cr_expect_str_eq(line, "", "below the level");
	fm_log_set_level(FM_LOG_DEBUG);
	capture(line, sizeof(line), FM_LOG_DEBUG);
	cr_expect(strstr(line, " debug hello"), "%s", line);
}

Test(log, json_is_whole_whatever_is_cut)
{
	static const char *const fields[] = {
	        "path", "/\"a\"\n\xff\xc3\xa4", "id", "\xe2\x82\xac\xe2\x82\xac", NULL};
	char line[300];
	json_error_t error;

	fm_log_format_json(line, sizeof(line), "2026-11-23T01:25:26.123Z", FM_LOG_WARNING, "hello", fields);
	cr_expect_str_eq(line,
	        "{\"time\":\"2026-11-23T01:25:26.123Z\",\"level\":\"warning\",\"message\":\"hello\","
	        "\"path\":\"/\\\"a\\\"\\u000a?\xc3\xa4\",\"id\":\"\xe2\x82\xac\xe2\x82\xac\"}");
	for (size_t size = 128; size <= sizeof(line); size++) {
		fm_log_format_json(line, size, "2026-11-23T01:25:26.123Z", FM_LOG_WARNING, "hello", fields);
		cr_expect_lt(strlen(line), size);
		json_t *json = json_loads(line, 0, &error);
		cr_expect_not_null(json, "%zu: %s: %s", size, error.text, line);
		json_decref(json);
	}
}

Test(log, forms)
{
	enum fm_log_form form = FM_LOG_TEXT;
	char line[200];

	cr_expect_eq(fm_log_form_parse("xml", &form, NULL), FM_E_INVALID);
	cr_expect_eq(fm_log_form_parse("json", &form, NULL), FM_OK);
	fm_log_set_form(form);
	setenv("JOURNAL_STREAM", "8:1", 1);
	capture(line, sizeof(line), FM_LOG_ERROR);
	unsetenv("JOURNAL_STREAM");
	cr_expect_eq(strncmp(line, "<3>{\"time\":\"", 12), 0, "%s", line);
	json_t *json = json_loads(line + 3, 0, NULL);
	cr_expect_str_eq(json_string_value(json_object_get(json, "key")), "value");
	json_decref(json);
}
