/*
 * Searches beside changes, for ThreadSanitizer. Every search must be explained by one state of the index:
 *  - ranks fall, people are distinct, as many as there are (or the limit);
 *  - a hit's face is that person's, in that collection, and its cosine is that face's, to the bit;
 *  - people who are never removed and score above the last hit are all in the answer.
 * Exit: 0 when all held.
 */
#include "lib/kernels/kernels.h"
#include "lib/search/index.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	DIM = 96,
	SECONDS = 3,
	WRITERS = 2,
	SEARCHERS = 3,
	PINNED = 40,          /* people that stay; one face each, person key = face key */
	PEOPLE = 50,          /* that come and go, for each writer */
	FACES_PER_PERSON = 4, /* face key = person key * 4 + 0 … 3 for them */
	FIRST_MOVING = 1000,
	LIMIT = 10,
	TABLE = 512,
};

static struct fm_index *subject;
static float table[TABLE][DIM];
static atomic_bool stop, failed;
static atomic_ulong searches, changes;

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void fill_table(void)
{
	uint64_t state = 88172645463325252u;

	for (int i = 0; i < TABLE; i++) {
		double square = 0;

		for (int k = 0; k < DIM; k++) {
			table[i][k] = (float)(int32_t)next_random(&state) / 2147483648.0f;
			square += (double)table[i][k] * table[i][k];
		}
		for (int k = 0; k < DIM; k++)
			table[i][k] = (float)(table[i][k] / sqrt(square));
	}
}

static const float *embedding_of(int64_t face_key)
{
	return table[face_key % TABLE];
}

static enum fm_status fetch(void *context, const int64_t *face_keys, size_t count, float *ret_embeddings,
        bool *ret_found, struct fm_error *err)
{
	(void)context;
	(void)err;
	for (size_t i = 0; i < count; i++) {
		memcpy(ret_embeddings + i * DIM, embedding_of(face_keys[i]), sizeof(table[0]));
		ret_found[i] = true;
	}
	return FM_OK;
}

static int64_t person_of(int64_t face_key)
{
	return face_key < FIRST_MOVING ? face_key : face_key / FACES_PER_PERSON;
}

static int64_t collection_of(int64_t person_key)
{
	return 1 + person_key % 2;
}

static void fail(const char *what)
{
	if (!atomic_exchange(&failed, true))
		fprintf(stderr, "stress_index: %s\n", what);
	atomic_store(&stop, true);
}

static void add(int64_t face_key)
{
	int64_t person_key = person_of(face_key);
	struct fm_error err;
	enum fm_status status = fm_index_add(
	        subject, collection_of(person_key), person_key, face_key, embedding_of(face_key), &err);

	if (status != FM_OK && status != FM_E_CONFLICT)
		fail(err.message);
}

/* Each writer has people of its own, so that what it leaves behind is known. */
static void *write_some(void *argument)
{
	int64_t number = *(int64_t *)argument;
	uint64_t state = 1234567 + (uint64_t)number;

	while (!atomic_load(&stop)) {
		int64_t person_key = FIRST_MOVING + number * PEOPLE + (int64_t)(next_random(&state) % PEOPLE);
		int64_t face_key =
		        person_key * FACES_PER_PERSON + (int64_t)(next_random(&state) % FACES_PER_PERSON);
		uint64_t action = next_random(&state) % 100;

		if (action < 60)
			add(face_key);
		else if (action < 90)
			fm_index_remove_face(subject, face_key);
		else if (action < 99)
			fm_index_remove_person(subject, person_key);
		else
			fm_index_remove_collection(subject, 3);
		/* A third collection comes and goes as a whole. */
		if (action % 10 == 0) {
			struct fm_error err;
			int64_t key = 1000000 + number * 1000 + (int64_t)(next_random(&state) % 500);

			if (fm_index_add(subject, 3, key, key, embedding_of(key), &err) == FM_E_NOMEM)
				fail(err.message);
		}
		atomic_fetch_add(&changes, 1);
	}
	return NULL;
}

