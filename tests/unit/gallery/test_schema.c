#include "lib/base/file.h"
#include "lib/base/size.h"
#include "lib/gallery/connection.h"
#include "lib/gallery/schema.h"
#include "tests/unit/gallery/fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

TestSuite(schema, .init = make_directory, .fini = remove_directory);

/* Runs SQL on the file, behind the gallery's back. */
static void sql(const char *text)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static void expect_refused(enum fm_status status, const char *word)
{
	char *before, *after;
	size_t before_length, after_length;

	ok(fm_file_read(path, 1 << 24, &before, &before_length, &error));
	fails(status, fm_gallery_open(path, &gallery, &error));
	cr_expect_null(gallery);
	cr_expect_not_null(strstr(error.message, word), "%s", error.message);
	ok(fm_file_read(path, 1 << 24, &after, &after_length, &error));
	cr_assert_eq(after_length, before_length, "a file that is refused stays as it is");
	cr_expect_arr_eq(after, before, before_length);
	free(before);
	free(after);
}

Test(schema, the_file_is_ours_alone)
{
	struct stat status;
	char log[160];
	mode_t umask_before = umask(0);

	open_gallery();
	cr_assert_eq(stat(path, &status), 0);
	cr_expect_eq(status.st_mode & 07777, 0600);
	enroll(home, "Ann", 1, NULL);
	snprintf(log, sizeof(log), "%s-wal", path);
	cr_assert_eq(stat(log, &status), 0);
	cr_expect_eq(status.st_mode & 07777, 0600);
	close_gallery();
	cr_expect_eq(stat(log, &status), -1, "a clean close leaves no log");
	umask(umask_before);
}

Test(schema, opening_twice_migrates_once)
{
	struct fm_connection connection = {0};
	int64_t value;

	for (int i = 0; i < 3; i++) {
		open_gallery();
		enroll(home, "Ann", (uint64_t)i, NULL);
		close_gallery();
	}
	ok(fm_connection_open(&connection, path, &error));
	ok(fm_connection_integer(&connection, "PRAGMA user_version", &value, &error));
	cr_expect_eq(value, fm_schema_version());
	ok(fm_connection_integer(&connection, "PRAGMA application_id", &value, &error));
	cr_expect_eq(value, FM_GALLERY_APPLICATION_ID);
	ok(fm_connection_integer(&connection, "SELECT count(*) FROM collections", &value, &error));
	cr_expect_eq(value, 1);
	ok(fm_connection_integer(&connection,
	        "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND NOT strict"
	        " AND name NOT LIKE 'sqlite%'",
	        &value, &error));
	cr_expect_eq(value, 0, "every table is STRICT");
	fm_connection_close(&connection);
}

Test(schema, settings_of_a_connection)
{
	static const struct {
		const char *pragma;
		int64_t value;
	} expected[] = {
	        {"PRAGMA foreign_keys", 1},
	        {"PRAGMA secure_delete", 1},
	        {"PRAGMA synchronous", 2},
	        {"PRAGMA trusted_schema", 0},
	        {"PRAGMA cell_size_check", 1},
	        {"PRAGMA mmap_size", 0},
	        {"PRAGMA busy_timeout", 5000},
	        {"SELECT journal_mode = 'wal' FROM pragma_journal_mode", 1},
	};
	struct fm_connection connection = {0};

	open_gallery();
	ok(fm_connection_open(&connection, path, &error));
	for (size_t i = 0; i < FM_ARRAY_SIZE(expected); i++) {
		int64_t value = -1;

		ok(fm_connection_integer(&connection, expected[i].pragma, &value, &error));
		cr_expect_eq(value, expected[i].value, "%s is %ld", expected[i].pragma, (long)value);
	}
	fm_connection_close(&connection);
	close_gallery();
}

Test(schema, a_newer_gallery_is_refused)
{
	char pragma[64];

	open_gallery();
	close_gallery();
	snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %ld", (long)fm_schema_version() + 1);
	sql(pragma);
	expect_refused(FM_E_UNSUPPORTED, "newer");
}

