/* What was deleted or has expired is gone: from the files' bytes, whatever the trees went through. */
#include "lib/base/mem.h"
#include "lib/gallery/layout.h"
#include "lib/gallery/text.h"
#include "tests/unit/gallery/traces.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <time.h>

TestSuite(forgetting, .init = make_fast_directory, .fini = remove_directory);

enum { FACES = 300, CROP_BYTES = 3000, WINDOW = 32 };

/* A JPEG's tables, which all have in common, and then what is one face's alone. */
static void fill_crop(uint8_t *crop, uint64_t seed)
{
	uint64_t state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < CROP_BYTES; i++) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
		crop[i] = i < FM_JPEG_HEAD_BYTES ? (uint8_t)i : (uint8_t)(state >> 33);
	}
}

/* The first eight bytes of each stretch that is searched for, sorted; a bit for each of their low halves. */
struct secrets {
	uint64_t starts[FACES * (FM_EMBEDDING_DIM_MAX * sizeof(float) + CROP_BYTES) / WINDOW / 4];
	size_t count;
	uint8_t low[1 << 13];
};

static void keep_secret(struct secrets *secrets, const uint8_t *bytes, size_t length)
{
	for (size_t at = 0; at + WINDOW <= length; at += WINDOW) {
		cr_assert_lt(secrets->count, FM_ARRAY_SIZE(secrets->starts));
		uint64_t *start = &secrets->starts[secrets->count++];

		memcpy(start, bytes + at, sizeof(*start));
		secrets->low[(*start & 0xffff) >> 3] |= (uint8_t)(1 << (*start & 7));
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* Stretches of these faces' embeddings and crops that a file of the gallery still shows. */
static size_t windows_left(const bool *chosen, size_t dim)
{
	static const char *const suffixes[] = {"", "-wal", "-reserve"};
	static struct secrets secrets;
	float embedding[FM_EMBEDDING_DIM_MAX];
	uint8_t crop[CROP_BYTES];
	size_t found = 0;

	memset(&secrets, 0, sizeof(secrets));
	for (uint64_t i = 0; i < FACES; i++) {
		if (!chosen[i])
			continue;
		fill_embedding(embedding, dim, i);
		keep_secret(&secrets, (uint8_t *)embedding, dim * sizeof(float));
		fill_crop(crop, i);
		keep_secret(&secrets, crop + FM_JPEG_HEAD_BYTES, CROP_BYTES - FM_JPEG_HEAD_BYTES);
	}
	qsort(secrets.starts, secrets.count, sizeof(uint64_t), by_value);
	for (size_t s = 0; s < FM_ARRAY_SIZE(suffixes); s++) {
		size_t length;
		char *bytes = slurp(suffixes[s], &length);

		for (size_t at = 0; at + sizeof(uint64_t) <= length; at++) {
			uint64_t word;

			memcpy(&word, bytes + at, sizeof(word));
			found += secrets.low[(word & 0xffff) >> 3] & 1 << (word & 7) &&
			         bsearch(&word, secrets.starts, secrets.count, sizeof(word), by_value);
		}
		free(bytes);
	}
	return found;
}

static void add(int64_t person_key, size_t dim, const char *quality, uint64_t seed, char *ret_id)
{
	static float embedding[FM_EMBEDDING_DIM_MAX];
	static uint8_t crop[CROP_BYTES];
	struct fm_face_insert insert = make_insert(embedding, seed);
	struct fm_face_record face;
	bool existed;

	fill_embedding(embedding, dim, seed);
	fill_crop(crop, seed);
	insert.dim = dim;
	insert.quality = quality;
	insert.crop = crop;
	insert.crop_bytes = CROP_BYTES;
	ok(fm_gallery_face_add(gallery, person_key, &insert, &face, &existed, &error));
	memcpy(ret_id, face.id, FM_UUID_TEXT);
	fm_face_record_done(&face);
}

/*
 * People and faces come and go in an order that makes SQLite split, merge and balance its trees, with
 * embeddings that fit into a page of the tree and such that do not, and rows that are as short as can be.
 */
static void churn(size_t dim)
{
	static char ids[FACES][FM_UUID_TEXT];
	static bool gone[FACES], kept[FACES];
	struct fm_person people[5];
	uint64_t state = 88172645463325252;

	memset(gone, 0, sizeof(gone));
	open_gallery();
	for (int i = 0; i < 5; i++)
		people[i] = create_person(home, "somebody");
	for (uint64_t i = 0; i < FACES; i++) {
		char quality[256]; /* rows of every length, so that what is freed seldom fits */

		snprintf(quality, sizeof(quality), "{\"a\":\"%0*d\"}", (int)(1 + i * 37 % 200), 0);
		add(people[i % 5].key, dim, quality, i, ids[i]);
		for (int k = 0; i > 20 && k < 2; k++) {
			state ^= state << 13, state ^= state >> 7, state ^= state << 17;
			uint64_t victim = state % i;

			if (gone[victim] || state % 3 == 0)
				continue;
			ok(fm_gallery_face_delete(gallery, home, ids[victim], "test", &error));
			gone[victim] = true;
		}
	}
	ok(fm_gallery_person_delete(gallery, home, people[2].id, "test", &error));
	for (size_t i = 0; i < FACES; i++) {
		gone[i] |= i % 5 == 2;
		kept[i] = !gone[i];
	}
	cr_expect_eq(windows_left(gone, dim), 0, "%zu dimensions", dim);
	close_gallery();
	cr_expect_eq(windows_left(gone, dim), 0, "%zu dimensions, closed", dim);
	cr_expect_gt(windows_left(kept, dim), 1000, "the search for traces finds what is there");
	for (int i = 0; i < 5; i++)
		fm_person_done(&people[i]);
	unlink(path);
}

Test(forgetting, leaves_no_trace_for_any_size_of_embedding)
{
	static const size_t dims[] = {64, 128, 512, 768};

	for (size_t i = 0; i < FM_ARRAY_SIZE(dims); i++)
		churn(dims[i]);
}

Test(forgetting, the_quality_comes_back_as_it_was)
{
	struct fm_face_record *faces;
	struct fm_person person;
	char id[FM_UUID_TEXT];
	size_t count;

	open_gallery();
	person = create_person(home, "Ann");
	add(person.key, DIM, "{\"a\":\"b \"}", 1, id);
	ok(fm_gallery_face_list(gallery, person.key, &faces, &count, &error));
	cr_assert_eq(count, 1);
	cr_expect_str_eq(faces[0].quality, "{\"a\":\"b \"}");
	fm_face_record_done(&faces[0]);
	free(faces);
	fm_person_done(&person);
	close_gallery();
}

/* ---- retention --------------------------------------------------------------------------------------------
 */

static size_t expire_all(int64_t days_from_now)
{
	size_t total = 0, count = 1;

	while (count) {
		ok(fm_gallery_expire(
		        gallery, fm_time_now_ms() + days_from_now * 86400000, 7, &count, &error));
		cr_assert_leq(count, 7);
		total += count;
	}
	return total;
}

static void count_removed(void *context, enum fm_object object, int64_t key)
{
	(void)key;
	cr_expect_eq(object, FM_OBJECT_FACE);
	++*(size_t *)context;
}

Test(forgetting, what_is_older_than_its_collection_keeps_expires)
{
	struct fm_collection visitors, staff;
	struct fm_audit_record *records;
	size_t count, removed = 0;

	open_gallery();
	fm_gallery_observe(
	        gallery, &(struct fm_gallery_observer){.context = &removed, .removed = count_removed});
	ok(fm_gallery_collection_create(gallery, "visitors", 30, &visitors, &error));
	cr_expect_eq(visitors.retention_days, 30);
	ok(fm_gallery_collection_create(gallery, "staff", 0, &staff, &error));
	for (uint64_t i = 0; i < 40; i++) {
		enroll(visitors.key, i % 2 ? "Ann" : "Bob", i, NULL);
		enroll(staff.key, "Carl", 100 + i, NULL);
	}
	struct fm_person empty = create_person(visitors.key, "Expected tomorrow");

	cr_expect_eq(expire_all(29), 0);
	expect_counts("visitors", 3, 40);
	cr_expect_eq(expire_all(31), 40);
	cr_expect_eq(removed, 40);
	expect_counts("visitors", 1, 0); /* who never had a face has nothing to expire */
	expect_counts("staff", 1, 40);
	ok(fm_gallery_audit_list(gallery, 0, 1000, &records, &count, &error));
	cr_assert_eq(count, 42, "40 faces and 2 people");
	for (size_t i = 0; i < count; i++) {
		cr_expect_str_eq(records[i].actor, "retention");
		cr_expect_str_eq(records[i].action, "expire");
		cr_expect_str_eq(records[i].collection, "visitors");
		fm_audit_record_done(&records[i]);
	}
	free(records);

	/* A retention set later holds for what is there; taken away, for nothing. */
	fm_collection_done(&staff);
	ok(fm_gallery_collection_set_retention(gallery, "staff", 1, &staff, &error));
	cr_expect_eq(staff.retention_days, 1);
	fm_collection_done(&staff);
	ok(fm_gallery_collection_set_retention(gallery, "staff", 0, &staff, &error));
	cr_expect_eq(expire_all(1000), 0);
	expect_counts("staff", 1, 40);
	fails(FM_E_NOT_FOUND, fm_gallery_collection_set_retention(gallery, "guests", 1, &staff, &error));
	fails(FM_E_INVALID, fm_gallery_collection_set_retention(gallery, "staff", -1, &staff, &error));
	fails(FM_E_INVALID, fm_gallery_collection_set_retention(
	                            gallery, "staff", FM_RETENTION_DAYS_MAX + 1, &staff, &error));
	fails(FM_E_INVALID, fm_gallery_expire(gallery, 0, 0, &count, &error));
	fm_collection_done(&staff);
	fm_collection_done(&visitors);
	fm_person_done(&empty);
	close_gallery();
}

static void delete_people(int count)
{
	for (int i = 0; i < count; i++) {
		struct fm_person person = create_person(home, "Ann");

		ok(fm_gallery_person_delete(gallery, home, person.id, "test", &error));
		fm_person_done(&person);
	}
}

static size_t prune_all(int64_t before_ms)
{
	size_t total = 0, count = 1;

	while (count) {
		ok(fm_gallery_audit_prune(gallery, before_ms, 7, &count, &error));
		cr_assert_leq(count, 7);
		total += count;
	}
	return total;
}

Test(forgetting, old_records_of_the_audit_go)
{
	struct fm_audit_record *records;
	size_t count = 9;

	open_gallery();
	cr_expect_eq(prune_all(INT64_MAX), 0, "there is none yet");
	delete_people(20);
	usleep(2000);
	int64_t later_ms = fm_time_now_ms();

	delete_people(10);
	cr_expect_eq(prune_all(0), 0);
	cr_expect_eq(prune_all(later_ms), 20);
	ok(fm_gallery_audit_list(gallery, 0, 1000, &records, &count, &error));
	cr_expect_eq(count, 10);
	cr_expect_eq(records[0].key, 21, "a cursor goes on where it was");
	for (size_t i = 0; i < count; i++)
		fm_audit_record_done(&records[i]);
	free(records);
	cr_expect_eq(prune_all(INT64_MAX), 10);
	fails(FM_E_INVALID, fm_gallery_audit_prune(gallery, 0, 0, &count, &error));
	fails(FM_E_INVALID, fm_gallery_audit_prune(gallery, 0, 1001, &count, &error));
	close_gallery();
}

/* ---- beside a long read -----------------------------------------------------------------------------------
 */

enum { DELETIONS = 20 };

struct long_read {
	char ids[DELETIONS][FM_UUID_TEXT];
	bool begun;
	double quickest_ms;
};

static void *delete_all(void *context)
{
	struct long_read *reading = context;
	struct timespec begin, end;
	struct fm_error err;

	reading->quickest_ms = INFINITY;
	for (int i = 0; i < DELETIONS; i++) {
		clock_gettime(CLOCK_MONOTONIC, &begin);
		if (fm_gallery_face_delete(gallery, home, reading->ids[i], "test", &err) != FM_OK)
			return NULL;
		clock_gettime(CLOCK_MONOTONIC, &end);
		reading->quickest_ms =
		        fmin(reading->quickest_ms, (double)(end.tv_sec - begin.tv_sec) * 1e3 +
		                                           (double)(end.tv_nsec - begin.tv_nsec) * 1e-6);
	}
	return context;
}

static enum fm_status linger(void *context, int64_t collection, int64_t person, int64_t face,
        const float *embedding, size_t dim, struct fm_error *err)
{
	struct long_read *reading = context;
	pthread_t thread;
	void *deleted;

	(void)collection, (void)person, (void)face, (void)embedding, (void)dim, (void)err;
	if (reading->begun)
		return FM_OK;
	reading->begun = true;
	nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL);
	cr_assert_eq(pthread_create(&thread, NULL, delete_all, reading), 0);
	pthread_join(thread, &deleted);
	cr_expect_not_null(deleted);
	return FM_OK;
}

/* An export that lasts holds up neither deletions nor those who read beside it; its end empties the log. */
Test(forgetting, does_not_wait_for_a_read_that_lasts)
{
	static struct long_read reading;
	bool gone[FACES] = {false};

	open_gallery();
	struct fm_person person = create_person(home, "Ann");

	for (uint64_t i = 0; i < DELETIONS + 5; i++) {
		char id[FM_UUID_TEXT];

		add(person.key, DIM, "{}", i, i < DELETIONS ? reading.ids[i] : id);
		gone[i] = i < DELETIONS;
	}
	ok(fm_gallery_embedding_each(gallery, MODEL, linger, &reading, &error));
	cr_expect(reading.begun);
	/* The quickest, since others load this machine. */
	cr_expect_lt(reading.quickest_ms, 100, "each would wait for 100 ms");
	cr_expect_eq(windows_left(gone, DIM), 0);
	fm_person_done(&person);
	close_gallery();
}
