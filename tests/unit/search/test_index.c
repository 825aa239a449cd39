#include "lib/search/index.h"

#include "lib/kernels/kernels.h"
#include "tests/unit/search/vectors.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ok(call) cr_assert_eq((call), FM_OK, "%s: %s", #call, error.message)

static struct fm_error error;

/* The slow twin: everything in a list, every search a full float scan. */
struct entry {
	int64_t collection, person, face;
	float *embedding;
};

struct twin {
	struct entry entries[4000];
	size_t count, dim;
};

/* Where the index gets embeddings from: the twin's list. */
static enum fm_status fetch(void *context, const int64_t *face_keys, size_t count, float *ret_embeddings,
        bool *ret_found, struct fm_error *err)
{
	const struct twin *twin = context;

	(void)err;
	cr_assert_leq(count, FM_INDEX_FETCH_MAX);
	for (size_t i = 0; i < count; i++) {
		size_t k = 0;

		while (k < twin->count && twin->entries[k].face != face_keys[i])
			k++;
		ret_found[i] = k < twin->count;
		if (ret_found[i])
			memcpy(ret_embeddings + i * twin->dim, twin->entries[k].embedding,
			        twin->dim * sizeof(float));
	}
	return FM_OK;
}

static void twin_add(struct twin *twin, struct fm_index *index, int64_t collection, int64_t person,
        int64_t face, const float *embedding)
{
	float *copy = malloc(twin->dim * sizeof(float));

	ok(fm_index_add(index, collection, person, face, embedding, &error));
	memcpy(copy, embedding, twin->dim * sizeof(float));
	twin->entries[twin->count++] = (struct entry){collection, person, face, copy};
}

static void twin_drop(struct twin *twin, size_t i)
{
	free(twin->entries[i].embedding);
	twin->entries[i] = twin->entries[--twin->count];
}

static bool better(const struct fm_index_hit *a, const struct fm_index_hit *b)
{
	if (a->cosine != b->cosine)
		return a->cosine > b->cosine;
	return a->person_key < b->person_key;
}

/* Hits in rank order; room for all people. */
static size_t twin_search(const struct twin *twin, int64_t collection, const float *probe,
        struct fm_index_hit *hits, struct fm_index_size *ret_size)
{
	size_t people = 0, faces = 0;

	for (size_t i = 0; i < twin->count; i++) {
		const struct entry *entry = &twin->entries[i];

		if (entry->collection != collection)
			continue;
		struct fm_index_hit hit = {entry->person, entry->face,
		        fm_kernels_best()->dot_f32(probe, entry->embedding, twin->dim)};
		size_t p = 0;

		faces++;
		while (p < people && hits[p].person_key != entry->person)
			p++;
		if (p == people)
			hits[people++] = hit;
		else if (hit.cosine > hits[p].cosine ||
		         (hit.cosine == hits[p].cosine && hit.face_key < hits[p].face_key))
			hits[p] = hit;
	}
	for (size_t i = 1; i < people; i++)
		for (size_t k = i; k > 0 && better(&hits[k], &hits[k - 1]); k--) {
			struct fm_index_hit swap = hits[k];

			hits[k] = hits[k - 1];
			hits[k - 1] = swap;
		}
	*ret_size = (struct fm_index_size){people, faces};
	return people;
}

static void expect_same(
        const struct twin *twin, struct fm_index *index, int64_t collection, const float *probe, size_t limit)
{
	static struct fm_index_hit expected[4000], hits[4000];
	struct fm_index_size expected_size, size;
	size_t people = twin_search(twin, collection, probe, expected, &expected_size), count;

	ok(fm_index_search(index, collection, probe, 1, limit, hits, &count, &size, &error));
	cr_assert_eq(size.people, expected_size.people);
	cr_assert_eq(size.faces, expected_size.faces);
	cr_assert_eq(count, people < limit ? people : limit);
	for (size_t i = 0; i < count; i++) {
		cr_assert_eq(hits[i].person_key, expected[i].person_key, "rank %zu of %zu", i, count);
		cr_assert_eq(hits[i].face_key, expected[i].face_key, "rank %zu of %zu", i, count);
		cr_assert_eq(hits[i].cosine, expected[i].cosine, "rank %zu of %zu", i, count);
	}
	size = fm_index_size(index, collection);
	cr_assert_eq(size.people, expected_size.people);
	cr_assert_eq(size.faces, expected_size.faces);
}

static void twin_done(struct twin *twin)
{
	while (twin->count)
		twin_drop(twin, twin->count - 1);
}

