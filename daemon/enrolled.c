#include "daemon/enrolled.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/banned.h"

void fm_enrolled_free(struct fm_enrolled *enrolled)
{
	if (!enrolled)
		return;
	fm_index_free(enrolled->index);
	free(enrolled);
}

/* The index holds codes; the embeddings that decide a search come from the gallery. */
static enum fm_status fetch_embeddings(void *context, const int64_t *face_keys, size_t count,
        float *ret_embeddings, bool *ret_found, struct fm_error *err)
{
	const struct fm_enrolled *enrolled = context;

	return fm_gallery_face_embeddings(enrolled->gallery, enrolled->model, enrolled->dim, face_keys, count,
	        ret_embeddings, ret_found, err);
}

FM_DEFINE_CLEANUP(struct fm_enrolled *, fm_enrolled_free);

enum fm_status fm_enrolled_create(struct fm_gallery *gallery, const char *model, size_t dim,
        struct fm_enrolled **ret_enrolled, struct fm_error *err)
{
	fm_cleanup(fm_enrolled_freep) struct fm_enrolled *enrolled = fm_calloc(1, sizeof(*enrolled));

	if (!enrolled)
		return fm_fail(err, FM_E_NOMEM, "no memory for an index");
	enrolled->gallery = gallery;
	enrolled->dim = dim;
	snprintf(enrolled->model, sizeof(enrolled->model), "%s", model);
	enum fm_status status = fm_index_create(dim, fetch_embeddings, enrolled, &enrolled->index, err);

	if (!status)
		*ret_enrolled = fm_steal(enrolled);
	return status;
}

static enum fm_status check_dim(const struct fm_enrolled *enrolled, size_t dim, struct fm_error *err)
{
	return dim == enrolled->dim
	               ? FM_OK
	               : fm_fail(err, FM_E_CORRUPT, "faces have %zu dimensions, their model %s has %zu", dim,
	                         enrolled->model, enrolled->dim);
}

static enum fm_status add_face(void *context, int64_t collection_key, int64_t person_key, int64_t face_key,
        const float *embedding, size_t dim, struct fm_error *err)
{
	const struct fm_enrolled *enrolled = context;
	const struct fm_index_owner owner = {collection_key, person_key, face_key};
	enum fm_status status = check_dim(enrolled, dim, err);

	return status ? status : fm_index_add_many(enrolled->index, &owner, embedding, 1, err);
}

enum fm_status fm_enrolled_fill(struct fm_enrolled *enrolled, struct fm_error *err)
{
	fm_index_begin(enrolled->index);
	enum fm_status status =
	        fm_gallery_embedding_each(enrolled->gallery, enrolled->model, add_face, enrolled, err);

	fm_index_commit(enrolled->index);
	return status;
}

static enum fm_status add_block(void *context, const struct fm_embedding_owner *owners,
        const float *embeddings, size_t count, size_t dim, struct fm_error *err)
{
	const struct fm_enrolled *enrolled = context;
	enum fm_status status = check_dim(enrolled, dim, err);

	if (status)
		return status;
	fm_autofree struct fm_index_owner *indexed = fm_calloc(count, sizeof(*indexed));

	if (!indexed)
		return fm_fail(err, FM_E_NOMEM, "no memory for an index");
	for (size_t i = 0; i < count; i++)
		indexed[i] = (struct fm_index_owner){
		        owners[i].collection_key, owners[i].person_key, owners[i].face_key};
	return fm_index_add_many(enrolled->index, indexed, embeddings, count, err);
}

enum fm_status fm_enrolled_fill_at_once(struct fm_enrolled *enrolled, struct fm_error *err)
{
	return fm_gallery_embedding_load(enrolled->gallery, enrolled->model, add_block, enrolled, err);
}
