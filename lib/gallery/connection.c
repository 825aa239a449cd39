#include "lib/gallery/connection.h"

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define BUSY_TIMEOUT_MS 5000
#define URI_MAX_BYTES   (4 * PATH_MAX)
/* Far above any row of ours; a damaged length in the file cannot ask for more. */
#define VALUE_MAX_BYTES (1 << 20)

enum fm_status fm_sql_status(int code, int system_errno)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE: return FM_OK;
	case SQLITE_NOMEM: return FM_E_NOMEM;
	case SQLITE_FULL: return FM_E_STORAGE_FULL;
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return FM_E_BUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return FM_E_CORRUPT;
	case SQLITE_TOOBIG: return FM_E_TOO_LARGE;
	case SQLITE_IOERR:
		/* SQLite says FULL for ENOSPC alone; a quota or a file size limit is as full. */
		if (system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG)
			return FM_E_STORAGE_FULL;
		return code == SQLITE_IOERR_NOMEM ? FM_E_NOMEM : FM_E_IO;
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_PROTOCOL:
	case SQLITE_NOLFS: return FM_E_IO;
	case SQLITE_CONSTRAINT:
		if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
			return FM_E_CONFLICT;
		/* The row that a new one belongs to is gone. */
		return code == SQLITE_CONSTRAINT_FOREIGNKEY ? FM_E_NOT_FOUND : FM_E_INTERNAL;
	default: return FM_E_INTERNAL;
	}
}

/*
 * Why the last write failed. sqlite3_system_errno() is 0 when it was a COMMIT that wrote the log; the log's
 * file handle knows.
 */
static int write_errno(sqlite3 *db)
{
	int number = sqlite3_system_errno(db);
	sqlite3_file *log = NULL;

	if (!number && sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK &&
	        log && log->pMethods)
		log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &number);
	return number;
}

enum fm_status fm_connection_fail(struct fm_connection *connection, int code, struct fm_error *err)
{
	bool wrote = code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_FSYNC;
	int system_errno = wrote && connection->db ? write_errno(connection->db) : 0;
	const char *message = connection->db ? sqlite3_errmsg(connection->db) : sqlite3_errstr(code);
	const char *advice = "";
	enum fm_status status = fm_sql_status(code, system_errno);

	if (status == FM_OK) /* a caller that expected something else than success */
		return fm_fail(err, FM_E_INTERNAL, "gallery: unexpected SQLite result %d", code);
	if (status == FM_E_CORRUPT)
		advice = ": restore a backup, or salvage what can be read with sqlite3's .recover";
	else if (status == FM_E_STORAGE_FULL)
		advice = ": free some space on the gallery's disk";
	else if (status == FM_E_IO)
		advice = ": the gallery's disk gives errors or is read-only; the kernel's log says more";
	else if (status == FM_E_BUSY)
		advice = ": another program holds the gallery";
	return fm_fail(err, status, "gallery: %s (SQLite %d)%s", message, code, advice);
}

enum fm_status fm_connection_script(struct fm_connection *connection, const char *sql, struct fm_error *err)
{
	int code = sqlite3_exec(connection->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? FM_OK : fm_connection_fail(connection, code, err);
}

static void finalize_pointer(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement);
}

enum fm_status fm_connection_integer(
        struct fm_connection *connection, const char *sql, int64_t *ret_value, struct fm_error *err)
{
	fm_cleanup(finalize_pointer) sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(connection->db, sql, -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code != SQLITE_ROW)
		return fm_connection_fail(connection, code, err);
	*ret_value = sqlite3_column_int64(statement, 0);
	return FM_OK;
}

/*
 * What a database file may do to us is kept small: no code from its schema that is not innocuous, no double
 * quoted "strings", cell sizes checked on every page, no mmap (a truncated file would be SIGBUS), and nothing
 * spilled into temporary files. secure_delete writes zeros over what is deleted.
 */
static enum fm_status open_with(
        struct fm_connection *connection, const char *path, int flags, struct fm_error *err)
{
	static const struct {
		int option, value;
	} options[] = {
	        {SQLITE_DBCONFIG_DEFENSIVE, 1},
	        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
	        {SQLITE_DBCONFIG_DQS_DML, 0},
	        {SQLITE_DBCONFIG_DQS_DDL, 0},
	        {SQLITE_DBCONFIG_ENABLE_FKEY, 1},
	        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 1},
	};
	/* One thread at a time uses a connection, so SQLite's own mutexes would only cost. */
	int code = sqlite3_open_v2(
	        path, &connection->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (code != SQLITE_OK)
		return fm_connection_fail(connection, code, err);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		code = sqlite3_db_config(connection->db, options[i].option, options[i].value, (int *)NULL);
		if (code != SQLITE_OK)
			return fm_connection_fail(connection, code, err);
	}
	sqlite3_limit(connection->db, SQLITE_LIMIT_LENGTH, VALUE_MAX_BYTES);
	sqlite3_limit(connection->db, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_busy_timeout(connection->db, BUSY_TIMEOUT_MS);
	return fm_connection_script(connection,
	        "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;"
	        "PRAGMA secure_delete = ON; PRAGMA synchronous = FULL",
	        err);
}

enum fm_status fm_connection_open(struct fm_connection *connection, const char *path, struct fm_error *err)
{
	return open_with(connection, path, SQLITE_OPEN_READWRITE, err);
}

/* A path as a file: URI (SQLite, "URI Filenames"). */
static enum fm_status write_uri(const char *path, const char *query, char **ret_uri, struct fm_error *err)
{
	struct fm_buf uri;

	fm_buf_init(&uri, URI_MAX_BYTES);
	enum fm_status status = fm_buf_append(&uri, "file:", 5, err);