/* A person stays in their collection. */
static int64_t collection_of(int64_t person)
{
	return 1 + person % 2;
}

/*
 * Galleries that are hard on codes: clusters far tighter than a code's step, exact duplicates under several
 * people, one person with many faces, and probes that sit in a cluster, are a stored face, or are random.
 */
static void run(size_t dim, uint64_t seed, float spread)
{
	static struct twin twin;
	static float centres[4][4096], vector[4096], probe[4096];
	const size_t limits[] = {1, 2, 3, 10, 100, 3999};
	struct fm_index *index;
	uint64_t state = seed;

	memset(&twin, 0, sizeof(twin));
	twin.dim = dim;
	ok(fm_index_create(dim, fetch, &twin, &index, &error));
	for (size_t i = 0; i < 4; i++)
		random_unit(centres[i], dim, &state);
	for (int64_t face = 1; face <= 600; face++) {
		uint64_t kind = next_random(&state) % 4;
		/* A quarter of all faces are two people's. Keys fall while faces come, so that ties show. */
		int64_t person = kind == 3 ? 500 + face % 2 : 400 - (int64_t)(next_random(&state) % 200);

		if (kind == 0)
			random_unit(vector, dim, &state);
		else if (kind == 1 && twin.count) /* a duplicate, to the bit */
			memcpy(vector, twin.entries[next_random(&state) % twin.count].embedding,
			        dim * sizeof(float));
		else
			near_unit(vector, centres[next_random(&state) % 4], dim, spread, &state);
		twin_add(&twin, index, collection_of(person), person, face, vector);
	}
	for (size_t i = 0; i < 40; i++) {
		if (i % 4 == 0)
			random_unit(probe, dim, &state);
		else if (i % 4 == 1)
			memcpy(probe, twin.entries[next_random(&state) % twin.count].embedding,
			        dim * sizeof(float));
		else
			near_unit(probe, centres[i % 4], dim, spread, &state);
		for (size_t k = 0; k < sizeof(limits) / sizeof(limits[0]); k++)
			for (int64_t collection = 1; collection <= 3; collection++)
				expect_same(&twin, index, collection, probe, limits[k]);
	}
	fm_index_free(index);
	twin_done(&twin);
}

Test(index, equals_brute_force)
{
	const size_t dims[] = {1, 3, 16, 100, 128, 512};
	const float spreads[] = {0, 1e-7f, 1e-5f, 1e-3f, 0.3f};

	for (size_t d = 0; d < sizeof(dims) / sizeof(dims[0]); d++)
		for (size_t s = 0; s < sizeof(spreads) / sizeof(spreads[0]); s++)
			run(dims[d], 17 + d * 10 + s, spreads[s]);
}

/* Each face has a key of its own, and each person comes back after they were gone. */
Test(index, follows_every_change)
{
	static struct twin twin;
	struct fm_index *index;
	float vector[48], centre[48];
	uint64_t state = 5;
	int64_t next_face = 1;

	memset(&twin, 0, sizeof(twin));
	twin.dim = 48;
	random_unit(centre, 48, &state);
	ok(fm_index_create(48, fetch, &twin, &index, &error));
	for (int step = 0; step < 6000; step++) {
		bool growing = step / 1000 % 2 == 0;
		uint64_t action = next_random(&state) % 100;
		int64_t person = 1 + (int64_t)(next_random(&state) % 60);

		if (action < (growing ? 80 : 30)) {
			if (action % 4 == 0 && twin.count) /* ties, in slots that removals have shuffled */
				memcpy(vector, twin.entries[next_random(&state) % twin.count].embedding,
				        sizeof(vector));
			else
				near_unit(vector, centre, 48, 0.1f, &state);
			twin_add(&twin, index, 1 + person % 3, person, next_face++, vector);
		} else if (action < 96) {
			int64_t face = 1 + (int64_t)(next_random(&state) % (uint64_t)next_face);

			fm_index_remove_face(index, face); /* often one that is gone */
			for (size_t i = 0; i < twin.count; i++)
				if (twin.entries[i].face == face)
					twin_drop(&twin, i--);
		} else if (action < 99) {
			fm_index_remove_person(index, person);
			for (size_t i = 0; i < twin.count; i++)
				if (twin.entries[i].person == person)
					twin_drop(&twin, i--);
		} else {
			int64_t collection = 1 + step % 4; /* the fourth is never there */

			fm_index_remove_collection(index, collection);
			for (size_t i = 0; i < twin.count; i++)
				if (twin.entries[i].collection == collection)
					twin_drop(&twin, i--);
		}
		if (step % 20 == 0) {
			near_unit(vector, centre, 48, 0.1f, &state);
			for (int64_t collection = 1; collection <= 4; collection++)
				expect_same(&twin, index, collection, vector, 7);
		}
	}
	while (twin.count) { /* to the last face, and again from nothing */
		fm_index_remove_face(index, twin.entries[0].face);
		twin_drop(&twin, 0);
	}
	for (int64_t collection = 1; collection <= 3; collection++)
		expect_same(&twin, index, collection, centre, 7);
	twin_add(&twin, index, 1, 3, next_face, centre);
	expect_same(&twin, index, 1, centre, 7);
	fm_index_free(index);
	twin_done(&twin);
}