Test(schema, another_programs_database_is_refused)
{
	sql("CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')");
	expect_refused(FM_E_UNSUPPORTED, "another program");
	sql("PRAGMA application_id = 1234");
	expect_refused(FM_E_UNSUPPORTED, "another program");
	/* Ours by its id, but no schema that we ever wrote. */
	sql("PRAGMA application_id = 1179477859");
	expect_refused(FM_E_CORRUPT, "version");
}

Test(schema, garbage_is_refused)
{
	char garbage[5000];

	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (char)(i * 31);
	ok(fm_file_write(path, garbage, sizeof(garbage), 0600, &error));
	expect_refused(FM_E_CORRUPT, "not a gallery");
	ok(fm_file_write(path, "x", 1, 0600, &error));
	expect_refused(FM_E_CORRUPT, "not a gallery");
	memcpy(garbage, "SQLite format 3", 16); /* a header that only starts well */
	ok(fm_file_write(path, garbage, sizeof(garbage), 0600, &error));
	expect_refused(FM_E_CORRUPT, "");
}

Test(schema, a_truncated_gallery_is_refused)
{
	struct stat status;

	open_gallery();
	for (uint64_t i = 0; i < 50; i++)
		enroll(home, "Ann", i, NULL);
	close_gallery();
	cr_assert_eq(stat(path, &status), 0);
	cr_assert_eq(truncate(path, status.st_size / 2), 0);
	expect_refused(FM_E_CORRUPT, "backup");
}

/* Damage inside a page: found at start after a crash (a log was left), since then all pages are read. */
Test(schema, damage_after_a_crash_is_found)
{
	enum { PAGE = 2048 };
	char log[160], bytes[32];
	struct stat status;

	open_gallery();
	for (uint64_t i = 0; i < 200; i++)
		enroll(home, "Ann", i, NULL);
	close_gallery();
	cr_assert_eq(stat(path, &status), 0);
	int fd = open(path, O_WRONLY);

	cr_assert_geq(fd, 0);
	memset(bytes, 0xff, sizeof(bytes));
	for (off_t page = 1; page < status.st_size / PAGE;
	        page++) /* all cell pointers, but not the schema's */
		cr_assert_eq(pwrite(fd, bytes, sizeof(bytes), page * PAGE + 8), sizeof(bytes));
	close(fd);
	snprintf(log, sizeof(log), "%s-wal", path);
	ok(fm_file_write(log, "left behind", 11, 0600, &error));
	expect_refused(FM_E_CORRUPT, "backup");
}

Test(schema, paths_that_cannot_be)
{
	char longer[200];
	char *where = getcwd(NULL, 0);

	fails(FM_E_IO, fm_gallery_open(directory, &gallery, &error));
	snprintf(longer, sizeof(longer), "%s/no/such.db", directory);
	fails(FM_E_NOT_FOUND, fm_gallery_open(longer, &gallery, &error));
	cr_expect_null(gallery);
	/* SQLite would take this for a database in memory, and lose it. */
	cr_assert_eq(chdir(directory), 0);
	ok(fm_gallery_open(":memory:", &gallery, &error));
	close_gallery();
	cr_expect_eq(access(":memory:", F_OK), 0);
	ok(fm_gallery_open("file:x?mode=memory", &gallery, &error));
	close_gallery();
	cr_expect_eq(access("file:x?mode=memory", F_OK), 0);
	cr_assert_eq(chdir(where), 0);
	free(where);
}

Test(schema, an_empty_file_becomes_a_gallery)
{
	ok(fm_file_write(path, "", 0, 0600, &error));
	open_gallery();
	enroll(home, "Ann", 1, NULL);
	close_gallery();
}

static bool allowed_scan(enum fm_sql statement, const char *detail)
{
	return strncmp(detail, "SCAN", 4) != 0 || fm_sql_table[statement].scans;
}

