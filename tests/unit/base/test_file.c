#include "lib/base/cleanup.h"
#include "lib/base/file.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char directory[64];

static void make_directory(void)
{
	snprintf(directory, sizeof(directory), "/tmp/test_file.XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
}

static void remove_directory(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	cr_assert_eq(system(command), 0);
}

TestSuite(file, .init = make_directory, .fini = remove_directory);

static const char *in_directory(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static size_t entries(void)
{
	DIR *dir = opendir(directory);
	size_t count = 0;

	cr_assert_not_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

Test(file, what_is_written_is_read)
{
	fm_autofree char *bytes = NULL;
	size_t length;
	struct fm_error err;

	cr_assert_eq(fm_file_write(in_directory("a"), "x\0y\xff", 4, 0600, &err), FM_OK);
	cr_assert_eq(fm_file_read(in_directory("a"), 4, &bytes, &length, &err), FM_OK, "%s", err.message);
	cr_assert_eq(length, 4);
	cr_assert_eq(memcmp(bytes, "x\0y\xff", 5), 0, "a NUL follows");
}

Test(file, an_empty_file_is_read)
{
	fm_autofree char *bytes = NULL;
	size_t length = 1;

	cr_assert_eq(fm_file_write(in_directory("a"), "", 0, 0600, NULL), FM_OK);
	cr_assert_eq(fm_file_read(in_directory("a"), 0, &bytes, &length, NULL), FM_OK);
	cr_assert_eq(length, 0);
	cr_assert_str_eq(bytes, "");
}

Test(file, one_byte_over_the_limit_is_refused)
{
	char *bytes = (char *)"untouched";
	size_t length = 7;
	struct fm_error err = {0};

	cr_assert_eq(fm_file_write(in_directory("a"), "12345", 5, 0600, NULL), FM_OK);
	cr_assert_eq(fm_file_read(in_directory("a"), 4, &bytes, &length, &err), FM_E_TOO_LARGE);
	cr_assert_not_null(strstr(err.message, in_directory("a")));
	cr_assert_str_eq(bytes, "untouched");
	cr_assert_eq(length, 7);
}

Test(file, a_device_without_end_is_refused)
{
	char *bytes;
	size_t length;

	cr_assert_eq(fm_file_read("/dev/zero", 1000000, &bytes, &length, NULL), FM_E_TOO_LARGE);
}

Test(file, a_file_without_a_size_is_read)
{
	fm_autofree char *bytes = NULL;
	size_t length;

	cr_assert_eq(fm_file_read("/proc/self/status", 100000, &bytes, &length, NULL), FM_OK);
	cr_assert_gt(length, 100);
	cr_assert_eq(strlen(bytes), length);
	cr_assert_eq(strncmp(bytes, "Name:", 5), 0);
}

Test(file, errors_tell_what_is_wrong)
{
	char *bytes;
	size_t length;
	struct fm_error err = {0};

	cr_assert_eq(fm_file_read(in_directory("absent"), 10, &bytes, &length, &err), FM_E_NOT_FOUND);
	cr_assert_not_null(strstr(err.message, "absent"));
	cr_assert_eq(fm_file_read(directory, 10, &bytes, &length, &err), FM_E_IO);
	cr_assert_not_null(strstr(err.message, "directory"));
	cr_assert_eq(fm_file_write("/nonexistent-directory/a", "x", 1, 0600, &err), FM_E_NOT_FOUND);
	cr_assert_not_null(strstr(err.message, "/nonexistent-directory/a"));
}

Test(file, the_mode_is_exact_whatever_the_umask)
{
	struct stat info;

	umask(0077);
	cr_assert_eq(fm_file_write(in_directory("open"), "x", 1, 0644, NULL), FM_OK);
	cr_assert_eq(stat(in_directory("open"), &info), 0);
	cr_assert_eq(info.st_mode & 07777, 0644);
	umask(0);
	cr_assert_eq(fm_file_write(in_directory("secret"), "x", 1, 0600, NULL), FM_OK);
	cr_assert_eq(stat(in_directory("secret"), &info), 0);
	cr_assert_eq(info.st_mode & 07777, 0600);
}

Test(file, replacing_is_whole_and_leaves_nothing_behind)
{
	fm_autofree char *bytes = NULL;
	size_t length;
	char old[16] = {0};

	cr_assert_eq(fm_file_write(in_directory("a"), "old text", 8, 0600, NULL), FM_OK);
	fm_autoclose int fd = open(in_directory("a"), O_RDONLY);
	cr_assert_eq(fm_file_write(in_directory("a"), "new", 3, 0600, NULL), FM_OK);

	cr_assert_eq(read(fd, old, sizeof(old)), 8, "who has the old file open keeps it");
	cr_assert_str_eq(old, "old text");
	cr_assert_eq(fm_file_read(in_directory("a"), 100, &bytes, &length, NULL), FM_OK);
	cr_assert_str_eq(bytes, "new");
	cr_assert_eq(entries(), 1);
}

Test(file, a_failed_replacement_leaves_nothing_behind)
{
	cr_assert_eq(mkdir(in_directory("a"), 0700), 0);
	cr_assert_neq(fm_file_write(in_directory("a"), "x", 1, 0600, NULL), FM_OK);
	cr_assert_eq(entries(), 1);
}
