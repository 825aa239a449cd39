#include "lib/search/store.h"

#include "tests/unit/search/vectors.h"

#include <criterion/criterion.h>
#include <string.h>

#define DIM   20
#define FACES (2 * FM_CHUNK_FACES + 3)

static struct fm_store store;

static void add(int64_t person, int64_t face, float *ret_embedding)
{
	uint64_t state = (uint64_t)face;
	int8_t codes[64];
	struct fm_codes_info info;

	random_unit(ret_embedding, DIM, &state);
	fm_codes_make(ret_embedding, DIM, store.code_stride, codes, &info);
	cr_assert_eq(fm_store_add(&store, 1, person, face, ret_embedding, codes, &info, NULL), FM_OK);
}

static bool all_zero(const void *memory, size_t bytes)
{
	const unsigned char *byte = memory;

	for (size_t i = 0; i < bytes; i++)
		if (byte[i])
			return false;
	return true;
}

/* What was removed is gone from memory: beyond the count nothing but zeros. */
static void expect_clean_tail(const struct fm_shelf *shelf)
{
	cr_assert_eq(shelf->chunk_count, (shelf->face_count + FM_CHUNK_FACES - 1) / FM_CHUNK_FACES);
	for (size_t slot = shelf->face_count; slot < shelf->chunk_count * FM_CHUNK_FACES; slot++) {
		const struct fm_chunk *chunk = shelf->chunks[slot / FM_CHUNK_FACES];
		size_t i = slot % FM_CHUNK_FACES;

		cr_assert(all_zero(chunk->codes + i * store.code_stride, store.code_stride));
		cr_assert(
		        all_zero(chunk->floats + i * store.float_stride, store.float_stride * sizeof(float)));
		cr_assert(all_zero(&chunk->info[i], sizeof(chunk->info[i])));
	}
}

Test(store, removal_wipes_and_keeps_slots_dense)
{
	float embedding[DIM], expected[DIM];
	const struct fm_shelf *shelf;

	fm_store_init(&store, DIM);
	for (int64_t face = 1; face <= FACES; face++)
		add(face % 5, face, embedding);
	shelf = fm_store_find(&store, 1);
	cr_assert_eq(shelf->face_count, FACES);
	cr_assert_eq(shelf->people_count, 5);
	for (int64_t face = 2; face <= FACES; face += 2) {
		fm_store_remove_face(&store, face);
		expect_clean_tail(shelf);
	}
	cr_assert_eq(shelf->face_count, (FACES + 1) / 2);
	for (size_t slot = 0; slot < shelf->face_count; slot++) {
		const struct fm_chunk *chunk = shelf->chunks[slot / FM_CHUNK_FACES];
		size_t i = slot % FM_CHUNK_FACES;
		uint64_t state = (uint64_t)chunk->faces[i].key;

		random_unit(expected, DIM, &state);
		cr_assert_eq(chunk->faces[i].key % 2, 1);
		cr_assert_eq(shelf->people[chunk->faces[i].person].key, chunk->faces[i].key % 5);
		cr_assert_arr_eq(chunk->floats + i * store.float_stride, expected, sizeof(expected));
		cr_assert_eq((uintptr_t)(chunk->codes + i * store.code_stride) % 64, 0);
	}
	fm_store_remove_person(&store, 3);
	expect_clean_tail(shelf);
	cr_assert_eq(shelf->people_count, 4);
	for (int64_t person = 0; person < 5; person++)
		fm_store_remove_person(&store, person);
	cr_expect_null(fm_store_find(&store, 1));
	cr_expect_eq(store.faces.count + store.people.count + store.collections.count, 0);
	fm_store_done(&store);
}
