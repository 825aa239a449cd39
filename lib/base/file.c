#include "lib/base/file.h"

#include "lib/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/banned.h"

enum fm_status fm_file_read(
        const char *path, size_t maximum_bytes, char **ret_bytes, size_t *ret_length, struct fm_error *err)
{
	fm_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat info;

	if (fd < 0 || fstat(fd, &info) < 0)
		return fm_fail_errno(err, errno, "cannot open %s", path);
	if (S_ISDIR(info.st_mode))
		return fm_fail_errno(err, EISDIR, "cannot read %s", path);
	if (S_ISREG(info.st_mode) && (unsigned long long)info.st_size > maximum_bytes)
		return fm_fail(err, FM_E_TOO_LARGE, "%s has %lld bytes, more than the %zu allowed", path,
		        (long long)info.st_size, maximum_bytes);

	/* The size is a hint only: pipes and /proc files have none, and a file may grow while it is read. */
	size_t capacity = S_ISREG(info.st_mode) && info.st_size > 0 ? (size_t)info.st_size + 1 : 65536;
	size_t length = 0;
	fm_autofree char *bytes = malloc(capacity);
	if (!bytes)
		return fm_fail(err, FM_E_NOMEM, "no memory to read %s", path);
	for (;;) {
		if (length + 1 >= capacity) {
			if (length > maximum_bytes)
				return fm_fail(err, FM_E_TOO_LARGE, "%s has more than the %zu bytes allowed",
				        path, maximum_bytes);
			size_t grown = capacity + capacity / 2 + 64;
			char *more = realloc(bytes, grown);
			if (!more)
				return fm_fail(err, FM_E_NOMEM, "no memory to read %s", path);
			bytes = more;
			capacity = grown;
		}
		ssize_t n = read(fd, bytes + length, capacity - length - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fm_fail_errno(err, errno, "cannot read %s", path);
		if (n == 0)
			break;
		length += (size_t)n;
	}
	if (length > maximum_bytes)
		return fm_fail(
		        err, FM_E_TOO_LARGE, "%s has more than the %zu bytes allowed", path, maximum_bytes);
	bytes[length] = '\0';
	*ret_bytes = fm_steal(bytes);
	*ret_length = length;
	return FM_OK;
}

static enum fm_status write_all(
        int fd, const char *path, const char *bytes, size_t length, struct fm_error *err)
{
	while (length) {
		ssize_t n = write(fd, bytes, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fm_fail_errno(err, errno, "cannot write %s", path);
		bytes += n;
		length -= (size_t)n;
	}
	return FM_OK;
}

enum fm_status fm_file_write(
        const char *path, const void *bytes, size_t length, mode_t mode, struct fm_error *err)
{
	fm_autofree char *temporary = NULL;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
		temporary = NULL;
		return fm_fail(err, FM_E_NOMEM, "no memory to write %s", path);
	}
	fm_autoclose int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return fm_fail_errno(err, errno, "cannot create a file beside %s", path);

	enum fm_status status = write_all(fd, path, bytes, length, err);
	if (!status && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		status = fm_fail_errno(err, errno, "cannot write %s", path);
	if (!status && rename(temporary, path) < 0)
		status = fm_fail_errno(err, errno, "cannot replace %s", path);
	if (status)
		unlink(temporary);
	return status;
}
