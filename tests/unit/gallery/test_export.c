/* A collection walked through for an archive: in parts, past deletions, each face under the model wanted. */
#include "lib/gallery/jobs.h"
#include "tests/unit/gallery/traces.h"

#include <criterion/criterion.h>

#define OTHER "other@0123456789abcdef"
#define KEY   "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

enum { MANY = 150 }; /* faces of one person: more than are read at a time */

TestSuite(export, .init = setup_fast, .fini = teardown);

/* What came, in order: 'p' for a person, 'f' for a face; `stop_after` of them end a part. */
struct seen {
	char order[512];
	size_t count, in_part, stop_after, crops;
	uint64_t seed; /* of the next face's embedding */
	const char *model;
};

static enum fm_status take(struct seen *seen, char what)
{
	cr_assert_lt(seen->count, sizeof(seen->order) - 1);
	seen->order[seen->count++] = what;
	return ++seen->in_part == seen->stop_after ? FM_E_CANCELLED : FM_OK;
}

static enum fm_status see_person(void *context, const struct fm_person *person, struct fm_error *err)
{
	(void)err;
	cr_expect_gt(strlen(person->name), 0);
	return take(context, 'p');
}

static enum fm_status see_face(void *context, const struct fm_person *person,
        const struct fm_face_export *face, struct fm_error *err)
{
	float expected[DIM];
	struct seen *seen = context;

	(void)err;
	cr_expect_gt(person->faces, 0);
	cr_expect_str_eq(face->model, seen->model);
	cr_expect_str_eq(face->quality, "{\"score\":0.9}");
	cr_expect_eq(face->box[2], 100);
	fill_embedding(expected, DIM, seen->seed);
	cr_assert_eq(face->dim, DIM);
	cr_expect_arr_eq(face->embedding, expected, sizeof(expected), "face %lu", (unsigned long)seen->seed);
	cr_expect_eq(memcmp(face->image_sha256, &(uint64_t){seen->seed % 1000}, sizeof(uint64_t)), 0);
	seen->seed++;
	seen->crops += face->crop != NULL;
	return take(seen, 'f');
}

static bool part(struct seen *seen, size_t limit, struct fm_export_place *place)
{
	const struct fm_export_visitor visitor = {seen, see_person, see_face};
	bool more = true;

	seen->in_part = 0;
	ok(fm_gallery_export(gallery, home, seen->model, limit, &visitor, place, &more, &error));
	return more;
}

Test(export, parts_make_the_whole)
{
	static const size_t stops[] = {0, 1, 2, 63, 64, 65, 100};

	enroll(home, "Ann", 0, NULL);
	struct fm_person faceless = create_person(home, "Nobody");
	fm_person_done(&faceless);
	for (uint64_t i = 1; i <= MANY; i++)
		enroll(home, "Bob", i, NULL);
	enroll(home, "Cid", MANY + 1, NULL);
	for (size_t i = 0; i < FM_ARRAY_SIZE(stops); i++) {
		struct seen seen = {.stop_after = stops[i], .model = MODEL};
		struct fm_export_place place = {0};
		size_t parts = 1;

		while (part(&seen, 1 + i % 3, &place))
			cr_assert_lt(parts++, 400);
		seen.order[seen.count] = '\0';
		cr_expect_eq(seen.count, 4 + MANY + 2);
		cr_expect_eq(strncmp(seen.order, "pfppfff", 7), 0, "%s", seen.order);
		cr_expect_str_eq(seen.order + seen.count - 3, "fpf");
		cr_expect_eq(seen.seed, MANY + 2);
	}
	struct seen seen = {.model = MODEL};
	struct fm_export_place place = {0};
	bool more;
	const struct fm_export_visitor visitor = {&seen, see_person, see_face};

	fails(FM_E_INVALID, fm_gallery_export(gallery, home, MODEL, 0, &visitor, &place, &more, &error));
	fails(FM_E_INVALID, fm_gallery_export(gallery, home, MODEL, 1001, &visitor, &place, &more, &error));
}

