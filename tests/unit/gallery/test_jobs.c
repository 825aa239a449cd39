/* Embeddings of a second model beside the first: lookups, counts, the job's place, the switch and the way
 * back. */
#include "lib/gallery/jobs.h"

#include "tests/unit/gallery/traces.h"

#include <criterion/criterion.h>

#define SECOND MODEL "-second"

enum { FACES = 100, DIM_SECOND = 6 };

static float first[FACES][DIM], second[FACES][DIM_SECOND];
static struct fm_face_record faces[FACES];
static struct fm_person person;

static void fill(void)
{
	open_gallery();
	person = create_person(collection_key(FM_GALLERY_DEFAULT_COLLECTION), "Ann");
	for (uint64_t i = 0; i < FACES; i++) {
		struct fm_face_insert insert = make_insert(first[i], i);
		bool existed;

		fill_embedding(first[i], DIM, i);
		fill_embedding(second[i], DIM_SECOND, 1000 + i);
		ok(fm_gallery_face_add(gallery, person.key, &insert, &faces[i], &existed, &error));
	}
}

static void done(void)
{
	for (size_t i = 0; i < FACES; i++)
		fm_face_record_done(&faces[i]);
	fm_person_done(&person);
	close_gallery();
}

TestSuite(jobs, .init = make_directory, .fini = remove_directory);

/* Brings over the next faces but every tenth, which has no crop. Returns how many were gone through. */
static size_t batch(struct fm_job *job)
{
	struct fm_reembed_face next[FM_REEMBED_BATCH_MAX];
	size_t count;

	ok(fm_gallery_reembed_next(gallery, job, next, &count, &error));
	for (size_t i = 0; i < count; i++) {
		size_t index = (size_t)next[i].key - (size_t)faces[0].key;

		cr_assert_str_eq(next[i].id, faces[index].id);
		if (index % 10 == 0)
			next[i].reason = "no_crop";
		else
			next[i].embedding = second[index];
	}
	if (count)
		ok(fm_gallery_reembed_store(gallery, job, next, count, DIM_SECOND, &error));
	return count;
}

static enum fm_status check_second(void *context, int64_t collection, int64_t person_key, int64_t face_key,
        const float *embedding, size_t dim, struct fm_error *err)
{
	size_t *count = context, index = (size_t)face_key - (size_t)faces[0].key;

	(void)collection, (void)err;
	cr_expect_eq(person_key, person.key);
	cr_expect_eq(dim, DIM_SECOND);
	cr_expect_arr_eq(embedding, second[index], sizeof(second[index]), "face %zu", index);
	++*count;
	return FM_OK;
}

static int64_t missing(const char *model)
{
	int64_t count;

	ok(fm_gallery_foreign_faces(gallery, model, &count, &error));
	return count;
}

Test(jobs, second_model_beside_the_first)
{
	struct fm_chosen_models chosen;
	struct fm_job job = {0}, same = {0};
	struct fm_job_skip *skips;
	float *embeddings, one[DIM_SECOND];
	size_t count = 0, skip_count;
	bool found;

	fill();
	fails(FM_E_NOT_FOUND, fm_gallery_reembed_running(gallery, &job, &error));
	ok(fm_gallery_models_choose(gallery, MODEL, DIM, NULL, &error));
	ok(fm_gallery_reembed_begin(gallery, SECOND, DIM_SECOND, &job, &error));
	cr_expect_eq(job.total, FACES);
	fails(FM_E_CONFLICT, fm_gallery_reembed_begin(gallery, SECOND, DIM_SECOND, &same, &error));
	cr_expect_eq(batch(&job), FM_REEMBED_BATCH_MAX);

	/* As after a crash: the row knows the place. */
	fm_job_done(&job);
	close_gallery();
	open_gallery();
	ok(fm_gallery_reembed_running(gallery, &job, &error));
	cr_expect_str_eq(job.model, SECOND);
	cr_expect_eq(job.done + job.skipped, FM_REEMBED_BATCH_MAX);
	cr_expect_eq(batch(&job), FACES - FM_REEMBED_BATCH_MAX);
	cr_expect_eq(batch(&job), 0);
	cr_expect_eq(job.done, FACES - FACES / 10);
	cr_expect_eq(job.skipped, FACES / 10);

	ok(fm_gallery_embedding_each(gallery, SECOND, check_second, &count, &error));
	cr_expect_eq(count, FACES - FACES / 10);
	ok(fm_gallery_person_embeddings(
	        gallery, person.key, SECOND, DIM_SECOND, &embeddings, &count, &error));
	cr_expect_eq(count, FACES - FACES / 10);
	cr_expect_arr_eq(embeddings, second[1], sizeof(second[1]));
	free(embeddings);
	ok(fm_gallery_person_embeddings(gallery, person.key, MODEL, DIM, &embeddings, &count, &error));
	cr_expect_eq(count, FACES);
	cr_expect_arr_eq(embeddings, first[0], sizeof(first[0]));
	free(embeddings);
	ok(fm_gallery_face_embeddings(gallery, SECOND, DIM_SECOND, &faces[10].key, 1, one, &found, &error));
	cr_expect_not(found, "it was skipped");
	cr_expect_eq(missing(MODEL), 0);
	cr_expect_eq(missing(SECOND), FACES / 10);

	ok(fm_gallery_job_skips(gallery, job.id, faces[10].key, 3, &skips, &skip_count, &error));
	cr_assert_eq(skip_count, 3);
	cr_expect_str_eq(skips[0].face_id, faces[20].id);
	cr_expect_str_eq(skips[0].reason, "no_crop");
	for (size_t i = 0; i < skip_count; i++)
		fm_job_skip_done(&skips[i]);
	free(skips);

	ok(fm_gallery_models_choose(gallery, SECOND, DIM_SECOND, job.id, &error));
	fails(FM_E_CONFLICT, fm_gallery_models_choose(gallery, SECOND, DIM_SECOND, job.id, &error));
	ok(fm_gallery_models_get(gallery, &chosen, &error));
	cr_expect_str_eq(chosen.active, SECOND);
	cr_expect_str_eq(chosen.previous, MODEL);
	ok(fm_gallery_job_get(gallery, job.id, &same, &error));
	cr_expect_str_eq(same.state, "done");
	ok(fm_gallery_models_choose(gallery, MODEL, DIM, NULL, &error));
	ok(fm_gallery_models_get(gallery, &chosen, &error));
	cr_expect_str_eq(chosen.active, MODEL);
	cr_expect_str_eq(chosen.previous, SECOND);
	fm_job_done(&same);
	fm_job_done(&job);
	done();
}

