#include "tests/unit/gallery/fixture.h"

#include <criterion/criterion.h>
#include <sqlite3.h>

TestSuite(gallery, .init = setup, .fini = teardown);

static enum fm_status append_name(void *context, const struct fm_collection *collection, struct fm_error *err)
{
	char *names = context;
	size_t used = strlen(names);

	(void)err;
	snprintf(names + used, 256 - used, "%s;", collection->name);
	return FM_OK;
}

static enum fm_status stop_at_once(
        void *context, const struct fm_collection *collection, struct fm_error *err)
{
	(void)collection;
	++*(int *)context;
	return fm_fail(err, FM_E_CANCELLED, "enough");
}

Test(gallery, collections)
{
	struct fm_collection staff, again = {.key = -1};
	char names[256] = "";
	int visits = 0;

	ok(fm_gallery_collection_create(gallery, "staff \xc3\xa9", 0, &staff, &error));
	cr_expect_str_eq(staff.name, "staff \xc3\xa9");
	cr_expect_eq(strlen(staff.created_at), strlen("2026-01-01T00:00:00.000Z"));
	cr_expect_eq(staff.people, 0);
	fails(FM_E_CONFLICT, fm_gallery_collection_create(gallery, "staff \xc3\xa9", 0, &again, &error));
	cr_expect_eq(again.key, -1, "outputs stay as they are on failure");
	fails(FM_E_INVALID, fm_gallery_collection_create(gallery, "", 0, &again, &error));
	fails(FM_E_INVALID, fm_gallery_collection_create(gallery, "\xff", 0, &again, &error));
	fails(FM_E_INVALID, fm_gallery_collection_create(gallery, "a\nb", 0, &again, &error));
	fails(FM_E_NOT_FOUND, fm_gallery_collection_get(gallery, "guests", &again, &error));

	ok(fm_gallery_collection_each(gallery, append_name, names, &error));
	cr_expect_str_eq(names, "default;staff \xc3\xa9;");
	fails(FM_E_CANCELLED, fm_gallery_collection_each(gallery, stop_at_once, &visits, &error));
	cr_expect_eq(visits, 1);

	fails(FM_E_CONFLICT, fm_gallery_collection_delete(gallery, "default", "test", &error));
	fails(FM_E_NOT_FOUND, fm_gallery_collection_delete(gallery, "guests", "test", &error));
	ok(fm_gallery_collection_delete(gallery, "staff \xc3\xa9", "test", &error));
	fails(FM_E_NOT_FOUND, fm_gallery_collection_get(gallery, "staff \xc3\xa9", &again, &error));

	/* A key is never used again: the index may still be removing the old one. */
	int64_t key = staff.key;

	fm_collection_done(&staff);
	ok(fm_gallery_collection_create(gallery, "staff", 0, &staff, &error));
	cr_expect_gt(staff.key, key);
	fm_collection_done(&staff);
}

