#include "daemon/people.h"

#include "lib/base/banned.h"

/* Brings a new face into the index; where that fails, out of the gallery again. */
static enum fm_status index_face(struct fm_app *app, const struct fm_face_record *face,
        const struct fm_face_insert *insert, struct fm_error *err)
{
	enum fm_status status = fm_index_add(
	        app->index, face->collection_key, face->person_key, face->key, insert->embedding, err);

	if (status) {
		int64_t key;
		fm_gallery_face_delete(app->gallery, face->collection_key, face->id, &key, NULL);
	}
	return status;
}

enum fm_status fm_people_add_face(struct fm_app *app, int64_t person_key, const struct fm_face_insert *insert,
        struct fm_face_record *ret_face, bool *ret_existed, struct fm_error *err)
{
	struct fm_face_record face = {0};
	bool existed = false;

	pthread_mutex_lock(&app->change);
	enum fm_status status = fm_gallery_face_add(app->gallery, person_key, insert, &face, &existed, err);
	if (!status && !existed)
		status = index_face(app, &face, insert, err);
	pthread_mutex_unlock(&app->change);
	if (status) {
		fm_face_record_done(&face);
		return status;
	}
	*ret_face = face;
	*ret_existed = existed;
	return FM_OK;
}

enum fm_status fm_people_enroll_by_name(struct fm_app *app, int64_t collection_key, const char *name,
        const struct fm_face_insert *insert, struct fm_person *ret_person, struct fm_face_record *ret_face,
        bool *ret_existed, struct fm_error *err)
{
	struct fm_person person = {0};
	struct fm_face_record face = {0};
	bool existed = false;

	pthread_mutex_lock(&app->change);
	enum fm_status status = fm_gallery_enroll_by_name(
	        app->gallery, collection_key, name, insert, &person, &face, &existed, err);
	if (!status && !existed)
		status = index_face(app, &face, insert, err);
	pthread_mutex_unlock(&app->change);
	if (status) {
		fm_person_done(&person);
		fm_face_record_done(&face);
		return status;
	}
	*ret_person = person;
	*ret_face = face;
	*ret_existed = existed;
	return FM_OK;
}

enum fm_status fm_people_delete_face(
        struct fm_app *app, int64_t collection_key, const char *id, struct fm_error *err)
{
	int64_t key;

	pthread_mutex_lock(&app->change);
	enum fm_status status = fm_gallery_face_delete(app->gallery, collection_key, id, &key, err);
	if (!status)
		fm_index_remove_face(app->index, key);
	pthread_mutex_unlock(&app->change);
	return status;
}

enum fm_status fm_people_delete_person(
        struct fm_app *app, int64_t collection_key, const char *id, struct fm_error *err)
{
	int64_t key;

	pthread_mutex_lock(&app->change);
	enum fm_status status = fm_gallery_person_delete(app->gallery, collection_key, id, &key, err);
	if (!status)
		fm_index_remove_person(app->index, key);
	pthread_mutex_unlock(&app->change);
	return status;
}

enum fm_status fm_people_delete_collection(struct fm_app *app, const char *name, struct fm_error *err)
{
	int64_t key;

	pthread_mutex_lock(&app->change);
	enum fm_status status = fm_gallery_collection_delete(app->gallery, name, &key, err);
	if (!status)
		fm_index_remove_collection(app->index, key);
	pthread_mutex_unlock(&app->change);
	return status;
}
