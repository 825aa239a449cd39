#include "cli/embedder.h"

#include "cli/photo.h"
#include "cli/progress.h"
#include "lib/base/mem.h"
#include "lib/cpu/cpu.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/base/banned.h"

struct embedder {
	const struct fm_models *models;
	char *const *paths;
	size_t count;
	struct fm_embedded *embedded;
	atomic_size_t next;
	atomic_bool failed;
	struct fm_progress progress;
};

struct worker {
	pthread_t thread;
	struct embedder *embedder;
	enum fm_status status;
	struct fm_error err;
};

static enum fm_status embed_photo(
        struct embedder *embedder, struct fm_pipeline *pipeline, size_t i, struct fm_error *err)
{
	fm_cleanup(fm_faces_done) struct fm_faces faces = {0};
	struct fm_embedded *embedded = &embedder->embedded[i];
	size_t bytes = embedder->models->embedding->dim * sizeof(*embedded->embedding);

	enum fm_status status = fm_photo_run(pipeline, embedder->paths[i], FM_EMBED_CENTRAL, &faces, err);
	if (status == FM_E_NOMEM || status == FM_E_INTERNAL)
		return status;
	if (status) {
		embedded->state = FM_EMBEDDED_UNREADABLE;
		embedded->message = strdup(err->message);
		return FM_OK;
	}
	if (faces.count == 0) {
		embedded->state = FM_EMBEDDED_NO_FACE;
		return FM_OK;
	}
	embedded->embedding = malloc(bytes);
	if (!embedded->embedding)
		return fm_fail(err, FM_E_NOMEM, "no memory for an embedding");
	memcpy(embedded->embedding, faces.faces[0].embedding, bytes);
	embedded->state = FM_EMBEDDED_FACE;
	return FM_OK;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct embedder *embedder = worker->embedder;
	fm_cleanup(fm_pipeline_freep) struct fm_pipeline *pipeline = NULL;

	fm_cpu_flush_denormals();
	worker->status = fm_pipeline_create(embedder->models, &fm_pipeline_defaults, &pipeline, &worker->err);
	while (!worker->status && !atomic_load(&embedder->failed)) {
		size_t i = atomic_fetch_add(&embedder->next, 1);
		if (i >= embedder->count)
			break;
		worker->status = embed_photo(embedder, pipeline, i, &worker->err);
		fm_progress_step(&embedder->progress);
	}
	if (worker->status)
		atomic_store(&embedder->failed, true);
	return NULL;
}

enum fm_status fm_embedder_run(const struct fm_models *models, char *const *paths, size_t count,
        size_t threads, struct fm_embedded **ret_embedded, struct fm_error *err)
{
	struct embedder embedder = {.models = models, .paths = paths, .count = count};
	fm_autofree struct worker *workers = fm_calloc(threads, sizeof(*workers));
	enum fm_status status = FM_OK;
	size_t started = 0;

	embedder.embedded = fm_calloc(count, sizeof(*embedder.embedded));
	if (!workers || !embedder.embedded) {
		free(embedder.embedded);
		return fm_fail(err, FM_E_NOMEM, "no memory for %zu photos", count);
	}
	fm_progress_begin(&embedder.progress, "photos", count);
	for (; started < threads; started++) {
		workers[started].embedder = &embedder;
		int errnum = pthread_create(&workers[started].thread, NULL, work, &workers[started]);
		if (errnum) {
			status = fm_fail_errno(err, errnum, "cannot start thread %zu", started + 1);
			atomic_store(&embedder.failed, true);
			break;
		}
	}
	for (size_t i = 0; i < started; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].status && !status) {
			status = workers[i].status;
			if (err)
				*err = workers[i].err;
		}
	}
	fm_progress_end(&embedder.progress);
	if (status) {
		fm_embedded_free(embedder.embedded, count);
		return status;
	}
	*ret_embedded = embedder.embedded;
	return FM_OK;
}

void fm_embedded_free(struct fm_embedded *embedded, size_t count)
{
	for (size_t i = 0; embedded && i < count; i++) {
		free(embedded[i].embedding);
		free(embedded[i].message);
	}
	free(embedded);
}