/* Faces that go take what they have under every model with them; the job passes over them. */
Test(jobs, faces_that_go_meanwhile)
{
	struct fm_reembed_face next[FM_REEMBED_BATCH_MAX];
	struct fm_job job = {0};
	size_t count;
	int64_t under;

	fill();
	ok(fm_gallery_reembed_begin(gallery, SECOND, DIM_SECOND, &job, &error));
	ok(fm_gallery_reembed_next(gallery, &job, next, &count, &error));
	for (size_t i = 0; i < count; i++)
		next[i].embedding = second[i];
	next[3].embedding = NULL;
	next[3].reason = "damaged_crop";
	for (size_t i = 2; i < 4; i++)
		ok(fm_gallery_face_delete(gallery, person.collection_key, faces[i].id, "test", &error));
	ok(fm_gallery_reembed_store(gallery, &job, next, count, DIM_SECOND, &error));
	cr_expect_eq(job.done, FM_REEMBED_BATCH_MAX - 2);
	cr_expect_eq(job.skipped, 0);
	cr_expect_not(next[2].stored);
	ok(fm_gallery_face_delete(gallery, person.collection_key, faces[0].id, "test", &error));
	ok(fm_gallery_model_faces(gallery, SECOND, &under, &error));
	cr_expect_eq(under, FM_REEMBED_BATCH_MAX - 3);
	cr_expect_eq(missing(MODEL), 0);

	ok(fm_gallery_job_end(gallery, job.id, "cancelled", NULL, &error));
	fails(FM_E_CONFLICT, fm_gallery_job_end(gallery, job.id, "cancelled", NULL, &error));
	ok(fm_gallery_reembed_next(gallery, &job, next, &count, &error));
	for (size_t i = 0; i < count; i++)
		next[i].embedding = second[i];
	fails(FM_E_CANCELLED, fm_gallery_reembed_store(gallery, &job, next, count, DIM_SECOND, &error));
	ok(fm_gallery_model_faces(gallery, SECOND, &under, &error));
	cr_expect_eq(under, FM_REEMBED_BATCH_MAX - 3, "nothing of it was stored");
	fm_job_done(&job);
	done();
}

/* Deletion is proven for what a second model made, too, whatever order it came in. */
Test(jobs, leave_no_trace_of_faces_that_are_deleted)
{
	enum { REAL = 150, SEED = 5000 };
	static float embeddings[FM_REEMBED_BATCH_MAX][DIM_REAL];
	static char ids[REAL][FM_UUID_TEXT];
	struct fm_reembed_face next[FM_REEMBED_BATCH_MAX];
	struct fm_job job = {0};
	uint64_t gone[REAL], kept[REAL];
	size_t count = 1, gone_count = 0, kept_count = 0, index = 0;

	open_gallery();
	person = create_person(home, "Ann");
	for (uint64_t i = 0; i < REAL; i++)
		add_real(person.key, i, ids[i]);
	ok(fm_gallery_reembed_begin(gallery, SECOND, DIM_REAL, &job, &error));
	while (count) {
		ok(fm_gallery_reembed_next(gallery, &job, next, &count, &error));
		count = count > 10 ? 10 : count;
		for (size_t i = 0; i < count; i++) {
			fill_embedding(embeddings[i], DIM_REAL, SEED + index + i);
			next[i].embedding = embeddings[i];
		}
		if (count)
			ok(fm_gallery_reembed_store(gallery, &job, next, count, DIM_REAL, &error));
		for (size_t i = 0; i < count; i++, index++) {
			if (index % 3 == 0) {
				ok(fm_gallery_face_delete(gallery, home, ids[index], "test", &error));
				gone[gone_count++] = SEED + index;
			} else {
				kept[kept_count++] = SEED + index;
			}
		}
	}
	cr_expect_eq(index, REAL);
	cr_expect_eq(traces(gone, gone_count), 0);
	ok(fm_gallery_job_end(gallery, job.id, "cancelled", NULL, &error));
	close_gallery();
	cr_expect_eq(traces(gone, gone_count), 0, "closed");
	cr_expect_geq(traces(kept, kept_count), kept_count * 4, "the search for traces finds what is there");
	fm_job_done(&job);
	fm_person_done(&person);
}
