#include "lib/base/cleanup.h"
#include "lib/gallery/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/banned.h"

/* Every statement of the house is prepared against tables that the copy does not have yet: plain SQLite. */
static void close_copy(sqlite3 **copy)
{
	sqlite3_close(*copy);
}

static enum fm_status fail(sqlite3 *copy, int code, struct fm_error *err)
{
	return fm_fail(err, fm_sql_status(code, copy ? sqlite3_system_errno(copy) : 0),
	        "backup: %s (SQLite %d)", copy ? sqlite3_errmsg(copy) : "no memory", code);
}

/* All pages in one step: the source's snapshot holds still, and writers go on beside it. */
static enum fm_status copy_pages(sqlite3 *copy, struct fm_connection *source, struct fm_error *err)
{
	sqlite3_backup *backup = sqlite3_backup_init(copy, "main", source->db, "main");

	if (!backup)
		return fail(copy, sqlite3_extended_errcode(copy), err);
	int stepped = sqlite3_backup_step(backup, -1), finished = sqlite3_backup_finish(backup);
	if (stepped != SQLITE_DONE)
		return fail(copy, stepped, err);
	return finished == SQLITE_OK ? FM_OK : fail(copy, finished, err);
}

static enum fm_status write_copy(const char *path, struct fm_connection *source, struct fm_error *err)
{
	fm_cleanup(close_copy) sqlite3 *copy = NULL;
	int code = sqlite3_open_v2(
	        path, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	/* Nobody reads the copy before it is synced as a whole, so it needs no journal. */
	if (code == SQLITE_OK)
		code = sqlite3_exec(
		        copy, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return fail(copy, code, err);
	enum fm_status status = copy_pages(copy, source, err);
	if (status)
		return status;
	/* The copied header asks for a log beside the file; a backup is one file. */
	code = sqlite3_exec(copy, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
	return code == SQLITE_OK ? FM_OK : fail(copy, code, err);
}

enum fm_status fm_gallery_backup(
        struct fm_gallery *gallery, const char *path, int *ret_fd, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_autoclose int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return fm_fail_errno(err, errno, "%s", path);
	enum fm_status status = fchmod(fd, 0600) < 0 ? fm_fail_errno(err, errno, "%s", path) : FM_OK;
	if (!status)
		status = fm_reader_begin(gallery, &reader, err);
	if (!status)
		status = write_copy(path, reader.connection, err);
	if (!status && fsync(fd) < 0)
		status = fm_fail_errno(err, errno, "%s", path);
	if (status) {
		unlink(path);
		return status;
	}
	*ret_fd = fd;
	fd = -1;
	return FM_OK;
}
