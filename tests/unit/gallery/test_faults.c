/* A disk that fails at every single operation in turn, and power that is cut at any. */
#include "tests/support/faulty_vfs.h"
#include "tests/unit/gallery/traces.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_faulty_directory(void)
{
	make_fast_directory();
	vfs_install();
}

static void remove_faulty_directory(void)
{
	vfs_remove();
	remove_directory();
}

TestSuite(faults, .init = make_faulty_directory, .fini = remove_faulty_directory);

/* ---- what is done, and what must be true ------------------------------------------------------------------
 */

enum { SEEDS = 8, STEPS = 9 };

static const struct {
	const char *name;
	uint64_t seed;
	enum { ENROLS, DELETES_FACE, DELETES_PERSON } what;
} steps[STEPS] = {
        {"Ann", 0, ENROLS},
        {"Ann", 1, ENROLS},
        {"Bob", 2, ENROLS},
        {"Ann", 0, DELETES_FACE},
        {"Bob", 3, ENROLS},
        {"Bob", 0, DELETES_PERSON},
        {"Ann", 4, ENROLS},
        {"Ann", 1, DELETES_FACE},
        {"Ann", 5, ENROLS},
};

/* What was acknowledged, by seed. */
static struct {
	bool there, deleted;
	const char *name;
	char face_id[FM_UUID_TEXT], person_id[FM_UUID_TEXT];
} known[SEEDS];

static enum fm_status step(int number)
{
	static float embedding[DIM_REAL];
	uint64_t seed = steps[number].seed;
	enum fm_status status = FM_OK;

	if (steps[number].what == ENROLS) {
		struct fm_face_insert insert = make_insert(embedding, seed);
		struct fm_person person;
		struct fm_face_record face;
		bool existed;

		fill_embedding(embedding, DIM_REAL, seed);
		insert.dim = DIM_REAL;
		status = fm_gallery_enroll_by_name(
		        gallery, home, steps[number].name, &insert, &person, &face, &existed, &error);
		if (status != FM_OK)
			return status;
		known[seed].there = true;
		known[seed].name = steps[number].name;
		memcpy(known[seed].face_id, face.id, FM_UUID_TEXT);
		memcpy(known[seed].person_id, person.id, FM_UUID_TEXT);
		fm_person_done(&person);
		fm_face_record_done(&face);
	} else if (steps[number].what == DELETES_FACE) {
		status = fm_gallery_face_delete(gallery, home, known[seed].face_id, "test", &error);
		if (status != FM_OK)
			return status;
		known[seed].there = false;
		known[seed].deleted = true;
	} else {
		for (int i = SEEDS - 1; i >= 0; i--)
			if (known[i].there && strcmp(known[i].name, steps[number].name) == 0) {
				status = fm_gallery_person_delete(
				        gallery, home, known[i].person_id, "test", &error);
				break;
			}
		for (int i = 0; status == FM_OK && i < SEEDS; i++)
			if (known[i].there && strcmp(known[i].name, steps[number].name) == 0) {
				known[i].there = false;
				known[i].deleted = true;
			}
	}
	return status;
}

static enum fm_status tick_off(void *context, int64_t collection, int64_t person, int64_t face,
        const float *embedding, size_t dim, struct fm_error *err)
{
	static float expected[DIM_REAL];
	bool *found = context;

	(void)collection, (void)person, (void)face, (void)err;
	cr_assert_eq(dim, DIM_REAL);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		fill_embedding(expected, DIM_REAL, seed);
		if (memcmp(expected, embedding, sizeof(expected)) == 0) {
			cr_expect_not(found[seed], "twice");
			found[seed] = true;
			return FM_OK;
		}
	}
	cr_assert_fail("an embedding that nobody stored");
	return FM_OK;
}

static void expect_what_is_known(const char *when, size_t n)
{
	bool found[SEEDS] = {false};

	ok(fm_gallery_embedding_each(gallery, MODEL, tick_off, found, &error));
	for (int seed = 0; seed < SEEDS; seed++)
		cr_expect_eq(found[seed], known[seed].there, "%s, operation %zu: face %d is %s", when, n,
		        seed, found[seed] ? "there" : "not there");
}

