#include "lib/gallery/internal.h"

#include "lib/base/banned.h"

static const struct {
	const char *name;
	enum fm_sql sql;
} kinds[] = {
        [FM_OBJECT_FACE] = {"face", FM_SQL_FACE_DELETE},
        [FM_OBJECT_PERSON] = {"person", FM_SQL_PERSON_DELETE},
        [FM_OBJECT_COLLECTION] = {"collection", FM_SQL_COLLECTION_DELETE},
};

static enum fm_status erase(struct fm_connection *connection, void *context, struct fm_error *err)
{
	struct fm_deletion *deletion = context;
	enum fm_status status = deletion->find(connection, deletion, err);

	if (status == FM_OK)
		status = fm_audit_insert(connection,
		        &(struct fm_audit){.actor = deletion->actor,
		                .action = "delete",
		                .object_kind = kinds[deletion->object].name,
		                .object_id = deletion->id,
		                .collection_key = deletion->collection_key,
		                .faces = deletion->faces},
		        err);
	return status == FM_OK ? fm_execute(connection, kinds[deletion->object].sql,
	                                 FM_PARAMS(FM_INT(deletion->key)), err)
	                       : status;
}

static enum fm_status erased(struct fm_gallery *gallery, void *context, struct fm_error *err)
{
	const struct fm_deletion *deletion = context;

	(void)err;
	if (gallery->observer.removed)
		gallery->observer.removed(gallery->observer.context, deletion->object, deletion->key);
	return FM_OK;
}

enum fm_status fm_delete(struct fm_gallery *gallery, struct fm_deletion *deletion, struct fm_error *err)
{
	enum fm_status status = fm_audit_check_actor(deletion->actor, err);

	return status == FM_OK ? fm_gallery_change(gallery,
	                                 &(struct fm_change){.run = erase,
	                                         .applied = erased,
	                                         .context = deletion,
	                                         .erases = true},
	                                 err)
	                       : status;
}
