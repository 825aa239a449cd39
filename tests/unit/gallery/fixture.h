/* A gallery in a directory of its own, and faces to put into it. */
#ifndef TESTS_UNIT_GALLERY_FIXTURE_H
#define TESTS_UNIT_GALLERY_FIXTURE_H

#include "lib/gallery/gallery.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIM   64
#define MODEL "net@0123456789abcdef"

#define ok(call)            cr_assert_eq((call), FM_OK, "%s: %s", #call, error.message)
#define fails(status, call) cr_assert_eq((call), (status), "%s: %s", #call, error.message)

static char directory[64], path[128];
static struct fm_gallery *gallery;
static struct fm_error error;
static int64_t home; /* the default collection */

static inline void make_directory(void)
{
	snprintf(directory, sizeof(directory), "/tmp/fm-gallery-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/gallery.db", directory);
}

/* For thousands of transactions: on a file system in memory where there is one. */
static inline void make_fast_directory(void)
{
	bool memory = access("/dev/shm", W_OK) == 0;

	snprintf(directory, sizeof(directory), "%s/fm-gallery-XXXXXX", memory ? "/dev/shm" : "/tmp");
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/gallery.db", directory);
}

static inline void remove_directory(void)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(directory);
}

static inline int64_t collection_key(const char *name)
{
	struct fm_collection collection;

	ok(fm_gallery_collection_get(gallery, name, &collection, &error));
	int64_t key = collection.key;

	fm_collection_done(&collection);
	return key;
}

static inline void open_gallery(void)
{
	ok(fm_gallery_open(path, &gallery, &error));
	home = collection_key(FM_GALLERY_DEFAULT_COLLECTION);
}

static inline void close_gallery(void)
{
	fm_gallery_close(gallery);
	gallery = NULL;
}

static inline void setup(void)
{
	make_directory();
	open_gallery();
}

static inline void setup_fast(void)
{
	make_fast_directory();
	open_gallery();
}

static inline void teardown(void)
{
	close_gallery();
	remove_directory();
}

/* A unit vector that depends on the seed alone. */
static inline void fill_embedding(float *embedding, size_t dim, uint64_t seed)
{
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	double square = 0;

	for (size_t i = 0; i < dim; i++) {
		state ^= state >> 12;
		state ^= state << 25;
		state ^= state >> 27;
		embedding[i] = (float)((int32_t)(state * UINT64_C(0x2545f4914f6cdd1d) >> 32)) / 2147483648.0f;
		square += (double)embedding[i] * embedding[i];
	}
	for (size_t i = 0; i < dim; i++)
		embedding[i] = (float)(embedding[i] / sqrt(square));
}

/* The face of a photo of its own; `embedding` has room for DIM values and must outlive the insert. */
static inline struct fm_face_insert make_insert(float *embedding, uint64_t seed)
{
	struct fm_face_insert insert = {
	        .embedding = embedding,
	        .dim = DIM,
	        .model = MODEL,
	        .quality = "{\"score\":0.9}",
	        .box = {10, 20, 100, 120},
	};

	fill_embedding(embedding, DIM, seed);
	memcpy(insert.image_sha256, &seed, sizeof(seed));
	return insert;
}

/* Enrols the face `seed` under a name; returns the face's key, and its id where wanted. */
static inline int64_t enroll(int64_t collection, const char *name, uint64_t seed, char *ret_face_id)
{
	float embedding[DIM];
	struct fm_face_insert insert = make_insert(embedding, seed);
	struct fm_person person;
	struct fm_face_record face;
	bool existed;

	ok(fm_gallery_enroll_by_name(gallery, collection, name, &insert, &person, &face, &existed, &error));
	int64_t key = face.key;

	if (ret_face_id)
		memcpy(ret_face_id, face.id, FM_UUID_TEXT);
	fm_person_done(&person);
	fm_face_record_done(&face);
	return key;
}

static inline struct fm_person create_person(int64_t collection, const char *name)
{
	struct fm_person person;

	ok(fm_gallery_person_create(
	        gallery, collection, &(struct fm_person_fields){.name = name}, &person, &error));
	return person;
}

static inline void expect_counts(const char *name, int64_t people, int64_t faces)
{
	struct fm_collection collection;

	ok(fm_gallery_collection_get(gallery, name, &collection, &error));
	cr_expect_eq(collection.people, people, "%s: %ld people", name, (long)collection.people);
	cr_expect_eq(collection.faces, faces, "%s: %ld faces", name, (long)collection.faces);
	fm_collection_done(&collection);
}

#endif
