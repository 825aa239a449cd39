/*
 * The database's layout and its history. PRAGMA user_version counts the migrations that ran; PRAGMA
 * application_id says that the file is ours. Threads: one connection, one thread.
 */
#ifndef FM_GALLERY_SCHEMA_H
#define FM_GALLERY_SCHEMA_H

#include "lib/base/status.h"

#include <stdint.h>

struct fm_connection;

#define FM_GALLERY_APPLICATION_ID 0x464d6763 /* "FMgc" */

/*
 * Reads what the file is, and changes nothing: FM_OK for an empty database and for one of ours,
 * FM_E_UNSUPPORTED for another program's database and for a newer one of ours, FM_E_CORRUPT.
 */
enum fm_status fm_schema_check(struct fm_connection *connection, struct fm_error *err);

/* Runs the migrations that are missing, each in a transaction of its own. */
enum fm_status fm_schema_migrate(struct fm_connection *connection, struct fm_error *err);

/* The user_version that this program writes. */
int64_t fm_schema_version(void);

#endif
