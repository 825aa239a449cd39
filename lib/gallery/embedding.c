#include "lib/gallery/embedding.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/internal.h"
#include "lib/gallery/layout.h"

#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

#define EXPONENT   UINT32_C(0x7f800000) /* of a float32; all ones: infinite, or no number */
#define MODELS_MAX 1000                 /* models never leave, and some queries go through all of them */

enum fm_status fm_embedding_check(const float *embedding, size_t dim, struct fm_error *err)
{
	double square = 0;

	if (!embedding || dim < 1 || dim > FM_EMBEDDING_DIM_MAX)
		return fm_fail(err, FM_E_INVALID, "embedding: 1 to %d values", FM_EMBEDDING_DIM_MAX);
	for (size_t i = 0; i < dim; i++)
		square += (double)embedding[i] * embedding[i];
	if (!(fabs(sqrt(square) - 1) <= 1e-3)) /* NaN and infinities end here too */
		return fm_fail(err, FM_E_INVALID, "embedding: not of unit length");
	return FM_OK;
}

size_t fm_embedding_encode(const float *embedding, size_t dim, uint8_t *ret_blob)
{
	size_t bytes = fm_layout_embedding_bytes(dim * sizeof(uint32_t));
	uint8_t *values = ret_blob + bytes - dim * sizeof(uint32_t);

	memset(ret_blob, 0, bytes);
	for (size_t i = 0; i < dim; i++) {
		uint32_t bits;

		memcpy(&bits, &embedding[i], sizeof(bits));
		bits = htole32(bits);
		memcpy(values + i * sizeof(bits), &bits, sizeof(bits));
	}
	return bytes;
}

enum fm_status fm_embedding_decode(
        const void *blob, size_t blob_bytes, size_t dim, float *ret_embedding, struct fm_error *err)
{
	size_t bytes = dim * sizeof(uint32_t);

	if (!blob || (blob_bytes != bytes && blob_bytes != fm_layout_embedding_bytes(bytes)))
		return fm_fail(err, FM_E_CORRUPT, "an embedding of %zu bytes where %zu values should be",
		        blob_bytes, dim);
	const uint8_t *values = (const uint8_t *)blob + blob_bytes - bytes;
	bool finite = true;

	/* Without a way out in the middle: a start decodes every embedding. */
	for (size_t i = 0; i < dim; i++) {
		uint32_t bits;

		memcpy(&bits, values + i * sizeof(bits), sizeof(bits));
		bits = le32toh(bits);
		memcpy(&ret_embedding[i], &bits, sizeof(bits));
		finite &= (bits & EXPONENT) != EXPONENT;
	}
	return finite ? FM_OK : fm_fail(err, FM_E_CORRUPT, "an embedding with a value that is not a number");
}

void fm_seal_purpose(const char *face_id, const char *model, char ret_purpose[FM_PURPOSE_BYTES])
{
	snprintf(ret_purpose, FM_PURPOSE_BYTES, "%s %s %s", model ? "embedding" : "crop", face_id,
	        model ? model : "");
}

void fm_embedding_pack(struct fm_connection *connection, const char *face_id, const char *model,
        const float *embedding, size_t dim, uint8_t *ret_blob, size_t *ret_bytes, int64_t *ret_seal)
{
	uint8_t plain[FM_EMBEDDING_BLOB_MAX];
	char purpose[FM_PURPOSE_BYTES];
	size_t bytes = dim * sizeof(uint32_t);

	if (!connection->sealer) {
		*ret_bytes = fm_embedding_encode(embedding, dim, ret_blob);
		*ret_seal = 0;
		return;
	}
	size_t encoded = fm_embedding_encode(embedding, dim, plain);

	fm_seal_purpose(face_id, model, purpose);
	fm_sealer_seal(connection->sealer, purpose, plain + encoded - bytes, bytes, ret_blob);
	fm_wipe(plain, encoded);
	*ret_bytes = bytes + FM_SEAL_OVERHEAD_BYTES;
	*ret_seal = connection->sealer->seals[0].row;
}

enum fm_status fm_embedding_unpack(struct fm_connection *connection, const char *face_id, const char *model,
        const void *blob, size_t blob_bytes, int64_t seal, size_t dim, float *ret_embedding,
        struct fm_error *err)
{
	uint8_t plain[FM_EMBEDDING_DIM_MAX * sizeof(uint32_t)];
	char purpose[FM_PURPOSE_BYTES];
	size_t bytes = dim * sizeof(uint32_t);

