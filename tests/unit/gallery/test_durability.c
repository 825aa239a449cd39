#include "lib/base/file.h"
#include "lib/base/size.h"
#include "tests/unit/gallery/fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

TestSuite(durability, .init = make_directory, .fini = remove_directory);

/* ---- kill -9
 * ------------------------------------------------------------------------------------------------ */

struct receipt {
	uint64_t seed;
	char face_id[FM_UUID_TEXT];
};

/* Enrols for ever; each receipt is written after the gallery said FM_OK. */
static void enroll_until_killed(int pipe_fd, uint64_t first_seed)
{
	open_gallery();
	for (uint64_t seed = first_seed;; seed++) {
		struct receipt receipt = {.seed = seed};
		char name[16];

		snprintf(name, sizeof(name), "p%d", (int)(seed % 10));
		enroll(home, name, seed, receipt.face_id);
		if (write(pipe_fd, &receipt, sizeof(receipt)) != sizeof(receipt))
			_exit(1);
	}
}

static enum fm_status count_sound(void *context, int64_t collection, int64_t person, int64_t face,
        const float *embedding, size_t dim, struct fm_error *err)
{
	(void)collection, (void)person, (void)face, (void)embedding, (void)err;
	*(size_t *)context += dim == DIM;
	return FM_OK;
}

Test(durability, what_was_acknowledged_survives_kill_9, .timeout = 120)
{
	static struct receipt receipts[200000];
	size_t count = 0;

	for (int round = 0; round < 20; round++) {
		struct timespec nap = {.tv_nsec = (10 + round * 3) * 1000000L};
		int pipes[2];

		cr_assert_eq(pipe(pipes), 0);
		pid_t child = fork();

		cr_assert_geq(child, 0);
		if (child == 0) {
			close(pipes[0]);
			enroll_until_killed(pipes[1], (uint64_t)round * 1000000);
		}
		close(pipes[1]);
		/* The first receipt says that it is at work; the nap ends somewhere inside a transaction. */
		cr_assert_eq(read(pipes[0], &receipts[count], sizeof(receipts[0])), sizeof(receipts[0]));
		count++;
		nanosleep(&nap, NULL);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (count < FM_ARRAY_SIZE(receipts) &&
		        read(pipes[0], &receipts[count], sizeof(receipts[0])) == sizeof(receipts[0]))
			count++;
		close(pipes[0]);

		open_gallery();
		struct fm_collection collection;
		size_t stored = 0;

		for (size_t i = 0; i < count; i++) {
			struct fm_face_record face;

			ok(fm_gallery_face_get(gallery, home, receipts[i].face_id, &face, &error));
			fm_face_record_done(&face);
		}
		ok(fm_gallery_embedding_each(gallery, MODEL, count_sound, &stored, &error));
		ok(fm_gallery_collection_get(gallery, FM_GALLERY_DEFAULT_COLLECTION, &collection, &error));
		cr_assert_eq((size_t)collection.faces, stored, "the counter is part of the transaction");
		/* At most one transaction a round was stored and not acknowledged. */
		cr_assert(stored >= count && stored <= count + (size_t)round + 1);
		fm_collection_done(&collection);
		close_gallery();
	}
	cr_expect_gt(count, 100);
}

/* ---- a full disk
 * -------------------------------------------------------------------------------------------- */

