/* What changes bring with them: crops, the observer, the audit. */
#include "tests/unit/gallery/fixture.h"

#include <criterion/criterion.h>
#include <pthread.h>

TestSuite(changes, .init = setup_fast, .fini = teardown);

Test(changes, crops)
{
	static const size_t sizes[] = {1, 219, 220, 221, 2043, 2044, 2264, 2265, 5000, FM_CROP_MAX_BYTES};
	static uint8_t jpeg[FM_CROP_MAX_BYTES + 1];
	float embedding[DIM];
	struct fm_person person = create_person(home, "Ann");
	struct fm_face_record face;
	uint8_t *crop;
	size_t bytes;
	bool existed;

	for (size_t i = 0; i < sizeof(jpeg); i++)
		jpeg[i] = (uint8_t)(i * 131 >> 3 | 1);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fm_face_insert insert = make_insert(embedding, i);

		insert.crop = jpeg;
		insert.crop_bytes = sizes[i];
		ok(fm_gallery_face_add(gallery, person.key, &insert, &face, &existed, &error));
		ok(fm_gallery_crop_get(gallery, home, face.id, &crop, &bytes, &error));
		cr_expect_eq(bytes, sizes[i]);
		cr_expect_arr_eq(crop, jpeg, bytes);
		free(crop);
		ok(fm_gallery_crop_get_by_key(gallery, face.key, &crop, &bytes, &error));
		cr_expect_eq(bytes, sizes[i]);
		free(crop);
		fails(FM_E_NOT_FOUND, fm_gallery_crop_get(gallery, home + 1, face.id, &crop, &bytes, &error));
		fm_face_record_done(&face);
	}
	/* A face that had none gets one when its photo comes again; it keeps the first. */
	struct fm_face_insert insert = make_insert(embedding, 1000);

	ok(fm_gallery_face_add(gallery, person.key, &insert, &face, &existed, &error));
	fails(FM_E_NOT_FOUND, fm_gallery_crop_get(gallery, home, face.id, &crop, &bytes, &error));
	for (size_t i = 7; i < 9; i++) {
		fm_face_record_done(&face);
		insert.crop = jpeg;
		insert.crop_bytes = i;
		ok(fm_gallery_face_add(gallery, person.key, &insert, &face, &existed, &error));
		cr_expect(existed);
		ok(fm_gallery_crop_get(gallery, home, face.id, &crop, &bytes, &error));
		cr_expect_eq(bytes, 7);
		free(crop);
	}
	fm_face_record_done(&face);
	insert.crop_bytes = sizeof(jpeg);
	fails(FM_E_TOO_LARGE, fm_gallery_face_add(gallery, person.key, &insert, &face, &existed, &error));
	insert.crop_bytes = 0;
	fails(FM_E_TOO_LARGE, fm_gallery_face_add(gallery, person.key, &insert, &face, &existed, &error));
	fm_person_done(&person);
}

/* What an index would hold that follows the gallery; faces by their key. */
struct follower {
	struct {
		int64_t person, collection;
	} faces[64];
	size_t count;
	bool full;
};

static enum fm_status follow_face(void *context, const struct fm_face_record *face, const char *model,
        const float *embedding, size_t dim, struct fm_error *err)
{
	struct follower *follower = context;

	cr_expect_str_eq(model, MODEL);
	cr_expect_eq(dim, DIM);
	cr_expect_neq(embedding[0], 0);
	if (follower->full)
		return fm_fail(err, FM_E_NOMEM, "no room");
	cr_assert_eq(follower->faces[face->key].person, 0);
	follower->faces[face->key].person = face->person_key;
	follower->faces[face->key].collection = face->collection_key;
	follower->count++;
	return FM_OK;
}

static void follow_removal(void *context, enum fm_object object, int64_t key)
{
	struct follower *follower = context;

	for (int64_t i = 0; i < 64; i++) {
		int64_t of = object == FM_OBJECT_FACE     ? i
		             : object == FM_OBJECT_PERSON ? follower->faces[i].person
		                                          : follower->faces[i].collection;

		if (follower->faces[i].person && of == key) {
			follower->faces[i].person = 0;
			follower->count--;
		}
	}
}