Test(gallery, person_fields)
{
	const struct fm_person_fields fields = {
	        .name = " Ann \xf0\x9f\x99\x82", .external_id = "e-1", .metadata = "{\"a\":\n1}"};
	struct fm_person ann, bob, found;

	ok(fm_gallery_person_create(gallery, home, &fields, &ann, &error));
	cr_expect_str_eq(ann.name, fields.name, "nothing is trimmed");
	cr_expect_str_eq(ann.external_id, "e-1");
	cr_expect_str_eq(ann.metadata, fields.metadata);
	cr_expect_eq(ann.faces, 0);
	cr_expect(fm_uuid_valid(ann.id));
	cr_expect_eq(ann.collection_key, home);

	bob = create_person(home, "Bob");
	cr_expect_null(bob.external_id);
	cr_expect_str_eq(bob.metadata, "{}");
	fails(FM_E_CONFLICT, fm_gallery_person_create(gallery, home, &fields, &found, &error));
	fails(FM_E_CONFLICT, fm_gallery_person_update(gallery, home, bob.id,
	                             &(struct fm_person_fields){.external_id = "e-1"}, &found, &error));

	ok(fm_gallery_person_update(
	        gallery, home, ann.id, &(struct fm_person_fields){.name = "Anna"}, &found, &error));
	cr_expect_str_eq(found.name, "Anna");
	cr_expect_str_eq(found.external_id, "e-1");
	cr_expect_str_eq(found.metadata, fields.metadata);
	cr_expect_str_eq(found.created_at, ann.created_at);
	cr_expect_geq(strcmp(found.updated_at, ann.updated_at), 0);
	fm_person_done(&found);
	ok(fm_gallery_person_update(gallery, home, ann.id,
	        &(struct fm_person_fields){.clear_external_id = true, .metadata = "{}"}, &found, &error));
	cr_expect_null(found.external_id);
	cr_expect_str_eq(found.metadata, "{}");
	cr_expect_str_eq(found.name, "Anna");
	fm_person_done(&found);
	ok(fm_gallery_person_update(
	        gallery, home, bob.id, &(struct fm_person_fields){.external_id = "e-1"}, &found, &error));
	cr_expect_str_eq(found.external_id, "e-1", "free again");
	fm_person_done(&found);

	ok(fm_gallery_person_get_by_key(gallery, ann.key, &found, &error));
	cr_expect_str_eq(found.id, ann.id);
	fm_person_done(&found);
	ok(fm_gallery_person_get_by_external_id(gallery, home, "e-1", &found, &error));
	cr_expect_str_eq(found.id, bob.id);
	fm_person_done(&found);
	fails(FM_E_NOT_FOUND, fm_gallery_person_get_by_external_id(gallery, home, "e", &found, &error));
	fails(FM_E_NOT_FOUND, fm_gallery_person_get_by_external_id(gallery, home + 1, "e-1", &found, &error));
	fails(FM_E_NOT_FOUND, fm_gallery_person_get(gallery, home + 1, ann.id, &found, &error));
	fails(FM_E_NOT_FOUND, fm_gallery_person_get(gallery, home, "no such id", &found, &error));
	fails(FM_E_NOT_FOUND, fm_gallery_person_get_by_key(gallery, 12345, &found, &error));
	fails(FM_E_NOT_FOUND, fm_gallery_person_create(gallery, home + 99, &fields, &found, &error));
	fm_person_done(&ann);
	fm_person_done(&bob);
}

Test(gallery, person_fields_refused)
{
	char longest[FM_NAME_MAX_BYTES + 2], json[FM_METADATA_MAX_BYTES + 2];
	struct fm_person person = create_person(home, "A");
	const struct fm_person_fields refused[] = {
	        {.external_id = "x"}, /* no name */
	        {.name = ""},
	        {.name = "tab\t"},
	        {.name = "c1 \xc2\x85"},
	        {.name = "\xc0\x80"},
	        {.name = "\xed\xa0\x80"},
	        {.name = longest},
	        {.name = "a", .external_id = ""},
	        {.name = "a", .external_id = longest},
	        {.name = "a", .external_id = "\x80"},
	        {.name = "a", .metadata = ""},
	        {.name = "a", .metadata = "{\"\x01\":1}"},
	        {.name = "a", .metadata = json},
	        {.name = "a", .external_id = "x", .clear_external_id = true},
	};

	memset(longest, 'x', sizeof(longest));
	memset(json, ' ', sizeof(json));
	longest[FM_NAME_MAX_BYTES + 1] = json[FM_METADATA_MAX_BYTES + 1] = '\0';
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct fm_person other;

		cr_expect_eq(fm_gallery_person_create(gallery, home, &refused[i], &other, &error),
		        FM_E_INVALID, "case %zu", i);
		if (i > 0) /* an update without a name is fine */
			cr_expect_eq(fm_gallery_person_update(
			                     gallery, home, person.id, &refused[i], &other, &error),
			        FM_E_INVALID, "case %zu", i);
	}
	expect_counts("default", 1, 0);
	longest[FM_NAME_MAX_BYTES] = '\0';
	struct fm_person fits = create_person(home, longest);

	cr_expect_str_eq(fits.name, longest);
	fm_person_done(&fits);
	fm_person_done(&person);
}

