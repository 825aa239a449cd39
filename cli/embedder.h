/*
 * The embeddings of many photos by several threads, each with a pipeline of its own. What comes out depends
 * on the photos and the models alone, never on the threads.
 */
#ifndef FM_CLI_EMBEDDER_H
#define FM_CLI_EMBEDDER_H

#include "lib/face/pipeline.h"

#include <stddef.h>

#define FM_EMBEDDER_THREADS_MAX 256

enum fm_embedded_state {
	FM_EMBEDDED_FACE,
	FM_EMBEDDED_NO_FACE,
	FM_EMBEDDED_UNREADABLE, /* not opened, not decoded; the message says why */
};

struct fm_embedded {
	enum fm_embedded_state state;
	float *embedding; /* [dim] of the face nearest to the photo's centre; NULL without a face */
	char *message;    /* FM_EMBEDDED_UNREADABLE: why; may be NULL without memory */
};

/*
 * Fills embedded[count] for paths[count], showing a progress bar on a terminal. threads in
 * 1..FM_EMBEDDER_THREADS_MAX. Errors are those that say nothing about a photo: FM_E_NOMEM, FM_E_INTERNAL;
 * *ret_embedded is the caller's, to fm_embedded_free().
 */
enum fm_status fm_embedder_run(const struct fm_models *models, char *const *paths, size_t count,
        size_t threads, struct fm_embedded **ret_embedded, struct fm_error *err);
void fm_embedded_free(struct fm_embedded *embedded, size_t count);

#endif
