/* From every earlier schema to the present one. tests/data/gallery/schema-N.sql is a gallery as N left it. */
#include "lib/base/file.h"
#include "lib/base/size.h"
#include "lib/gallery/connection.h"
#include "lib/gallery/schema.h"
#include "tests/unit/gallery/fixture.h"

#include <criterion/criterion.h>
#include <sqlite3.h>

TestSuite(migrations, .init = make_directory, .fini = remove_directory);

/* What every fixture holds: three people, and four faces of 8 dimensions, one under another model. */
static void load_fixture(int version)
{
	char file[64], *text;
	size_t length;
	sqlite3 *db;

	snprintf(file, sizeof(file), "tests/data/gallery/schema-%d.sql", version);
	ok(fm_file_read(file, 1 << 20, &text, &length, &error));
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "PRAGMA page_size = 2048; PRAGMA journal_mode = WAL", NULL, NULL, NULL),
	        SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, "%s: %s", file, sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
	free(text);
}

static void expect_integer(const char *sql, int64_t expected)
{
	struct fm_connection connection = {0};
	int64_t value = -1;

	ok(fm_connection_open(&connection, path, &error));
	ok(fm_connection_integer(&connection, sql, &value, &error));
	cr_expect_eq(value, expected, "%s: %ld, not %ld", sql, (long)value, (long)expected);
	fm_connection_close(&connection);
}

static enum fm_status add_up(void *context, int64_t collection, int64_t person, int64_t face,
        const float *embedding, size_t dim, struct fm_error *err)
{
	(void)collection, (void)person, (void)err;
	cr_expect_eq(dim, 8);
	cr_expect_float_eq(embedding[face - 1], 0.6f, 1e-6);
	++*(int *)context;
	return FM_OK;
}

static void expect_everything(void)
{
	struct fm_person *people;
	struct fm_collection staff;
	char next[FM_UUID_TEXT];
	size_t count;
	int visits = 0;
	int64_t foreign;

	ok(fm_gallery_person_list(gallery, home, NULL, NULL, 10, &people, &count, next, &error));
	cr_assert_eq(count, 2);
	cr_expect_str_eq(people[0].name, "Ann");
	cr_expect_str_eq(people[0].external_id, "a-1");
	cr_expect_str_eq(people[0].metadata, "{\"room\":7}");
	cr_expect_eq(people[0].faces, 2);
	cr_expect_str_eq(people[1].name, "J\xc3\xbcrgen");
	for (size_t i = 0; i < count; i++)
		fm_person_done(&people[i]);
	free(people);
	ok(fm_gallery_collection_get(gallery, "staff", &staff, &error));
	cr_expect_eq(staff.people, 1);
	cr_expect_eq(staff.faces, 1);
	fm_collection_done(&staff);
	ok(fm_gallery_embedding_each(gallery, MODEL, add_up, &visits, &error));
	cr_expect_eq(visits, 3);
	ok(fm_gallery_foreign_faces(gallery, MODEL, &foreign, &error));
	cr_expect_eq(foreign, 1);
}

static void enroll_newcomer(void)
{
	float embedding[DIM];
	struct fm_face_insert insert = make_insert(embedding, 1);
	struct fm_person person;
	struct fm_face_record face;
	bool existed;

	fill_embedding(embedding, 8, 1);
	insert.dim = 8;
	insert.crop = (const uint8_t *)"picture";
	insert.crop_bytes = 7;
	ok(fm_gallery_enroll_by_name(gallery, home, "New", &insert, &person, &face, &existed, &error));
	fm_person_done(&person);
	fm_face_record_done(&face);
}

Test(migrations, from_every_earlier_schema)
{
	for (int version = 1; version < fm_schema_version(); version++) {
		load_fixture(version);
		expect_integer("PRAGMA user_version", version);
		open_gallery();
		expect_everything();
		enroll_newcomer();
		close_gallery();
		expect_integer("PRAGMA user_version", fm_schema_version());
		expect_integer("SELECT quick_check = 'ok' FROM pragma_quick_check", 1);
		expect_integer("SELECT count(*) FROM pragma_foreign_key_check", 0);
		cr_assert_eq(unlink(path), 0);
	}
}

/* A migrated gallery has the very layout of a new one. */
Test(migrations, lead_to_the_layout_of_a_new_gallery)
{
	static const char layout[] =
	        "SELECT group_concat(line, char(10)) FROM (SELECT m.name || '.' || p.name || ' ' || p.type "
	        "|| ' '"
	        " || p.\"notnull\" || ' ' || p.pk AS line FROM sqlite_schema AS m, pragma_table_info(m.name) "
	        "AS p"
	        " UNION ALL SELECT type || ' ' || name || ' ' || tbl_name || ' ' || rootpage * 0 FROM"
	        " sqlite_schema WHERE type <> 'table' ORDER BY 1)";
	char *expected = NULL;

	for (int version = 0; version < fm_schema_version(); version++) { /* 0: there is no file */
		sqlite3_stmt *statement;
		sqlite3 *db;

		if (version)
			load_fixture(version);
		open_gallery();
		close_gallery();
		cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
		cr_assert_eq(sqlite3_prepare_v2(db, layout, -1, &statement, NULL), SQLITE_OK, "%s",
		        sqlite3_errmsg(db));
		cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
		const char *text = (const char *)sqlite3_column_text(statement, 0);

		cr_assert_not_null(text);
		if (!expected)
			expected = strdup(text);
		cr_expect_str_eq(text, expected, "from schema %d", version);
		sqlite3_finalize(statement);
		sqlite3_close(db);
		cr_assert_eq(unlink(path), 0);
	}
	cr_expect_gt(strlen(expected), 1000);
	free(expected);
}

/* A second model's embeddings are counted, and go with their face. */
Test(migrations, embeddings_beside_are_counted)
{
	load_fixture(1);
	open_gallery();
	close_gallery();
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db,
	                     "PRAGMA foreign_keys = ON;"
	                     "INSERT INTO models (text, dim) VALUES ('new@1', 8);"
	                     "INSERT INTO embeddings (face, model, embedding)"
	                     "  SELECT key, 3, embedding FROM faces WHERE collection = 1",
	                     NULL, NULL, NULL),
	        SQLITE_OK, "%s", sqlite3_errmsg(db));
	expect_integer("SELECT faces FROM models WHERE key = 3", 3);
	cr_assert_eq(sqlite3_exec(db, "DELETE FROM faces WHERE key = 1", NULL, NULL, NULL), SQLITE_OK, "%s",
	        sqlite3_errmsg(db));
	expect_integer("SELECT faces FROM models WHERE key = 3", 2);
	/* The new embedding takes the old one's place. */
	cr_assert_eq(sqlite3_exec(db,
	                     "UPDATE faces SET model = 3 WHERE key = 2;"
	                     "DELETE FROM embeddings WHERE face = 2",
	                     NULL, NULL, NULL),
	        SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
	expect_integer("SELECT faces FROM models WHERE key = 3", 2);
	expect_integer("SELECT faces FROM models WHERE key = 1", 1);
	expect_integer("SELECT sum(faces) FROM models", 4); /* faces 2, 3, 4, and 4 under both */
}
