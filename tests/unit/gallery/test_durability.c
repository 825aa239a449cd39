#include "lib/base/file.h"
#include "lib/base/size.h"
#include "tests/unit/gallery/traces.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

TestSuite(durability, .init = make_directory, .fini = remove_directory);

/* ---- kill -9 ----------------------------------------------------------------------------------------------
 */

enum { KILLS = 200, THREADS = 3, RECEIPTS_MAX = 20000 };

/* Written to the pipe in one piece: before a deletion, and after the gallery said FM_OK. */
struct receipt {
	enum { ENROLLED, DELETING, DELETED } what;
	char face_id[FM_UUID_TEXT];
};

struct killed {
	int pipe_fd;
	uint64_t seed;
};

static void hand_in(int pipe_fd, int what, const char *face_id)
{
	struct receipt receipt = {.what = what};

	memcpy(receipt.face_id, face_id, FM_UUID_TEXT);
	if (write(pipe_fd, &receipt, sizeof(receipt)) != sizeof(receipt))
		_exit(1);
}

/* Enrols for ever, and deletes every other face again. */
static void *change_until_killed(void *argument)
{
	struct killed *killed = argument;
	char name[32], id[FM_UUID_TEXT], last[FM_UUID_TEXT];
	struct fm_error err;

	for (uint64_t i = 0;; i++) {
		snprintf(name, sizeof(name), "p%d", (int)(i % 5));
		enroll(home, name, killed->seed + i, id);
		hand_in(killed->pipe_fd, ENROLLED, id);
		if (i % 2) {
			hand_in(killed->pipe_fd, DELETING, last);
			if (fm_gallery_face_delete(gallery, home, last, "test", &err) != FM_OK)
				_exit(1);
			hand_in(killed->pipe_fd, DELETED, last);
		}
		memcpy(last, id, sizeof(last));
	}
	return NULL;
}

static void be_killed(int pipe_fd, uint64_t round)
{
	static struct killed killed[THREADS];
	pthread_t threads[THREADS];

	open_gallery();
	for (uint64_t i = 0; i < THREADS; i++) {
		killed[i] = (struct killed){pipe_fd, (round * THREADS + i) << 32};
		if (pthread_create(&threads[i], NULL, change_until_killed, &killed[i]) != 0)
			_exit(1);
	}
	pthread_join(threads[0], NULL);
}

static enum fm_status count_sound(void *context, int64_t collection, int64_t person, int64_t face,
        const float *embedding, size_t dim, struct fm_error *err)
{
	(void)collection, (void)person, (void)face, (void)embedding, (void)err;
	*(size_t *)context += dim == DIM;
	return FM_OK;
}

/* What the receipts say of a face: the last word counts. */
static void expect_receipts(const struct receipt *receipts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct fm_face_record face;
		int what = receipts[i].what;

		for (size_t k = i + 1; k < count && what != DELETED; k++)
			if (memcmp(receipts[k].face_id, receipts[i].face_id, FM_UUID_TEXT) == 0)
				what = receipts[k].what;
		if (what == DELETING)
			continue; /* either is right */
		enum fm_status status =
		        fm_gallery_face_get(gallery, home, receipts[i].face_id, &face, &error);

		cr_expect_eq(status, what == ENROLLED ? FM_OK : FM_E_NOT_FOUND, "%s: %s",
		        what == ENROLLED ? "an enrolled face" : "a deleted face", error.message);
		if (status == FM_OK)
			fm_face_record_done(&face);
	}
}

Test(durability, what_was_acknowledged_survives_kill_9)
{
	static struct receipt receipts[RECEIPTS_MAX];
	size_t total = 0;

	for (uint64_t round = 0; round < KILLS; round++) {
		struct timespec nap = {.tv_nsec = (long)(round * 137 % 200) * 100000L};
		struct fm_collection collection;
		size_t count = 0, stored = 0;
		int pipes[2];

		cr_assert_eq(pipe(pipes), 0);
		pid_t child = fork();

		cr_assert_geq(child, 0);
		if (child == 0) {
			close(pipes[0]);
			be_killed(pipes[1], round);
		}
		close(pipes[1]);
		/* The first receipts say that it is at work; the nap ends somewhere inside a transaction. */
		while (count < 1 + round % 10) {
			cr_assert_eq(read(pipes[0], &receipts[count], sizeof(*receipts)), sizeof(*receipts));
			count++;
		}
		nanosleep(&nap, NULL);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (count < RECEIPTS_MAX &&
		        read(pipes[0], &receipts[count], sizeof(*receipts)) == sizeof(*receipts))
			count++;
		close(pipes[0]);
		total += count;

		open_gallery(); /* runs quick_check, since a log was left */
		expect_receipts(receipts, count);
		ok(fm_gallery_embedding_each(gallery, MODEL, count_sound, &stored, &error));
		ok(fm_gallery_collection_get(gallery, FM_GALLERY_DEFAULT_COLLECTION, &collection, &error));
		cr_expect_eq((size_t)collection.faces, stored, "the counter is part of the transaction");
		fm_collection_done(&collection);
		close_gallery();
	}
	cr_expect_gt(total, KILLS * 4);
}