/* One scan for many probes gives what each alone gives, whatever their number. */
Test(index, many_probes_at_once)
{
	enum { DIM = 72, PROBES = 37, LIMIT = 9 };
	static struct twin twin;
	static float probes[PROBES][DIM];
	static struct fm_index_hit together[PROBES * LIMIT];
	struct fm_index *index;
	struct fm_index_size size;
	size_t counts[PROBES];
	float centre[DIM], vector[DIM];
	uint64_t state = 21;

	memset(&twin, 0, sizeof(twin));
	twin.dim = DIM;
	ok(fm_index_create(DIM, fetch, &twin, &index, &error));
	random_unit(centre, DIM, &state);
	for (int64_t face = 1; face <= 900; face++) {
		near_unit(vector, centre, DIM, face % 3 ? 1e-4f : 1.0f, &state);
		twin_add(&twin, index, 1, 1 + face % 500, face, vector);
	}
	for (size_t p = 0; p < PROBES; p++)
		near_unit(probes[p], centre, DIM, p % 2 ? 1e-4f : 1.0f, &state);
	for (size_t count = 1; count <= PROBES; count++) {
		ok(fm_index_search(index, 1, probes[0], count, LIMIT, together, counts, &size, &error));
		cr_assert_eq(size.faces, 900);
		for (size_t p = 0; p < count; p++) {
			struct fm_index_hit alone[LIMIT];
			size_t alone_count;

			ok(fm_index_search(
			        index, 1, probes[p], 1, LIMIT, alone, &alone_count, &size, &error));
			cr_assert_eq(counts[p], alone_count);
			for (size_t i = 0; i < alone_count; i++) {
				cr_assert_eq(together[p * LIMIT + i].person_key, alone[i].person_key);
				cr_assert_eq(together[p * LIMIT + i].face_key, alone[i].face_key);
				cr_assert_eq(together[p * LIMIT + i].cosine, alone[i].cosine);
			}
		}
	}
	for (size_t p = 0; p < PROBES; p++)
		expect_same(&twin, index, 1, probes[p], LIMIT);
	fm_index_free(index);
	twin_done(&twin);
}

/* Values that are awkward in float: zeros of either sign, denormals, one value that is all, equal values. */
Test(index, awkward_values)
{
	enum { DIM = 130 };
	static struct twin twin;
	struct fm_index *index;
	float vector[DIM];
	uint64_t state = 4;

	memset(&twin, 0, sizeof(twin));
	twin.dim = DIM;
	ok(fm_index_create(DIM, fetch, &twin, &index, &error));
	for (int64_t face = 1; face <= 400; face++) {
		for (size_t i = 0; i < DIM; i++)
			vector[i] = face % 4 == 0   ? (i % 2 ? 0.0f : -0.0f)
			            : face % 4 == 1 ? (i % 3 ? 1e-40f : -1e-42f)
			            : face % 4 == 2 ? (next_random(&state) % 2 ? 1.0f : -1.0f)
			                            : 1.0f;
		vector[next_random(&state) % DIM] = next_random(&state) % 2 ? 1.0f : -1.0f;
		normalize(vector, DIM);
		/* Keys fall, so that of equal cosines a later one wins. */
		twin_add(&twin, index, 1, 1000 - face, face, vector);
	}
	for (size_t i = 0; i < twin.count; i += 3)
		for (size_t limit = 1; limit <= 400; limit *= 7)
			expect_same(&twin, index, 1, twin.entries[i].embedding, limit);
	fm_index_free(index);
	twin_done(&twin);
}

