/* Embeddings and crops sealed on disk: nothing plain there, keys that change, keys that are missing. */
#include "lib/gallery/seal.h"

#include "lib/base/size.h"
#include "lib/gallery/jobs.h"
#include "tests/unit/gallery/traces.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <sys/stat.h>

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
#define KEY_C "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

enum { FACES = 30, CROP_BYTES = 3000 };

static char key_file[160], ids[FACES][FM_UUID_TEXT];
static struct fm_person person;

static void write_keys(const char *text)
{
	ok(fm_file_write(key_file, text, strlen(text), 0600, &error));
}

static void make_files(void)
{
	make_fast_directory();
	snprintf(key_file, sizeof(key_file), "%s/key", directory);
}

TestSuite(seal, .init = make_files, .fini = remove_directory);

static void open_with(const char *keys)
{
	if (keys)
		write_keys(keys);
	ok(fm_gallery_open_sealed(path, keys ? key_file : NULL, &gallery, &error));
	home = collection_key(FM_GALLERY_DEFAULT_COLLECTION);
}

static void expect_refused(const char *keys, const char *advice)
{
	if (keys)
		write_keys(keys);
	fails(FM_E_INVALID, fm_gallery_open_sealed(path, keys ? key_file : NULL, &gallery, &error));
	cr_expect_not_null(strstr(error.message, advice), "%s", error.message);
}

static void fill_crop(uint8_t *crop, uint64_t seed)
{
	uint64_t state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < CROP_BYTES; i++) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
		crop[i] = (uint8_t)(state >> 33);
	}
}

static void add(uint64_t seed)
{
	static float embedding[DIM_REAL];
	static uint8_t crop[CROP_BYTES];
	struct fm_face_insert insert = make_insert(embedding, seed);
	struct fm_face_record face;
	bool existed;

	fill_embedding(embedding, DIM_REAL, seed);
	fill_crop(crop, seed);
	insert.dim = DIM_REAL;
	insert.crop = crop;
	insert.crop_bytes = CROP_BYTES;
	ok(fm_gallery_face_add(gallery, person.key, &insert, &face, &existed, &error));
	memcpy(ids[seed], face.id, FM_UUID_TEXT);
	fm_face_record_done(&face);
}

static void fill(void)
{
	person = create_person(home, "Ann");
	for (uint64_t seed = 0; seed < FACES; seed++)
		add(seed);
}

static enum fm_status check_one(void *context, int64_t collection, int64_t person_key, int64_t face,
        const float *embedding, size_t dim, struct fm_error *err)
{
	static float expected[DIM_REAL];
	size_t *count = context;

	(void)collection, (void)person_key, (void)err;
	fill_embedding(expected, DIM_REAL, *count);
	cr_expect_eq(dim, DIM_REAL);
	cr_expect_arr_eq(embedding, expected, sizeof(expected), "face %ld", (long)face);
	++*count;
	return FM_OK;
}

/* By every way that leads to embeddings and crops. */
static void expect_readable(void)
{
	static float expected[DIM_REAL], fetched[DIM_REAL];
	static uint8_t crop[CROP_BYTES];
	const int64_t key = 3;
	float *embeddings;
	uint8_t *jpeg;
	size_t count = 0, bytes;
	bool found;

	ok(fm_gallery_embedding_each(gallery, MODEL, check_one, &count, &error));
	cr_expect_eq(count, FACES);
	ok(fm_gallery_person_embeddings(gallery, person.key, MODEL, DIM_REAL, &embeddings, &count, &error));
	cr_expect_eq(count, FACES);
	fill_embedding(expected, DIM_REAL, 7);
	cr_expect_arr_eq(embeddings + 7 * DIM_REAL, expected, sizeof(expected));
	free(embeddings);
	ok(fm_gallery_face_embeddings(gallery, MODEL, DIM_REAL, &key, 1, fetched, &found, &error));
	fill_embedding(expected, DIM_REAL, 2);
	cr_expect(found);
	cr_expect_arr_eq(fetched, expected, sizeof(expected));
	for (uint64_t seed = 0; seed < FACES; seed += 11) {
		fill_crop(crop, seed);
		ok(fm_gallery_crop_get(gallery, home, ids[seed], &jpeg, &bytes, &error));
		cr_expect_eq(bytes, CROP_BYTES);
		cr_expect_arr_eq(jpeg, crop, CROP_BYTES);
		free(jpeg);
	}
}