/* A file size limit stands in for the full disk: to SQLite both are writes that fail. */
Test(durability, a_full_disk_is_told_and_loses_nothing)
{
	struct rlimit limit, before;
	float embedding[DIM];
	struct fm_person person;
	struct fm_face_record face;
	struct fm_collection collection;
	bool existed;
	int64_t stored = 0;
	enum fm_status status = FM_OK;

	signal(SIGXFSZ, SIG_IGN);
	open_gallery();
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 512 << 10;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (uint64_t seed = 0; seed < 5000 && status == FM_OK; seed++) {
		struct fm_face_insert insert = make_insert(embedding, seed);

		status = fm_gallery_enroll_by_name(
		        gallery, home, "Ann", &insert, &person, &face, &existed, &error);
		if (status == FM_OK) {
			fm_person_done(&person);
			fm_face_record_done(&face);
			stored++;
		}
	}
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	cr_expect_eq(status, FM_E_STORAGE_FULL, "%s", error.message);
	cr_expect_gt(stored, 3);
	ok(fm_gallery_collection_get(gallery, FM_GALLERY_DEFAULT_COLLECTION, &collection, &error));
	cr_expect_eq(collection.faces, stored);
	fm_collection_done(&collection);
	enroll(home, "Bob", 9999, NULL); /* and it goes on once there is room */
	close_gallery();
	open_gallery();
	ok(fm_gallery_collection_get(gallery, FM_GALLERY_DEFAULT_COLLECTION, &collection, &error));
	cr_expect_eq(collection.faces, stored + 1);
	fm_collection_done(&collection);
	close_gallery();
}

/* ---- deletion
 * ----------------------------------------------------------------------------------------------- */

#define DIM_REAL 512 /* as many as the default network gives: pages fill as they do in life */

static char *slurp(const char *suffix, size_t *ret_length)
{
	char file[160], *bytes = NULL;

	snprintf(file, sizeof(file), "%s%s", path, suffix);
	*ret_length = 0;
	if (access(file, F_OK) == 0)
		ok(fm_file_read(file, 1 << 28, &bytes, ret_length, &error));
	return bytes;
}

static void add_real(int64_t person_key, uint64_t seed, char *ret_id)
{
	static float embedding[DIM_REAL];
	struct fm_face_insert insert = make_insert(embedding, seed);
	struct fm_face_record face;
	bool existed;

	fill_embedding(embedding, DIM_REAL, seed);
	insert.dim = DIM_REAL;
	ok(fm_gallery_face_add(gallery, person_key, &insert, &face, &existed, &error));
	memcpy(ret_id, face.id, FM_UUID_TEXT);
	fm_face_record_done(&face);
}

/* How many of these embeddings the database or its log still show, by any of eight stretches of 64 bytes. */
static size_t traces(const uint64_t *seeds, size_t count)
{
	static const char *const suffixes[] = {"", "-wal"};
	static float embedding[DIM_REAL];
	size_t found = 0;

	for (size_t s = 0; s < FM_ARRAY_SIZE(suffixes); s++) {
		size_t length;
		char *bytes = slurp(suffixes[s], &length);

		for (size_t i = 0; bytes && i < count; i++) {
			fill_embedding(embedding, DIM_REAL, seeds[i]);
			for (size_t part = 0; part < 8; part++)
				found += memmem(bytes, length, (char *)embedding + part * 256, 64) != NULL;
		}
		free(bytes);
	}
	return found;
}

Test(durability, deleted_embeddings_leave_the_files, .timeout = 60)
{
	enum { PEOPLE = 40, FACES = 5 };
	static char people[PEOPLE][FM_UUID_TEXT], faces[PEOPLE][FACES][FM_UUID_TEXT];
	static uint64_t kept[PEOPLE * FACES], deleted[PEOPLE * FACES];
	struct fm_collection staff;
	size_t kept_count = 0, deleted_count = 0;

	open_gallery();
	ok(fm_gallery_collection_create(gallery, "staff", &staff, &error));
	for (uint64_t p = 0; p < PEOPLE; p++) {
		struct fm_person person = create_person(p % 4 == 3 ? staff.key : home, "somebody");

		memcpy(people[p], person.id, FM_UUID_TEXT);
		for (uint64_t f = 0; f < FACES; f++)
			add_real(person.key, p * FACES + f, faces[p][f]);
		fm_person_done(&person);
	}
	for (uint64_t i = 0; i < PEOPLE * FACES; i++) {
		uint64_t p = i / FACES, f = i % FACES;
		/* Every fourth person by collection, every other fourth as a person, one face of each else.
		 */
		bool gone = p % 4 == 3 || p % 4 == 1 || f == p % FACES;

		if (gone)
			deleted[deleted_count++] = i;
		else
			kept[kept_count++] = i;
	}
	cr_assert_eq(traces(deleted, 5) > 0, true, "the search for traces finds what is there");
	for (uint64_t p = 0; p < PEOPLE; p++) {
		if (p % 4 == 1)
			ok(fm_gallery_person_delete(gallery, home, people[p], "test", &error));
		else if (p % 4 != 3)
			ok(fm_gallery_face_delete(gallery, home, faces[p][p % FACES], "test", &error));
	}
	ok(fm_gallery_collection_delete(gallery, "staff", "test", &error));
	/* At once, with the gallery open, and after closing it. */
	cr_expect_eq(traces(deleted, deleted_count), 0);
	close_gallery();
	cr_expect_eq(traces(deleted, deleted_count), 0);
	cr_expect_eq(traces(kept, kept_count), kept_count * 8, "what was kept is there");
	fm_collection_done(&staff);
}

