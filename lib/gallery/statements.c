#include "lib/gallery/statements.h"

#include "lib/base/banned.h"

/* The column lists that read_collection(), read_person() and read_face() know. */
#define COLLECTION_COLUMNS "key, name, created_at_ms, people, faces, retention_days"
#define PERSON_COLUMNS     "key, collection, id, name, external_id, metadata, created_at_ms, updated_at_ms, faces"
#define FACE_COLUMNS       "key, person, collection, id, quality, created_at_ms"

const struct fm_sql_row fm_sql_table[FM_SQL_COUNT] = {
        [FM_SQL_BEGIN_READ] = {"BEGIN DEFERRED"},
        /* The write lock is taken at once: a transaction that starts reading cannot fail halfway to it. */
        [FM_SQL_BEGIN_WRITE] = {"BEGIN IMMEDIATE"},
        [FM_SQL_COMMIT] = {"COMMIT"},
        [FM_SQL_ROLLBACK] = {"ROLLBACK"},
        [FM_SQL_SAVEPOINT] = {"SAVEPOINT one_change"},
        [FM_SQL_RELEASE] = {"RELEASE one_change"},
        [FM_SQL_ROLLBACK_TO] = {"ROLLBACK TO one_change"},

        [FM_SQL_COLLECTION_INSERT] = {"INSERT INTO collections (name, created_at_ms, retention_days)"
                                      " VALUES (?1, ?2, nullif(?3, 0))"},
        [FM_SQL_COLLECTION_RETAIN] = {"UPDATE collections SET retention_days = nullif(?2, 0) WHERE key = ?1"},
        [FM_SQL_COLLECTION_GET] = {"SELECT " COLLECTION_COLUMNS " FROM collections WHERE name = ?1"},
        [FM_SQL_COLLECTION_LIST] = {"SELECT " COLLECTION_COLUMNS " FROM collections ORDER BY key",
                .scans = true},
        [FM_SQL_COLLECTION_DELETE] = {"DELETE FROM collections WHERE key = ?1"},

        [FM_SQL_PERSON_INSERT] = {"INSERT INTO people (collection, id, name, external_id, metadata,"
                                  " created_at_ms, updated_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)"},
        [FM_SQL_PERSON_GET] = {"SELECT " PERSON_COLUMNS " FROM people WHERE id = ?2 AND collection = ?1"},
        [FM_SQL_PERSON_GET_BY_KEY] = {"SELECT " PERSON_COLUMNS " FROM people WHERE key = ?1"},
        [FM_SQL_PERSON_OLDEST_NAMED] = {"SELECT " PERSON_COLUMNS
                                        " FROM people WHERE collection = ?1 AND name = ?2 ORDER BY key"
                                        " LIMIT 1"},
        [FM_SQL_PERSON_LIST] = {"SELECT " PERSON_COLUMNS " FROM people WHERE collection = ?1 AND key > ?2"
                                " ORDER BY key LIMIT ?3"},
        [FM_SQL_PERSON_LIST_NAMED] = {"SELECT " PERSON_COLUMNS
                                      " FROM people WHERE collection = ?1 AND key > ?2 AND name = ?4"
                                      " ORDER BY key LIMIT ?3"},
        [FM_SQL_PERSON_UPDATE] = {"UPDATE people SET name = coalesce(?2, name),"
                                  " external_id = CASE WHEN ?4 THEN NULL ELSE coalesce(?3, external_id) END,"
                                  " metadata = coalesce(?5, metadata), updated_at_ms = ?6 WHERE key = ?1"},
        [FM_SQL_PERSON_DELETE] = {"DELETE FROM people WHERE key = ?1"},

        [FM_SQL_MODEL_INSERT] = {"INSERT INTO models (text, dim) VALUES (?1, ?2)"},
        [FM_SQL_MODEL_GET] = {"SELECT key, dim FROM models WHERE text = ?1"},
        /* A handful of rows: one a model that ever enrolled a face. */
        [FM_SQL_MODEL_FOREIGN_FACES] = {"SELECT coalesce(sum(faces), 0) FROM models WHERE text <> ?1",
                .scans = true},

        [FM_SQL_FACE_INSERT] = {"INSERT INTO faces (id, collection, person, model, created_at_ms, quality,"
                                " image_sha256, box_x, box_y, box_width, box_height, embedding)"
                                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"},
        [FM_SQL_FACE_GET] = {"SELECT " FACE_COLUMNS " FROM faces WHERE id = ?2 AND collection = ?1"},
        [FM_SQL_FACE_GET_BY_KEY] = {"SELECT " FACE_COLUMNS " FROM faces WHERE key = ?1"},
        [FM_SQL_FACE_OF_IMAGE] = {"SELECT key, box_x, box_y, box_width, box_height FROM faces"
                                  " WHERE person = ?1 AND image_sha256 = ?2 AND model = ?3 ORDER BY key"},
        [FM_SQL_FACE_LIST] = {"SELECT " FACE_COLUMNS " FROM faces WHERE person = ?1 ORDER BY key"},
        [FM_SQL_FACE_DELETE] = {"DELETE FROM faces WHERE key = ?1"},

        /* All collections, of which there are few, and under an index their faces that are too old. */
        [FM_SQL_FACE_EXPIRED] = {"SELECT faces.key, faces.id, faces.person, faces.collection"
                                 " FROM collections AS c CROSS JOIN faces ON faces.collection = c.key"
                                 " WHERE c.retention_days IS NOT NULL AND faces.created_at_ms > 0"
                                 " AND faces.created_at_ms < ?1 - c.retention_days * 86400000 LIMIT ?2",
                .scans = true},

        [FM_SQL_CROP_INSERT] = {"INSERT INTO crops (face, bytes, jpeg) VALUES (?1, ?2, ?3)"
                                " ON CONFLICT (face) DO NOTHING"},
        [FM_SQL_CROP_GET] = {"SELECT crops.bytes, crops.jpeg FROM faces JOIN crops ON crops.face = faces.key"
                             " WHERE faces.id = ?2 AND faces.collection = ?1"},
        [FM_SQL_CROP_GET_BY_KEY] = {"SELECT bytes, jpeg FROM crops WHERE face = ?1"},

        [FM_SQL_AUDIT_INSERT] = {"INSERT INTO audit (time_ms, actor, action, object_kind, object_id,"
                                 " collection, faces) SELECT ?1, ?2, ?3, ?4, ?5, name, ?7 FROM collections"
                                 " WHERE key = ?6"},
        [FM_SQL_AUDIT_LIST] = {"SELECT key, time_ms, actor, action, object_kind, object_id, collection, faces"
                               " FROM audit WHERE key > ?1 ORDER BY key LIMIT ?2"},

        [FM_SQL_EMBEDDING_OF_PERSON] = {"SELECT key, embedding FROM faces WHERE person = ?1 AND model = ?2"
                                        " ORDER BY key"},
        [FM_SQL_EMBEDDING_OF_FACE] = {"SELECT key, embedding FROM faces WHERE key = ?1 AND model = ?2"},
        /* The table itself is in key order: one sequential read of the file, where an index would seek. */
        [FM_SQL_EMBEDDING_EACH] = {"SELECT key, embedding, collection, person FROM faces WHERE model = ?1"
                                   " ORDER BY key",
                .scans = true},
};
