/* What networks computed that serve no more: their embeddings, where a face has one of the network that
 * serves. */
#include "lib/base/cleanup.h"
#include "lib/gallery/internal.h"
#include "lib/gallery/jobs.h"

#include <string.h>

#include "lib/base/banned.h"

#define BATCH_FACES 256 /* as many as FM_SQL_FORGET_NEXT gives: of a transaction */

struct forgetting {
	const char *model, *actor;
	int64_t model_key, position;
	/* of a batch */
	int64_t last, forgotten, kept;
};

/* A record for each network that has embeddings; *ret_count: how many there are. */
static enum fm_status record(struct fm_connection *connection, const struct forgetting *forgetting,
        int64_t *ret_count, struct fm_error *err)
{
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool row = true;
	enum fm_status status = fm_query_start(&query, connection, FM_SQL_MODEL_LIST, NULL, 0, err);

	*ret_count = 0;
	while (status == FM_OK && row) {
		status = fm_query_next(&query, &row, err);
		const char *model =
		        status == FM_OK && row ? (const char *)sqlite3_column_text(query.statement, 0) : NULL;

		if (!model || strcmp(model, forgetting->model) == 0)
			continue;
		int64_t faces = sqlite3_column_int64(query.statement, 1);

		*ret_count += faces;
		status = fm_audit_insert(connection,
		        &(struct fm_audit){.actor = forgetting->actor,
		                .action = "forget",
		                .object_kind = "network",
		                .object_id = model,
		                .faces = faces},
		        err);
	}
	return status;
}

/* From here on no rollback leads back. */
static enum fm_status begin(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct forgetting *forgetting = context;
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	int64_t count = 0;
	size_t dim;
	bool found;
	enum fm_status status =
	        fm_model_find(connection, forgetting->model, &forgetting->model_key, &dim, err);

	if (status == FM_OK)
		status = fm_query_start(&query, connection, FM_SQL_MODEL_CHOSEN, NULL, 0, err);
	if (status == FM_OK)
		status = fm_query_next(&query, &found, err);
	if (status != FM_OK)
		return status;
	if (!forgetting->model_key || !found ||
	        sqlite3_column_int64(query.statement, 0) != forgetting->model_key)
		return fm_fail(err, FM_E_CONFLICT,
		        "the network that serves is not the one that the gallery's faces were brought over "
		        "to");
	status = record(connection, forgetting, &count, err);
	if (status == FM_OK && !count)
		return fm_fail(err, FM_E_CONFLICT,
		        "nothing to forget: there are no embeddings of another network than %s",
		        forgetting->model);
	return status == FM_OK ? fm_execute(connection, FM_SQL_MODEL_CHOOSE,
	                                 FM_PARAMS(FM_INT(forgetting->model_key), FM_INT(0)), err)
	                       : status;
}

/* A face's own row may hold the old embedding, and the one that serves stand beside it: it moves there. */
static enum fm_status forget_face(struct fm_connection *connection, struct forgetting *forgetting,
        int64_t face, bool own, struct fm_error *err)
{
	enum fm_status status = FM_OK;
	int changes = 0;

	if (!own) {
		status = fm_execute(connection, FM_SQL_FORGET_OWN,
		        FM_PARAMS(FM_INT(face), FM_INT(forgetting->model_key)), err);
		if (status == FM_OK && !(changes = sqlite3_changes(connection->db)))
			forgetting->kept++;
	}
	if (status != FM_OK || (!own && !changes))
		return status;
	status = fm_execute(connection, FM_SQL_FORGET_BESIDE, FM_PARAMS(FM_INT(face)), err);
	forgetting->forgotten += status == FM_OK && (changes || sqlite3_changes(connection->db) > 0);
	return status;
}

static enum fm_status forget(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct forgetting *forgetting = context;
	int64_t faces[BATCH_FACES];
	bool own[BATCH_FACES], row = true;
	size_t count = 0;
	enum fm_status status;

	forgetting->forgotten = forgetting->kept = 0;
	{
		fm_cleanup(fm_query_done) struct fm_query query = {0};

		status = fm_query_start(
		        &query, connection, FM_SQL_FORGET_NEXT, FM_PARAMS(FM_INT(forgetting->position)), err);
		while (status == FM_OK && row && count < BATCH_FACES) {
			status = fm_query_next(&query, &row, err);
			if (status != FM_OK || !row)
				break;
			faces[count] = sqlite3_column_int64(query.statement, 0);
			own[count++] = sqlite3_column_int64(query.statement, 1) == forgetting->model_key;
		}
	}
	for (size_t i = 0; status == FM_OK && i < count; i++)
		status = forget_face(connection, forgetting, faces[i], own[i], err);
	forgetting->last = count ? faces[count - 1] : 0;
	return status;
}

enum fm_status fm_gallery_forget_others(struct fm_gallery *gallery, const char *model, const char *actor,
        int64_t *ret_forgotten, int64_t *ret_kept, struct fm_error *err)
{
	struct forgetting forgetting = {.model = model, .actor = actor};
	int64_t forgotten = 0, kept = 0;
	enum fm_status status = fm_audit_check_actor(actor, err);

	if (status == FM_OK)
		status = fm_gallery_change(
		        gallery, &(struct fm_change){.run = begin, .context = &forgetting}, err);
	while (status == FM_OK) {
		status = fm_gallery_change(gallery,
		        &(struct fm_change){.run = forget, .context = &forgetting, .erases = true}, err);
		if (status != FM_OK || !forgetting.last)
			break;
		forgotten += forgetting.forgotten;
		kept += forgetting.kept;
		forgetting.position = forgetting.last;
	}
	if (status != FM_OK)
		return status;
	*ret_forgotten = forgotten;
	*ret_kept = kept;
	return FM_OK;
}
