#include "cli/output.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/banned.h"

static char dir[] = "/tmp/facematchctl-output-XXXXXX";
static char path[128];

static void setup(void)
{
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/out", dir);
}

static void teardown(void)
{
	unlink(path);
	cr_expect_eq(rmdir(dir), 0);
}

TestSuite(output, .init = setup, .fini = teardown);

Test(output, replaces_a_file)
{
	fm_autofree char *text = NULL;
	size_t length;

	cr_assert_eq(fm_output_write(path, "longer text", 11, NULL), FM_OK);
	cr_assert_eq(fm_output_write(path, "short", 5, NULL), FM_OK);
	cr_assert_eq(fm_file_read(path, 100, &text, &length, NULL), FM_OK);
	cr_expect_str_eq(text, "short");
}

Test(output, a_pipe_stays_a_pipe)
{
	struct stat info;
	char got[16] = "";

	cr_assert_eq(mkfifo(path, 0600), 0);
	fm_autoclose int reader = open(path, O_RDONLY | O_NONBLOCK);
	cr_assert_geq(reader, 0);
	cr_assert_eq(fm_output_write(path, "through", 7, NULL), FM_OK);
	cr_expect_eq(read(reader, got, sizeof(got)), 7);
	cr_expect_str_eq(got, "through");
	cr_expect_eq(stat(path, &info), 0);
	cr_expect(S_ISFIFO(info.st_mode));
}

Test(output, errors_name_the_path)
{
	char below[160];
	struct fm_error err;

	cr_assert_eq(fm_output_write(path, "x", 1, NULL), FM_OK);
	snprintf(below, sizeof(below), "%s/y", path);
	cr_expect_lt(fm_output_write(below, "x", 1, &err), 0);
	cr_expect_not_null(strstr(err.message, path));
	cr_expect_lt(fm_output_write(dir, "x", 1, &err), 0, "a directory is no file");
}