Test(export, deletions_between_parts_do_not_hinder)
{
	struct seen seen = {.stop_after = 3, .model = MODEL};
	struct fm_export_place place = {0};
	struct fm_person *people;
	char next[FM_UUID_TEXT];
	size_t count;

	for (uint64_t i = 0; i < 6; i++)
		enroll(home, i < 4 ? "Ann" : "Bob", i, NULL);
	cr_expect(part(&seen, 10, &place), "Ann and two of her faces");
	ok(fm_gallery_person_list(gallery, home, "Ann", NULL, 1, &people, &count, next, &error));
	ok(fm_gallery_person_delete(gallery, home, people[0].id, "test", &error));
	fm_person_done(&people[0]);
	free(people);
	seen.seed = 4;
	seen.stop_after = 0;
	cr_expect_not(part(&seen, 10, &place));
	seen.order[seen.count] = '\0';
	cr_expect_str_eq(seen.order, "pffpff");
}

/* The embedding of the network that serves, where there is one; sealed rows come out plain. */
Test(export, under_the_model_wanted)
{
	static const uint8_t jpeg[300] = {0xff, 0xd8, 0xff};
	char key_file[160];
	float embedding[DIM];
	struct fm_job job;
	struct fm_reembed_face faces[FM_REEMBED_BATCH_MAX];
	size_t count;

	close_gallery();
	snprintf(key_file, sizeof(key_file), "%s/key", directory);
	ok(fm_file_write(key_file, KEY, strlen(KEY), 0600, &error));
	ok(fm_gallery_open_sealed(path, key_file, &gallery, &error));
	struct fm_person person = create_person(home, "Ann");
	for (uint64_t i = 0; i < 3; i++) {
		struct fm_face_insert insert = make_insert(embedding, i);
		struct fm_face_record face;
		bool existed;

		insert.crop = i == 1 ? jpeg : NULL;
		insert.crop_bytes = sizeof(jpeg);
		ok(fm_gallery_face_add(gallery, person.key, &insert, &face, &existed, &error));
		fm_face_record_done(&face);
	}
	fm_person_done(&person);
	struct seen seen = {.model = MODEL};
	cr_expect_not(part(&seen, 10, &(struct fm_export_place){0}));
	cr_expect_eq(seen.seed, 3);
	cr_expect_eq(seen.crops, 1);

	ok(fm_gallery_reembed_begin(gallery, OTHER, DIM, &job, &error));
	ok(fm_gallery_reembed_next(gallery, &job, faces, &count, &error));
	cr_assert_eq(count, 3);
	for (size_t i = 0; i < count; i++) {
		fill_embedding(embedding, DIM, 1000 + i);
		faces[i].embedding = embedding;
		ok(fm_gallery_reembed_store(gallery, &job, &faces[i], 1, DIM, &error));
	}
	fm_job_done(&job);
	seen = (struct seen){.model = OTHER, .seed = 1000};
	cr_expect_not(part(&seen, 10, &(struct fm_export_place){0}));
	cr_expect_eq(seen.seed, 1003);
	seen = (struct seen){.model = MODEL};
	cr_expect_not(part(&seen, 10, &(struct fm_export_place){0}));
	cr_expect_eq(seen.seed, 3);
}

Test(export, is_recorded)
{
	struct fm_collection collection;
	struct fm_audit_record *records;
	size_t count;

	ok(fm_gallery_collection_get(gallery, FM_GALLERY_DEFAULT_COLLECTION, &collection, &error));
	ok(fm_gallery_audit_passage(gallery, &collection, "export", 17, "key:1", &error));
	fails(FM_E_INVALID, fm_gallery_audit_passage(gallery, &collection, "export", 17, "", &error));
	fm_collection_done(&collection);
	ok(fm_gallery_audit_list(gallery, 0, 10, &records, &count, &error));
	cr_assert_eq(count, 1);
	cr_expect_str_eq(records[0].action, "export");
	cr_expect_str_eq(records[0].object_kind, "collection");
	cr_expect_str_eq(records[0].object_id, "default");
	cr_expect_eq(records[0].faces, 17);
	fm_audit_record_done(&records[0]);
	free(records);
}

