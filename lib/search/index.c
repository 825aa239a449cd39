#include "lib/search/index.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/kernels/kernels.h"
#include "lib/search/codes.h"
#include "lib/search/store.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "lib/base/banned.h"

#define DIM_MAX 4096

/*
 * One lock. A change holds it for O(dim), amortized (a new chunk, a map that doubles), a collection's removal
 * for O(faces), its wiping outside. So a search waits for the searches under way and some microseconds; a
 * change that waits goes before new searches, so that it cannot starve.
 */
struct fm_index {
	const struct fm_kernels *kernels;
	pthread_rwlock_t lock; /* guards store */
	struct fm_store store;
};

enum fm_status fm_index_create(size_t dim, struct fm_index **ret_index, struct fm_error *err)
{
	pthread_rwlockattr_t attributes;

	if (dim < 1 || dim > DIM_MAX)
		return fm_fail(err, FM_E_INVALID, "index: 1 to %d dimensions", DIM_MAX);
	struct fm_index *index = fm_calloc(1, sizeof(*index));

	if (!index)
		return fm_fail(err, FM_E_NOMEM, "index: no memory");
	index->kernels = fm_kernels_best();
	fm_store_init(&index->store, dim);
	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&index->lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	*ret_index = index;
	return FM_OK;
}

void fm_index_free(struct fm_index *index)
{
	if (!index)
		return;
	fm_store_done(&index->store);
	pthread_rwlock_destroy(&index->lock);
	free(index);
}

enum fm_status fm_index_add(struct fm_index *index, int64_t collection_key, int64_t person_key,
        int64_t face_key, const float *embedding, struct fm_error *err)
{
	int8_t codes[DIM_MAX];
	struct fm_codes_info info;
	enum fm_status status = fm_codes_check(embedding, index->store.dim, err);

	if (status != FM_OK)
		return status;
	fm_codes_make(embedding, index->store.dim, index->store.code_stride, codes, &info);
	pthread_rwlock_wrlock(&index->lock);
	status = fm_store_add(
	        &index->store, collection_key, person_key, face_key, embedding, codes, &info, err);
	pthread_rwlock_unlock(&index->lock);
	fm_wipe(codes, index->store.code_stride);
	return status;
}

void fm_index_remove_face(struct fm_index *index, int64_t face_key)
{
	pthread_rwlock_wrlock(&index->lock);
	fm_store_remove_face(&index->store, face_key);
	pthread_rwlock_unlock(&index->lock);
}

void fm_index_remove_person(struct fm_index *index, int64_t person_key)
{
	pthread_rwlock_wrlock(&index->lock);
	fm_store_remove_person(&index->store, person_key);
	pthread_rwlock_unlock(&index->lock);
}

void fm_index_remove_collection(struct fm_index *index, int64_t collection_key)
{
	pthread_rwlock_wrlock(&index->lock);
	struct fm_shelf *shelf = fm_store_detach(&index->store, collection_key);
	pthread_rwlock_unlock(&index->lock);
	fm_store_free_shelf(&index->store, shelf);
}

struct fm_index_size fm_index_size(const struct fm_index *index, int64_t collection_key)
{
	pthread_rwlock_t *lock = (pthread_rwlock_t *)&index->lock;
	struct fm_index_size size = {0};

	pthread_rwlock_rdlock(lock);
	const struct fm_shelf *shelf = fm_store_find(&index->store, collection_key);

	if (shelf)
		size = (struct fm_index_size){.people = shelf->people_count, .faces = shelf->face_count};
	pthread_rwlock_unlock(lock);
	return size;
}

struct fm_index_size fm_index_total(const struct fm_index *index)
{
	pthread_rwlock_t *lock = (pthread_rwlock_t *)&index->lock;

	pthread_rwlock_rdlock(lock);
	struct fm_index_size size = {
	        .people = index->store.people.count,
	        .faces = index->store.faces.count,
	};
	pthread_rwlock_unlock(lock);
	return size;
}

/* Bounds of what the float kernel would say: one upper bound a face, the best lower bound of each person. */
struct bounds {
	float *upper; /* [faces] */
	float *lower; /* [people] */
};

static void bounds_done(struct bounds *bounds)
{
	free(bounds->upper);
	free(bounds->lower);
}

static void scan(
        const struct fm_index *index, const struct fm_shelf *shelf, const float *probe, struct bounds *bounds)
{
	const struct fm_store *store = &index->store;
	int8_t codes[DIM_MAX];
	struct fm_codes_info info;

	fm_codes_make(probe, store->dim, store->code_stride, codes, &info);
	const double norm = fm_codes_norm(codes, store->dim, &info);
	const double fixed = info.residual * FM_NORM_MAX + fm_codes_slack(store->dim);

	for (size_t i = 0; i < shelf->people_count; i++)
		bounds->lower[i] = -INFINITY;
	for (size_t slot = 0; slot < shelf->face_count; slot++) {
		const struct fm_chunk *chunk = shelf->chunks[slot / FM_CHUNK_FACES];
		const size_t i = slot % FM_CHUNK_FACES;
		const int32_t dot = index->kernels->dot_s8(
		        codes, chunk->codes + i * store->code_stride, store->code_stride);
		const double cosine = (double)dot * chunk->info[i].scale * info.scale;
		const double error = fixed + norm * chunk->info[i].residual;
		float *lower = &bounds->lower[chunk->faces[i].person];

		bounds->upper[slot] = (float)(cosine + error);
		if (cosine - error > *lower)
			*lower = (float)(cosine - error);
	}
	fm_wipe(codes, store->code_stride);
}

