/* What networks computed that serve no more is forgotten: out of the rows, the counts and the files. */
#include "lib/gallery/check.h"
#include "lib/gallery/jobs.h"
#include "tests/unit/gallery/traces.h"

#include <criterion/criterion.h>

#define OLDEST "oldest@0123456789abcdef"
#define NEW    "new@0123456789abcdef"
#define KEY    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

enum {
	FACES = 300,  /* more than a transaction forgets */
	SKIPPED = 10, /* every so many have no embedding of the new network */
	NEW_SEED = 10000,
	OLDEST_SEED = 20000,
};

TestSuite(forget_networks, .init = make_fast_directory, .fini = remove_directory);

static struct fm_person person;
static uint64_t old_seeds[FACES], oldest_seeds[FACES], new_seeds[FACES];
static int64_t keys[FACES];

/* The faces that the job does not skip get an embedding under `model`. */
static void bring_over(const char *model, uint64_t seed)
{
	static float embeddings[FM_REEMBED_BATCH_MAX][DIM_REAL];
	struct fm_reembed_face faces[FM_REEMBED_BATCH_MAX];
	struct fm_job job;
	size_t count;

	ok(fm_gallery_reembed_begin(gallery, model, DIM_REAL, &job, &error));
	for (;;) {
		ok(fm_gallery_reembed_next(gallery, &job, faces, &count, &error));
		if (!count)
			break;
		for (size_t i = 0; i < count; i++) {
			uint64_t number = (uint64_t)(faces[i].key - keys[0]);

			fill_embedding(embeddings[i], DIM_REAL, seed + number);
			faces[i].embedding = number % SKIPPED ? embeddings[i] : NULL;
			faces[i].reason = "no_crop";
		}
		ok(fm_gallery_reembed_store(gallery, &job, faces, count, DIM_REAL, &error));
	}
	ok(fm_gallery_models_choose(gallery, model, DIM_REAL, job.id, &error));
	fm_job_done(&job);
}

/* Enrolled under MODEL, brought over to OLDEST and then to NEW; the last is enrolled under NEW. */
static void fill(const char *key_file)
{
	char id[FM_UUID_TEXT];

	ok(fm_gallery_open_sealed(path, key_file, &gallery, &error));
	home = collection_key(FM_GALLERY_DEFAULT_COLLECTION);
	person = create_person(home, "Ann");
	for (uint64_t i = 0; i < FACES; i++) {
		struct fm_face_record face;

		add_real(person.key, i, id);
		ok(fm_gallery_face_get(gallery, home, id, &face, &error));
		keys[i] = face.key;
		fm_face_record_done(&face);
		old_seeds[i] = i;
		oldest_seeds[i] = OLDEST_SEED + i;
		new_seeds[i] = NEW_SEED + i;
	}
	ok(fm_gallery_models_choose(gallery, MODEL, DIM_REAL, NULL, &error));
	bring_over(OLDEST, OLDEST_SEED);
	bring_over(NEW, NEW_SEED);
}

static int64_t faces_of(const char *model)
{
	int64_t count;

	ok(fm_gallery_model_faces(gallery, model, &count, &error));
	return count;
}

static void expect_new_ones(void)
{
	static float expected[DIM_REAL], embeddings[FACES][DIM_REAL];
	static bool found[FACES];

	ok(fm_gallery_face_embeddings(gallery, NEW, DIM_REAL, keys, FACES, embeddings[0], found, &error));
	for (size_t i = 0; i < FACES; i++) {
		cr_assert_eq(found[i], i % SKIPPED != 0, "face %zu", i);
		fill_embedding(expected, DIM_REAL, new_seeds[i]);
		if (found[i])
			cr_assert_arr_eq(embeddings[i], expected, sizeof(expected), "face %zu", i);
	}
}

static void complain(void *context, const char *finding)
{
	(void)context;
	cr_expect_fail("%s", finding);
}

static enum fm_status take_crop(void *context, const uint8_t *jpeg, size_t bytes, struct fm_error *err)
{
	(void)context, (void)jpeg, (void)bytes, (void)err;
	return FM_OK;
}