/* Plain stretches of embeddings and crops in the files. */
static size_t plain_left(void)
{
	static const char *const suffixes[] = {"", "-wal"};
	static uint8_t crop[CROP_BYTES];
	uint64_t all[FACES];
	size_t found = 0;

	for (uint64_t seed = 0; seed < FACES; seed++)
		all[seed] = seed;
	found += traces(all, FACES);
	for (size_t s = 0; s < FM_ARRAY_SIZE(suffixes); s++) {
		size_t length;
		char *bytes = slurp(suffixes[s], &length);

		for (uint64_t seed = 0; bytes && seed < FACES; seed++) {
			fill_crop(crop, seed);
			for (size_t at = 0; at + 64 <= CROP_BYTES; at += 512)
				found += memmem(bytes, length, crop + at, 32) != NULL;
		}
		free(bytes);
	}
	return found;
}

static size_t reseal_all(size_t batch)
{
	size_t total = 0, count = 1;

	while (count) {
		ok(fm_gallery_reseal(gallery, batch, &count, &error));
		total += count;
	}
	return total;
}

Test(seal, nothing_plain_is_on_the_disk)
{
	open_with(KEY_A "\n");
	fill();
	expect_readable();
	cr_expect_eq(plain_left(), 0);
	cr_expect_eq(reseal_all(7), 0, "all was sealed from the start");
	close_gallery();
	cr_expect_eq(plain_left(), 0);
	expect_refused(NULL, "key_file");
	expect_refused(KEY_B "\n", "not in [gallery] key_file");
	cr_expect_null(gallery);
	open_with(KEY_A);
	expect_readable();
	close_gallery();
	fm_person_done(&person);
}

Test(seal, a_plain_gallery_is_sealed_in_the_background)
{
	size_t count;

	open_gallery();
	fill();
	cr_expect_gt(plain_left(), FACES, "the search finds what is plain");
	close_gallery();
	for (int round = 0; round < 3; round++) { /* it goes on after a restart */
		open_with("# made by hand\n\n" KEY_A "\n");
		ok(fm_gallery_reseal(gallery, 7, &count, &error));
		cr_expect_eq(count, 7);
		expect_readable();
		close_gallery();
	}
	open_with(KEY_A "\n");
	cr_expect_eq(reseal_all(4), FACES - 21);
	cr_expect_eq(plain_left(), 0);
	expect_readable();
	close_gallery();
	cr_expect_eq(plain_left(), 0);
	fm_person_done(&person);
}

static int64_t integer_of(const char *sql)
{
	sqlite3_stmt *statement;
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
	int64_t value = sqlite3_column_int64(statement, 0);

	sqlite3_finalize(statement);
	sqlite3_close(db);
	return value;
}

static void change(const char *sql)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
}

#define SECOND_MODEL MODEL "x"

static void add_under_second_model(void)
{
	static float embedding[DIM_REAL];
	struct fm_reembed_face faces[FM_REEMBED_BATCH_MAX];
	struct fm_job job = {0};
	size_t count;

	fill_embedding(embedding, DIM_REAL, 1000);
	ok(fm_gallery_reembed_begin(gallery, SECOND_MODEL, DIM_REAL, &job, &error));
	ok(fm_gallery_reembed_next(gallery, &job, faces, &count, &error));
	faces[0].embedding = embedding;
	ok(fm_gallery_reembed_store(gallery, &job, faces, 1, DIM_REAL, &error));
	ok(fm_gallery_job_end(gallery, job.id, "cancelled", NULL, &error));
	fm_job_done(&job);
}

static void expect_second_model_readable(void)
{
	static float expected[DIM_REAL], fetched[DIM_REAL];
	const int64_t key = 1;
	bool found;

	fill_embedding(expected, DIM_REAL, 1000);
	ok(fm_gallery_face_embeddings(gallery, SECOND_MODEL, DIM_REAL, &key, 1, fetched, &found, &error));
	cr_expect(found);
	cr_expect_arr_eq(fetched, expected, sizeof(expected));
}