/*
 * A value that at least `limit` people reach for certain, so that a face whose upper bound is below it is of
 * nobody in the answer. By a histogram of the people's lower bounds: linear whatever their order, and only a
 * bin's width lower than the best such value.
 */
static float threshold(const struct bounds *bounds, size_t people, size_t limit)
{
	enum { BINS = 4096 };
	const float lowest = -1.25f, bins_per_unit = BINS / 2.5f, margin = 1e-5f;
	uint32_t histogram[BINS] = {0};
	size_t reached = 0;

	for (size_t i = 0; i < people; i++) {
		float bin = (bounds->lower[i] - lowest) * bins_per_unit;

		histogram[bin <= 0 ? 0 : bin >= BINS - 1 ? BINS - 1 : (size_t)bin]++;
	}
	for (size_t bin = BINS - 1; bin > 0; bin--) {
		reached += histogram[bin];
		if (reached >= limit) /* the margin is for the rounding of `bin` above */
			return lowest + (float)bin / bins_per_unit - margin;
	}
	return -INFINITY;
}

/* Of one person the best face comes first; ties by lower face key. */
static int compare_person(const void *a, const void *b)
{
	const struct fm_index_hit *x = a, *y = b;

	if (x->person_key != y->person_key)
		return x->person_key < y->person_key ? -1 : 1;
	if (x->cosine != y->cosine)
		return x->cosine > y->cosine ? -1 : 1;
	return x->face_key < y->face_key ? -1 : x->face_key > y->face_key;
}

static int compare_rank(const void *a, const void *b)
{
	const struct fm_index_hit *x = a, *y = b;

	if (x->cosine != y->cosine)
		return x->cosine > y->cosine ? -1 : 1;
	return x->person_key < y->person_key ? -1 : x->person_key > y->person_key;
}

/* Leaves each person once, in rank order, and returns how many that are. */
static size_t rank(struct fm_index_hit *hits, size_t count)
{
	size_t people = 0;

	qsort(hits, count, sizeof(*hits), compare_person);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || hits[i].person_key != hits[i - 1].person_key)
			hits[people++] = hits[i];
	qsort(hits, people, sizeof(*hits), compare_rank);
	return people;
}

static enum fm_status search(const struct fm_index *index, const struct fm_shelf *shelf, const float *probe,
        size_t limit, struct fm_index_hit *ret_hits, size_t *ret_count, struct fm_error *err)
{
	const struct fm_store *store = &index->store;
	fm_cleanup(bounds_done) struct bounds bounds = {
	        .upper = fm_calloc(shelf->face_count, sizeof(float)),
	        .lower = fm_calloc(shelf->people_count, sizeof(float)),
	};
	fm_autofree struct fm_index_hit *hits = NULL;
	size_t candidates = 0, count = 0;

	if (!bounds.upper || !bounds.lower)
		return fm_fail(err, FM_E_NOMEM, "index: no memory for a search");
	scan(index, shelf, probe, &bounds);
	const float least = threshold(&bounds, shelf->people_count, limit);

	for (size_t slot = 0; slot < shelf->face_count; slot++)
		candidates += bounds.upper[slot] >= least;
	hits = fm_calloc(candidates, sizeof(*hits));
	if (!hits)
		return fm_fail(err, FM_E_NOMEM, "index: no memory for a search");
	for (size_t slot = 0; slot < shelf->face_count; slot++) {
		const struct fm_chunk *chunk = shelf->chunks[slot / FM_CHUNK_FACES];
		const size_t i = slot % FM_CHUNK_FACES;

		if (bounds.upper[slot] < least)
			continue;
		hits[count++] = (struct fm_index_hit){
		        .person_key = shelf->people[chunk->faces[i].person].key,
		        .face_key = chunk->faces[i].key,
		        .cosine = index->kernels->dot_f32(
		                probe, chunk->floats + i * store->float_stride, store->dim),
		};
	}
	count = rank(hits, count);
	*ret_count = count < limit ? count : limit;
	memcpy(ret_hits, hits, *ret_count * sizeof(*hits));
	return FM_OK;
}

enum fm_status fm_index_search(const struct fm_index *index, int64_t collection_key, const float *probe,
        size_t limit, struct fm_index_hit *ret_hits, size_t *ret_count, struct fm_index_size *ret_size,
        struct fm_error *err)
{
	pthread_rwlock_t *lock = (pthread_rwlock_t *)&index->lock;
	struct fm_index_size size = {0};
	size_t count = 0;
	enum fm_status status = fm_codes_check(probe, index->store.dim, err);

	if (status != FM_OK)
		return status;
	pthread_rwlock_rdlock(lock);
	const struct fm_shelf *shelf = fm_store_find(&index->store, collection_key);

	if (shelf) {
		size = (struct fm_index_size){.people = shelf->people_count, .faces = shelf->face_count};
		if (limit > 0)
			status = search(index, shelf, probe, limit, ret_hits, &count, err);
	}
	pthread_rwlock_unlock(lock);
	if (status == FM_OK) {
		*ret_count = count;
		*ret_size = size;
	}
	return status;
}