	for (; status == FM_OK && *path; path++)
		status = strchr("%?#", *path)
		                 ? fm_buf_printf(&uri, err, "%%%02X", (unsigned)(unsigned char)*path)
		                 : fm_buf_append(&uri, path, 1, err);
	if (status == FM_OK)
		status = fm_buf_append(&uri, query, strlen(query) + 1, err);
	if (status == FM_OK) {
		size_t length;

		*ret_uri = fm_buf_take(&uri, &length);
	}
	fm_buf_done(&uri);
	return status;
}

enum fm_status fm_connection_open_to_read(
        struct fm_connection *connection, const char *path, struct fm_error *err)
{
	fm_autofree char *log = NULL;
	fm_autofree char *uri = NULL;

	if (asprintf(&log, "%s-wal", path) < 0) {
		log = NULL;
		return fm_fail(err, FM_E_NOMEM, "gallery: no memory for a path");
	}
	/* Without a log nobody is at work on the file; then not even SQLite's own files are made beside it.
	 */
	const bool alone = access(log, F_OK) < 0;
	enum fm_status status = write_uri(path, alone ? "?immutable=1" : "", &uri, err);

	return status == FM_OK ? open_with(connection, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err)
	                       : status;
}

/*
 * Pages of 2 KiB: a face of 512 dimensions keeps its embedding on an overflow page of its own (layout.h), and
 * little is wasted: 2.5 kB a face, against 4.3 with 4 KiB and 2.9 with 8 KiB. A transaction writes a quarter
 * of the bytes. The page size counts for a new file only.
 */
enum fm_status fm_connection_use_wal(struct fm_connection *connection, struct fm_error *err)
{
	int64_t is_wal;
	enum fm_status status = fm_connection_script(connection, "PRAGMA page_size = 2048", err);

	if (status == FM_OK)
		status = fm_connection_script(connection, "PRAGMA journal_mode = WAL", err);
	if (status == FM_OK)
		status = fm_connection_integer(
		        connection, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &is_wal, err);
	if (status == FM_OK && !is_wal)
		return fm_fail(err, FM_E_UNSUPPORTED,
		        "the gallery's file system cannot hold a write-ahead log: use a local disk");
	return status;
}

enum fm_status fm_connection_prepare(struct fm_connection *connection, struct fm_error *err)
{
	for (size_t i = 0; i < FM_SQL_COUNT; i++) {
		int code = sqlite3_prepare_v3(connection->db, fm_sql_table[i].text, -1,
		        SQLITE_PREPARE_PERSISTENT, &connection->statements[i], NULL);

		if (code != SQLITE_OK)
			return fm_connection_fail(connection, code, err);
	}
	return FM_OK;
}

void fm_connection_close(struct fm_connection *connection)
{
	for (size_t i = 0; i < FM_SQL_COUNT; i++)
		sqlite3_finalize(connection->statements[i]);
	sqlite3_close(connection->db);
	memset(connection, 0, sizeof(*connection));
}

static int bind(sqlite3_stmt *statement, int index, const struct fm_param *param)
{
	switch (param->type) {
	case SQLITE_INTEGER: return sqlite3_bind_int64(statement, index, param->integer);
	case SQLITE_FLOAT: return sqlite3_bind_double(statement, index, param->real);
	case SQLITE_TEXT: return sqlite3_bind_text(statement, index, param->bytes, -1, SQLITE_STATIC);
	case SQLITE_BLOB:
		if (param->length > VALUE_MAX_BYTES)
			return SQLITE_TOOBIG;
		return sqlite3_bind_blob(statement, index, param->bytes, (int)param->length, SQLITE_STATIC);
	default: return SQLITE_MISUSE;
	}
}

enum fm_status fm_query_start(struct fm_query *query, struct fm_connection *connection, enum fm_sql sql,
        const struct fm_param *params, size_t count, struct fm_error *err)
{
	query->connection = connection;
	query->statement = connection->statements[sql];
	if (count != (size_t)sqlite3_bind_parameter_count(query->statement))
		return fm_fail(err, FM_E_INTERNAL, "gallery: statement %d takes %d parameters, not %zu", sql,
		        sqlite3_bind_parameter_count(query->statement), count);
	for (size_t i = 0; i < count; i++) {
		int code = bind(query->statement, (int)i + 1, &params[i]);

		if (code != SQLITE_OK)
			return fm_connection_fail(connection, code, err);
	}
	return FM_OK;
}

enum fm_status fm_query_next(struct fm_query *query, bool *ret_row, struct fm_error *err)
{
	int code = sqlite3_step(query->statement);

	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return fm_connection_fail(query->connection, code, err);
	*ret_row = code == SQLITE_ROW;
	return FM_OK;
}

enum fm_status fm_query_text(struct fm_query *query, int column, char **ret_text, struct fm_error *err)
{
	char *copy = NULL;

	if (sqlite3_column_type(query->statement, column) != SQLITE_NULL) {
		const char *text = (const char *)sqlite3_column_text(query->statement, column);

		copy = text ? strdup(text) : NULL;
		if (!copy)
			return fm_fail(err, FM_E_NOMEM, "gallery: no memory for a row");
	}
	*ret_text = copy;
	return FM_OK;
}

void fm_query_done(struct fm_query *query)
{
	if (!query->statement)
		return;
	sqlite3_reset(query->statement);
	sqlite3_clear_bindings(query->statement);
	memset(query, 0, sizeof(*query));
}

enum fm_status fm_execute(struct fm_connection *connection, enum fm_sql sql, const struct fm_param *params,
        size_t count, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool row;
	enum fm_status status = fm_query_start(&query, connection, sql, params, count, err);

	return status == FM_OK ? fm_query_next(&query, &row, err) : status;
}
