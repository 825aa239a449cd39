#include "lib/gallery/gallery.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/internal.h"
#include "lib/gallery/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/base/banned.h"

/*
 * Creates the file for us alone, before SQLite would create it under the umask, and refuses what is no
 * database without touching it. *ret_path is absolute: SQLite takes "file:…" and ":memory:" for something
 * else, and the process may change its directory. *ret_unclean: a log was left behind.
 */
static enum fm_status claim_file(const char *path, char **ret_path, bool *ret_unclean, struct fm_error *err)
{
	static const char magic[16] = "SQLite format 3";
	fm_autoclose int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
	char head[sizeof(magic)];
	struct stat file, log;

	if (fd >= 0) {
		if (fchmod(fd, 0600) < 0)
			return fm_fail_errno(err, errno, "%s", path);
	} else {
		fd = errno == EEXIST ? open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
		if (fd < 0)
			return fm_fail_errno(err, errno, "%s", path);
	}
	if (fstat(fd, &file) < 0)
		return fm_fail_errno(err, errno, "%s", path);
	if (!S_ISREG(file.st_mode))
		return fm_fail(err, FM_E_IO, "%s: not a regular file", path);
	if (file.st_size > 0) {
		ssize_t got = pread(fd, head, sizeof(head), 0);

		if (got < 0)
			return fm_fail_errno(err, errno, "%s", path);
		if (got < (ssize_t)sizeof(head) || memcmp(head, magic, sizeof(magic)) != 0)
			return fm_fail(err, FM_E_CORRUPT,
			        "%s: not a gallery (no SQLite header): left as it is; move it away or "
			        "restore a "
			        "backup",
			        path);
	}
	fm_autofree char *absolute = realpath(path, NULL);
	fm_autofree char *log_path = NULL;

	if (!absolute)
		return fm_fail_errno(err, errno, "%s", path);
	if (asprintf(&log_path, "%s-wal", absolute) < 0) {
		log_path = NULL;
		return fm_fail(err, FM_E_NOMEM, "%s: no memory", path);
	}
	*ret_unclean = stat(log_path, &log) == 0 && log.st_size > 0;
	*ret_path = fm_steal(absolute);
	return FM_OK;
}

/*
 * What is checked at start: the header, application_id, the schema's version, and SQLite's own comparison of
 * the header's page count with the file (a truncated file fails there). PRAGMA quick_check reads the whole
 * file, so it runs where damage is likely, that is when the last process did not close the gallery and left
 * its log (crash, power cut), and not at every start. Pages are checked as they are read in either case.
 */
static enum fm_status check_pages(struct fm_connection *connection, struct fm_error *err)
{
	int64_t sound;
	enum fm_status status = fm_connection_integer(
	        connection, "SELECT quick_check = 'ok' FROM pragma_quick_check(1)", &sound, err);

	if (status == FM_OK && !sound)
		return fm_fail(err, FM_E_CORRUPT,
		        "the gallery is damaged: restore a backup, or salvage what can be read with "
		        "sqlite3's "
		        ".recover");
	return status;
}

static enum fm_status open_connections(
        struct fm_gallery *gallery, const char *path, bool unclean, struct fm_error *err)
{
	enum fm_status status = fm_connection_open(&gallery->writer, path, err);

	if (status == FM_OK)
		status = fm_schema_check(&gallery->writer, err); /* before anything is written */
	if (status == FM_OK && unclean)
		status = check_pages(&gallery->writer, err);
	if (status == FM_OK)
		status = fm_connection_use_wal(&gallery->writer, err);
	if (status == FM_OK)
		status = fm_schema_migrate(&gallery->writer, err);
	if (status == FM_OK)
		status = fm_connection_prepare(&gallery->writer, err);
	for (size_t i = 0; i < FM_GALLERY_READERS && status == FM_OK; i++) {
		struct fm_connection *reader = &gallery->readers[i];

		status = fm_connection_open(reader, path, err);
		if (status == FM_OK)
			status = fm_connection_script(reader, "PRAGMA query_only = ON", err);
		if (status == FM_OK)
			status = fm_connection_prepare(reader, err);
		gallery->idle[gallery->idle_count++] = reader;
	}
	/* A process that was killed may have owed an erasure. */
	if (status == FM_OK && unclean)
		fm_erase_log(gallery, 0);
	return status;
}

/* On Linux none of these can fail. */
static void init_locks(struct fm_gallery *gallery)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&gallery->pool_changed, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&gallery->pool_lock, NULL);
	pthread_mutex_init(&gallery->write_lock, NULL);
	pthread_mutex_init(&gallery->queue_lock, NULL);
}

FM_DEFINE_CLEANUP(struct fm_gallery *, fm_gallery_close);