/* ---- a full disk ----------------------------------------------------------------------------- */

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

/*
 * A file system of our own, of so many KiB, over the test's directory. False where this process may not have
 * one; it is gone with the process (Criterion gives each test its own).
 */
static bool mount_memory(int kibibytes)
{
	char options[32];

	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	snprintf(options, sizeof(options), "size=%dk", kibibytes);
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("test", directory, "tmpfs", 0, options) == 0;
}

static size_t fill_up(const char *name, int64_t person_key)
{
	static float embedding[DIM_REAL];
	struct fm_face_record face;
	bool existed;

	for (uint64_t seed = 0;; seed++) {
		struct fm_face_insert insert = make_insert(embedding, seed);

		fill_embedding(embedding, DIM_REAL, seed);
		insert.dim = DIM_REAL;
		memcpy(insert.image_sha256 + 8, name, strlen(name));
		enum fm_status status =
		        fm_gallery_face_add(gallery, person_key, &insert, &face, &existed, &error);

		if (status != FM_OK) {
			cr_assert_eq(status, FM_E_STORAGE_FULL, "%s", error.message);
			return (size_t)seed;
		}
		fm_face_record_done(&face);
	}
}

/* To forget must work when there is no room for anything else. */
Test(durability, a_full_disk_does_not_stop_deletions)
{
	struct fm_collection collection;
	char filler[160];

	if (!mount_memory(8192))
		cr_skip("no mount namespace here");
	open_gallery();
	struct fm_person ann = create_person(home, "Ann"), bob = create_person(home, "Bob");
	size_t faces = fill_up("Ann", ann.key);

	cr_expect_gt(faces, 100);
	/* Not one byte is left, neither for the log. */
	snprintf(filler, sizeof(filler), "%s/filler", directory);
	int fd = open(filler, O_WRONLY | O_CREAT, 0600);
	char byte[512] = {1};

	while (write(fd, byte, sizeof(byte)) > 0)
		;
	ok(fm_gallery_person_delete(gallery, home, ann.id, "test", &error));
	ok(fm_gallery_collection_get(gallery, FM_GALLERY_DEFAULT_COLLECTION, &collection, &error));
	cr_expect_eq(collection.people, 1);
	cr_expect_eq(collection.faces, 0);
	fm_collection_done(&collection);
	uint64_t gone[3] = {0, 1, faces - 1};

	cr_expect_eq(traces(gone, 3), 0);
	/* What the deletion freed can be used, and the reserve is there for the next one. */
	close(fd);
	unlink(filler);
	size_t again = fill_up("Bob", bob.key);

	cr_expect_gt(again, 100, "%zu, after %zu: %s", again, faces, error.message);
	ok(fm_gallery_person_delete(gallery, home, bob.id, "test", &error));
	fm_person_done(&ann);
	fm_person_done(&bob);
	close_gallery();
}

Test(durability, a_read_only_file_system_is_told_and_outlived)
{
	struct fm_person person;
	char id[FM_UUID_TEXT];

	if (!mount_memory(16384))
		cr_skip("no mount namespace here");
	open_gallery();
	enroll(home, "Ann", 1, id);
	/* What an error of the disk makes of a file system; an open file for writing forbids a plain remount.
	 */
	close_gallery();
	cr_assert_eq(mount(NULL, directory, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	cr_expect_neq(fm_gallery_open(path, &gallery, &error), FM_OK);
	cr_expect_not_null(strstr(error.message, "Read-only"), "%s", error.message);
	cr_assert_eq(mount(NULL, directory, NULL, MS_REMOUNT, NULL), 0);
	open_gallery();
	ok(fm_gallery_face_delete(gallery, home, id, "test", &error));
	person = create_person(home, "Bob");
	fm_person_done(&person);
	close_gallery();
}

/* ---- deletion -------------------------------------------------------------------------------- */

Test(durability, deleted_embeddings_leave_the_files)
{
	enum { PEOPLE = 40, FACES = 5 };
	static char people[PEOPLE][FM_UUID_TEXT], faces[PEOPLE][FACES][FM_UUID_TEXT];
	static uint64_t kept[PEOPLE * FACES], deleted[PEOPLE * FACES];
	struct fm_collection staff;
	size_t kept_count = 0, deleted_count = 0;

	open_gallery();
	ok(fm_gallery_collection_create(gallery, "staff", 0, &staff, &error));
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

Test(durability, a_long_read_delays_erasure_to_its_end)
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