Test(gallery, faces_come_and_go)
{
	struct fm_person ann = create_person(home, "Ann"), found;
	float embedding[DIM], other[DIM], *embeddings;
	struct fm_face_insert insert = make_insert(embedding, 1), moved, elsewhere;
	struct fm_face_record face, again, *list;
	bool existed;
	size_t count;
	int64_t key;

	ok(fm_gallery_face_add(gallery, ann.key, &insert, &face, &existed, &error));
	cr_expect_not(existed);
	cr_expect_str_eq(face.quality, insert.quality);
	cr_expect_eq(face.person_key, ann.key);
	cr_expect_eq(face.collection_key, home);

	/* The same face of the same bytes: same box, or one that overlaps by more than a half. */
	ok(fm_gallery_face_add(gallery, ann.key, &insert, &again, &existed, &error));
	cr_expect(existed);
	cr_expect_str_eq(again.id, face.id);
	fm_face_record_done(&again);
	moved = insert;
	moved.box[0] += 30; /* IoU 70 / 130 */
	ok(fm_gallery_face_add(gallery, ann.key, &moved, &again, &existed, &error));
	cr_expect(existed);
	fm_face_record_done(&again);
	moved.box[0] += 10; /* IoU 60 / 140 */
	ok(fm_gallery_face_add(gallery, ann.key, &moved, &again, &existed, &error));
	cr_expect_not(existed, "somebody else in the same photo");
	cr_expect_neq(again.key, face.key);
	fm_face_record_done(&again);
	moved = insert;
	moved.model = "other@net";
	ok(fm_gallery_face_add(gallery, ann.key, &moved, &again, &existed, &error));
	cr_expect_not(existed, "another model's template of it");
	fm_face_record_done(&again);
	elsewhere = make_insert(other, 2);
	ok(fm_gallery_face_add(gallery, ann.key, &elsewhere, &again, &existed, &error));
	cr_expect_not(existed);
	fm_face_record_done(&again);
	expect_counts("default", 1, 4);

	ok(fm_gallery_person_get(gallery, home, ann.id, &found, &error));
	cr_expect_eq(found.faces, 4);
	fm_person_done(&found);
	ok(fm_gallery_face_list(gallery, ann.key, &list, &count, &error));
	cr_assert_eq(count, 4);
	cr_expect_str_eq(list[0].id, face.id);
	for (size_t i = 0; i < count; i++) {
		cr_expect(i == 0 || list[i].key > list[i - 1].key);
		fm_face_record_done(&list[i]);
	}
	free(list);
	fails(FM_E_NOT_FOUND, fm_gallery_face_list(gallery, 999, &list, &count, &error));

	ok(fm_gallery_person_embeddings(gallery, ann.key, MODEL, DIM, &embeddings, &count, &error));
	cr_assert_eq(count, 3);
	cr_expect_arr_eq(embeddings, embedding, sizeof(embedding));
	cr_expect_arr_eq(embeddings + 2 * DIM, other, sizeof(other));
	free(embeddings);
	ok(fm_gallery_person_embeddings(gallery, ann.key, "never@seen", DIM, &embeddings, &count, &error));
	cr_expect_eq(count, 0);
	free(embeddings);
	fails(FM_E_INVALID,
	        fm_gallery_person_embeddings(gallery, ann.key, MODEL, DIM / 2, &embeddings, &count, &error));
	ok(fm_gallery_foreign_faces(gallery, MODEL, &key, &error));
	cr_expect_eq(key, 1);

	float fetched[2][DIM];
	bool found_faces[2];
	const int64_t face_keys[] = {999, face.key};
	ok(fm_gallery_face_embeddings(gallery, MODEL, DIM, face_keys, 2, fetched[0], found_faces, &error));
	cr_expect(!found_faces[0] && found_faces[1]);
	cr_expect_arr_eq(fetched[1], embedding, sizeof(embedding));
	ok(fm_gallery_face_embeddings(
	        gallery, "never@seen", DIM, face_keys, 2, fetched[0], found_faces, &error));
	cr_expect(!found_faces[0] && !found_faces[1]);
	fails(FM_E_INVALID, fm_gallery_face_embeddings(
	                            gallery, MODEL, DIM / 2, face_keys, 2, fetched[0], found_faces, &error));

	ok(fm_gallery_face_get(gallery, home, face.id, &again, &error));
	cr_expect_eq(again.key, face.key);
	fm_face_record_done(&again);
	ok(fm_gallery_face_get_by_key(gallery, face.key, &again, &error));
	cr_expect_str_eq(again.id, face.id);
	fm_face_record_done(&again);
	fails(FM_E_NOT_FOUND, fm_gallery_face_get(gallery, home + 1, face.id, &again, &error));
	fails(FM_E_NOT_FOUND, fm_gallery_face_delete(gallery, home + 1, face.id, "test", &error));
	ok(fm_gallery_face_delete(gallery, home, face.id, "test", &error));
	fails(FM_E_NOT_FOUND, fm_gallery_face_delete(gallery, home, face.id, "test", &error));
	expect_counts("default", 1, 3);

	ok(fm_gallery_person_delete(gallery, home, ann.id, "test", &error));
	expect_counts("default", 0, 0);
	ok(fm_gallery_foreign_faces(gallery, "never@seen", &key, &error));
	cr_expect_eq(key, 0);
	fails(FM_E_NOT_FOUND, fm_gallery_face_add(gallery, ann.key, &insert, &again, &existed, &error));
	fm_face_record_done(&face);
	fm_person_done(&ann);
}

