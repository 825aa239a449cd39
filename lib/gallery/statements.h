/*
 * Every SQL statement that the gallery runs, by name: to add one is to add a name here and a row in
 * statements.c. All are prepared when a connection opens, so that a typo fails at once, and all are walked by
 * a test that asks SQLite for their query plans. Threads: constant.
 */
#ifndef FM_GALLERY_STATEMENTS_H
#define FM_GALLERY_STATEMENTS_H

#include <stdbool.h>

enum fm_sql {
	FM_SQL_BEGIN_READ,
	FM_SQL_BEGIN_WRITE,
	FM_SQL_COMMIT,
	FM_SQL_ROLLBACK,
	FM_SQL_SAVEPOINT,
	FM_SQL_RELEASE,
	FM_SQL_ROLLBACK_TO,

	FM_SQL_COLLECTION_INSERT,
	FM_SQL_COLLECTION_RETAIN,
	FM_SQL_COLLECTION_GET,
	FM_SQL_COLLECTION_LIST,
	FM_SQL_COLLECTION_DELETE,

	FM_SQL_PERSON_INSERT,
	FM_SQL_PERSON_GET,
	FM_SQL_PERSON_GET_BY_KEY,
	FM_SQL_PERSON_OLDEST_NAMED,
	FM_SQL_PERSON_LIST,
	FM_SQL_PERSON_LIST_NAMED,
	FM_SQL_PERSON_UPDATE,
	FM_SQL_PERSON_DELETE,

	FM_SQL_MODEL_INSERT,
	FM_SQL_MODEL_GET,
	FM_SQL_MODEL_FOREIGN_FACES,

	FM_SQL_FACE_INSERT,
	FM_SQL_FACE_GET,
	FM_SQL_FACE_GET_BY_KEY,
	FM_SQL_FACE_OF_IMAGE,
	FM_SQL_FACE_LIST,
	FM_SQL_FACE_DELETE,

	FM_SQL_FACE_EXPIRED,

	FM_SQL_CROP_INSERT,
	FM_SQL_CROP_GET,
	FM_SQL_CROP_GET_BY_KEY,

	FM_SQL_AUDIT_INSERT,
	FM_SQL_AUDIT_LIST,

	FM_SQL_EMBEDDING_OF_PERSON,
	FM_SQL_EMBEDDING_OF_FACE,
	FM_SQL_EMBEDDING_EACH,

	FM_SQL_COUNT,
};

struct fm_sql_row {
	const char *text;
	bool scans; /* walks a whole table on purpose: start-up and full listings; every other one is under an
	               index */
};

extern const struct fm_sql_row fm_sql_table[FM_SQL_COUNT];

#endif