enum fm_status fm_gallery_open(const char *path, struct fm_gallery **ret_gallery, struct fm_error *err)
{
	return fm_gallery_open_sealed(path, NULL, ret_gallery, err);
}

enum fm_status fm_gallery_open_sealed(
        const char *path, const char *key_file, struct fm_gallery **ret_gallery, struct fm_error *err)
{
	fm_cleanup(fm_gallery_closep) struct fm_gallery *gallery = NULL;
	fm_autofree char *absolute = NULL;
	bool unclean;
	enum fm_status status = claim_file(path, &absolute, &unclean, err);

	if (status != FM_OK)
		return status;
	gallery = fm_calloc(1, sizeof(*gallery));
	if (!gallery)
		return fm_fail(err, FM_E_NOMEM, "%s: no memory", path);
	init_locks(gallery);
	if (key_file)
		status = fm_sealer_read(key_file, &gallery->sealer, err);
	if (status != FM_OK)
		return status;
	status = open_connections(gallery, absolute, unclean, err);
	if (status == FM_OK)
		status = fm_reserve_open(&gallery->reserve, absolute, err);
	if (status == FM_OK)
		status = fm_sealed_attach(gallery, err);
	if (status != FM_OK)
		return fm_fail_prefix(err, status, "%s", path);
	*ret_gallery = fm_steal(gallery);
	return FM_OK;
}

/* The readers go first: the last connection to close is the one that empties and removes the log. */
void fm_gallery_close(struct fm_gallery *gallery)
{
	if (!gallery)
		return;
	for (size_t i = 0; i < FM_GALLERY_READERS; i++)
		fm_connection_close(&gallery->readers[i]);
	fm_connection_close(&gallery->writer);
	pthread_cond_destroy(&gallery->pool_changed);
	pthread_mutex_destroy(&gallery->pool_lock);
	pthread_mutex_destroy(&gallery->write_lock);
	pthread_mutex_destroy(&gallery->queue_lock);
	fm_reserve_close(&gallery->reserve);
	fm_sealer_wipe(&gallery->sealer);
	free(gallery);
}

int64_t fm_monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void give_back(struct fm_gallery *gallery, struct fm_connection *connection)
{
	pthread_mutex_lock(&gallery->pool_lock);
	connection->busy_since_ms = 0;
	gallery->idle[gallery->idle_count++] = connection;
	bool last_of_old = gallery->erase_owed && gallery->idle_count == FM_GALLERY_READERS;

	pthread_cond_broadcast(&gallery->pool_changed);
	pthread_mutex_unlock(&gallery->pool_lock);
	if (last_of_old && pthread_mutex_trylock(&gallery->write_lock) == 0) {
		fm_erase_log(gallery, 0);
		pthread_mutex_unlock(&gallery->write_lock);
	}
}

enum fm_status fm_reader_begin(struct fm_gallery *gallery, struct fm_reader *reader, struct fm_error *err)
{
	pthread_mutex_lock(&gallery->pool_lock);
	while (gallery->idle_count == 0 || gallery->held)
		pthread_cond_wait(&gallery->pool_changed, &gallery->pool_lock);
	struct fm_connection *connection = gallery->idle[--gallery->idle_count];

	connection->busy_since_ms = fm_monotonic_ms();
	pthread_mutex_unlock(&gallery->pool_lock);

	enum fm_status status = fm_execute(connection, FM_SQL_BEGIN_READ, NULL, 0, err);

	if (status != FM_OK) {
		give_back(gallery, connection);
		return status;
	}
	reader->gallery = gallery;
	reader->connection = connection;
	return FM_OK;
}

void fm_reader_done(struct fm_reader *reader)
{
	if (!reader->gallery)
		return;
	if (!sqlite3_get_autocommit(reader->connection->db))
		fm_execute(reader->connection, FM_SQL_ROLLBACK, NULL, 0, NULL);
	give_back(reader->gallery, reader->connection);
	memset(reader, 0, sizeof(*reader));
}

void fm_gallery_trim(struct fm_gallery *gallery)
{
	pthread_mutex_lock(&gallery->pool_lock);
	for (size_t i = 0; i < gallery->idle_count; i++)
		sqlite3_db_release_memory(gallery->idle[i]->db);
	pthread_mutex_unlock(&gallery->pool_lock);
	pthread_mutex_lock(&gallery->write_lock);
	sqlite3_db_release_memory(gallery->writer.db);
	pthread_mutex_unlock(&gallery->write_lock);
}

void fm_gallery_observe(struct fm_gallery *gallery, const struct fm_gallery_observer *observer)
{
	pthread_mutex_lock(&gallery->write_lock);
	gallery->observer = *observer;
	pthread_mutex_unlock(&gallery->write_lock);
}