Test(gallery, faces_refused)
{
	struct fm_person ann = create_person(home, "Ann");
	float embedding[DIM];
	struct fm_face_record face;
	bool existed;

	for (int i = 0;; i++) {
		struct fm_face_insert insert = make_insert(embedding, 1);

		if (i == 0)
			embedding[3] = NAN;
		else if (i == 1)
			embedding[3] = INFINITY;
		else if (i == 2)
			for (int k = 0; k < DIM; k++)
				embedding[k] *= 1.002f;
		else if (i == 3)
			insert.dim = 0;
		else if (i == 4)
			insert.dim = FM_EMBEDDING_DIM_MAX + 1;
		else if (i == 5)
			insert.model = "";
		else if (i == 6)
			insert.quality = "\xff";
		else if (i == 7)
			insert.box[2] = 0;
		else if (i == 8)
			insert.box[0] = NAN;
		else
			break;
		cr_expect_eq(fm_gallery_face_add(gallery, ann.key, &insert, &face, &existed, &error),
		        FM_E_INVALID, "case %d", i);
	}
	/* A model's embeddings have one size. */
	enroll(home, "Ann", 1, NULL);
	float half[DIM / 2];
	struct fm_face_insert insert = make_insert(embedding, 2);

	fill_embedding(half, DIM / 2, 1);
	insert.embedding = half;
	insert.dim = DIM / 2;
	fails(FM_E_INVALID, fm_gallery_face_add(gallery, ann.key, &insert, &face, &existed, &error));
	expect_counts("default", 1, 1);
	fm_person_done(&ann);
}

