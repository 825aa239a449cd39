/*
 * Made-up galleries of any size without keeping them: embedding number i comes from i alone, so that it can
 * be made again when it is asked for. Threads: pure.
 */
#ifndef FM_CLI_GALLERY_MAKER_H
#define FM_CLI_GALLERY_MAKER_H

#include "lib/base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Length of what is added to a real embedding of unit length: two of one origin have a cosine near 0.8. */
#define FM_GALLERY_NOISE 0.5f

struct fm_gallery_maker {
	size_t dim;
	float *real; /* [real_count][dim], or NULL: directions are drawn uniformly */
	size_t real_count;
};
void fm_gallery_maker_done(struct fm_gallery_maker *maker);

/*
 * Takes the embeddings out of what `facematchctl embed` printed; all lines without one are passed over.
 * Errors: those of reading; FM_E_INVALID where no line has one, or one has other than dim numbers.
 */
enum fm_status fm_gallery_maker_read(
        const char *path, size_t dim, struct fm_gallery_maker *ret_maker, struct fm_error *err);

/* Unit length. */
void fm_gallery_maker_make(const struct fm_gallery_maker *maker, uint64_t number, float *ret_embedding);

#endif
