#include "tests/support/ctl.h"

#include "lib/base/file.h"

#include <criterion/criterion.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define ARGUMENTS_MAX 16

static char build[PATH_MAX]; /* build/<variant> */
static char root[PATH_MAX];  /* the repository */
static char work[64];        /* a directory of this test's own */

void test_ctl_result_done(struct test_ctl_result *result)
{
	free(result->out);
	free(result->err);
}

const char *test_ctl_dir(void)
{
	return work;
}

char *test_ctl_path(const char *name, char ret_path[TEST_CTL_PATH])
{
	snprintf(ret_path, TEST_CTL_PATH, "%s/%s", work, name);
	return ret_path;
}

static void cut_at_last(char *text, const char *part)
{
	char *last = NULL;

	for (char *at = text; (at = strstr(at, part)); at++)
		last = at;
	cr_assert_not_null(last, "%s", text);
	*last = '\0';
}

void test_ctl_setup(void)
{
	const char *given = getenv("FM_BUILD");
	ssize_t length = readlink("/proc/self/exe", build, sizeof(build) - 1);

	cr_assert_gt(length, 0);
	build[length] = '\0';
	if (given)
		cr_assert_not_null(realpath(given, build), "FM_BUILD=%s", given);
	else
		cut_at_last(build, "/tests/"); /* tests/unit/cli/test_x, tests/http/test_x */
	snprintf(root, sizeof(root), "%s", build);
	dirname(dirname(root));
	snprintf(work, sizeof(work), "/tmp/facematchctl-test-XXXXXX");
	cr_assert_not_null(mkdtemp(work));
}

void test_ctl_teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", work);
	cr_expect_eq(system(command), 0);
}

struct test_ctl_result test_ctl_run(const char *first, ...)
{
	char name[] = "facematchctl", *arguments[ARGUMENTS_MAX + 2] = {name}, out[TEST_CTL_PATH],
	     err[TEST_CTL_PATH], program[TEST_CTL_PATH];
	struct test_ctl_result result = {.status = -1};
	size_t count = 1, length;
	int status;
	va_list list;

	va_start(list, first);
	for (const char *argument = first; argument && count <= ARGUMENTS_MAX;
	        argument = va_arg(list, char *))
		arguments[count++] = (char *)argument;
	va_end(list);
	snprintf(program, sizeof(program), "%s/facematchctl", build);
	test_ctl_path("stdout", out);
	test_ctl_path("stderr", err);
	pid_t child = fork();
	if (child == 0) {
		if (chdir(root) < 0 || !freopen(out, "w", stdout) || !freopen(err, "w", stderr))
			_exit(126);
		execv(program, arguments);
		_exit(127);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status), "facematchctl died of signal %d", WTERMSIG(status));
	result.status = WEXITSTATUS(status);
	cr_assert_neq(result.status, 127, "%s is not built: make all", program);
	cr_assert_eq(fm_file_read(out, TEST_CTL_OUTPUT_MAX, &result.out, &length, NULL), FM_OK);
	cr_assert_eq(fm_file_read(err, TEST_CTL_OUTPUT_MAX, &result.err, &length, NULL), FM_OK);
	return result;
}

void test_ctl_expect_usage_error(struct test_ctl_result result, const char *part)
{
	cr_expect_eq(result.status, 2, "%s", result.err);
	cr_expect_eq(strncmp(result.err, "facematchctl: ", 14), 0, "%s", result.err);
	cr_expect_not_null(strstr(result.err, part), "%s", result.err);
	cr_expect_not_null(strstr(result.err, "--help"), "it says what to do: %s", result.err);
	cr_expect_str_empty(result.out);
	test_ctl_result_done(&result);
}

void test_ctl_expect_failure(struct test_ctl_result result, const char *part)
{
	cr_expect_eq(result.status, 1, "%s", result.err);
	cr_expect_eq(strncmp(result.err, "facematchctl: ", 14), 0, "%s", result.err);
	cr_expect_not_null(strstr(result.err, part), "%s", result.err);
	test_ctl_result_done(&result);
}

/* Criterion runs no teardown after a skip. */
static void skip(const char *why)
{
	test_ctl_teardown();
	cr_skip("%s", why);
}

void test_ctl_model(const char *name, char ret_path[TEST_CTL_PATH])
{
	snprintf(ret_path, TEST_CTL_PATH, "%s/build/models/%s.onnx", root, name);
	if (access(ret_path, R_OK) < 0)
		skip("build/models is not there: make models");
}

void test_ctl_photo(const char *name, char ret_path[TEST_CTL_PATH])
{
	snprintf(ret_path, TEST_CTL_PATH, "%s/build/demo/%s", root, name);
	if (access(ret_path, R_OK) < 0)
		skip("build/demo is not there: make demo-photos");
}

void test_ctl_write(const char *name, const void *bytes, size_t length)
{
	char path[TEST_CTL_PATH];

	cr_assert_eq(fm_file_write(test_ctl_path(name, path), bytes, length, 0644, NULL), FM_OK);
}

const unsigned char test_ctl_blank_png[TEST_CTL_BLANK_PNG_BYTES] = {0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a,
        0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b,
        0x55, 0, 0, 0, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0xf8, 0x0f, 0, 1, 1, 1, 0, 0x1c, 0xb0,
        0x8c, 0x99, 0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

json_t *test_ctl_json(const char *text)
{
	json_error_t error;
	json_t *json = json_loads(text, 0, &error);

	cr_assert_not_null(json, "%s: %s", error.text, text);
	return json;
}

double test_ctl_number(const json_t *json, const char *key)
{
	json_t *value = json_object_get(json, key);

	cr_assert(json_is_number(value), "no number '%s'", key);
	return json_number_value(value);
}
