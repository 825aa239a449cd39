/* Reading every embedding at start, by all readers at once: blocks of keys, taken in turn. */
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/gallery/embedding.h"
#include "lib/gallery/internal.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "lib/base/banned.h"

#define BLOCK_KEYS 512

struct load {
	struct fm_gallery *gallery;
	const char *model;
	int64_t model_key, last_key;
	size_t dim;
	fm_embedding_block_visit visit;
	void *context;
	_Atomic int64_t next_key; /* the first that nobody has taken */
	atomic_bool failed;
};

struct loader {
	struct load *load;
	pthread_t thread;
	bool started;
	float *embeddings; /* [BLOCK_KEYS][dim] */
	enum fm_status status;
	struct fm_error err;
};

static enum fm_status load_block(struct loader *loader, struct fm_connection *connection, int64_t first_key)
{
	const struct load *load = loader->load;
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	struct fm_embedding_owner owners[BLOCK_KEYS];
	size_t count = 0;
	enum fm_status status = fm_query_start(&query, connection, FM_SQL_EMBEDDING_RANGE,
	        FM_PARAMS(FM_INT(load->model_key), FM_INT(first_key), FM_INT(first_key + BLOCK_KEYS)),
	        &loader->err);

	while (status == FM_OK) {
		bool row;

		status = fm_query_next(&query, &row, &loader->err);
		if (status != FM_OK || !row)
			break;
		if (count == BLOCK_KEYS)
			return fm_fail(
			        &loader->err, FM_E_CORRUPT, "gallery: a face's key stands there twice");
		status = fm_embedding_read(
		        &query, load->model, load->dim, loader->embeddings + count * load->dim, &loader->err);
		owners[count++] = (struct fm_embedding_owner){
		        .face_key = sqlite3_column_int64(query.statement, 0),
		        .collection_key = sqlite3_column_int64(query.statement, 4),
		        .person_key = sqlite3_column_int64(query.statement, 5),
		};
	}
	if (status == FM_OK && count)
		status = load->visit(
		        load->context, owners, loader->embeddings, count, load->dim, &loader->err);
	return status;
}

static void *load_blocks(void *context)
{
	struct loader *loader = context;
	struct load *load = loader->load;
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};

	loader->status = fm_reader_begin(load->gallery, &reader, &loader->err);
	while (loader->status == FM_OK && !atomic_load(&load->failed)) {
		int64_t key = atomic_fetch_add(&load->next_key, BLOCK_KEYS);

		if (key > load->last_key)
			break;
		loader->status = load_block(loader, reader.connection, key);
	}
	if (loader->status != FM_OK)
		atomic_store(&load->failed, true);
	return NULL;
}

static enum fm_status find_extent(struct load *load, struct fm_error *err)
{
	fm_cleanup(fm_reader_done) struct fm_reader reader = {0};
	fm_cleanup(fm_query_done) struct fm_query query = {0};
	bool row;
	enum fm_status status = fm_reader_begin(load->gallery, &reader, err);

	if (status == FM_OK)
		status = fm_model_find(reader.connection, load->model, &load->model_key, &load->dim, err);
	if (status == FM_OK)
		status = fm_query_start(&query, reader.connection, FM_SQL_FACE_LAST, NULL, 0, err);
	if (status == FM_OK)
		status = fm_query_next(&query, &row, err);
	if (status == FM_OK)
		load->last_key = load->model_key ? sqlite3_column_int64(query.statement, 0) : 0;
	return status;
}

enum fm_status fm_gallery_embedding_load(struct fm_gallery *gallery, const char *model,
        fm_embedding_block_visit visit, void *context, struct fm_error *err)
{
	struct load load = {
	        .gallery = gallery, .model = model, .visit = visit, .context = context, .next_key = 1};
	struct loader loaders[FM_GALLERY_READERS] = {0};
	enum fm_status status = find_extent(&load, err);
	bool started = false;

	if (status != FM_OK || !load.last_key)
		return status;
	for (size_t i = 0; i < FM_GALLERY_READERS && status == FM_OK; i++) {
		loaders[i].load = &load;
		loaders[i].embeddings = fm_calloc(BLOCK_KEYS, load.dim * sizeof(float));
		if (loaders[i].embeddings &&
		        pthread_create(&loaders[i].thread, NULL, load_blocks, &loaders[i]) == 0)
			started = loaders[i].started = true;
	}
	if (!started) /* fewer are slower, and as right */
		status = fm_fail(err, FM_E_NOMEM, "gallery: no memory to read the embeddings");
	for (size_t i = 0; i < FM_GALLERY_READERS; i++) {
		if (loaders[i].started)
			pthread_join(loaders[i].thread, NULL);
		if (status == FM_OK && loaders[i].status != FM_OK) {
			status = loaders[i].status;
			if (err)
				*err = loaders[i].err;
		}
		if (loaders[i].embeddings)
			fm_wipe(loaders[i].embeddings, BLOCK_KEYS * load.dim * sizeof(float));
		free(loaders[i].embeddings);
	}
	return status;
}
