#include "lib/search/index.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/search/search.h"
#include "lib/search/store.h"

#include <pthread.h>
#include <stdlib.h>

#include "lib/base/banned.h"

struct fm_index {
	struct fm_store store;
	struct fm_searcher searcher;
	pthread_mutex_t
	        writers; /* recursive; guards the store and retired versions, never held by a search */
	size_t batches;  /* begun and not committed, by who holds the lock */
};

enum fm_status fm_index_create(
        size_t dim, fm_index_fetch fetch, void *context, struct fm_index **ret_index, struct fm_error *err)
{
	pthread_mutexattr_t recursive;

	if (dim < 1 || dim > FM_INDEX_DIM_MAX)
		return fm_fail(err, FM_E_INVALID, "index: 1 to %d dimensions", FM_INDEX_DIM_MAX);
	struct fm_index *index = fm_aligned_alloc(sizeof(*index));

	if (!index || !fm_store_init(&index->store, dim)) {
		free(index);
		return fm_fail(err, FM_E_NOMEM, "index: no memory");
	}
	index->searcher = (struct fm_searcher){.kernels = fm_kernels_best(),
	        .dim = dim,
	        .stride = index->store.tree.stride,
	        .fetch = fetch,
	        .context = context};
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&index->writers, &recursive);
	pthread_mutexattr_destroy(&recursive);
	*ret_index = index;
	return FM_OK;
}

void fm_index_free(struct fm_index *index)
{
	if (!index)
		return;
	fm_store_done(&index->store);
	pthread_mutex_destroy(&index->writers);
	free(index);
}

/*
 * Destroys what the last reader left behind, if nobody else is about to: who holds the lock looks, after it
 * let go, whether somebody left meanwhile. A reader counts itself out before it tries the lock, so that one
 * of the two sees the other.
 */
static void tidy(struct fm_index *index)
{
	struct fm_epoch *epoch = &index->store.tree.epoch;
	uint64_t left = atomic_load(&epoch->left) - 1;

	while (atomic_load(&epoch->retired) && atomic_load(&epoch->left) != left) {
		if (pthread_mutex_trylock(&index->writers) != 0)
			return;
		left = atomic_load(&epoch->left);
		fm_epoch_reclaim(epoch);
		pthread_mutex_unlock(&index->writers);
	}
}

void fm_index_begin(struct fm_index *index)
{
	pthread_mutex_lock(&index->writers);
	index->batches++;
}

void fm_index_commit(struct fm_index *index)
{
	bool last = --index->batches == 0;

	if (last)
		fm_tree_publish(&index->store.tree);
	pthread_mutex_unlock(&index->writers);
	if (last)
		tidy(index);
}

enum fm_status fm_index_add(struct fm_index *index, int64_t collection_key, int64_t person_key,
        int64_t face_key, const float *embedding, struct fm_error *err)
{
	int8_t codes[FM_INDEX_DIM_MAX];
	struct fm_codes_info info;
	const size_t dim = index->searcher.dim, stride = index->searcher.stride;
	enum fm_status status = fm_codes_check(embedding, dim, err);

	if (status != FM_OK)
		return status;
	fm_codes_make(embedding, dim, stride, codes, &info);
	fm_index_begin(index);
	status = fm_store_add(&index->store, collection_key, person_key, face_key, codes, &info, err);
	fm_index_commit(index);
	fm_wipe(codes, stride);
	return status;
}

enum fm_status fm_index_add_many(struct fm_index *index, const struct fm_index_owner *owners,
        const float *embeddings, size_t count, struct fm_error *err)
{
	const size_t dim = index->searcher.dim, stride = index->searcher.stride;
	fm_autofree int8_t *codes = fm_calloc(count, stride);
	fm_autofree struct fm_codes_info *infos = fm_calloc(count, sizeof(*infos));
	enum fm_status status = FM_OK;

	if (!codes || !infos)
		return fm_fail(err, FM_E_NOMEM, "index: no memory for %zu faces", count);
	for (size_t i = 0; status == FM_OK && i < count; i++) {
		status = fm_codes_check(embeddings + i * dim, dim, err);
		if (status == FM_OK)
			fm_codes_make(embeddings + i * dim, dim, stride, codes + i * stride, &infos[i]);
	}
	fm_index_begin(index);
	for (size_t i = 0; status == FM_OK && i < count; i++) {
		status = fm_store_add(&index->store, owners[i].collection_key, owners[i].person_key,
		        owners[i].face_key, codes + i * stride, &infos[i], err);
		status = status == FM_E_CONFLICT ? FM_OK : status;
	}
	fm_index_commit(index);
	fm_wipe(codes, count * stride);
	return status;
}

