#include "cli/output.h"

#include "lib/base/cleanup.h"
#include "lib/base/file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/banned.h"

static enum fm_status make_parents(const char *path, struct fm_error *err)
{
	fm_autofree char *parent = strdup(path);

	if (!parent)
		return fm_fail(err, FM_E_NOMEM, "no memory to write %s", path);
	for (char *slash = strchr(parent + 1, '/'); *parent && slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(parent, 0777) < 0 && errno != EEXIST)
			return fm_fail_errno(err, errno, "cannot create the directory %s", parent);
		*slash = '/';
	}
	return FM_OK;
}

static enum fm_status write_in_place(const char *path, const void *bytes, size_t length, struct fm_error *err)
{
	FILE *out = fopen(path, "we");

	if (!out)
		return fm_fail_errno(err, errno, "cannot open %s", path);
	bool failed = fwrite(bytes, 1, length, out) != length;
	failed |= fclose(out) != 0;
	return failed ? fm_fail_errno(err, errno, "cannot write %s", path) : FM_OK;
}

enum fm_status fm_output_write(const char *path, const void *bytes, size_t length, struct fm_error *err)
{
	struct stat info;

	if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
		return write_in_place(path, bytes, length, err);
	enum fm_status status = make_parents(path, err);
	return status ? status : fm_file_write(path, bytes, length, 0644, err);
}