Test(seal, keys_can_be_changed)
{
	size_t count;

	open_with(KEY_A);
	fill();
	/* An embedding under a second model changes its key with the face. */
	add_under_second_model();
	close_gallery();
	expect_refused(KEY_B, "below the current one");
	open_with(KEY_B "\n" KEY_A "\n");
	expect_readable();
	ok(fm_gallery_reseal(gallery, 11, &count, &error));
	expect_readable();
	close_gallery();
	expect_refused(KEY_B, "not in [gallery] key_file"); /* too early */
	open_with(KEY_B "\n" KEY_A "\n");
	cr_expect_eq(reseal_all(5), FACES - 11);
	cr_expect_eq(reseal_all(5), 0);
	close_gallery();
	cr_expect_eq(integer_of("SELECT count(DISTINCT seal) FROM (SELECT seal FROM faces UNION ALL"
	                        " SELECT seal FROM crops UNION ALL SELECT seal FROM embeddings)"),
	        1);
	cr_expect_eq(
	        integer_of("SELECT count(*) FROM jobs WHERE state = 'done' AND done = 30 AND total = 30"), 1);
	open_with(KEY_B);
	expect_readable();
	expect_second_model_readable();
	close_gallery();
	expect_refused(KEY_A, "not in [gallery] key_file");
	/* And back, while the way there was under way. */
	open_with(KEY_C "\n" KEY_B "\n");
	ok(fm_gallery_reseal(gallery, 3, &count, &error));
	close_gallery();
	open_with(KEY_B "\n" KEY_C "\n");
	cr_expect_eq(reseal_all(100), 3);
	close_gallery();
	open_with(KEY_B);
	expect_readable();
	close_gallery();
	fm_person_done(&person);
}

Test(seal, what_was_changed_or_moved_is_found_out)
{
	static const char *const attacks[] = {
	        "UPDATE faces SET embedding = (SELECT embedding FROM faces WHERE key = 2) WHERE key = 1",
	        "UPDATE faces SET embedding = zeroblob(2088) WHERE key = 1",
	        "UPDATE faces SET embedding = x'00' WHERE key = 1",
	        "UPDATE faces SET seal = NULL WHERE key = 1",
	};
	size_t count;

	open_with(KEY_A);
	fill();
	close_gallery();
	change("CREATE TABLE copy AS SELECT key, embedding, seal FROM faces WHERE key = 1");
	for (size_t i = 0; i < FM_ARRAY_SIZE(attacks); i++) {
		change(attacks[i]);
		open_with(KEY_A);
		count = 0;
		fails(FM_E_CORRUPT, fm_gallery_embedding_each(gallery, MODEL, check_one, &count, &error));
		cr_expect_eq(count, 0);
		close_gallery();
		change("UPDATE faces SET embedding = (SELECT embedding FROM copy),"
		       " seal = (SELECT seal FROM copy) WHERE key = 1");
	}
	uint8_t *jpeg;
	size_t bytes;

	change("UPDATE crops SET jpeg = (SELECT jpeg FROM crops WHERE face = 2) WHERE face = 1");
	open_with(KEY_A);
	fails(FM_E_CORRUPT, fm_gallery_crop_get(gallery, home, ids[0], &jpeg, &bytes, &error));
	count = 0;
	ok(fm_gallery_embedding_each(gallery, MODEL, check_one, &count, &error));
	close_gallery();
	fm_person_done(&person);
}

Test(seal, key_files)
{
	static const struct {
		const char *text, *complaint;
	} bad[] = {
	        {"", "holds no key"},
	        {"# nothing\n\n", "holds no key"},
	        {"abc\n", "key:1: not a key"},
	        {KEY_A "\n" KEY_B "00\n", "key:2: not a key"},
	        {KEY_A "\nzz" KEY_B "\n", "key:2: not a key"},
	        {KEY_A "\n" KEY_B "\n" KEY_A "\n", "key:3: the key stands there twice"},
	};
	struct fm_sealer sealer = {.count = 77}, other;

	for (size_t i = 0; i < FM_ARRAY_SIZE(bad); i++) {
		write_keys(bad[i].text);
		fails(FM_E_INVALID, fm_sealer_read(key_file, &sealer, &error));
		cr_expect_not_null(strstr(error.message, bad[i].complaint), "%s", error.message);
		cr_expect_null(strstr(error.message, KEY_A), "a message never shows a key");
	}
	cr_expect_eq(sealer.count, 77);
	write_keys("  \n" KEY_A " \r\n" KEY_B);
	chmod(key_file, 0644);
	fails(FM_E_INVALID, fm_sealer_read(key_file, &sealer, &error));
	cr_expect_not_null(strstr(error.message, "others could read"), "%s", error.message);
	chmod(key_file, 0600);
	ok(fm_sealer_read(key_file, &sealer, &error));
	cr_expect_eq(sealer.count, 2);
	cr_expect_eq(strlen(sealer.seals[0].id), 32);
	cr_expect_str_neq(sealer.seals[0].id, sealer.seals[1].id);
	cr_expect_null(strstr(KEY_A, sealer.seals[0].id));
	write_keys(KEY_A);
	ok(fm_sealer_read(key_file, &other, &error));
	cr_expect_str_eq(other.seals[0].id, sealer.seals[0].id, "a key has one id");
	unlink(key_file);
	fails(FM_E_NOT_FOUND, fm_sealer_read(key_file, &sealer, &error));
}
