/*
 * Writers and readers on one gallery, for ThreadSanitizer. Each writer keeps a list of what the gallery
 * acknowledged; in the end the gallery holds exactly that, and its counters say so. Readers page through it
 * meanwhile: people come in creation order, each page from one snapshot.
 * Exit: 0 when all held.
 */
#include "lib/gallery/gallery.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	DIM = 16,
	SECONDS = 3,
	WRITERS = 3,
	READERS = 3,
	NAMES = 20, /* of each writer */
	FACES_MAX = 4096,
};

#define MODEL "net@0123456789abcdef"

static struct fm_gallery *gallery;
static int64_t home;
static atomic_bool stop, failed;
static atomic_ulong reads, writes;

struct writer {
	uint64_t number;
	struct {
		char id[FM_UUID_TEXT];
		int64_t person_key;
	} faces[FACES_MAX];
	size_t count;
};

static void fail(const char *what, const struct fm_error *err)
{
	if (!atomic_exchange(&failed, true))
		fprintf(stderr, "stress_gallery: %s: %s\n", what, err ? err->message : "wrong");
	atomic_store(&stop, true);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void enroll(struct writer *writer, uint64_t seed)
{
	float embedding[DIM] = {0};
	struct fm_face_insert insert = {
	        .embedding = embedding, .dim = DIM, .model = MODEL, .quality = "{}", .box = {0, 0, 1, 1}};
	struct fm_person person;
	struct fm_face_record face;
	struct fm_error err;
	char name[32];
	bool existed;

	embedding[seed % DIM] = 1;
	memcpy(insert.image_sha256, &seed, sizeof(seed));
	snprintf(name, sizeof(name), "writer %d name %d", (int)writer->number, (int)(seed % NAMES));
	if (fm_gallery_enroll_by_name(gallery, home, name, &insert, &person, &face, &existed, &err) !=
	        FM_OK) {
		fail("enroll", &err);
		return;
	}
	if (existed || strcmp(person.name, name) != 0 || face.person_key != person.key)
		fail("what was enrolled", NULL);
	memcpy(writer->faces[writer->count].id, face.id, FM_UUID_TEXT);
	writer->faces[writer->count++].person_key = person.key;
	fm_person_done(&person);
	fm_face_record_done(&face);
}

static void delete_face(struct writer *writer, size_t i)
{
	struct fm_error err;

	if (fm_gallery_face_delete(gallery, home, writer->faces[i].id, "test", &err) != FM_OK)
		fail("delete a face", &err);
	writer->faces[i] = writer->faces[--writer->count];
}

static void delete_person(struct writer *writer, int64_t person_key)
{
	struct fm_person person;
	struct fm_error err;

	if (fm_gallery_person_get_by_key(gallery, person_key, &person, &err) != FM_OK) {
		fail("get a person", &err);
		return;
	}
	if (fm_gallery_person_delete(gallery, home, person.id, "test", &err) != FM_OK)
		fail("delete a person", &err);
	fm_person_done(&person);
	for (size_t i = 0; i < writer->count;)
		if (writer->faces[i].person_key == person_key)
			writer->faces[i] = writer->faces[--writer->count];
		else
			i++;
}

static void *write_some(void *argument)
{
	struct writer *writer = argument;
	uint64_t state = 42 + writer->number;

	while (!atomic_load(&stop) && writer->count < FACES_MAX) {
		uint64_t seed = next_random(&state), action = next_random(&state) % 100;
		size_t i = writer->count ? next_random(&state) % writer->count : 0;

		if (action < 70 || writer->count == 0)
			enroll(writer, seed);
		else if (action < 96)
			delete_face(writer, i);
		else
			delete_person(writer, writer->faces[i].person_key);
		atomic_fetch_add(&writes, 1);
	}
	return NULL;
}

/* *after is moved on; false at the end, and where somebody deleted the cursor. */
static bool read_page(char after[FM_UUID_TEXT])
{
	struct fm_person *people;
	struct fm_error err;
	char next[FM_UUID_TEXT];
	size_t count;
	enum fm_status status = fm_gallery_person_list(
	        gallery, home, NULL, *after ? after : NULL, 7, &people, &count, next, &err);

	if (status != FM_OK) {
		if (status != FM_E_INVALID || !*after)
			fail("list", &err);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		struct fm_face_record *faces;
		size_t face_count;

		if (i > 0 && people[i].key <= people[i - 1].key)
			fail("order", NULL);
		status = fm_gallery_face_list(gallery, people[i].key, &faces, &face_count, &err);
		if (status != FM_OK && status != FM_E_NOT_FOUND)
			fail("list faces", &err);
		for (size_t k = 0; status == FM_OK && k < face_count; k++)
			fm_face_record_done(&faces[k]);
		if (status == FM_OK)
			free(faces);
		fm_person_done(&people[i]);
	}
	free(people);
	atomic_fetch_add(&reads, 1);
	memcpy(after, next, sizeof(next));
	return *after != '\0';
}

static enum fm_status count_embedding(void *context, int64_t collection, int64_t person, int64_t face,
        const float *embedding, size_t dim, struct fm_error *err)
{
	(void)collection, (void)person, (void)face, (void)embedding, (void)dim, (void)err;
	++*(int64_t *)context;
	return FM_OK;
}

static void *read_some(void *argument)
{
	(void)argument;
	while (!atomic_load(&stop)) {
		char after[FM_UUID_TEXT] = "";
		int64_t embeddings = 0;
		struct fm_error err;

		while (!atomic_load(&stop) && read_page(after))
			;
		if (fm_gallery_embedding_each(gallery, MODEL, count_embedding, &embeddings, &err) != FM_OK)
			fail("embeddings", &err);
	}
	return NULL;
}

static void check_end(const struct writer *writers)
{
	struct fm_collection collection;
	struct fm_error err;
	int64_t expected = 0, embeddings = 0;

	for (int i = 0; i < WRITERS; i++)
		for (size_t k = 0; k < writers[i].count; k++, expected++) {
			struct fm_face_record face;

			if (fm_gallery_face_get(gallery, home, writers[i].faces[k].id, &face, &err) != FM_OK)
				fail("an acknowledged face", &err);
			else
				fm_face_record_done(&face);
		}
	if (fm_gallery_collection_get(gallery, FM_GALLERY_DEFAULT_COLLECTION, &collection, &err) != FM_OK ||
	        fm_gallery_embedding_each(gallery, MODEL, count_embedding, &embeddings, &err) != FM_OK) {
		fail("the end", &err);
		return;
	}
	if (collection.faces != expected || embeddings != expected)
		fail("the number of faces", NULL);
	if (collection.people > WRITERS * NAMES)
		fail("the number of people: a name was created twice", NULL);
	fm_collection_done(&collection);
}

int main(void)
{
	static struct writer writers[WRITERS];
	char directory[] = "/tmp/fm-stress-XXXXXX", path[64];
	pthread_t threads[WRITERS + READERS];
	struct fm_collection collection;
	struct fm_error err;

	if (!mkdtemp(directory))
		return 1;
	snprintf(path, sizeof(path), "%s/gallery.db", directory);
	if (fm_gallery_open(path, &gallery, &err) != FM_OK ||
	        fm_gallery_collection_get(gallery, FM_GALLERY_DEFAULT_COLLECTION, &collection, &err) !=
	                FM_OK) {
		fprintf(stderr, "stress_gallery: %s\n", err.message);
		return 1;
	}
	home = collection.key;
	fm_collection_done(&collection);
	for (int i = 0; i < WRITERS + READERS; i++) {
		if (i < WRITERS)
			writers[i].number = (uint64_t)i;
		if (pthread_create(&threads[i], NULL, i < WRITERS ? write_some : read_some,
		            i < WRITERS ? &writers[i] : NULL) != 0)
			return 1;
	}
	nanosleep(&(struct timespec){.tv_sec = SECONDS}, NULL);
	while (!atomic_load(&failed) && (!atomic_load(&reads) || !atomic_load(&writes)))
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	atomic_store(&stop, true);
	for (int i = 0; i < WRITERS + READERS; i++)
		pthread_join(threads[i], NULL);
	check_end(writers);
	fm_gallery_close(gallery);
	unlink(path);
	rmdir(directory);
	printf("stress_gallery: %lu pages beside %lu changes: %s\n", atomic_load(&reads),
	        atomic_load(&writes), atomic_load(&failed) ? "FAILED" : "ok");
	return atomic_load(&failed);
}
