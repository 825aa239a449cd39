#include "lib/gallery/statements.h"

#include "lib/base/banned.h"

/* The column lists that read_collection(), read_person() and read_face() know. */
#define COLLECTION_COLUMNS "key, name, created_at_ms, people, faces, retention_days"
#define PERSON_COLUMNS     "key, collection, id, name, external_id, metadata, created_at_ms, updated_at_ms, faces"
#define FACE_COLUMNS       "key, person, collection, id, quality, created_at_ms"
#define JOB_COLUMNS                                                                                          \
	"jobs.key, id, kind, state, models.text, position, done, total, skipped, error, created_at_ms,"      \
	" updated_at_ms FROM jobs LEFT JOIN models ON models.key = jobs.model"

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
        [FM_SQL_PERSON_GET_BY_EXTERNAL_ID] = {"SELECT " PERSON_COLUMNS
                                              " FROM people WHERE collection = ?1 AND external_id = ?2"},
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
        /* A handful of rows: one a model that ever enrolled a face, one a collection. */
        [FM_SQL_MODEL_FOREIGN_FACES] = {"SELECT (SELECT coalesce(sum(faces), 0) FROM collections)"
                                        " - coalesce((SELECT faces FROM models WHERE text = ?1), 0)",
                .scans = true},
        [FM_SQL_MODEL_LIST] = {"SELECT text, faces FROM models WHERE faces > 0 ORDER BY key", .scans = true},
        [FM_SQL_MODEL_CHOSEN] = {"SELECT active_model, previous_model, a.text, p.text FROM gallery"
                                 " LEFT JOIN models AS a ON a.key = active_model"
                                 " LEFT JOIN models AS p ON p.key = previous_model WHERE one = 1"},
        [FM_SQL_MODEL_CHOOSE] = {"UPDATE gallery SET active_model = ?1, previous_model = nullif(?2, 0)"
                                 " WHERE one = 1"},

        [FM_SQL_FACE_INSERT] = {"INSERT INTO faces (id, collection, person, model, created_at_ms, quality,"
                                " image_sha256, box_x, box_y, box_width, box_height, embedding, seal)"
                                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
                                " nullif(?13, 0))"},
        [FM_SQL_FACE_GET] = {"SELECT " FACE_COLUMNS " FROM faces WHERE id = ?2 AND collection = ?1"},
        [FM_SQL_FACE_GET_BY_KEY] = {"SELECT " FACE_COLUMNS " FROM faces WHERE key = ?1"},
        [FM_SQL_FACE_OF_IMAGE] = {"SELECT key, box_x, box_y, box_width, box_height FROM faces"
                                  " WHERE person = ?1 AND image_sha256 = ?2 AND (model = ?3 OR EXISTS"
                                  " (SELECT 1 FROM embeddings AS e WHERE e.face = faces.key"
                                  " AND e.model = ?3)) ORDER BY key"},
        [FM_SQL_FACE_LIST] = {"SELECT " FACE_COLUMNS " FROM faces WHERE person = ?1 ORDER BY key"},
        /* 64 at a time: sorting a person's faces would hold all of their embeddings and crops. */
        [FM_SQL_FACE_EXPORT] =
                {"SELECT faces.key, faces.id, quality, created_at_ms, text, dim,"
                 " coalesce(e.embedding, faces.embedding),"
                 " CASE WHEN e.key IS NULL THEN faces.seal ELSE e.seal END, image_sha256,"
                 " box_x, box_y, box_width, box_height, crops.bytes, jpeg, crops.seal, faces.id"
                 " FROM faces LEFT JOIN embeddings AS e ON e.face = faces.key AND e.model ="
                 " (SELECT key FROM models WHERE text = ?3)"
                 " JOIN models ON models.key = coalesce(e.model, faces.model)"
                 " LEFT JOIN crops ON crops.face = faces.key"
                 " WHERE faces.key IN (SELECT key FROM faces WHERE person = ?1 AND key > ?2"
                 " ORDER BY key LIMIT 64) ORDER BY faces.key"},
        [FM_SQL_FACE_DELETE] = {"DELETE FROM faces WHERE key = ?1"},

        /* All collections, of which there are few, and under an index their faces that are too old. */
        [FM_SQL_FACE_EXPIRED] = {"SELECT faces.key, faces.id, faces.person, faces.collection"
                                 " FROM collections AS c CROSS JOIN faces ON faces.collection = c.key"
                                 " WHERE c.retention_days IS NOT NULL AND faces.created_at_ms > 0"
                                 " AND faces.created_at_ms < ?1 - c.retention_days * 86400000 LIMIT ?2",
                .scans = true},

        [FM_SQL_CROP_INSERT] =
                {"INSERT INTO crops (face, bytes, jpeg, seal) VALUES (?1, ?2, ?3, nullif(?4, 0))"
                 " ON CONFLICT (face) DO NOTHING"},
        [FM_SQL_CROP_GET] = {"SELECT crops.bytes, crops.jpeg, crops.seal, faces.id"
                             " FROM faces JOIN crops ON crops.face = faces.key"
                             " WHERE faces.id = ?2 AND faces.collection = ?1"},
        [FM_SQL_CROP_GET_BY_KEY] = {"SELECT crops.bytes, crops.jpeg, crops.seal, faces.id FROM crops"
                                    " JOIN faces ON faces.key = crops.face WHERE crops.face = ?1"},

        [FM_SQL_AUDIT_INSERT] = {"INSERT INTO audit (time_ms, actor, action, object_kind, object_id,"
                                 " collection, faces) VALUES (?1, ?2, ?3, ?4, ?5,"
                                 " coalesce((SELECT name FROM collections WHERE key = ?6), ''), ?7)"},
        [FM_SQL_AUDIT_LIST] = {"SELECT key, time_ms, actor, action, object_kind, object_id, collection, faces"
                               " FROM audit WHERE key > ?1 ORDER BY key LIMIT ?2"},
        /* Keys rise with time: what is old stands among the first. */
        [FM_SQL_AUDIT_OLD] = {"SELECT 1 FROM audit WHERE key IN (SELECT key FROM audit WHERE key > 0"
                              " ORDER BY key LIMIT ?2) AND time_ms < ?1 LIMIT 1"},
        [FM_SQL_AUDIT_PRUNE] = {"DELETE FROM audit WHERE key IN (SELECT key FROM audit WHERE key > 0"
                                " ORDER BY key LIMIT ?2) AND time_ms < ?1"},

        /* A face's embedding under a model is in its own row or in `embeddings`, never in both. */
        [FM_SQL_EMBEDDING_OF_PERSON] =
                {"SELECT key, embedding, seal, id FROM faces WHERE person = ?1 AND model = ?2"
                 " UNION ALL SELECT faces.key, e.embedding, e.seal, id FROM faces"
                 " JOIN embeddings AS e ON e.face = faces.key AND e.model = ?2 WHERE person = ?1"
                 " ORDER BY 1"},
        [FM_SQL_EMBEDDING_OF_FACE] =
                {"SELECT key, embedding, seal, id FROM faces WHERE key = ?1 AND model = ?2"},
        [FM_SQL_EMBEDDING_BESIDE_FACE] = {"SELECT face, e.embedding, e.seal, id FROM embeddings AS e"
                                          " JOIN faces ON faces.key = face WHERE face = ?1 AND e.model = ?2"},
        /* The table itself is in key order: one sequential read of the file, where an index would seek. */
        [FM_SQL_EMBEDDING_RANGE] = {"SELECT key, embedding, seal, id, collection, person FROM faces"
                                    " WHERE model = ?1 AND key >= ?2 AND key < ?3"
                                    " UNION ALL SELECT face, e.embedding, e.seal, id, collection, person"
                                    " FROM embeddings AS e JOIN faces ON faces.key = face"
                                    " WHERE e.model = ?1 AND face >= ?2 AND face < ?3 ORDER BY 1"},
        [FM_SQL_FACE_LAST] = {"SELECT max(key) FROM faces"},
        [FM_SQL_EMBEDDING_INSERT] =
                {"INSERT INTO embeddings (face, model, embedding, seal)"
                 " SELECT key, ?2, ?3, nullif(?4, 0) FROM faces WHERE key = ?1 AND model <> ?2"
                 " ON CONFLICT (face, model) DO NOTHING"},
        /* Faces that a model has no embedding of. */
        [FM_SQL_EMBEDDING_MISSING] =
                {"SELECT key, id, collection, person FROM faces WHERE key > ?1 AND model <> ?2"
                 " AND NOT EXISTS (SELECT 1 FROM embeddings AS e WHERE e.face = faces.key"
                 " AND e.model = ?2) ORDER BY key LIMIT ?3"},

        /* Embeddings of other models than the one that serves. */
        [FM_SQL_FORGET_NEXT] = {"SELECT key, model FROM faces WHERE key > ?1 ORDER BY key LIMIT 256"},
        [FM_SQL_FORGET_OWN] = {"UPDATE faces SET (model, embedding, seal) = (SELECT model, embedding, seal"
                               " FROM embeddings WHERE face = ?1 AND model = ?2) WHERE key = ?1"
                               " AND EXISTS (SELECT 1 FROM embeddings WHERE face = ?1 AND model = ?2)"},
        [FM_SQL_FORGET_BESIDE] = {"DELETE FROM embeddings WHERE face = ?1"},

        /* Jobs are few. */
        [FM_SQL_JOB_LIST] = {"SELECT " JOB_COLUMNS " ORDER BY jobs.key DESC LIMIT ?1", .scans = true},
        [FM_SQL_JOB_GET] = {"SELECT " JOB_COLUMNS " WHERE id = ?1"},
        [FM_SQL_JOB_RUNNING] = {"SELECT " JOB_COLUMNS " WHERE state = 'running' AND kind = ?1"
                                " ORDER BY jobs.key LIMIT 1"},
        [FM_SQL_JOB_INSERT] =
                {"INSERT INTO jobs (id, kind, state, model, created_at_ms, updated_at_ms, total)"
                 " VALUES (?1, ?2, 'running', ?3, ?4, ?4, ?5)"},
        [FM_SQL_JOB_ADVANCE] = {"UPDATE jobs SET position = ?2, done = done + ?3, skipped = skipped + ?4,"
                                " total = max(total, done + ?3 + skipped + ?4), updated_at_ms = ?5"
                                " WHERE key = ?1 AND state = 'running'"},
        [FM_SQL_JOB_END] = {"UPDATE jobs SET state = ?2, error = ?3, updated_at_ms = ?4,"
                            " total = CASE WHEN ?2 = 'done' THEN done + skipped ELSE total END"
                            " WHERE id = ?1 AND state = 'running'"},
        [FM_SQL_JOB_SKIP] = {"INSERT INTO job_skips (job, face, reason) SELECT ?1, key, ?3 FROM faces"
                             " WHERE key = ?2 ON CONFLICT (job, face) DO NOTHING"},
        [FM_SQL_JOB_SKIPS] = {"SELECT s.face, faces.id, people.id, collections.name, s.reason"
                              " FROM job_skips AS s JOIN faces ON faces.key = s.face"
                              " JOIN people ON people.key = faces.person"
                              " JOIN collections ON collections.key = faces.collection"
                              " WHERE s.job = ?1 AND s.face > ?2 ORDER BY s.face LIMIT ?3"},

        /* A handful of rows: one a key that was ever used. */
        [FM_SQL_SEAL_LIST] = {"SELECT key, id, retired_at_ms FROM seals ORDER BY key", .scans = true},
        [FM_SQL_SEAL_INSERT] = {"INSERT INTO seals (id, created_at_ms) VALUES (?1, ?2)"},
        [FM_SQL_SEAL_REVIVE] = {"UPDATE seals SET retired_at_ms = NULL WHERE key = ?1"},
        [FM_SQL_SEAL_RETIRE_OTHERS] = {"UPDATE seals SET retired_at_ms = ?2"
                                       " WHERE key <> ?1 AND retired_at_ms IS NULL",
                .scans = true},
        /* Jobs are few. The newest that seals says under which key. */
        [FM_SQL_SEAL_JOB] = {"SELECT key, position, kind, state FROM jobs WHERE kind LIKE 'seal:%'"
                             " ORDER BY key DESC LIMIT 1",
                .scans = true},
        [FM_SQL_SEAL_JOB_INSERT] = {"INSERT INTO jobs (id, kind, state, created_at_ms, updated_at_ms, total)"
                                    " VALUES (?1, 'seal:' || ?2, 'running', ?3, ?3,"
                                    " (SELECT sum(faces) FROM collections))"},
        [FM_SQL_SEAL_JOB_CANCEL] = {"UPDATE jobs SET state = 'cancelled', updated_at_ms = ?1"
                                    " WHERE kind LIKE 'seal:%' AND state = 'running'"},
        [FM_SQL_SEAL_JOB_ADVANCE] = {"UPDATE jobs SET position = ?2, done = done + ?3, state = ?4,"
                                     " updated_at_ms = ?5 WHERE key = ?1"},
        [FM_SQL_FACE_UNSEALED] = {"SELECT faces.key, embedding, seal, id, text, dim * 4"
                                  " FROM faces CROSS JOIN models ON models.key = faces.model"
                                  " WHERE faces.key > ?1 AND seal IS NOT ?2 ORDER BY faces.key LIMIT 1"},
        [FM_SQL_FACE_SEAL] = {"UPDATE faces SET embedding = ?2, seal = ?3 WHERE key = ?1"},
        [FM_SQL_CROP_UNSEALED] = {"SELECT face, jpeg, crops.seal, faces.id, NULL, bytes"
                                  " FROM crops JOIN faces ON faces.key = crops.face"
                                  " WHERE face = ?1 AND crops.seal IS NOT ?2"},
        [FM_SQL_CROP_SEAL] = {"UPDATE crops SET jpeg = ?2, seal = ?3 WHERE face = ?1"},
        [FM_SQL_EMBEDDING_UNSEALED] = {"SELECT e.key, e.embedding, e.seal, faces.id, text, dim * 4"
                                       " FROM embeddings AS e JOIN faces ON faces.key = e.face"
                                       " JOIN models ON models.key = e.model"
                                       " WHERE e.face = ?1 AND e.seal IS NOT ?2 LIMIT 1"},
        [FM_SQL_EMBEDDING_SEAL] = {"UPDATE embeddings SET embedding = ?2, seal = ?3 WHERE key = ?1"},

        /* facematchctl check: everything, from one end to the other. */
        [FM_SQL_CHECK_PAGES] = {"PRAGMA quick_check(100)"},
        [FM_SQL_CHECK_REFERENCES] = {"PRAGMA foreign_key_check"},
        [FM_SQL_CHECK_COLLECTIONS] =
                {"SELECT c.name, c.people, c.faces, coalesce(p.n, 0), coalesce(f.n, 0)"
                 " FROM collections AS c"
                 " LEFT JOIN (SELECT collection, count(*) AS n FROM people GROUP BY 1) AS p"
                 " ON p.collection = c.key"
                 " LEFT JOIN (SELECT collection, count(*) AS n FROM faces GROUP BY 1) AS f"
                 " ON f.collection = c.key ORDER BY c.key",
                        .scans = true},
        [FM_SQL_CHECK_PEOPLE] =
                {"SELECT p.id, p.faces, (SELECT count(*) FROM faces WHERE person = p.key) AS n"
                 " FROM people AS p WHERE p.faces <> n",
                        .scans = true},
        [FM_SQL_CHECK_MODELS] = {"SELECT m.text, m.faces, coalesce(f.n, 0) + coalesce(e.n, 0)"
                                 " FROM models AS m"
                                 " LEFT JOIN (SELECT model, count(*) AS n FROM faces GROUP BY 1) AS f"
                                 " ON f.model = m.key"
                                 " LEFT JOIN (SELECT model, count(*) AS n FROM embeddings GROUP BY 1) AS e"
                                 " ON e.model = m.key ORDER BY m.key",
                .scans = true},
        [FM_SQL_CHECK_TWICE] = {"SELECT faces.id FROM embeddings AS e JOIN faces ON faces.key = e.face"
                                " WHERE faces.model = e.model",
                .scans = true},
        [FM_SQL_CHECK_EMBEDDINGS] =
                {"SELECT faces.key, embedding, seal, id, text, dim FROM faces"
                 " JOIN models ON models.key = faces.model"
                 " UNION ALL SELECT face, e.embedding, e.seal, id, text, dim FROM embeddings AS e"
                 " JOIN faces ON faces.key = face JOIN models ON models.key = e.model",
                        .scans = true},
        [FM_SQL_CHECK_CROPS] = {"SELECT bytes, jpeg, crops.seal, faces.id FROM crops"
                                " JOIN faces ON faces.key = crops.face",
                .scans = true},
};
