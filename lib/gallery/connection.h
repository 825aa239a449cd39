/*
 * One SQLite connection with the house's settings and every statement prepared; with statements.c and
 *schema.c it is all that speaks SQL. Parameters are bound by value, in order:
 *
 *	fm_cleanup(fm_query_done) struct fm_query query = {0};
 *	status = fm_query_start(&query, connection, FM_SQL_PERSON_GET, FM_PARAMS(FM_INT(key), FM_TEXT(id)),
 *err); if (status == FM_OK) status = fm_query_next(&query, &found, err);
 *
 * Threads: a connection is used by one thread at a time; callers lock.
 */
#ifndef FM_GALLERY_CONNECTION_H
#define FM_GALLERY_CONNECTION_H

#include "lib/base/status.h"
#include "lib/gallery/statements.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fm_sealer;

struct fm_connection {
	sqlite3 *db;
	sqlite3_stmt *statements[FM_SQL_COUNT];
	int64_t busy_since_ms;          /* a reader's, monotonic; 0 while it is idle */
	const struct fm_sealer *sealer; /* the gallery's, or NULL: rows are plain */
};

/*
 * Opens an existing file (an absolute path) without changing it. A zeroed struct may be closed.
 * Errors: FM_E_IO, FM_E_CORRUPT, FM_E_NOMEM.
 */
enum fm_status fm_connection_open(struct fm_connection *connection, const char *path, struct fm_error *err);
/* The same without a way to change it, or to make files beside it where nobody else has it open. */
enum fm_status fm_connection_open_to_read(
        struct fm_connection *connection, const char *path, struct fm_error *err);
void fm_connection_close(struct fm_connection *connection);

/* WAL and durability: writes to the file. FM_E_UNSUPPORTED where the file system cannot do WAL. */
enum fm_status fm_connection_use_wal(struct fm_connection *connection, struct fm_error *err);
enum fm_status fm_connection_prepare(struct fm_connection *connection, struct fm_error *err);

/* The only translation of SQLite's result codes. `system_errno` is why a write failed, or 0. */
enum fm_status fm_sql_status(int code, int system_errno);
enum fm_status fm_connection_fail(struct fm_connection *connection, int code, struct fm_error *err);

/* For start-up: statements without parameters; the first column of the first row, which must be there. */
enum fm_status fm_connection_script(struct fm_connection *connection, const char *sql, struct fm_error *err);
enum fm_status fm_connection_integer(
        struct fm_connection *connection, const char *sql, int64_t *ret_value, struct fm_error *err);

struct fm_param {
	int type; /* SQLITE_INTEGER, SQLITE_FLOAT, SQLITE_TEXT, SQLITE_BLOB */
	int64_t integer;
	double real;
	const void *bytes; /* NULL binds NULL; must live until the query is done */
	size_t length;
};

#define FM_INT(value)          ((struct fm_param){.type = SQLITE_INTEGER, .integer = (value)})
#define FM_REAL(value)         ((struct fm_param){.type = SQLITE_FLOAT, .real = (value)})
#define FM_TEXT(text)          ((struct fm_param){.type = SQLITE_TEXT, .bytes = (text)})
#define FM_BLOB(memory, count) ((struct fm_param){.type = SQLITE_BLOB, .bytes = (memory), .length = (count)})
#define FM_PARAMS(...)                                                                                       \
	(const struct fm_param[]){__VA_ARGS__},                                                              \
	        sizeof((const struct fm_param[]){__VA_ARGS__}) / sizeof(struct fm_param)

struct fm_query {
	struct fm_connection *connection;
	sqlite3_stmt *statement;
};

enum fm_status fm_query_start(struct fm_query *query, struct fm_connection *connection, enum fm_sql sql,
        const struct fm_param *params, size_t count, struct fm_error *err);
/* *ret_row is false after the last row. */
enum fm_status fm_query_next(struct fm_query *query, bool *ret_row, struct fm_error *err);
/* A copy of a text column; NULL stays NULL. The caller frees it. */
enum fm_status fm_query_text(struct fm_query *query, int column, char **ret_text, struct fm_error *err);
void fm_query_done(struct fm_query *query);

/* Start, run to the end, done. */
enum fm_status fm_execute(struct fm_connection *connection, enum fm_sql sql, const struct fm_param *params,
        size_t count, struct fm_error *err);

#endif
