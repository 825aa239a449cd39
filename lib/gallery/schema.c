#include "lib/gallery/schema.h"

#include "lib/gallery/connection.h"

#include <stdbool.h>
#include <stdio.h>

#include "lib/base/size.h"

#include "lib/base/banned.h"

/*
 * Append only: a migration that shipped is never edited, since databases exist that ran it.
 *
 * Row keys are AUTOINCREMENT, so a key is never used again: a late removal from the in-memory index cannot
 * hit a newcomer, and key order is creation order. Counts are kept by triggers, in the transaction that
 * changes them; faces repeat their person's collection because a trigger that fires on a cascade finds the
 * person gone. Models never leave, so faces need no index by model.
 */
static const char *const migrations[] = {
        "CREATE TABLE collections ("
        "  key INTEGER PRIMARY KEY AUTOINCREMENT,"
        "  name TEXT NOT NULL UNIQUE,"
        "  created_at_ms INTEGER NOT NULL,"
        "  people INTEGER NOT NULL DEFAULT 0 CHECK (people >= 0),"
        "  faces INTEGER NOT NULL DEFAULT 0 CHECK (faces >= 0)"
        ") STRICT;"
        "CREATE TABLE models ("
        "  key INTEGER PRIMARY KEY AUTOINCREMENT,"
        "  text TEXT NOT NULL UNIQUE," /* name@fingerprint */
        "  dim INTEGER NOT NULL CHECK (dim > 0),"
        "  faces INTEGER NOT NULL DEFAULT 0 CHECK (faces >= 0)"
        ") STRICT;"
        "CREATE TABLE people ("
        "  key INTEGER PRIMARY KEY AUTOINCREMENT,"
        "  collection INTEGER NOT NULL REFERENCES collections (key) ON DELETE CASCADE,"
        "  id TEXT NOT NULL UNIQUE,"
        "  name TEXT NOT NULL,"
        "  external_id TEXT,"
        "  metadata TEXT NOT NULL,"
        "  created_at_ms INTEGER NOT NULL,"
        "  updated_at_ms INTEGER NOT NULL,"
        "  faces INTEGER NOT NULL DEFAULT 0 CHECK (faces >= 0),"
        "  UNIQUE (collection, key),"
        "  UNIQUE (collection, external_id)"
        ") STRICT;"
        "CREATE INDEX people_by_name ON people (collection, name);"
        "CREATE TABLE faces ("
        "  key INTEGER PRIMARY KEY AUTOINCREMENT,"
        "  id TEXT NOT NULL UNIQUE,"
        "  collection INTEGER NOT NULL,"
        "  person INTEGER NOT NULL,"
        "  model INTEGER NOT NULL REFERENCES models (key),"
        "  created_at_ms INTEGER NOT NULL,"
        "  quality TEXT NOT NULL,"
        "  image_sha256 BLOB NOT NULL CHECK (length(image_sha256) = 32),"
        "  box_x REAL NOT NULL, box_y REAL NOT NULL, box_width REAL NOT NULL, box_height REAL NOT NULL,"
        "  embedding BLOB NOT NULL," /* little-endian float32 [dim] */
        "  FOREIGN KEY (collection, person) REFERENCES people (collection, key) ON DELETE CASCADE"
        ") STRICT;"
        "CREATE INDEX faces_by_person ON faces (person, image_sha256);"

        "CREATE TRIGGER people_count_insert AFTER INSERT ON people BEGIN"
        "  UPDATE collections SET people = people + 1 WHERE key = NEW.collection;"
        "END;"
        "CREATE TRIGGER people_count_delete AFTER DELETE ON people BEGIN"
        "  UPDATE collections SET people = people - 1 WHERE key = OLD.collection;"
        "END;"
        "CREATE TRIGGER faces_count_insert AFTER INSERT ON faces BEGIN"
        "  UPDATE collections SET faces = faces + 1 WHERE key = NEW.collection;"
        "  UPDATE people SET faces = faces + 1 WHERE key = NEW.person;"
        "  UPDATE models SET faces = faces + 1 WHERE key = NEW.model;"
        "END;"
        "CREATE TRIGGER faces_count_delete AFTER DELETE ON faces BEGIN"
        "  UPDATE collections SET faces = faces - 1 WHERE key = OLD.collection;"
        "  UPDATE people SET faces = faces - 1 WHERE key = OLD.person;"
        "  UPDATE models SET faces = faces - 1 WHERE key = OLD.model;"
        "END;"

        "INSERT INTO collections (name, created_at_ms)"
        "  VALUES ('default', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER));",

        /*
         * 2: crops, a second model beside the one that serves, jobs, retention, audit, sealing.
         *
         * Crops stand apart, so that reading embeddings does not step over them. `embeddings` holds what a
         * face has under other models than that of its row, for searches to go on under one model while
         * another is computed; a face has one embedding a model in all, and models.faces counts both kinds.
         * `padding` keeps an embedding out of the tree's own pages (connection.c).
         */
        "ALTER TABLE collections ADD COLUMN retention_days INTEGER CHECK (retention_days > 0);"
        /* Partial, though it holds every face: cascades then cannot prefer it to faces_by_person. */
        "CREATE INDEX faces_by_age ON faces (collection, created_at_ms) WHERE created_at_ms > 0;"

        /* A key that seals embeddings and crops; NULL where a row names a seal is plain. */
        "CREATE TABLE seals ("
        "  key INTEGER PRIMARY KEY AUTOINCREMENT,"
        "  id TEXT NOT NULL UNIQUE," /* names the key and tells nothing about it */
        "  created_at_ms INTEGER NOT NULL,"
        "  retired_at_ms INTEGER" /* since then nothing is sealed with it */
        ") STRICT;"
        "ALTER TABLE faces ADD COLUMN seal INTEGER REFERENCES seals (key);"

        "CREATE TABLE crops ("
        "  face INTEGER PRIMARY KEY REFERENCES faces (key) ON DELETE CASCADE,"
        "  seal INTEGER REFERENCES seals (key),"
        "  bytes INTEGER NOT NULL CHECK (bytes > 0)," /* of the JPEG; the blob may be longer */
        "  jpeg BLOB NOT NULL CHECK (length(jpeg) >= bytes)"
        ") STRICT;"

        "CREATE TABLE embeddings ("
        "  key INTEGER PRIMARY KEY AUTOINCREMENT,"
        "  face INTEGER NOT NULL REFERENCES faces (key) ON DELETE CASCADE,"
        "  model INTEGER NOT NULL REFERENCES models (key),"
        "  seal INTEGER REFERENCES seals (key),"
        "  padding BLOB NOT NULL DEFAULT (zeroblob(224)),"
        "  embedding BLOB NOT NULL," /* as in faces */
        "  UNIQUE (face, model)"
        ") STRICT;"
        "CREATE TRIGGER embeddings_count_insert AFTER INSERT ON embeddings BEGIN"
        "  UPDATE models SET faces = faces + 1 WHERE key = NEW.model;"
        "END;"
        "CREATE TRIGGER embeddings_count_delete AFTER DELETE ON embeddings BEGIN"
        "  UPDATE models SET faces = faces - 1 WHERE key = OLD.model;"
        "END;"
        "CREATE TRIGGER faces_count_model AFTER UPDATE OF model ON faces BEGIN"
        "  UPDATE models SET faces = faces - 1 WHERE key = OLD.model;"
        "  UPDATE models SET faces = faces + 1 WHERE key = NEW.model;"
        "END;"

        /* Work that outlives a restart: `position` is the last key that it is done with. */
        "CREATE TABLE jobs ("
        "  key INTEGER PRIMARY KEY AUTOINCREMENT,"
        "  id TEXT NOT NULL UNIQUE,"
        "  kind TEXT NOT NULL," /* reembed, rotate, … */
        "  state TEXT NOT NULL,"
        "  model INTEGER REFERENCES models (key),"
        "  position INTEGER NOT NULL DEFAULT 0,"
        "  done INTEGER NOT NULL DEFAULT 0,"
        "  total INTEGER NOT NULL DEFAULT 0,"
        "  skipped INTEGER NOT NULL DEFAULT 0,"
        "  error TEXT,"
        "  created_at_ms INTEGER NOT NULL,"
        "  updated_at_ms INTEGER NOT NULL"
        ") STRICT;"
        "CREATE INDEX jobs_by_state ON jobs (state);"
        /* Faces that a job could not do, with the reason: no crop, a damaged one. */
        "CREATE TABLE job_skips ("
        "  job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,"
        "  face INTEGER NOT NULL REFERENCES faces (key) ON DELETE CASCADE,"
        "  reason TEXT NOT NULL,"
        "  PRIMARY KEY (job, face)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE INDEX job_skips_by_face ON job_skips (face);"

        /* What holds for the whole gallery: one row. A model is NULL until it was chosen. */
        "CREATE TABLE gallery ("
        "  one INTEGER PRIMARY KEY CHECK (one = 1),"
        "  active_model INTEGER REFERENCES models (key),"  /* searches are answered under it */
        "  previous_model INTEGER REFERENCES models (key)" /* where a rollback leads */
        ") STRICT;"
        "INSERT INTO gallery (one) VALUES (1);"

        /* Who forgot what and when: ids, no names of people, nothing biometric. Append only. */
        "CREATE TABLE audit ("
        "  key INTEGER PRIMARY KEY AUTOINCREMENT,"
        "  time_ms INTEGER NOT NULL,"
        "  actor TEXT NOT NULL,"       /* an API key's id, or what in the daemon did it */
        "  action TEXT NOT NULL,"      /* delete, expire, … */
        "  object_kind TEXT NOT NULL," /* face, person, collection */
        "  object_id TEXT NOT NULL,"
        "  collection TEXT NOT NULL,"
        "  faces INTEGER NOT NULL" /* how many went with it */
        ") STRICT;"
        "CREATE INDEX audit_by_object ON audit (object_id);",
};