Test(changes, an_observer_follows)
{
	struct follower follower = {0};
	struct fm_collection staff;
	struct fm_person person;
	struct fm_face_record face;
	char id[FM_UUID_TEXT];
	float embedding[DIM];
	bool existed;

	fm_gallery_observe(gallery, &(struct fm_gallery_observer){
	                                    .context = &follower,
	                                    .face_added = follow_face,
	                                    .removed = follow_removal,
	                            });
	ok(fm_gallery_collection_create(gallery, "staff", 0, &staff, &error));
	for (uint64_t i = 0; i < 20; i++)
		enroll(i % 4 ? home : staff.key, i % 2 ? "Ann" : "Bob", i, id);
	cr_expect_eq(follower.count, 20);
	enroll(home, "Ann", 19, NULL); /* the same again */
	cr_expect_eq(follower.count, 20);
	ok(fm_gallery_face_delete(gallery, home, id, "test", &error));
	cr_expect_eq(follower.count, 19);
	fails(FM_E_NOT_FOUND, fm_gallery_face_delete(gallery, home, id, "test", &error));
	ok(fm_gallery_collection_delete(gallery, "staff", "test", &error));
	cr_expect_eq(follower.count, 14);

	/* A face that the observer cannot take is not enrolled. */
	struct fm_face_insert insert = make_insert(embedding, 100);

	follower.full = true;
	fails(FM_E_NOMEM,
	        fm_gallery_enroll_by_name(gallery, home, "Ann", &insert, &person, &face, &existed, &error));
	cr_expect_str_eq(error.message, "no room");
	expect_counts("default", 2, 14);
	follower.full = false;
	ok(fm_gallery_enroll_by_name(gallery, home, "Ann", &insert, &person, &face, &existed, &error));
	cr_expect_eq(follower.count, 15);
	ok(fm_gallery_person_delete(gallery, home, person.id, "test", &error));
	cr_expect_eq(follower.count, 5);
	expect_counts("default", 1, 5);
	fm_face_record_done(&face);
	fm_person_done(&person);
	fm_collection_done(&staff);
}

/* Each deletion leaves a record of who asked for what, and nothing about whom. */
Test(changes, deletions_are_audited)
{
	static const struct {
		const char *actor, *kind, *collection;
		int64_t faces;
	} expected[] = {{"key:1", "face", "default", 1}, {"key:2", "person", "default", 2},
	        {"key:3", "collection", "staff", 1}};
	struct fm_audit_record *records;
	struct fm_collection staff;
	struct fm_person *people;
	char face_id[FM_UUID_TEXT], next[FM_UUID_TEXT], person_id[FM_UUID_TEXT];
	size_t count;

	ok(fm_gallery_collection_create(gallery, "staff", 0, &staff, &error));
	for (uint64_t i = 0; i < 3; i++)
		enroll(home, "Ann", i, face_id);
	enroll(staff.key, "Bob", 3, NULL);
	fails(FM_E_INVALID, fm_gallery_face_delete(gallery, home, face_id, "", &error));
	fails(FM_E_INVALID, fm_gallery_face_delete(gallery, home, face_id, NULL, &error));
	ok(fm_gallery_face_delete(gallery, home, face_id, "key:1", &error));
	ok(fm_gallery_person_list(gallery, home, NULL, NULL, 1, &people, &count, next, &error));
	memcpy(person_id, people[0].id, sizeof(person_id));
	fm_person_done(&people[0]);
	free(people);
	ok(fm_gallery_person_delete(gallery, home, person_id, "key:2", &error));
	ok(fm_gallery_collection_delete(gallery, "staff", "key:3", &error));
	fails(FM_E_NOT_FOUND, fm_gallery_person_delete(gallery, home, person_id, "key:4", &error));

	ok(fm_gallery_audit_list(gallery, 0, 10, &records, &count, &error));
	cr_assert_eq(count, 3, "what was refused is not recorded");
	for (size_t i = 0; i < count; i++) {
		cr_expect_str_eq(records[i].actor, expected[i].actor);
		cr_expect_str_eq(records[i].action, "delete");
		cr_expect_str_eq(records[i].object_kind, expected[i].kind);
		cr_expect_str_eq(records[i].collection, expected[i].collection);
		cr_expect_eq(records[i].faces, expected[i].faces);
		cr_expect_eq(strlen(records[i].time), strlen("2026-01-01T00:00:00.000Z"));
	}
	cr_expect_str_eq(records[0].object_id, face_id);
	cr_expect_str_eq(records[1].object_id, person_id);
	cr_expect_str_eq(records[2].object_id, "staff");
	int64_t after = records[1].key;

	for (size_t i = 0; i < count; i++)
		fm_audit_record_done(&records[i]);
	free(records);
	ok(fm_gallery_audit_list(gallery, after, 1, &records, &count, &error));
	cr_assert_eq(count, 1);
	cr_expect_str_eq(records[0].actor, "key:3");
	fm_audit_record_done(&records[0]);
	free(records);
	fails(FM_E_INVALID, fm_gallery_audit_list(gallery, 0, 0, &records, &count, &error));
	fm_collection_done(&staff);
}

