/*
 * The faces of a gallery that have an embedding under one network: an index of them, whose searches read the
 * embeddings that decide from the gallery. It needs the network's name alone, so that a start can fill it
 * while the networks are loaded. Threads: as index.h.
 */
#ifndef FM_DAEMON_ENROLLED_H
#define FM_DAEMON_ENROLLED_H

#include "lib/gallery/gallery.h"
#include "lib/search/index.h"

struct fm_enrolled {
	struct fm_gallery *gallery;
	char model[96]; /* "name@fingerprint" */
	size_t dim;
	struct fm_index *index;
};

/* Empty. The gallery outlives it. */
enum fm_status fm_enrolled_create(struct fm_gallery *gallery, const char *model, size_t dim,
        struct fm_enrolled **ret_enrolled, struct fm_error *err);
/* Takes NULL. */
void fm_enrolled_free(struct fm_enrolled *enrolled);

/* Reads the faces that there are; some that were enrolled meanwhile may be in already. */
enum fm_status fm_enrolled_fill(struct fm_enrolled *enrolled, struct fm_error *err);
/* The same with all of the gallery's readers: for a start, when nobody else needs them. */
enum fm_status fm_enrolled_fill_at_once(struct fm_enrolled *enrolled, struct fm_error *err);

#endif