/* Where the embeddings of faces are gone already, the answer is that of a gallery without them. */
Test(index, leaves_out_what_is_gone)
{
	enum { DIM = 64 };
	static struct twin twin;
	static struct fm_index_hit expected[1000], hits[1000];
	struct fm_index *index;
	float centre[DIM], vector[DIM];
	uint64_t state = 6;

	memset(&twin, 0, sizeof(twin));
	twin.dim = DIM;
	ok(fm_index_create(DIM, fetch, &twin, &index, &error));
	random_unit(centre, DIM, &state);
	for (int64_t face = 1; face <= 800; face++) {
		near_unit(vector, centre, DIM, 0.5f, &state);
		twin_add(&twin, index, 1, face / 2, face, vector);
	}
	for (int round = 0; round < 30; round++) {
		struct fm_index_size size;
		size_t count, people;

		/* The best two of the last answer, then somebody by chance. */
		near_unit(vector, centre, DIM, 0.5f, &state);
		people = twin_search(&twin, 1, vector, expected, &size);
		for (size_t gone = 0; gone < 3 && gone < people; gone++)
			for (size_t i = 0; i < twin.count; i++)
				if (twin.entries[i].face == expected[gone == 2 ? people / 2 : gone].face_key)
					twin_drop(&twin, i--);
		people = twin_search(&twin, 1, vector, expected, &size);
		ok(fm_index_search(index, 1, vector, 1, 10, hits, &count, &size, &error));
		cr_assert_eq(count, people < 10 ? people : 10);
		for (size_t i = 0; i < count; i++) {
			cr_assert_eq(
			        hits[i].person_key, expected[i].person_key, "round %d, rank %zu", round, i);
			cr_assert_eq(hits[i].face_key, expected[i].face_key, "round %d, rank %zu", round, i);
			cr_assert_eq(hits[i].cosine, expected[i].cosine, "round %d, rank %zu", round, i);
		}
	}
	fm_index_free(index);
	twin_done(&twin);
}

static enum fm_status fetch_nothing(void *context, const int64_t *face_keys, size_t count,
        float *ret_embeddings, bool *ret_found, struct fm_error *err)
{
	(void)context, (void)face_keys, (void)count, (void)ret_embeddings, (void)ret_found;
	return fm_fail(err, FM_E_IO, "the disk is away");
}

Test(index, an_error_of_the_fetch_is_the_search_s)
{
	struct fm_index *index;
	struct fm_index_hit hit;
	struct fm_index_size size = {.people = 77};
	float unit[32];
	uint64_t state = 8;
	size_t count;

	ok(fm_index_create(32, fetch_nothing, NULL, &index, &error));
	random_unit(unit, 32, &state);
	ok(fm_index_add(index, 1, 1, 1, unit, &error));
	cr_expect_eq(fm_index_search(index, 1, unit, 1, 1, &hit, &count, &size, &error), FM_E_IO);
	cr_expect_str_eq(error.message, "the disk is away");
	cr_expect_eq(size.people, 77);
	fm_index_free(index);
}

Test(index, a_batch_shows_at_its_commit)
{
	static struct twin nobody = {.dim = 32};
	struct fm_index *index;
	float unit[32];
	uint64_t state = 8;

	ok(fm_index_create(32, fetch, &nobody, &index, &error));
	random_unit(unit, 32, &state);
	ok(fm_index_add(index, 1, 1, 1, unit, &error));
	fm_index_begin(index);
	for (int64_t face = 2; face <= 50; face++)
		ok(fm_index_add(index, 1 + face % 2, face, face, unit, &error));
	fm_index_remove_face(index, 1);
	cr_expect_eq(fm_index_size(index, 1).faces, 1);
	cr_expect_eq(fm_index_total(index).faces, 1);
	fm_index_commit(index);
	cr_expect_eq(fm_index_size(index, 1).faces, 25);
	cr_expect_eq(fm_index_size(index, 2).people, 24);
	cr_expect_eq(fm_index_total(index).faces, 49);
	fm_index_free(index);
}

enum { FILL_DIM = 32, FILL_FACES = 3000, FILL_BLOCK = 128, FILL_THREADS = 4 };

struct filling {
	struct fm_index *index;
	struct twin *twin;
	size_t first;
};

/* Every second block is another thread's, too. */
static void *fill_blocks(void *context)
{
	const struct filling *filling = context;
	static _Thread_local float embeddings[FILL_BLOCK * FILL_DIM];
	struct fm_index_owner owners[FILL_BLOCK];

	for (size_t block = filling->first; block * FILL_BLOCK < FILL_FACES; block += FILL_THREADS / 2) {
		size_t count = 0;

		for (size_t i = block * FILL_BLOCK; i < FILL_FACES && count < FILL_BLOCK; i++, count++) {
			const struct entry *entry = &filling->twin->entries[i];

			owners[count] =
			        (struct fm_index_owner){entry->collection, entry->person, entry->face};
			memcpy(embeddings + count * FILL_DIM, entry->embedding, FILL_DIM * sizeof(float));
		}
		struct fm_error err;
		cr_assert_eq(fm_index_add_many(filling->index, owners, embeddings, count, &err), FM_OK, "%s",
		        err.message);
	}
	return NULL;
}