/* What an archive of strangers may not bring about. */
Test(export, times_and_ids_of_archives)
{
	static const char id[] = "0a4c9f5e-0000-4000-8000-000000000001";
	float embedding[DIM];
	struct fm_collection other;
	struct fm_person person;
	struct fm_face_record face;
	bool existed;
	struct fm_person_fields fields = {.name = "Ann", .id = id, .created_at = "9999-01-01T00:00:00.000Z"};

	ok(fm_gallery_person_create(gallery, home, &fields, &person, &error));
	cr_expect_lt(strcmp(person.created_at, "2999"), 0, "%s is still to come", person.created_at);
	fields.created_at = "1970-01-01T00:00:00.000Z";
	fields.id = "0a4c9f5e-0000-4000-8000-000000000002";
	struct fm_person nobody;
	fails(FM_E_INVALID, fm_gallery_person_create(gallery, home, &fields, &nobody, &error));

	struct fm_face_insert insert = make_insert(embedding, 1);
	insert.id = "0a4c9f5e-0000-4000-8000-000000000003";
	insert.created_at = "2026-01-02T03:04:05.006Z";
	ok(fm_gallery_face_add(gallery, person.key, &insert, &face, &existed, &error));
	cr_expect_str_eq(face.created_at, insert.created_at);
	cr_expect_not(existed);
	fm_face_record_done(&face);
	ok(fm_gallery_face_add(gallery, person.key, &insert, &face, &existed, &error));
	cr_expect(existed);
	fm_face_record_done(&face);
	fm_person_done(&person);

	ok(fm_gallery_collection_create(gallery, "other", 0, &other, &error));
	person = create_person(other.key, "Ann");
	fails(FM_E_CONFLICT, fm_gallery_face_add(gallery, person.key, &insert, &face, &existed, &error));
	cr_expect_not_null(strstr(error.message, "of another collection"), "%s", error.message);
	fm_person_done(&person);
	fm_collection_done(&other);
}

/* Models never leave; an archive cannot bring in more than queries may walk through. */
Test(export, networks_are_bounded)
{
	struct fm_person person = create_person(home, "Ann");
	float embedding[DIM];
	char model[64];
	size_t taken = 0;

	for (; taken < 1100; taken++) {
		struct fm_face_insert insert = make_insert(embedding, taken);
		struct fm_face_record face;
		bool existed;

		snprintf(model, sizeof(model), "m@%016zx", taken);
		insert.model = model;
		if (fm_gallery_face_add(gallery, person.key, &insert, &face, &existed, &error) != FM_OK)
			break;
		fm_face_record_done(&face);
	}
	cr_expect_eq(taken, 1000, "%zu: %s", taken, error.message);
	expect_counts("default", 1, 1000);
	fm_person_done(&person);
}

/* ---- what comes in ---------------------------------------------------------------------------------------
 */

static size_t indexed, index_room;

static enum fm_status count_added(void *context, const struct fm_face_record *face, const char *model,
        const float *embedding, size_t dim, struct fm_error *err)
{
	(void)context, (void)face, (void)model, (void)embedding, (void)dim;
	if (indexed == index_room)
		return fm_fail(err, FM_E_NOMEM, "no room in the index");
	indexed++;
	return FM_OK;
}

static void count_gone(void *context, enum fm_object object, int64_t key)
{
	(void)context, (void)object, (void)key;
}

/* Two people, a face each and one more, of which `newcomers` are made; ids tell them apart. */
struct party {
	struct fm_person_fields people[2];
	struct fm_face_insert faces[3];
	float embeddings[3][DIM];
	struct fm_newcomer newcomers[5];
};