static void expect_sound_file(void)
{
	sqlite3_stmt *statement;
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(db,
	                     "SELECT quick_check FROM pragma_quick_check UNION ALL"
	                     " SELECT \"table\" FROM pragma_foreign_key_check UNION ALL"
	                     " SELECT 'counter' FROM collections AS c WHERE"
	                     " faces <> (SELECT count(*) FROM faces WHERE collection = c.key)",
	                     -1, &statement, NULL),
	        SQLITE_OK, "%s", sqlite3_errmsg(db));
	while (sqlite3_step(statement) == SQLITE_ROW)
		cr_expect_str_eq((const char *)sqlite3_column_text(statement, 0), "ok");
	sqlite3_finalize(statement);
	sqlite3_close(db);
}

static void expect_no_traces(void)
{
	uint64_t gone[SEEDS];
	size_t count = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++)
		if (known[seed].deleted)
			gone[count++] = seed;
	cr_expect_eq(traces(gone, count), 0);
}

static void start_anew(void)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char file[160];

	for (size_t i = 0; i < FM_ARRAY_SIZE(suffixes); i++) {
		snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
		unlink(file);
	}
	memset(known, 0, sizeof(known));
	vfs_fail(0, 0, false);
	open_gallery();
}

/* ---- one operation that fails -----------------------------------------------------------------------------
 */

static const struct {
	const char *what;
	int code;
	bool persistently;
} faults[] = {
        {"one input/output error", SQLITE_IOERR_WRITE, false},
        {"one moment of a full disk", SQLITE_FULL, false},
        {"a disk that is dead from then on", SQLITE_IOERR_WRITE, true},
        {"a disk that is full from then on", SQLITE_FULL, true},
        {"a file system that became read-only", SQLITE_READONLY, true},
};

static bool is_storage_failure(enum fm_status status, int code)
{
	return code == SQLITE_FULL ? status == FM_E_STORAGE_FULL || status == FM_E_IO : status == FM_E_IO;
}

/* Whether the fault struck; every step is done in the end. */
static bool steps_with_fault(size_t fault, size_t n)
{
	int code = faults[fault].code;

	start_anew();
	vfs_fail(n, code, faults[fault].persistently);
	for (int i = 0; i < STEPS; i++) {
		enum fm_status status = step(i);

		if (status == FM_OK)
			continue;
		cr_expect(vfs_failed() && is_storage_failure(status, code), "%s, operation %zu, step %d: %s",
		        faults[fault].what, n, i, error.message);
		expect_what_is_known(faults[fault].what, n); /* reading goes on */
		if (faults[fault].persistently)
			cr_expect(is_storage_failure(step(i), code), "%s", error.message);
		/* The fault is gone, and with it every trouble: no restart. */
		bool struck = vfs_failed();

		vfs_fail(0, 0, false);
		cr_assert_eq(step(i), FM_OK, "%s, operation %zu, step %d: %s", faults[fault].what, n, i,
		        error.message);
		for (i++; i < STEPS; i++)
			cr_assert_eq(step(i), FM_OK, "%s", error.message);
		expect_what_is_known(faults[fault].what, n);
		return struck;
	}
	bool struck = vfs_failed();

	vfs_fail(0, 0, false);
	return struck;
}

Test(faults, no_operation_that_fails_loses_anything)
{
	size_t failures = 0;

	for (size_t fault = 0; fault < FM_ARRAY_SIZE(faults); fault++) {
		size_t n = 1;

		while (steps_with_fault(fault, n)) {
			close_gallery();
			expect_sound_file();
			expect_no_traces();
			open_gallery();
			expect_what_is_known("after a restart", n);
			close_gallery();
			n += fault == 0 ? 1 : 3;
			failures++;
		}
		close_gallery();
		cr_expect_gt(n, 50, "%s: only %zu operations", faults[fault].what, n);
	}
	cr_log_info("%zu failures", failures);
}

/* The same while the gallery is created: what is left is no gallery or a sound one, and the next try works.
 */
Test(faults, a_failure_while_opening_leaves_nothing_half_done)
{
	size_t n = 0, refused = 0;

	for (bool struck = true; struck;) {
		start_anew();
		close_gallery();
		unlink(path);
		vfs_fail(++n, SQLITE_FULL, false);
		enum fm_status status = fm_gallery_open(path, &gallery, &error);

		struck = vfs_failed();
		refused += status != FM_OK;
		if (status == FM_OK)
			close_gallery();
		else
			cr_expect(is_storage_failure(status, SQLITE_FULL), "%s", error.message);
		vfs_fail(0, 0, false);
		open_gallery();
		cr_assert_eq(step(0), FM_OK, "%s", error.message);
		close_gallery();
		expect_sound_file();
	}
	cr_expect_gt(refused, 5);
}