static void *expect_all(void *index)
{
	fm_index_expect(index, FILL_FACES);
	return NULL;
}

/* What several threads put in, some of it twice, is what one by one would be; memory comes beside them. */
Test(index, is_filled_by_several_threads)
{
	static struct twin twin = {.dim = FILL_DIM};
	struct filling fillings[FILL_THREADS];
	pthread_t threads[FILL_THREADS], expecting;
	float unit[FILL_DIM];
	uint64_t state = 10;

	for (int64_t i = 0; i < FILL_FACES; i++) {
		random_unit(unit, FILL_DIM, &state);
		float *copy = malloc(sizeof(unit));
		memcpy(copy, unit, sizeof(unit));
		twin.entries[twin.count++] = (struct entry){1 + i / 2 % 2, 1 + i / 2, 1 + i, copy};
	}
	struct fm_index *index;
	ok(fm_index_create(FILL_DIM, fetch, &twin, &index, &error));
	pthread_create(&expecting, NULL, expect_all, index);
	for (size_t i = 0; i < FILL_THREADS; i++) {
		fillings[i] = (struct filling){index, &twin, i / 2};
		pthread_create(&threads[i], NULL, fill_blocks, &fillings[i]);
	}
	for (size_t i = 0; i < FILL_THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_join(expecting, NULL);
	cr_expect_eq(fm_index_total(index).faces, FILL_FACES);
	cr_expect_eq(fm_index_total(index).people, FILL_FACES / 2);
	for (int probe = 0; probe < 20; probe++) {
		random_unit(unit, FILL_DIM, &state);
		expect_same(&twin, index, 1 + probe % 2, unit, 5);
	}
	struct fm_index_owner wrong = {1, 1, FILL_FACES + 1};
	for (size_t i = 0; i < FILL_DIM; i++)
		unit[i] = 1;
	cr_expect_eq(fm_index_add_many(index, &wrong, unit, 1, &error), FM_E_INVALID);
	cr_expect_eq(fm_index_total(index).faces, FILL_FACES);
	fm_index_free(index);
	twin_done(&twin);
}

Test(index, refuses)
{
	static struct twin nobody = {.dim = 32};
	struct fm_index *index = NULL;
	struct fm_index_hit hit;
	struct fm_index_size size;
	float unit[32], longer[32];
	uint64_t state = 9;
	size_t count = 99;

	cr_expect_eq(fm_index_create(0, fetch, &nobody, &index, &error), FM_E_INVALID);
	cr_expect_eq(fm_index_create(4097, fetch, &nobody, &index, &error), FM_E_INVALID);
	cr_expect_null(index);
	ok(fm_index_create(32, fetch, &nobody, &index, &error));
	random_unit(unit, 32, &state);
	for (int i = 0; i < 32; i++)
		longer[i] = unit[i] * 1.01f;
	ok(fm_index_search(index, 1, unit, 1, 1, &hit, &count, &size, &error));
	cr_expect_eq(count, 0);
	cr_expect_eq(size.faces, 0);
	ok(fm_index_add(index, 1, 10, 100, unit, &error));
	cr_expect_eq(fm_index_add(index, 1, 11, 100, unit, &error), FM_E_CONFLICT);
	cr_expect_eq(fm_index_add(index, 2, 10, 101, unit, &error), FM_E_CONFLICT, "one collection a person");
	cr_expect_eq(fm_index_add(index, 1, 10, 102, longer, &error), FM_E_INVALID);
	count = 99;
	cr_expect_eq(fm_index_search(index, 1, longer, 1, 1, &hit, &count, &size, &error), FM_E_INVALID);
	cr_expect_eq(count, 99);
	ok(fm_index_search(index, 1, unit, 1, 0, NULL, &count, &size, &error));
	cr_expect_eq(count, 0);
	cr_expect_eq(size.people, 1);
	cr_expect_eq(fm_index_size(index, 2).faces, 0);
	ok(fm_index_add(index, 2, 20, 200, unit, &error));
	ok(fm_index_add(index, 2, 20, 201, unit, &error));
	size = fm_index_total(index);
	cr_expect_eq(size.people, 2);
	cr_expect_eq(size.faces, 3);
	fm_index_free(index);
	fm_index_free(NULL);
}
