/* A directory with the default networks and those of ../shared/data (FM_SHARED_DATA overrides), by links. */
#ifndef FM_TESTS_SUPPORT_NETWORKS_H
#define FM_TESTS_SUPPORT_NETWORKS_H

#include "lib/face/pipeline.h"

/* Skips the test where build/models or the shared networks are missing. */
const char *test_networks_begin(void);
void test_networks_end(void);

/* "…/lfw-view1/images" and so on; skips the test where it is missing. */
const char *test_shared_path(const char *name);

/* The networks of these manifests of config/models; landmarks NULL: the detector's own. */
struct fm_models *test_networks_load(
        const char *detection, const char *landmarks, const char *embedding, enum fm_precision precision);

#endif
