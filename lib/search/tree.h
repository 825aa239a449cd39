/*
 * Versions of all embeddings as a tree: state -> one view a collection -> pages -> blocks of sixteen faces.
 * What is published never changes: a change copies the nodes on its way from the root (Driscoll et al.,
 * Making data structures persistent, 1989: path copying), once for each version, and retires the old ones.
 * Faces of a view have dense slots: slot i is lane i % 16 of block i / 16. Threads: published nodes may be
 * read by any between fm_epoch_enter and _leave; functions that change need the writers' lock.
 */
#ifndef FM_SEARCH_TREE_H
#define FM_SEARCH_TREE_H

#include "lib/kernels/kernels.h"
#include "lib/search/codes.h"
#include "lib/search/epoch.h"
#include "lib/search/slab.h"

#define FM_PAGE_BLOCKS 256
#define FM_PAGE_FACES  ((size_t)FM_PAGE_BLOCKS * FM_SCAN_FACES)

/*
 * Sixteen faces. The high bits, which every search reads, lie apart from the rest, one block after the other,
 * so that a scan is one stream. Lanes not in use are zero.
 */
struct fm_high {
	float scales[FM_SCAN_FACES];
	float residuals[FM_SCAN_FACES]; /* fm_codes_info.high_residual */
	uint8_t codes[];                /* for fm_kernels.scan_u5s8: stride * 10 bytes */
};

struct fm_lane {
	int64_t face_key, person_key;
	float scale, residual;
	uint8_t low[]; /* for fm_kernels.dot_u3s8: stride * 3 / 8 bytes */
};

struct fm_block {
	struct fm_node node;
	struct fm_tree *tree;
	struct fm_high *high;
	_Alignas(64) uint8_t lanes[]; /* struct fm_lane [FM_SCAN_FACES], tree->lane_bytes apart */
};

struct fm_page {
	struct fm_node node;
	struct fm_block *blocks[FM_PAGE_BLOCKS];
	const struct fm_high *highs[FM_PAGE_BLOCKS];
};

struct fm_view {
	struct fm_node node;
	int64_t collection_key;
	size_t people_count, face_count;
	size_t page_count, page_capacity;
	struct fm_page *pages[];
};

struct fm_state {
	struct fm_node node;
	size_t count, capacity;
	struct fm_view *views[]; /* by collection key */
};

/* The writers' end: the state that the next version will be. */
struct fm_tree {
	size_t dim, stride; /* the stride is a multiple of FM_SCAN_DIM_MULTIPLE */
	size_t lane_bytes;
	struct fm_slab highs, blocks;
	struct fm_state *state;
	struct fm_epoch epoch;
};

static inline const struct fm_high *fm_view_high(const struct fm_view *view, size_t block)
{
	return view->pages[block / FM_PAGE_BLOCKS]->highs[block % FM_PAGE_BLOCKS];
}

static inline struct fm_lane *fm_block_lane(const struct fm_block *block, size_t lane)
{
	return (struct fm_lane *)(block->lanes + lane * block->tree->lane_bytes);
}

static inline const struct fm_lane *fm_view_lane(const struct fm_view *view, size_t slot)
{
	const size_t block = slot / FM_SCAN_FACES;

	return fm_block_lane(
	        view->pages[block / FM_PAGE_BLOCKS]->blocks[block % FM_PAGE_BLOCKS], slot % FM_SCAN_FACES);
}

/* False for want of memory. */
bool fm_tree_init(struct fm_tree *tree, size_t dim);
void fm_tree_done(struct fm_tree *tree);

/* NULL where a state has no such collection. */
const struct fm_view *fm_state_find(const struct fm_state *state, int64_t collection_key);

/*
 * The view, and the block of one of its slots, as the next version may change them. A slot one beyond the
 * last makes room for a face, and a collection that is not there is made with slot 0. NULL for want of
 * memory, with the tree as good as before; with `must` they wait until memory that is in use by readers comes
 * back. Making room may move the view.
 */
struct fm_view *fm_tree_view(struct fm_tree *tree, int64_t collection_key, bool must);
struct fm_block *fm_tree_block(struct fm_tree *tree, struct fm_view **view, size_t slot, bool must);

void fm_block_put(struct fm_block *block, size_t lane, int64_t person_key, int64_t face_key,
        const int8_t *codes, const struct fm_codes_info *info);
void fm_block_copy(struct fm_block *to, size_t to_lane, const struct fm_block *from, size_t from_lane);
void fm_block_clear(struct fm_block *block, size_t lane);

/* Takes an empty last block out of a view that the next version may change. */
void fm_tree_drop_block(struct fm_tree *tree, struct fm_view *view, size_t block);
/* Takes a collection out, with all that is in it. */
void fm_tree_drop_view(struct fm_tree *tree, int64_t collection_key);

/* Makes the changes visible and destroys what nobody can see. */
void fm_tree_publish(struct fm_tree *tree);

#endif