static void make_party(struct party *party)
{
	static const char *const ids[] = {"0a4c9f5e-0000-4000-8000-000000000001",
	        "0a4c9f5e-0000-4000-8000-000000000002", "0a4c9f5e-0000-4000-8000-000000000003",
	        "0a4c9f5e-0000-4000-8000-000000000004", "0a4c9f5e-0000-4000-8000-000000000005"};

	*party = (struct party){0};
	for (size_t i = 0; i < 2; i++) {
		party->people[i] = (struct fm_person_fields){.name = "Ann", .id = ids[i]};
		party->newcomers[i].person = &party->people[i];
	}
	for (size_t i = 0; i < 3; i++) {
		party->faces[i] = make_insert(party->embeddings[i], i);
		party->faces[i].id = ids[2 + i];
		party->newcomers[2 + i].face = &party->faces[i];
		party->newcomers[2 + i].person_id = ids[i % 2];
	}
	fm_gallery_observe(
	        gallery, &(struct fm_gallery_observer){.face_added = count_added, .removed = count_gone});
}

static void expect_status(const struct party *party, const enum fm_status statuses[5])
{
	for (size_t i = 0; i < 5; i++)
		cr_expect_eq(party->newcomers[i].status, statuses[i], "newcomer %zu: %s", i,
		        party->newcomers[i].err.message);
}

Test(export, newcomers_are_refused_one_by_one)
{
	struct party party;

	indexed = 0;
	index_room = 100;
	make_party(&party);
	party.people[1].external_id = ""; /* and so nobody has the second's id */
	party.embeddings[2][0] = 2;       /* no unit vector */
	ok(fm_gallery_take_newcomers(gallery, home, party.newcomers, 5, &error));
	expect_status(
	        &party, (const enum fm_status[]){FM_OK, FM_E_INVALID, FM_OK, FM_E_NOT_FOUND, FM_E_INVALID});
	cr_expect_eq(indexed, 1);
	expect_counts("default", 1, 1);

	/* Again, mended: what is there is left alone. One that the caller refuses is not looked at. */
	make_party(&party);
	party.newcomers[4] = (struct fm_newcomer){.refused = true, .status = FM_E_TOO_LARGE};
	ok(fm_gallery_take_newcomers(gallery, home, party.newcomers, 5, &error));
	expect_status(&party, (const enum fm_status[]){FM_OK, FM_OK, FM_OK, FM_OK, FM_E_TOO_LARGE});
	cr_expect(party.newcomers[0].existed && party.newcomers[2].existed);
	cr_expect_not(party.newcomers[1].existed || party.newcomers[3].existed);
	cr_expect_eq(indexed, 2);
	expect_counts("default", 2, 2);

	/* An id that another collection has. */
	struct fm_collection other;
	ok(fm_gallery_collection_create(gallery, "other", 0, &other, &error));
	make_party(&party);
	ok(fm_gallery_take_newcomers(gallery, other.key, party.newcomers, 5, &error));
	expect_status(&party, (const enum fm_status[]){FM_E_CONFLICT, FM_E_CONFLICT, FM_E_NOT_FOUND,
	                              FM_E_NOT_FOUND, FM_E_NOT_FOUND});
	fm_collection_done(&other);
	fails(FM_E_INVALID, fm_gallery_take_newcomers(gallery, home, party.newcomers, 0, &error));
	fails(FM_E_INVALID, fm_gallery_take_newcomers(gallery, home, party.newcomers, 257, &error));
}

/* Faces that the index cannot take are on disk for a moment, and gone again. */
Test(export, newcomers_without_room_in_the_index_go_again)
{
	struct party party;

	indexed = 0;
	index_room = 1;
	make_party(&party);
	fails(FM_E_NOMEM, fm_gallery_take_newcomers(gallery, home, party.newcomers, 5, &error));
	expect_counts("default", 2, 0);
	index_room = 100;
	make_party(&party);
	ok(fm_gallery_take_newcomers(gallery, home, party.newcomers, 5, &error));
	expect_counts("default", 2, 3);
	cr_expect_eq(indexed, 4);
}
