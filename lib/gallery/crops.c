#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/internal.h"
#include "lib/gallery/layout.h"

#include <string.h>

#include "lib/base/banned.h"

enum fm_status fm_crop_insert(struct fm_connection *connection, const struct fm_face_record *face,
        const uint8_t *jpeg, size_t bytes, struct fm_error *err)
{
	const struct fm_sealer *sealer = connection->sealer;
	size_t stored_bytes = sealer ? bytes + FM_SEAL_OVERHEAD_BYTES : fm_layout_jpeg_bytes(bytes);
	fm_autofree uint8_t *blob = fm_calloc(1, stored_bytes);
	char purpose[FM_PURPOSE_BYTES];

	if (!blob)
		return fm_fail(err, FM_E_NOMEM, "gallery: no memory for a crop");
	fm_seal_purpose(face->id, NULL, purpose);
	if (sealer)
		fm_sealer_seal(sealer, purpose, jpeg, bytes, blob);
	else
		memcpy(blob, jpeg, bytes);
	enum fm_status status = fm_execute(connection, FM_SQL_CROP_INSERT,
	        FM_PARAMS(FM_INT(face->key), FM_INT((int64_t)bytes), FM_BLOB(blob, stored_bytes),
	                FM_INT(sealer ? sealer->seals[0].row : 0)),
	        err);

	fm_wipe(blob, stored_bytes);
	return status;
}

enum fm_status fm_crop_read(
        struct fm_query *query, int column, uint8_t **ret_jpeg, size_t *ret_bytes, struct fm_error *err)
{
	const void *blob = sqlite3_column_blob(query->statement, column + 1);
	int64_t stored = sqlite3_column_bytes(query->statement, column + 1);
	int64_t bytes = sqlite3_column_int64(query->statement, column);

	if (!blob || bytes < 1 || bytes > stored)
		return fm_fail(err, FM_E_CORRUPT, "gallery: a crop of %lld bytes where %lld should be",
		        (long long)stored, (long long)bytes);
	int64_t seal = sqlite3_column_int64(query->statement, column + 2);
	const char *id = (const char *)sqlite3_column_text(query->statement, column + 3);
	char purpose[FM_PURPOSE_BYTES];

	if (seal && (!id || stored != bytes + FM_SEAL_OVERHEAD_BYTES))
		return fm_fail(err, FM_E_CORRUPT, "gallery: a sealed crop of %lld bytes", (long long)stored);
	fm_autofree uint8_t *jpeg = malloc((size_t)bytes);

	if (!jpeg)
		return fm_fail(err, FM_E_NOMEM, "gallery: no memory for a crop");
	if (seal) {
		fm_seal_purpose(id, NULL, purpose);
		enum fm_status status = fm_sealer_open(
		        query->connection->sealer, seal, purpose, blob, (size_t)stored, jpeg, err);

		if (status != FM_OK)
			return fm_fail_prefix(err, status, "gallery: crop of face %s", id);
	} else {
		memcpy(jpeg, blob, (size_t)bytes);
	}
	*ret_jpeg = fm_steal(jpeg);
	*ret_bytes = (size_t)bytes;
	return FM_OK;
}

static enum fm_status find_crop(struct fm_gallery *gallery, enum fm_sql sql, const struct fm_param *params,
        size_t count, uint8_t **ret_jpeg, size_t *ret_bytes, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool found;
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_query_start(&query, reader.connection, sql, params, count, err);
	if (status == FM_OK)
		status = fm_query_next(&query, &found, err);
	if (status != FM_OK)
		return status;
	if (!found)
		return fm_fail(err, FM_E_NOT_FOUND, "no crop is kept of this face, or there is no such face");
	return fm_crop_read(&query, 0, ret_jpeg, ret_bytes, err);
}

enum fm_status fm_gallery_crop_get(struct fm_gallery *gallery, int64_t collection_key, const char *face_id,
        uint8_t **ret_jpeg, size_t *ret_bytes, struct fm_error *err)
{
	return find_crop(gallery, FM_SQL_CROP_GET, FM_PARAMS(FM_INT(collection_key), FM_TEXT(face_id)),
	        ret_jpeg, ret_bytes, err);
}

enum fm_status fm_gallery_crop_get_by_key(struct fm_gallery *gallery, int64_t face_key, uint8_t **ret_jpeg,
        size_t *ret_bytes, struct fm_error *err)
{
	return find_crop(
	        gallery, FM_SQL_CROP_GET_BY_KEY, FM_PARAMS(FM_INT(face_key)), ret_jpeg, ret_bytes, err);
}
