/*
 * Where the networks and their manifests lie; the daemon and facematchctl look the same way:
 *
 *   1. `given` (--models DIR, or [models] dir), when not NULL;
 *   2. $FACEMATCH_MODELS, when set and not empty;
 *   3. build/models under the current directory, with the manifests of config/models beside it, when both
 *      exist: a source tree after `make models`;
 *   4. FM_DATADIR/models: an installation, networks and manifests in one directory.
 *
 * A directory of 1 or 2 may hold manifests (*.conf) beside its networks. Where it holds none, the manifests
 * are those of config/models under the current directory, else those of FM_DATADIR/models.
 * Threads: pure; reads the environment.
 */
#ifndef FM_FACE_PATHS_H
#define FM_FACE_PATHS_H

#include "lib/base/status.h"

/*
 * Both results are the caller's to free(). Errors: FM_E_NOT_FOUND names the directory that is missing and
 * says how to point at another; FM_E_NOMEM.
 */
enum fm_status fm_models_find(
        const char *given, char **ret_models_dir, char **ret_manifests_dir, struct fm_error *err);

#endif