/* False: the slab has chunks for so many cells, or there is no memory for another. */
static bool add_chunk(struct fm_index *index, struct fm_slab *slab, size_t cells)
{
	pthread_mutex_lock(&index->writers);
	bool lacks = fm_slab_lacks(slab, cells);
	pthread_mutex_unlock(&index->writers);
	struct fm_slab_chunk *chunk = lacks ? fm_slab_make_chunk() : NULL;

	if (!chunk)
		return false;
	pthread_mutex_lock(&index->writers);
	fm_slab_take_chunk(slab, chunk);
	pthread_mutex_unlock(&index->writers);
	return true;
}

void fm_index_expect(struct fm_index *index, size_t faces)
{
	struct fm_tree *tree = &index->store.tree;
	const size_t blocks = (faces + FM_SCAN_FACES - 1) / FM_SCAN_FACES;
	bool highs = true, rest = true;

	while (highs || rest) {
		highs = highs && add_chunk(index, &tree->highs, blocks);
		rest = rest && add_chunk(index, &tree->blocks, blocks);
	}
}

void fm_index_remove_face(struct fm_index *index, int64_t face_key)
{
	fm_index_begin(index);
	fm_store_remove_face(&index->store, face_key);
	fm_index_commit(index);
}

void fm_index_remove_person(struct fm_index *index, int64_t person_key)
{
	fm_index_begin(index);
	fm_store_remove_person(&index->store, person_key);
	fm_index_commit(index);
}

void fm_index_remove_collection(struct fm_index *index, int64_t collection_key)
{
	fm_index_begin(index);
	fm_store_remove_collection(&index->store, collection_key);
	fm_index_commit(index);
}

/* A collection as it is published now; NULL where it has no faces. The reader leaves in any case. */
static const struct fm_view *enter(
        struct fm_index *index, int64_t collection_key, size_t *ret_reader, struct fm_index_size *ret_size)
{
	const struct fm_node *state = fm_epoch_enter(&index->store.tree.epoch, ret_reader);
	const struct fm_view *view = fm_state_find((const struct fm_state *)state, collection_key);

	*ret_size = (struct fm_index_size){0};
	if (!view || view->face_count == 0)
		return NULL;
	*ret_size = (struct fm_index_size){.people = view->people_count, .faces = view->face_count};
	return view;
}

static void leave(struct fm_index *index, size_t reader)
{
	fm_epoch_leave(&index->store.tree.epoch, reader);
	tidy(index);
}

struct fm_index_size fm_index_size(struct fm_index *index, int64_t collection_key)
{
	struct fm_index_size size;
	size_t reader;

	enter(index, collection_key, &reader, &size);
	leave(index, reader);
	return size;
}

struct fm_index_size fm_index_total(struct fm_index *index)
{
	struct fm_index_size total = {0};
	size_t reader;
	const struct fm_state *state =
	        (const struct fm_state *)fm_epoch_enter(&index->store.tree.epoch, &reader);

	for (size_t i = 0; i < state->count; i++) {
		total.people += state->views[i]->people_count;
		total.faces += state->views[i]->face_count;
	}
	leave(index, reader);
	return total;
}

enum fm_status fm_index_search(struct fm_index *index, int64_t collection_key, const float *probes,
        size_t probe_count, size_t limit, struct fm_index_hit *ret_hits, size_t *ret_counts,
        struct fm_index_size *ret_size, struct fm_error *err)
{
	const size_t dim = index->searcher.dim;
	struct fm_index_size size;
	size_t reader;
	enum fm_status status = FM_OK;

	for (size_t i = 0; status == FM_OK && i < probe_count; i++)
		status = fm_codes_check(probes + i * dim, dim, err);
	if (status != FM_OK)
		return status;
	const struct fm_view *view = enter(index, collection_key, &reader, &size);

	if (view && limit > 0) {
		status = fm_search_view(
		        &index->searcher, view, probes, probe_count, limit, ret_hits, ret_counts, err);
	} else {
		for (size_t i = 0; i < probe_count; i++)
			ret_counts[i] = 0;
	}
	leave(index, reader);
	if (status == FM_OK)
		*ret_size = size;
	return status;
}