	if (!seal)
		return fm_embedding_decode(blob, blob_bytes, dim, ret_embedding, err);
	if (!face_id || bytes > sizeof(plain) || blob_bytes != bytes + FM_SEAL_OVERHEAD_BYTES)
		return fm_fail(err, FM_E_CORRUPT, "a sealed embedding of %zu bytes", blob_bytes);
	fm_seal_purpose(face_id, model, purpose);
	enum fm_status status =
	        fm_sealer_open(connection->sealer, seal, purpose, blob, blob_bytes, plain, err);

	if (status == FM_OK)
		status = fm_embedding_decode(plain, bytes, dim, ret_embedding, err);
	fm_wipe(plain, bytes);
	return status;
}

enum fm_status fm_model_find(struct fm_connection *connection, const char *model, int64_t *ret_key,
        size_t *ret_dim, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool found;
	enum fm_status status =
	        fm_query_start(&query, connection, FM_SQL_MODEL_GET, FM_PARAMS(FM_TEXT(model)), err);

	if (status == FM_OK)
		status = fm_query_next(&query, &found, err);
	if (status != FM_OK)
		return status;
	int64_t key = found ? sqlite3_column_int64(query.statement, 0) : 0;
	int64_t dim = found ? sqlite3_column_int64(query.statement, 1) : 0;

	if (found && (dim < 1 || dim > FM_EMBEDDING_DIM_MAX))
		return fm_fail(
		        err, FM_E_CORRUPT, "gallery: model %s has %lld dimensions", model, (long long)dim);
	*ret_key = key;
	*ret_dim = (size_t)dim;
	return FM_OK;
}

enum fm_status fm_model_find_or_add(struct fm_connection *connection, const char *model, size_t dim,
        int64_t *ret_key, struct fm_error *err)
{
	size_t known_dim;
	int64_t key;
	enum fm_status status = fm_model_find(connection, model, &key, &known_dim, err);

	if (status == FM_OK && key && known_dim != dim)
		return fm_fail(
		        err, FM_E_INVALID, "embedding: %zu values, where %s has %zu", dim, model, known_dim);
	if (status == FM_OK && !key) {
		status = fm_execute(connection, FM_SQL_MODEL_INSERT,
		        FM_PARAMS(FM_TEXT(model), FM_INT((int64_t)dim)), err);
		key = sqlite3_last_insert_rowid(connection->db);
		if (status == FM_OK && key > MODELS_MAX)
			status = fm_fail(err, FM_E_INVALID,
			        "%s: the gallery knows %d networks already, too many for another", model,
			        MODELS_MAX);
	}
	if (status == FM_OK)
		*ret_key = key;
	return status;
}

/* Columns: the face's key, its embedding, the seal, its id. */
enum fm_status fm_embedding_read(
        struct fm_query *query, const char *model, size_t dim, float *ret_embedding, struct fm_error *err)
{
	/* The blob first: asking for the size before it would be undefined. */
	const void *blob = sqlite3_column_blob(query->statement, 1);
	size_t blob_bytes = (size_t)sqlite3_column_bytes(query->statement, 1);
	int64_t seal = sqlite3_column_int64(query->statement, 2);
	const char *id = seal ? (const char *)sqlite3_column_text(query->statement, 3) : NULL;
	enum fm_status status = fm_embedding_unpack(
	        query->connection, id, model, blob, blob_bytes, seal, dim, ret_embedding, err);

	if (status != FM_OK)
		return fm_fail_prefix(err, status, "gallery: face %lld",
		        (long long)sqlite3_column_int64(query->statement, 0));
	return FM_OK;
}

enum fm_status fm_gallery_embedding_each(struct fm_gallery *gallery, const char *model,
        fm_embedding_visit visit, void *context, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	float embedding[FM_EMBEDDING_DIM_MAX];
	int64_t model_key;
	size_t dim;
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_model_find(reader.connection, model, &model_key, &dim, err);
	if (status == FM_OK)
		status = fm_query_start(&query, reader.connection, FM_SQL_EMBEDDING_RANGE,
		        FM_PARAMS(FM_INT(model_key), FM_INT(0), FM_INT(INT64_MAX)), err);
	while (status == FM_OK) {
		bool row;

		status = fm_query_next(&query, &row, err);
		if (status != FM_OK || !row)
			break;
		status = fm_embedding_read(&query, model, dim, embedding, err);
		if (status == FM_OK)
			status = visit(context, sqlite3_column_int64(query.statement, 4),
			        sqlite3_column_int64(query.statement, 5),
			        sqlite3_column_int64(query.statement, 0), embedding, dim, err);
	}
	fm_wipe(embedding, sizeof(embedding));
	return status;
}