Test(gallery, enroll_by_name)
{
	struct fm_person first = create_person(home, "Ann"), second = create_person(home, "Ann"), person;
	float embedding[DIM];
	struct fm_face_insert insert = make_insert(embedding, 7);
	struct fm_face_record face;
	bool existed;

	ok(fm_gallery_enroll_by_name(gallery, home, "Ann", &insert, &person, &face, &existed, &error));
	cr_expect_str_eq(person.id, first.id, "the oldest of that name");
	cr_expect_eq(person.faces, 1);
	fm_person_done(&person);
	fm_face_record_done(&face);
	ok(fm_gallery_enroll_by_name(gallery, home, "Ann", &insert, &person, &face, &existed, &error));
	cr_expect(existed);
	cr_expect_eq(person.faces, 1);
	fm_person_done(&person);
	fm_face_record_done(&face);
	ok(fm_gallery_enroll_by_name(gallery, home, "ann", &insert, &person, &face, &existed, &error));
	cr_expect_not(existed, "names are exact");
	cr_expect_str_eq(person.name, "ann");
	cr_expect_eq(person.faces, 1);
	fm_person_done(&person);
	fm_face_record_done(&face);
	expect_counts("default", 3, 2);

	/* Nobody is created when the face is refused, before or inside the transaction. */
	insert.box[3] = -1;
	fails(FM_E_INVALID,
	        fm_gallery_enroll_by_name(gallery, home, "Eve", &insert, &person, &face, &existed, &error));
	insert = make_insert(embedding, 8);
	float half[DIM / 2];

	fill_embedding(half, DIM / 2, 1);
	insert.embedding = half;
	insert.dim = DIM / 2;
	fails(FM_E_INVALID,
	        fm_gallery_enroll_by_name(gallery, home, "Eve", &insert, &person, &face, &existed, &error));
	fails(FM_E_NOT_FOUND, fm_gallery_enroll_by_name(
	                              gallery, home + 9, "Eve", &insert, &person, &face, &existed, &error));
	expect_counts("default", 3, 2);
	fm_person_done(&first);
	fm_person_done(&second);
}

Test(gallery, pages_in_creation_order)
{
	struct fm_person *people;
	char next[FM_UUID_TEXT], gone[FM_UUID_TEXT];
	const char *after = NULL;
	size_t count, seen = 0;

	for (int i = 0; i < 25; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%c%d", 'z' - i, i % 5);
		struct fm_person person = create_person(home, i % 5 ? name : "Same");

		fm_person_done(&person);
	}
	int64_t last = 0;

	for (;;) {
		ok(fm_gallery_person_list(gallery, home, NULL, after, 10, &people, &count, next, &error));
		for (size_t i = 0; i < count; i++) {
			cr_expect_gt(people[i].key, last);
			last = people[i].key;
			if (seen++ == 0)
				memcpy(gone, people[i].id, sizeof(gone));
			fm_person_done(&people[i]);
		}
		free(people);
		cr_expect_eq(count, seen <= 20 ? 10 : 5);
		if (!*next)
			break;
		after = next;
	}
	cr_expect_eq(seen, 25);

	ok(fm_gallery_person_list(gallery, home, "Same", NULL, 3, &people, &count, next, &error));
	cr_assert_eq(count, 3);
	cr_expect_str_eq(next, people[2].id);
	for (size_t i = 0; i < count; i++)
		fm_person_done(&people[i]);
	free(people);
	ok(fm_gallery_person_list(gallery, home, "Same", next, 3, &people, &count, next, &error));
	cr_expect_eq(count, 2);
	cr_expect_str_empty(next);
	for (size_t i = 0; i < count; i++)
		fm_person_done(&people[i]);
	free(people);
	ok(fm_gallery_person_list(gallery, home, NULL, NULL, 25, &people, &count, next, &error));
	cr_expect_eq(count, 25);
	cr_expect_str_empty(next, "a full last page has no next one");
	for (size_t i = 0; i < count; i++)
		fm_person_done(&people[i]);
	free(people);

	ok(fm_gallery_person_list(gallery, home + 1, NULL, NULL, 3, &people, &count, next, &error));
	cr_expect_eq(count, 0);
	free(people);
	ok(fm_gallery_person_delete(gallery, home, gone, "test", &error));
	fails(FM_E_INVALID,
	        fm_gallery_person_list(gallery, home, NULL, gone, 3, &people, &count, next, &error));
	fails(FM_E_INVALID,
	        fm_gallery_person_list(gallery, home, NULL, NULL, 0, &people, &count, next, &error));
}