/* Every statement of the table, on a gallery large enough that a scan would show in the plan. */
Test(schema, every_query_is_under_an_index)
{
	struct fm_connection connection = {0};
	size_t lines = 0;

	open_gallery();
	ok(fm_connection_open(&connection, path, &error));
	for (int statement = 0; statement < FM_SQL_COUNT; statement++) {
		char text[1024];
		sqlite3_stmt *plan;

		cr_assert_not_null(fm_sql_table[statement].text, "statement %d has no text", statement);
		snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", fm_sql_table[statement].text);
		if (strncmp(fm_sql_table[statement].text, "SELECT", 6) != 0 &&
		        strncmp(fm_sql_table[statement].text, "UPDATE", 6) != 0 &&
		        strncmp(fm_sql_table[statement].text, "DELETE", 6) != 0)
			continue;
		cr_assert_eq(sqlite3_prepare_v2(connection.db, text, -1, &plan, NULL), SQLITE_OK, "%s",
		        sqlite3_errmsg(connection.db));
		while (sqlite3_step(plan) == SQLITE_ROW) {
			const char *detail = (const char *)sqlite3_column_text(plan, 3);

			lines++;
			cr_expect(allowed_scan((enum fm_sql)statement, detail), "%s: %s", text, detail);
			/* A page of people must not sort the collection first. */
			cr_expect(statement != FM_SQL_PERSON_LIST && statement != FM_SQL_PERSON_LIST_NAMED
			                  ? true
			                  : !strstr(detail, "TEMP B-TREE"),
			        "%s: %s", text, detail);
		}
		sqlite3_finalize(plan);
	}
	cr_expect_gt(lines, 15);
	fm_connection_close(&connection);
	close_gallery();
}

/* Cascades look for children; without an index a person's deletion would read every face. */
Test(schema, every_cascade_is_under_an_index)
{
	static const struct {
		const char *sql, *by;
	} children[] = {
	        {"SELECT key FROM people WHERE collection = 1", "collection=?"},
	        {"SELECT key FROM faces WHERE collection = 1 AND person = 1", "faces_by_person (person=?)"},
	        {"SELECT face FROM crops WHERE face = 1", "rowid=?"},
	        {"SELECT key FROM embeddings WHERE face = 1", "face=?"},
	        {"SELECT face FROM job_skips WHERE job = 1", "job=?"},
	        {"SELECT job FROM job_skips WHERE face = 1", "face=?"},
	};
	struct fm_connection connection = {0};
	int64_t cascades;

	open_gallery();
	ok(fm_connection_open(&connection, path, &error));
	ok(fm_connection_integer(&connection,
	        "SELECT count(*) FROM sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f"
	        " WHERE s.type = 'table' AND f.on_delete = 'CASCADE' AND f.seq = 0",
	        &cascades, &error));
	cr_expect_eq(cascades, FM_ARRAY_SIZE(children), "a new cascade needs its line above");
	for (size_t i = 0; i < FM_ARRAY_SIZE(children); i++) {
		char text[256];
		sqlite3_stmt *plan;

		snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", children[i].sql);
		cr_assert_eq(sqlite3_prepare_v2(connection.db, text, -1, &plan, NULL), SQLITE_OK);
		cr_assert_eq(sqlite3_step(plan), SQLITE_ROW);
		const char *detail = (const char *)sqlite3_column_text(plan, 3);

		cr_expect(strncmp(detail, "SEARCH", 6) == 0 && strstr(detail, children[i].by), "%s: %s", text,
		        detail);
		sqlite3_finalize(plan);
	}
	fm_connection_close(&connection);
	close_gallery();
}