static void expect_sound(void)
{
	const struct fm_gallery_check check = {.finding = complain, .crop = take_crop};
	struct fm_gallery_census census;
	int64_t searchable;

	ok(fm_gallery_check_file(path, NULL, &check, NEW, &census, &searchable, &error));
	cr_expect_eq(census.findings, 0);
	cr_expect_eq(census.faces, FACES);
	cr_expect_eq(census.embeddings, FACES);
	cr_expect_eq(searchable, FACES - FACES / SKIPPED);
}

static void expect_records(void)
{
	struct fm_audit_record *records;
	size_t count;

	ok(fm_gallery_audit_list(gallery, 0, 10, &records, &count, &error));
	cr_assert_eq(count, 2);
	for (size_t i = 0; i < count; i++) {
		cr_expect_str_eq(records[i].actor, "key:1");
		cr_expect_str_eq(records[i].action, "forget");
		cr_expect_str_eq(records[i].object_kind, "network");
		cr_expect_str_eq(records[i].object_id, i ? OLDEST : MODEL);
		cr_expect_str_eq(records[i].collection, "");
		cr_expect_eq(records[i].faces, i ? FACES - FACES / SKIPPED : FACES);
		fm_audit_record_done(&records[i]);
	}
	free(records);
}

Test(forget_networks, nothing_of_them_stays)
{
	int64_t forgotten, kept;
	struct fm_chosen_models chosen;

	fill(NULL);
	cr_expect_gt(traces(old_seeds, FACES), FACES);
	cr_expect_gt(traces(oldest_seeds, FACES), FACES);
	fails(FM_E_CONFLICT, fm_gallery_forget_others(gallery, MODEL, "key:1", &forgotten, &kept, &error));
	fails(FM_E_INVALID, fm_gallery_forget_others(gallery, NEW, "", &forgotten, &kept, &error));
	ok(fm_gallery_forget_others(gallery, NEW, "key:1", &forgotten, &kept, &error));
	cr_expect_eq(forgotten, FACES - FACES / SKIPPED);
	cr_expect_eq(kept, FACES / SKIPPED);
	expect_new_ones();
	expect_records();
	ok(fm_gallery_models_get(gallery, &chosen, &error));
	cr_expect_str_eq(chosen.active, NEW);
	cr_expect_str_eq(chosen.previous, "");
	cr_expect_eq(faces_of(NEW), FACES - FACES / SKIPPED);
	cr_expect_eq(faces_of(MODEL), FACES / SKIPPED, "who has nothing else keeps it");
	cr_expect_eq(faces_of(OLDEST), 0);
	expect_counts("default", 1, FACES);

	/* The files are as the rows say, and show nothing else. */
	uint64_t gone[FACES];
	size_t count = 0;
	for (size_t i = 0; i < FACES; i++)
		if (i % SKIPPED)
			gone[count++] = old_seeds[i];
	cr_expect_eq(traces(gone, count), 0);
	cr_expect_eq(traces(oldest_seeds, FACES), 0);
	cr_expect_gt(traces(new_seeds, FACES), FACES);
	close_gallery();
	expect_sound();
	open_gallery();
	expect_new_ones();

	/* Those that were kept go with their faces, and then there is nothing left to forget. */
	ok(fm_gallery_person_delete(gallery, home, person.id, "test", &error));
	fails(FM_E_CONFLICT, fm_gallery_forget_others(gallery, NEW, "key:1", &forgotten, &kept, &error));
	cr_expect_not_null(strstr(error.message, "nothing to forget"), "%s", error.message);
	cr_expect_eq(traces(old_seeds, FACES) + traces(new_seeds, FACES), 0);
	fm_person_done(&person);
	close_gallery();
}

Test(forget_networks, in_a_sealed_gallery)
{
	int64_t forgotten, kept;
	char key_file[160];

	snprintf(key_file, sizeof(key_file), "%s/key", directory);
	ok(fm_file_write(key_file, KEY, strlen(KEY), 0600, &error));
	fill(key_file);
	ok(fm_gallery_forget_others(gallery, NEW, "key:1", &forgotten, &kept, &error));
	cr_expect_eq(forgotten, FACES - FACES / SKIPPED);
	expect_new_ones();
	cr_expect_eq(traces(new_seeds, FACES), 0);
	fm_person_done(&person);
	close_gallery();
}
