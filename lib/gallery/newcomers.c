/* People and faces out of an archive: many in one transaction, each refused by itself. */
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/internal.h"

#include "lib/base/banned.h"

#define NEWCOMERS_MAX 256

struct arriving {
	int64_t collection_key;
	struct fm_newcomer *newcomers;
	struct fm_face_record *faces; /* that were added; key 0: none */
	size_t count;
	bool unindexed; /* the observer could not take them all */
};

/* What is wrong with the line, and not with the gallery or the machine. */
static bool is_refusal(enum fm_status status)
{
	return status == FM_E_INVALID || status == FM_E_TOO_LARGE || status == FM_E_CONFLICT ||
	       status == FM_E_NOT_FOUND || status == FM_E_UNSUPPORTED;
}

static enum fm_status arrive_person(struct fm_connection *connection, const struct arriving *arriving,
        struct fm_newcomer *newcomer, struct fm_error *err)
{
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	int64_t key;
	enum fm_status status =
	        fm_person_find(connection, arriving->collection_key, newcomer->person->id, &person, err);

	newcomer->existed = status == FM_OK;
	return status == FM_E_NOT_FOUND
	               ? fm_person_insert(connection, arriving->collection_key, newcomer->person, &key, err)
	               : status;
}

static enum fm_status arrive_face(struct fm_connection *connection, const struct arriving *arriving,
        struct fm_newcomer *newcomer, struct fm_face_record *ret_face, struct fm_error *err)
{
	fm_cleanup(fm_person_done) struct fm_person person = {0};
	fm_cleanup(fm_face_record_done) struct fm_face_record face = {0};
	enum fm_status status =
	        fm_person_find(connection, arriving->collection_key, newcomer->person_id, &person, err);

	if (status == FM_OK)
		status = fm_face_add(connection, &person, newcomer->face, &face, &newcomer->existed, err);
	if (status == FM_OK && !newcomer->existed)
		*ret_face = face;
	if (ret_face->key) /* it is theirs now */
		face = (struct fm_face_record){0};
	return status;
}

/* With what it did undone where it is refused; any other failure is the transaction's. */
static enum fm_status arrive_one(
        struct fm_connection *connection, struct arriving *arriving, size_t i, struct fm_error *err)
{
	struct fm_newcomer *newcomer = &arriving->newcomers[i];
	enum fm_status status = fm_execute(connection, FM_SQL_SAVEPOINT, NULL, 0, err);

	if (status != FM_OK)
		return status;
	newcomer->existed = false;
	newcomer->status = newcomer->person ? arrive_person(connection, arriving, newcomer, &newcomer->err)
	                                    : arrive_face(connection, arriving, newcomer, &arriving->faces[i],
	                                              &newcomer->err);
	if (newcomer->status != FM_OK && !is_refusal(newcomer->status)) {
		if (err)
			*err = newcomer->err;
		return newcomer->status;
	}
	if (newcomer->status != FM_OK)
		status = fm_execute(connection, FM_SQL_ROLLBACK_TO, NULL, 0, err);
	return status == FM_OK ? fm_execute(connection, FM_SQL_RELEASE, NULL, 0, err) : status;
}

static void drop_faces(struct arriving *arriving)
{
	for (size_t i = 0; i < arriving->count; i++)
		fm_face_record_done(&arriving->faces[i]);
}

static enum fm_status arrive(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct arriving *arriving = context;
	enum fm_status status = FM_OK;

	drop_faces(arriving);
	for (size_t i = 0; status == FM_OK && i < arriving->count; i++)
		if (!arriving->newcomers[i].refused)
			status = arrive_one(connection, arriving, i, err);
	return status;
}

static enum fm_status arrived(struct fm_gallery *gallery, void *context, struct fm_error *err)
{
	struct arriving *arriving = context;
	const struct fm_gallery_observer *observer = &gallery->observer;
	enum fm_status status = FM_OK;

	for (size_t i = 0; observer->face_added && status == FM_OK && i < arriving->count; i++) {
		const struct fm_face_insert *insert = arriving->newcomers[i].face;

		if (arriving->faces[i].key)
			status = observer->face_added(observer->context, &arriving->faces[i], insert->model,
			        insert->embedding, insert->dim, err);
	}
	arriving->unindexed = status != FM_OK;
	return status;
}

/* Before the transaction: nobody else waits for it. */
static void check(struct fm_newcomer *newcomer)
{
	if (newcomer->refused)
		return;
	newcomer->status = newcomer->person ? fm_person_check(newcomer->person, &newcomer->err)
	                                    : fm_face_check(newcomer->face, &newcomer->err);
	newcomer->refused = newcomer->status != FM_OK;
}

enum fm_status fm_gallery_take_newcomers(struct fm_gallery *gallery, int64_t collection_key,
        struct fm_newcomer *newcomers, size_t count, struct fm_error *err)
{
	struct arriving arriving = {.collection_key = collection_key, .newcomers = newcomers, .count = count};

	if (count < 1 || count > NEWCOMERS_MAX)
		return fm_fail(err, FM_E_INVALID, "1 to %d lines at a time", NEWCOMERS_MAX);
	arriving.faces = fm_calloc(count, sizeof(*arriving.faces));
	if (!arriving.faces)
		return fm_fail(err, FM_E_NOMEM, "gallery: no memory for %zu faces", count);
	for (size_t i = 0; i < count; i++)
		check(&newcomers[i]);
	enum fm_status status = fm_gallery_change(
	        gallery, &(struct fm_change){.run = arrive, .applied = arrived, .context = &arriving}, err);

	/* On disk, and nobody would find them. */
	for (size_t i = 0; status != FM_OK && arriving.unindexed && i < count; i++)
		if (arriving.faces[i].key)
			fm_gallery_face_delete(gallery, collection_key, arriving.faces[i].id, "index", NULL);
	drop_faces(&arriving);
	free(arriving.faces);
	return status;
}
