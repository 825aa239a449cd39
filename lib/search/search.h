/* The search of one published version; the contract is fm_index_search's. Internal to lib/search. */
#ifndef FM_SEARCH_SEARCH_H
#define FM_SEARCH_SEARCH_H

#include "lib/search/index.h"
#include "lib/search/tree.h"

struct fm_searcher {
	const struct fm_kernels *kernels;
	size_t dim, stride;
	fm_index_fetch fetch;
	void *context;
};

/* The view has faces, limit is at least 1, the probes passed the check. */
enum fm_status fm_search_view(const struct fm_searcher *searcher, const struct fm_view *view,
        const float *probes, size_t probe_count, size_t limit, struct fm_index_hit *ret_hits,
        size_t *ret_counts, struct fm_error *err);

#endif