static bool contains(const struct fm_index_hit *hits, size_t count, int64_t person_key)
{
	for (size_t i = 0; i < count; i++)
		if (hits[i].person_key == person_key)
			return true;
	return false;
}

static void check_hits(int64_t collection, const float *probe, const struct fm_index_hit *hits, size_t count,
        struct fm_index_size size)
{
	if (count != (size.people < LIMIT ? size.people : LIMIT) || size.faces < size.people)
		fail("a number of hits that no state has");
	for (size_t i = 0; i < count; i++) {
		const struct fm_index_hit *hit = &hits[i];

		if (contains(hits, i, hit->person_key))
			fail("somebody twice");
		if (i > 0 && (hit->cosine > hits[i - 1].cosine ||
		                     (hit->cosine == hits[i - 1].cosine &&
		                             hit->person_key < hits[i - 1].person_key)))
			fail("hits out of order");
		if (person_of(hit->face_key) != hit->person_key ||
		        collection_of(hit->person_key) != collection)
			fail("a face of somebody else");
		if (hit->cosine != fm_kernels_best()->dot_f32(probe, embedding_of(hit->face_key), DIM))
			fail("a cosine that is not that face's");
	}
	for (int64_t person = 1; person <= PINNED && count > 0; person++)
		if (collection_of(person) == collection &&
		        fm_kernels_best()->dot_f32(probe, embedding_of(person), DIM) >
		                hits[count - 1].cosine &&
		        !contains(hits, count, person))
			fail("somebody who was there all the time is missing");
}

static void *search_some(void *argument)
{
	uint64_t state = 7654321 + *(uint64_t *)argument;

	while (!atomic_load(&stop)) {
		struct fm_index_hit hits[LIMIT];
		struct fm_index_size size;
		struct fm_error err;
		size_t count;
		int64_t collection = 1 + (int64_t)(next_random(&state) % 2);
		const float *probe = table[next_random(&state) % TABLE];

		if (fm_index_search(subject, collection, probe, 1, LIMIT, hits, &count, &size, &err) != FM_OK)
			fail(err.message);
		else
			check_hits(collection, probe, hits, count, size);
		if (fm_index_size(subject, collection).people < PINNED / 2)
			fail("people who were there all the time are not counted");
		atomic_fetch_add(&searches, 1);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[WRITERS + SEARCHERS];
	int64_t numbers[WRITERS + SEARCHERS];
	struct fm_error err;

	fill_table();
	if (fm_index_create(DIM, fetch, NULL, &subject, &err) != FM_OK) {
		fprintf(stderr, "stress_index: %s\n", err.message);
		return 1;
	}
	for (int64_t person = 1; person <= PINNED; person++)
		add(person);
	for (int64_t i = 0; i < WRITERS + SEARCHERS; i++) {
		numbers[i] = i;
		if (pthread_create(&threads[i], NULL, i < WRITERS ? write_some : search_some, &numbers[i]) !=
		        0)
			return 1;
	}
	nanosleep(&(struct timespec){.tv_sec = SECONDS}, NULL);
	while (!atomic_load(&failed) && (!atomic_load(&searches) || !atomic_load(&changes)))
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	atomic_store(&stop, true);
	for (int i = 0; i < WRITERS + SEARCHERS; i++)
		pthread_join(threads[i], NULL);
	for (int64_t person = FIRST_MOVING; person < FIRST_MOVING + WRITERS * PEOPLE; person++)
		fm_index_remove_person(subject, person);
	struct fm_index_size odd = fm_index_size(subject, 2);
	struct fm_index_size even = fm_index_size(subject, 1);

	if (odd.faces != PINNED / 2 || even.faces != PINNED / 2)
		fail("faces left over");
	fm_index_free(subject);
	printf("stress_index: %lu searches beside %lu changes: %s\n", atomic_load(&searches),
	        atomic_load(&changes), atomic_load(&failed) ? "FAILED" : "ok");
	return atomic_load(&failed);
}