/* Killed between a deletion's commit and the emptying of the log: the next start makes up for it. */
Test(durability, a_start_after_a_crash_erases_what_was_owed)
{
	const uint64_t gone = 1;
	char ids[3][FM_UUID_TEXT];
	sqlite3 *reader;

	open_gallery();
	struct fm_person person = create_person(home, "somebody");

	for (uint64_t i = 0; i < 3; i++)
		add_real(person.key, i, ids[i]);
	close_gallery();
	pid_t child = fork();

	cr_assert_geq(child, 0);
	if (child == 0) {
		/* Another process that reads keeps the log from being emptied. */
		open_gallery();
		if (sqlite3_open(path, &reader) != SQLITE_OK ||
		        sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM faces", NULL, NULL, NULL) !=
		                SQLITE_OK)
			_exit(1);
		ok(fm_gallery_face_delete(gallery, home, ids[gone], "test", &error));
		_exit(traces(&gone, 1) ? 0 : 2);
	}
	int result;

	cr_assert_eq(waitpid(child, &result, 0), child);
	cr_assert_eq(result, 0, "the log was emptied at once: %d", result);
	open_gallery();
	cr_expect_eq(traces(&gone, 1), 0);
	fm_person_done(&person);
	close_gallery();
}

static void *delete_one(void *face_id)
{
	struct fm_error err;

	return fm_gallery_face_delete(gallery, home, face_id, "test", &err) == FM_OK ? face_id : NULL;
}

struct long_read {
	char *face_id;
	bool deleted;
	size_t traces_meanwhile;
};

/* Another thread deletes while this read holds its snapshot. */
static enum fm_status visit_slowly(void *context, int64_t collection, int64_t person, int64_t face,
        const float *embedding, size_t dim, struct fm_error *err)
{
	struct long_read *reading = context;
	const uint64_t seed = 1;
	pthread_t thread;
	void *result;

	(void)collection, (void)person, (void)face, (void)embedding, (void)dim, (void)err;
	if (reading->deleted)
		return FM_OK;
	cr_assert_eq(pthread_create(&thread, NULL, delete_one, reading->face_id), 0);
	pthread_join(thread, &result);
	reading->deleted = result != NULL;
	reading->traces_meanwhile = traces(&seed, 1);
	return FM_OK;
}

Test(durability, a_long_read_delays_erasure_to_its_end, .timeout = 60)
{
	char ids[4][FM_UUID_TEXT];
	struct long_read reading = {.face_id = ids[1]};
	const uint64_t gone = 1;

	open_gallery();
	struct fm_person person = create_person(home, "somebody");

	for (uint64_t i = 0; i < 4; i++)
		add_real(person.key, i, ids[i]);
	ok(fm_gallery_embedding_each(gallery, MODEL, visit_slowly, &reading, &error));
	cr_expect(reading.deleted, "a deletion does not wait for the whole read");
	cr_expect_gt(reading.traces_meanwhile, 0, "the old state was still being read");
	cr_expect_eq(traces(&gone, 1), 0);
	fm_person_done(&person);
	close_gallery();
}