int64_t fm_schema_version(void)
{
	return FM_ARRAY_SIZE(migrations);
}

/* The version after the check, so that the migration loop sees what another process did meanwhile. */
static enum fm_status check_version(
        struct fm_connection *connection, int64_t *ret_version, struct fm_error *err)
{
	int64_t application, version, tables;
	enum fm_status status;

	status = fm_connection_integer(connection, "PRAGMA application_id", &application, err);
	if (status == FM_OK)
		status = fm_connection_integer(connection, "PRAGMA user_version", &version, err);
	if (status == FM_OK)
		status =
		        fm_connection_integer(connection, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (status != FM_OK)
		return status;
	bool empty = application == 0 && version == 0 && tables == 0;

	if (!empty && application != FM_GALLERY_APPLICATION_ID)
		return fm_fail(err, FM_E_UNSUPPORTED, "this SQLite database belongs to another program");
	if (version > fm_schema_version())
		return fm_fail(err, FM_E_UNSUPPORTED,
		        "the gallery was written by a newer facematchd (schema %lld, this one knows %lld): "
		        "install that version or restore an older backup",
		        (long long)version, (long long)fm_schema_version());
	if (!empty && version <= 0)
		return fm_fail(err, FM_E_CORRUPT, "the gallery's schema version is %lld", (long long)version);
	*ret_version = version;
	return FM_OK;
}

enum fm_status fm_schema_check(struct fm_connection *connection, struct fm_error *err)
{
	int64_t version;