enum fm_status fm_gallery_person_embeddings(struct fm_gallery *gallery, int64_t person_key, const char *model,
        size_t dim, float **ret_embeddings, size_t *ret_count, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	fm_autofree float *embeddings = NULL;
	int64_t model_key;
	size_t model_dim, count = 0;
	bool row = true;
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_person_find_by_key(reader.connection, person_key, &person, err);
	if (status == FM_OK)
		status = fm_model_find(reader.connection, model, &model_key, &model_dim, err);
	if (status != FM_OK)
		return status;
	if (model_key && model_dim != dim)
		return fm_fail(err, FM_E_INVALID, "%s has %zu dimensions, not %zu", model, model_dim, dim);
	/* The counter covers every model, so it is room enough. */
	embeddings = fm_calloc((size_t)person.faces, dim * sizeof(float));
	if (!embeddings)
		return fm_fail(
		        err, FM_E_NOMEM, "gallery: no memory for %lld embeddings", (long long)person.faces);
	status = fm_query_start(&query, reader.connection, FM_SQL_EMBEDDING_OF_PERSON,
	        FM_PARAMS(FM_INT(person_key), FM_INT(model_key)), err);
	while (status == FM_OK && row) {
		status = fm_query_next(&query, &row, err);
		if (status != FM_OK || !row)
			break;
		if (count == (size_t)person.faces)
			return fm_fail(err, FM_E_CORRUPT, "gallery: more faces than person %lld counts",
			        (long long)person_key);
		status = fm_embedding_read(&query, model, dim, embeddings + count * dim, err);
		count += status == FM_OK;
	}
	if (status != FM_OK)
		return status;
	*ret_count = count;
	*ret_embeddings = fm_steal(embeddings);
	return FM_OK;
}

struct wanted {
	const char *model;
	int64_t model_key;
	size_t dim;
	int64_t face_key;
};

static enum fm_status find_embedding(struct fm_connection *connection, enum fm_sql sql,
        const struct wanted *wanted, float *ret_embedding, bool *ret_found, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	enum fm_status status = fm_query_start(
	        &query, connection, sql, FM_PARAMS(FM_INT(wanted->face_key), FM_INT(wanted->model_key)), err);

	if (status == FM_OK)
		status = fm_query_next(&query, ret_found, err);
	if (status == FM_OK && *ret_found)
		status = fm_embedding_read(&query, wanted->model, wanted->dim, ret_embedding, err);
	return status;
}

enum fm_status fm_gallery_face_embeddings(struct fm_gallery *gallery, const char *model, size_t dim,
        const int64_t *face_keys, size_t count, float *ret_embeddings, bool *ret_found, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	int64_t model_key;
	size_t model_dim;
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_model_find(reader.connection, model, &model_key, &model_dim, err);
	if (status == FM_OK && model_key && model_dim != dim)
		return fm_fail(err, FM_E_INVALID, "%s has %zu dimensions, not %zu", model, model_dim, dim);
	for (size_t i = 0; status == FM_OK && i < count; i++) {
		const struct wanted wanted = {model, model_key, dim, face_keys[i]};

		status = find_embedding(reader.connection, FM_SQL_EMBEDDING_OF_FACE, &wanted,
		        ret_embeddings + i * dim, &ret_found[i], err);
		if (status == FM_OK && !ret_found[i])
			status = find_embedding(reader.connection, FM_SQL_EMBEDDING_BESIDE_FACE, &wanted,
			        ret_embeddings + i * dim, &ret_found[i], err);
	}
	return status;
}

enum fm_status fm_gallery_foreign_faces(
        struct fm_gallery *gallery, const char *model, int64_t *ret_count, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool row;
	enum fm_status status = fm_reader_begin(gallery, &reader, err);

	if (status == FM_OK)
		status = fm_query_start(&query, reader.connection, FM_SQL_MODEL_FOREIGN_FACES,
		        FM_PARAMS(FM_TEXT(model)), err);
	if (status == FM_OK)
		status = fm_query_next(&query, &row, err);
	if (status == FM_OK)
		*ret_count = sqlite3_column_int64(query.statement, 0);
	return status;
}
