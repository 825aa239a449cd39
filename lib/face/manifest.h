/*
 * The text of a manifest into a struct fm_model: the only place that knows INI. Grammar and keys: model.h.
 * Threads: pure.
 */
#ifndef FM_FACE_MANIFEST_H
#define FM_FACE_MANIFEST_H

#include "lib/face/model.h"

/*
 * Fills all fields that the manifest states, and defaults for those it may leave out; the strings are owned
 * by *model, also after an error. `text` is NUL-terminated. Errors: FM_E_INVALID with "line N: …",
 * FM_E_NOMEM.
 */
enum fm_status fm_manifest_parse(const char *text, struct fm_model *model, struct fm_error *err);

#endif