/* ---- power cuts -------------------------------------------------------------------------------------------
 */

enum { WRITERS = 3, CUTS = 150 };

/* What one writer did until the power went: face i was enrolled, and every third deleted again. */
struct writer {
	uint64_t first_seed;
	pthread_t thread;
	struct {
		char id[FM_UUID_TEXT];
		enum { DOUBTFUL, ENROLLED, DELETING, DELETED } state;
	} faces[64];
	size_t count;
};

static void *write_until_dark(void *argument)
{
	static _Thread_local float embedding[DIM_REAL];
	struct writer *writer = argument;
	struct fm_error err;
	char name[16];

	snprintf(name, sizeof(name), "writer %d", (int)(writer->first_seed % 1000));
	while (writer->count < FM_ARRAY_SIZE(writer->faces)) {
		size_t i = writer->count++;
		struct fm_face_insert insert = make_insert(embedding, writer->first_seed + i);
		struct fm_person person;
		struct fm_face_record face;
		bool existed;

		fill_embedding(embedding, DIM_REAL, writer->first_seed + i);
		insert.dim = DIM_REAL;
		if (fm_gallery_enroll_by_name(gallery, home, name, &insert, &person, &face, &existed, &err) !=
		        FM_OK)
			return NULL;
		memcpy(writer->faces[i].id, face.id, FM_UUID_TEXT);
		writer->faces[i].state = ENROLLED;
		fm_person_done(&person);
		fm_face_record_done(&face);
		if (i % 3 != 2)
			continue;
		writer->faces[i - 1].state = DELETING;
		if (fm_gallery_face_delete(gallery, home, writer->faces[i - 1].id, "test", &err) != FM_OK)
			return NULL;
		writer->faces[i - 1].state = DELETED;
	}
	return NULL;
}

static bool is_there(const char *id)
{
	struct fm_face_record face;
	enum fm_status status = fm_gallery_face_get(gallery, home, id, &face, &error);

	cr_assert(status == FM_OK || status == FM_E_NOT_FOUND, "%s", error.message);
	if (status == FM_OK)
		fm_face_record_done(&face);
	return status == FM_OK;
}

static void cut_power_at(size_t n, size_t *ret_deleted)
{
	static struct writer writers[WRITERS];
	uint64_t gone[WRITERS * 64];
	size_t gone_count = 0;
	char *before = strdup(path);

	memset(writers, 0, sizeof(writers));
	start_anew();
	close_gallery();
	vfs_cut_power(n);
	if (fm_gallery_open(path, &gallery, &error) == FM_OK) {
		for (uint64_t i = 0; i < WRITERS; i++) {
			writers[i].first_seed = 1000 * (i + 1);
			cr_assert_eq(
			        pthread_create(&writers[i].thread, NULL, write_until_dark, &writers[i]), 0);
		}
		for (int i = 0; i < WRITERS; i++)
			pthread_join(writers[i].thread, NULL);
		close_gallery();
	}
	/* What the disk held, in a directory of its own. */
	snprintf(path, sizeof(path), "%s/after", directory);
	cr_assert_eq(mkdir(path, 0700), 0);
	cr_assert(vfs_after_power_cut(path, n));
	vfs_fail(0, 0, false);
	snprintf(path, sizeof(path), "%s/after/gallery.db", directory);
	open_gallery();
	for (int w = 0; w < WRITERS; w++)
		for (size_t i = 0; i < writers[w].count; i++) {
			if (writers[w].faces[i].state == ENROLLED)
				cr_expect(is_there(writers[w].faces[i].id), "cut at %zu: a face is lost", n);
			if (writers[w].faces[i].state == DELETED) {
				cr_expect_not(
				        is_there(writers[w].faces[i].id), "cut at %zu: a face came back", n);
				gone[gone_count++] = writers[w].first_seed + i;
			}
		}
	cr_expect_eq(traces(gone, gone_count), 0, "cut at %zu", n);
	close_gallery();
	expect_sound_file();
	unlink(path);
	strcat(path, "-reserve");
	unlink(path);
	snprintf(path, sizeof(path), "%s/after", directory);
	cr_assert_eq(rmdir(path), 0);
	strcpy(path, before);
	free(before);
	*ret_deleted += gone_count;
}

Test(faults, a_power_cut_loses_nothing_acknowledged)
{
	size_t deleted = 0;

	for (size_t i = 1; i <= CUTS; i++)
		cut_power_at(i * 7 % 1000 + 1, &deleted);
	cr_expect_gt(deleted, CUTS);
}