Test(schema, sqlite_errors_have_one_meaning)
{
	static const struct {
		int code, system_errno;
		enum fm_status status;
	} expected[] = {
	        {SQLITE_OK, 0, FM_OK},
	        {SQLITE_ROW, 0, FM_OK},
	        {SQLITE_FULL, 0, FM_E_STORAGE_FULL},
	        {SQLITE_IOERR_WRITE, EDQUOT, FM_E_STORAGE_FULL},
	        {SQLITE_IOERR_WRITE, EFBIG, FM_E_STORAGE_FULL},
	        {SQLITE_IOERR_READ, EIO, FM_E_IO},
	        {SQLITE_IOERR_NOMEM, 0, FM_E_NOMEM},
	        {SQLITE_NOMEM, 0, FM_E_NOMEM},
	        {SQLITE_BUSY, 0, FM_E_BUSY},
	        {SQLITE_BUSY_SNAPSHOT, 0, FM_E_BUSY},
	        {SQLITE_LOCKED, 0, FM_E_BUSY},
	        {SQLITE_CORRUPT_INDEX, 0, FM_E_CORRUPT},
	        {SQLITE_NOTADB, 0, FM_E_CORRUPT},
	        {SQLITE_READONLY_DIRECTORY, 0, FM_E_IO},
	        {SQLITE_CANTOPEN, 0, FM_E_IO},
	        {SQLITE_CONSTRAINT_UNIQUE, 0, FM_E_CONFLICT},
	        {SQLITE_CONSTRAINT_FOREIGNKEY, 0, FM_E_NOT_FOUND},
	        {SQLITE_CONSTRAINT_CHECK, 0, FM_E_INTERNAL},
	        {SQLITE_MISUSE, 0, FM_E_INTERNAL},
	};

	for (size_t i = 0; i < FM_ARRAY_SIZE(expected); i++)
		cr_expect_eq(fm_sql_status(expected[i].code, expected[i].system_errno), expected[i].status,
		        "SQLite %d", expected[i].code);
}

static enum fm_status count_one(void *context, int64_t collection, int64_t person, int64_t face,
        const float *embedding, size_t dim, struct fm_error *err)
{
	(void)collection, (void)person, (void)face, (void)embedding, (void)dim, (void)err;
	++*(int *)context;
	return FM_OK;
}

Test(schema, embeddings_are_checked_on_the_way_out)
{
	char not_a_number[640] = "UPDATE faces SET embedding = x'";
	const char *const damage[] = {
	        "UPDATE faces SET embedding = zeroblob(12) WHERE key = 2",
	        "UPDATE faces SET embedding = x'' WHERE key = 2",
	        not_a_number,
	};
	size_t used = strlen(not_a_number);

	for (int i = 0; i < DIM; i++) /* little-endian 0x7fc00000 */
		used += (size_t)snprintf(not_a_number + used, sizeof(not_a_number) - used, "0000c07f");
	snprintf(not_a_number + used, sizeof(not_a_number) - used, "' WHERE key = 2");
	open_gallery();
	for (uint64_t i = 1; i <= 3; i++)
		enroll(home, "Ann", i, NULL);
	close_gallery();
	for (size_t i = 0; i < FM_ARRAY_SIZE(damage); i++) {
		int visits = 0;

		sql(damage[i]);
		open_gallery();
		fails(FM_E_CORRUPT, fm_gallery_embedding_each(gallery, MODEL, count_one, &visits, &error));
		cr_expect_eq(visits, 1);
		cr_expect_not_null(strstr(error.message, "face 2"), "%s", error.message);
		close_gallery();
	}
}

/* Another program that holds the write lock: wait, then say so. */
Test(schema, a_locked_gallery_is_busy)
{
	struct fm_person person;
	sqlite3 *other;

	open_gallery();
	cr_assert_eq(sqlite3_open(path, &other), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	fails(FM_E_BUSY, fm_gallery_person_create(
	                         gallery, home, &(struct fm_person_fields){.name = "Ann"}, &person, &error));
	ok(fm_gallery_person_list(gallery, home, NULL, NULL, 1, &(struct fm_person *){NULL}, &(size_t){0},
	        (char[FM_UUID_TEXT]){""}, &error));
	cr_assert_eq(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	person = create_person(home, "Ann");
	fm_person_done(&person);
	close_gallery();
}