Test(gallery, counts_follow_a_collections_end)
{
	struct fm_collection staff;
	int64_t key;

	ok(fm_gallery_collection_create(gallery, "staff", 0, &staff, &error));
	for (uint64_t i = 0; i < 30; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%d", (int)(i % 7));
		enroll(i % 2 ? home : staff.key, name, i, NULL);
	}
	expect_counts("default", 7, 15);
	expect_counts("staff", 7, 15);
	ok(fm_gallery_foreign_faces(gallery, "", &key, &error));
	cr_expect_eq(key, 30);
	ok(fm_gallery_collection_delete(gallery, "staff", "test", &error));
	expect_counts("default", 7, 15);
	ok(fm_gallery_foreign_faces(gallery, "", &key, &error));
	cr_expect_eq(key, 15, "the model's counter follows the cascade");
	fm_collection_done(&staff);
}

struct walk {
	size_t count;
	int64_t last_key;
	bool sound;
};

static enum fm_status check_embedding(void *context, int64_t collection, int64_t person_key, int64_t face_key,
        const float *embedding, size_t dim, struct fm_error *err)
{
	struct walk *walk = context;
	float expected[DIM];

	(void)err;
	fill_embedding(expected, DIM, walk->count++);
	walk->sound &= collection == home && person_key > 0 && face_key > walk->last_key && dim == DIM &&
	               memcmp(embedding, expected, sizeof(expected)) == 0;
	walk->last_key = face_key;
	return FM_OK;
}

Test(gallery, every_embedding_survives_a_restart)
{
	struct walk walk = {.sound = true}, none = {.sound = true};
	float embedding[DIM];

	for (uint64_t i = 0; i < 40; i++)
		enroll(home, i % 3 ? "Ann" : "Bob", i, NULL);
	struct fm_person eve = create_person(home, "Eve");
	struct fm_face_insert insert = make_insert(embedding, 99);
	struct fm_face_record face;
	bool existed;

	insert.model = "other@net";
	ok(fm_gallery_face_add(gallery, eve.key, &insert, &face, &existed, &error));
	fm_face_record_done(&face);
	fm_person_done(&eve);
	close_gallery();
	open_gallery();
	ok(fm_gallery_embedding_each(gallery, MODEL, check_embedding, &walk, &error));
	cr_expect_eq(walk.count, 40);
	cr_expect(walk.sound);
	ok(fm_gallery_embedding_each(gallery, "never@seen", check_embedding, &none, &error));
	cr_expect_eq(none.count, 0);
	expect_counts("default", 3, 41);
}

static enum fm_status add_key(void *context, int64_t collection_key, int64_t person_key, int64_t face_key,
        const float *embedding, size_t dim, struct fm_error *err)
{
	(void)collection_key, (void)person_key, (void)embedding, (void)dim, (void)err;
	*(int64_t *)context += face_key;
	return FM_OK;
}

Test(gallery, what_is_cached_is_given_back)
{
	int64_t keys = 0, again = 0;

	for (uint64_t i = 0; i < 200; i++)
		enroll(home, i % 2 ? "Ann" : "Bob", i, NULL);
	ok(fm_gallery_embedding_each(gallery, MODEL, add_key, &keys, &error));
	sqlite3_int64 cached = sqlite3_memory_used();

	fm_gallery_trim(gallery);
	cr_expect_lt(sqlite3_memory_used(), cached - 200 * (sqlite3_int64)(DIM * sizeof(float)));
	ok(fm_gallery_embedding_each(gallery, MODEL, add_key, &again, &error));
	cr_expect_eq(again, keys);
	enroll(home, "Carl", 200, NULL);
	expect_counts(FM_GALLERY_DEFAULT_COLLECTION, 3, 201);
}
