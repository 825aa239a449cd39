/*
 * Is a gallery whole? Reads everything there is in one transaction and changes nothing; beside a running
 * daemon it sees the state of one moment. What is deleted meanwhile stays in the log until it ends.
 * Threads: pure.
 */
#ifndef FM_GALLERY_CHECK_H
#define FM_GALLERY_CHECK_H

#include "lib/base/status.h"

#include <stddef.h>
#include <stdint.h>

struct fm_gallery_check {
	void *context;
	/* Something is wrong: a sentence. At most 100 of a kind are told. */
	void (*finding)(void *context, const char *text);
	/* Whether a crop is a picture; a failure is a finding. */
	enum fm_status (*crop)(void *context, const uint8_t *jpeg, size_t bytes, struct fm_error *err);
};

struct fm_gallery_census {
	int64_t collections, people, faces;
	int64_t embeddings; /* of all models */
	int64_t crops;
	int64_t findings; /* those that were not told too */
};

/*
 * `key_file` is NULL where it is not sealed. `model`, if not NULL: *ret_searchable is how many faces have an
 * embedding under it. Errors: the gallery cannot be opened, is of another schema (FM_E_UNSUPPORTED), or is
 * sealed with a key that is not in the file (FM_E_INVALID).
 */
enum fm_status fm_gallery_check_file(const char *path, const char *key_file,
        const struct fm_gallery_check *check, const char *model, struct fm_gallery_census *ret_census,
        int64_t *ret_searchable, struct fm_error *err);

#endif