/* ---- reading everything at start --------------------------------------------------------------------------
 */

enum { LOADED_MAX = 4000 };

struct loaded {
	pthread_mutex_t lock;
	size_t count, stop_after;
	bool seen[LOADED_MAX];
};

static enum fm_status load_block(void *context, const struct fm_embedding_owner *owners,
        const float *embeddings, size_t count, size_t dim, struct fm_error *err)
{
	struct loaded *loaded = context;
	enum fm_status status = FM_OK;

	pthread_mutex_lock(&loaded->lock);
	for (size_t i = 0; i < count && status == FM_OK; i++) {
		float expected[DIM];

		fill_embedding(expected, DIM, (uint64_t)owners[i].face_key);
		cr_assert_eq(dim, DIM);
		cr_expect_arr_eq(embeddings + i * dim, expected, sizeof(expected));
		cr_expect_not(loaded->seen[owners[i].face_key], "twice");
		cr_expect_eq(owners[i].collection_key, home);
		loaded->seen[owners[i].face_key] = true;
		if (++loaded->count == loaded->stop_after)
			status = fm_fail(err, FM_E_CANCELLED, "enough");
	}
	pthread_mutex_unlock(&loaded->lock);
	return status;
}

Test(changes, every_embedding_is_loaded_once)
{
	static struct loaded loaded = {.lock = PTHREAD_MUTEX_INITIALIZER};
	char ids[LOADED_MAX][FM_UUID_TEXT];
	size_t expected = 0;

	ok(fm_gallery_embedding_load(gallery, MODEL, load_block, &loaded, &error));
	cr_expect_eq(loaded.count, 0, "an empty gallery");
	for (uint64_t key = 1; key < 1400; key++)
		enroll(home, "Ann", key, ids[key]); /* the face's key is its seed */
	for (uint64_t key = 5; key < 1400; key += 100, expected++)
		ok(fm_gallery_face_delete(gallery, home, ids[key], "test", &error));
	expected = 1399 - expected;
	ok(fm_gallery_embedding_load(gallery, MODEL, load_block, &loaded, &error));
	cr_expect_eq(loaded.count, expected);
	memset(loaded.seen, 0, sizeof(loaded.seen));
	loaded.stop_after = loaded.count + 600;
	fails(FM_E_CANCELLED, fm_gallery_embedding_load(gallery, MODEL, load_block, &loaded, &error));
	cr_expect_str_eq(error.message, "enough");
	ok(fm_gallery_embedding_load(gallery, "never@seen", load_block, &loaded, &error));
}
