#include "daemon/people.h"

#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

struct removal {
	enum fm_object object;
	int64_t key;
};

struct fm_people {
	struct fm_gallery *gallery;
	struct fm_serving_slot *slot;
	pthread_mutex_t lock; /* guards what follows */
	struct fm_serving *next;
	/* What was removed while next's index is filled: the reading may have seen it before. */
	bool filling, lost;
	struct removal *removals;
	size_t count, capacity;
};

static enum fm_status add_to_index(void *context, const struct fm_face_record *face, const char *model,
        const float *embedding, size_t dim, struct fm_error *err)
{
	struct fm_people *people = context;
	enum fm_status status = FM_OK;

	(void)dim; /* the gallery holds one for each model */
	pthread_mutex_lock(&people->lock);
	struct fm_serving *current = fm_serving_get(people->slot);

	if (strcmp(model, fm_serving_model(current)) == 0)
		status = fm_index_add(
		        current->index, face->collection_key, face->person_key, face->key, embedding, err);
	if (!status && people->next && strcmp(model, fm_serving_model(people->next)) == 0) {
		status = fm_index_add(people->next->index, face->collection_key, face->person_key, face->key,
		        embedding, err);
		if (status == FM_E_CONFLICT) /* the filling found it first */
			status = FM_OK;
	}
	pthread_mutex_unlock(&people->lock);
	fm_serving_put(current);
	return status;
}

static void remove_from(struct fm_index *index, const struct removal *removal)
{
	switch (removal->object) {
	case FM_OBJECT_FACE: fm_index_remove_face(index, removal->key); break;
	case FM_OBJECT_PERSON: fm_index_remove_person(index, removal->key); break;
	case FM_OBJECT_COLLECTION: fm_index_remove_collection(index, removal->key); break;
	}
}

/* With the lock held. */
static void remember(struct fm_people *people, const struct removal *removal)
{
	if (people->count == people->capacity) {
		size_t capacity = people->capacity ? people->capacity * 2 : 64;
		struct removal *removals = realloc(people->removals, capacity * sizeof(*removals));

		if (!removals) {
			people->lost = true;
			return;
		}
		people->removals = removals;
		people->capacity = capacity;
	}
	people->removals[people->count++] = *removal;
}

static void remove_from_index(void *context, enum fm_object object, int64_t key)
{
	const struct removal removal = {.object = object, .key = key};
	struct fm_people *people = context;

	pthread_mutex_lock(&people->lock);
	struct fm_serving *current = fm_serving_get(people->slot);

	remove_from(current->index, &removal);
	if (people->filling) /* then that index is busy; and what is removed now may be read later */
		remember(people, &removal);
	else if (people->next)
		remove_from(people->next->index, &removal);
	pthread_mutex_unlock(&people->lock);
	fm_serving_put(current);
}

enum fm_status fm_people_create(struct fm_gallery *gallery, struct fm_serving_slot *slot,
        struct fm_people **ret_people, struct fm_error *err)
{
	struct fm_people *people = fm_calloc(1, sizeof(*people));

	if (!people)
		return fm_fail(err, FM_E_NOMEM, "no memory to start");
	people->gallery = gallery;
	people->slot = slot;
	pthread_mutex_init(&people->lock, NULL);
	fm_gallery_observe(gallery, &(struct fm_gallery_observer){
	                                    .context = people,
	                                    .face_added = add_to_index,
	                                    .removed = remove_from_index,
	                            });
	*ret_people = people;
	return FM_OK;
}

void fm_people_free(struct fm_people *people)
{
	if (!people)
		return;
	fm_gallery_observe(people->gallery, &(struct fm_gallery_observer){0});
	pthread_mutex_destroy(&people->lock);
	free(people->removals);
	free(people);
}

enum fm_status fm_people_prepare(struct fm_people *people, struct fm_serving *next, struct fm_error *err)
{
	/* An index to remove from, before anybody may. */
	enum fm_status status = fm_serving_open_index(next, people->gallery, err);

	if (status)
		return status;
	pthread_mutex_lock(&people->lock);
	people->next = next;
	people->filling = true;
	people->lost = false;
	people->count = 0;
	pthread_mutex_unlock(&people->lock);
	status = fm_enrolled_fill(next->enrolled, err);

	pthread_mutex_lock(&people->lock);
	for (size_t i = 0; !status && i < people->count; i++)
		remove_from(next->index, &people->removals[i]);
	people->filling = false;
	if (!status && people->lost)
		status = fm_fail(err, FM_E_NOMEM, "no memory for what was deleted meanwhile");
	if (status)
		people->next = NULL;
	pthread_mutex_unlock(&people->lock);
	return status;
}

void fm_people_publish(struct fm_people *people)
{
	pthread_mutex_lock(&people->lock);
	struct fm_serving *old = fm_serving_exchange(people->slot, people->next);
	people->next = NULL;
	pthread_mutex_unlock(&people->lock);
	fm_serving_put(old);
}

void fm_people_abandon(struct fm_people *people)
{
	pthread_mutex_lock(&people->lock);
	people->next = NULL;
	pthread_mutex_unlock(&people->lock);
}
