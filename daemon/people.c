#include "daemon/people.h"

#include <string.h>

#include "lib/base/banned.h"

static enum fm_status add_to_index(void *context, const struct fm_face_record *face, const char *model,
        const float *embedding, size_t dim, struct fm_error *err)
{
	struct fm_app *app = context;

	(void)dim; /* the gallery holds one for each model */
	if (strcmp(model, fm_app_model(app)) != 0)
		return FM_OK;
	return fm_index_add(app->index, face->collection_key, face->person_key, face->key, embedding, err);
}

static void remove_from_index(void *context, enum fm_object object, int64_t key)
{
	struct fm_app *app = context;

	switch (object) {
	case FM_OBJECT_FACE: fm_index_remove_face(app->index, key); break;
	case FM_OBJECT_PERSON: fm_index_remove_person(app->index, key); break;
	case FM_OBJECT_COLLECTION: fm_index_remove_collection(app->index, key); break;
	}
}

void fm_people_follow(struct fm_app *app)
{
	fm_gallery_observe(app->gallery, &(struct fm_gallery_observer){
	                                         .context = app,
	                                         .face_added = add_to_index,
	                                         .removed = remove_from_index,
	                                 });
}