	return check_version(connection, &version, err);
}

static enum fm_status migrate_one(
        struct fm_connection *connection, int64_t *ret_version, struct fm_error *err)
{
	char stamp[96];
	int64_t version;
	enum fm_status status = check_version(connection, &version, err);

	if (status != FM_OK)
		return status;
	if (version < fm_schema_version()) {
		snprintf(stamp, sizeof(stamp), "PRAGMA application_id = %d; PRAGMA user_version = %lld",
		        FM_GALLERY_APPLICATION_ID, (long long)version + 1);
		status = fm_connection_script(connection, migrations[version], err);
		if (status == FM_OK)
			status = fm_connection_script(connection, stamp, err);
		if (status != FM_OK)
			return fm_fail_prefix(err, status, "migration %lld", (long long)version + 1);
		version++;
	}
	*ret_version = version;
	return FM_OK;
}

enum fm_status fm_schema_migrate(struct fm_connection *connection, struct fm_error *err)
{
	for (int64_t version = 0; version < fm_schema_version();) {
		enum fm_status status = fm_connection_script(connection, "BEGIN IMMEDIATE", err);

		if (status != FM_OK)
			return status;
		status = migrate_one(connection, &version, err);
		if (status == FM_OK)
			status = fm_connection_script(connection, "COMMIT", err);
		if (status != FM_OK) {
			fm_connection_script(connection, "ROLLBACK", NULL);
			return status;
		}
	}
	return FM_OK;
}
