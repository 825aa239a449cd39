#include "lib/search/tree.h"

#include "lib/base/mem.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/banned.h"

#define WAIT_NS 1000000

/* Removals cannot fail: what they copy frees as much when the readers of the old version are gone. */
static void wait_for_memory(struct fm_tree *tree)
{
	fm_epoch_reclaim(&tree->epoch);
	nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
}

static void destroy_plain(struct fm_node *node)
{
	free(node);
}

static void destroy_block(struct fm_node *node)
{
	struct fm_block *block = (struct fm_block *)node;
	struct fm_tree *tree = block->tree;

	fm_slab_free(&tree->highs, block->high);
	fm_slab_free(&tree->blocks, block);
}

/* A view with all below it. */
static void destroy_view(struct fm_node *node)
{
	struct fm_view *view = (struct fm_view *)node;

	for (size_t i = 0; i < view->page_count; i++) {
		for (size_t k = 0; k < FM_PAGE_BLOCKS; k++)
			if (view->pages[i]->blocks[k])
				destroy_block(&view->pages[i]->blocks[k]->node);
		free(view->pages[i]);
	}
	free(view);
}

/* Where a collection is or would be. */
static size_t place_of(const struct fm_state *state, int64_t collection_key)
{
	size_t low = 0, high = state->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (state->views[middle]->collection_key < collection_key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct fm_view *fm_state_find(const struct fm_state *state, int64_t collection_key)
{
	size_t place = place_of(state, collection_key);

	return place < state->count && state->views[place]->collection_key == collection_key
	               ? state->views[place]
	               : NULL;
}

static bool is_new(const struct fm_tree *tree, const struct fm_node *node)
{
	return node->version == fm_epoch_next(&tree->epoch);
}

/* A node of the next version, zero but for its head. */
static void *make(struct fm_tree *tree, size_t bytes, bool must)
{
	struct fm_node *node;

	while (!(node = fm_calloc(1, bytes)) && must)
		wait_for_memory(tree);
	if (node)
		*node = (struct fm_node){.version = fm_epoch_next(&tree->epoch), .destroy = destroy_plain};
	return node;
}

static struct fm_block *make_block(struct fm_tree *tree, bool must)
{
	struct fm_block *block;
	struct fm_high *high;

	while (!(block = fm_slab_alloc(&tree->blocks)) && must)
		wait_for_memory(tree);
	while (block && !(high = fm_slab_alloc(&tree->highs)) && must)
		wait_for_memory(tree);
	if (!block)
		return NULL;
	if (!high) {
		fm_slab_free(&tree->blocks, block);
		return NULL;
	}
	block->node = (struct fm_node){.version = fm_epoch_next(&tree->epoch), .destroy = destroy_block};
	block->tree = tree;
	block->high = high;
	return block;
}

static void drop(struct fm_tree *tree, struct fm_node *node)
{
	if (is_new(tree, node))
		node->destroy(node);
	else
		fm_epoch_retire(&tree->epoch, node);
}

bool fm_tree_init(struct fm_tree *tree, size_t dim)
{
	*tree = (struct fm_tree){.dim = dim,
	        .stride = (dim + FM_SCAN_DIM_MULTIPLE - 1) / FM_SCAN_DIM_MULTIPLE * FM_SCAN_DIM_MULTIPLE};
	tree->lane_bytes = (sizeof(struct fm_lane) + tree->stride * 3 / 8 + 31) / 32 * 32;
	fm_slab_init(&tree->highs, sizeof(struct fm_high) + tree->stride * 10);
	fm_slab_init(&tree->blocks, sizeof(struct fm_block) + tree->lane_bytes * FM_SCAN_FACES);
	tree->state = fm_aligned_alloc(sizeof(*tree->state));
	if (!tree->state)
		return false;
	tree->state->node = (struct fm_node){.version = 1, .destroy = destroy_plain};
	fm_epoch_init(&tree->epoch, &tree->state->node);
	return true;
}

void fm_tree_done(struct fm_tree *tree)
{
	if (!tree->state)
		return;
	fm_epoch_done(&tree->epoch);
	for (size_t i = 0; i < tree->state->count; i++)
		destroy_view(&tree->state->views[i]->node);
	free(tree->state);
	tree->state = NULL;
	fm_slab_done(&tree->highs);
	fm_slab_done(&tree->blocks);
}

static size_t grown(size_t capacity, size_t needed)
{
	return needed <= capacity ? capacity : capacity ? capacity * 2 : needed < 4 ? 4 : needed;
}

/* A state of the next version with room for that many views. */
static struct fm_state *own_state(struct fm_tree *tree, size_t views, bool must)
{
	struct fm_state *old = tree->state;

	if (is_new(tree, &old->node) && views <= old->capacity)
		return old;
	size_t capacity = grown(old->capacity, views);
	struct fm_state *state = make(tree, sizeof(*state) + capacity * sizeof(state->views[0]), must);

	if (!state)
		return NULL;
	memcpy(state->views, old->views, old->count * sizeof(state->views[0]));
	state->count = old->count;
	state->capacity = capacity;
	drop(tree, &old->node);
	tree->state = state;
	return state;
}

/* The view at a place of the state, of the next version, with room for that many pages. */
static struct fm_view *own_view(struct fm_tree *tree, size_t place, size_t pages, bool must)
{
	struct fm_view *old = tree->state->views[place];

	if (is_new(tree, &old->node) && pages <= old->page_capacity)
		return old;
	size_t capacity = grown(old->page_capacity, pages);
	struct fm_view *view = make(tree, sizeof(*view) + capacity * sizeof(view->pages[0]), must);

	if (!view)
		return NULL;
	memcpy(view->pages, old->pages, old->page_count * sizeof(view->pages[0]));
	view->collection_key = old->collection_key;
	view->people_count = old->people_count;
	view->face_count = old->face_count;
	view->page_count = old->page_count;
	view->page_capacity = capacity;
	drop(tree, &old->node);
	tree->state->views[place] = view;
	return view;
}

struct fm_view *fm_tree_view(struct fm_tree *tree, int64_t collection_key, bool must)
{
	const struct fm_view *found = fm_state_find(tree->state, collection_key);
	struct fm_state *state = own_state(tree, tree->state->count + !found, must);

	if (!state)
		return NULL;
	size_t place = place_of(state, collection_key);

	if (found)
		return own_view(tree, place, found->page_count, must);
	struct fm_view *view = make(tree, sizeof(*view), must);

	if (!view)
		return NULL;
	view->collection_key = collection_key;
	memmove(&state->views[place + 1], &state->views[place],
	        (state->count - place) * sizeof(state->views[0]));
	state->views[place] = view;
	state->count++;
	return view;
}

static struct fm_page *own_page(struct fm_tree *tree, struct fm_view *view, size_t i, bool must)
{
	if (i < view->page_count && is_new(tree, &view->pages[i]->node))
		return view->pages[i];
	struct fm_page *page = make(tree, sizeof(*page), must);

	if (!page)
		return NULL;
	if (i < view->page_count) {
		memcpy(page->blocks, view->pages[i]->blocks, sizeof(page->blocks));
		memcpy(page->highs, view->pages[i]->highs, sizeof(page->highs));
		fm_epoch_retire(&tree->epoch, &view->pages[i]->node);
	} else {
		view->page_count++;
	}
	view->pages[i] = page;
	return page;
}

static void drop_page(struct fm_tree *tree, struct fm_view *view, size_t i)
{
	drop(tree, &view->pages[i]->node);
	view->pages[i] = NULL;
	view->page_count = i;
}

struct fm_block *fm_tree_block(struct fm_tree *tree, struct fm_view **view, size_t slot, bool must)
{
	const size_t number = slot / FM_SCAN_FACES, i = number / FM_PAGE_BLOCKS, k = number % FM_PAGE_BLOCKS;

	if (i == (*view)->page_capacity) {
		struct fm_view *wider =
		        own_view(tree, place_of(tree->state, (*view)->collection_key), i + 1, must);

		if (!wider)
			return NULL;
		*view = wider;
	}
	struct fm_page *page = own_page(tree, *view, i, must);

	if (!page || (page->blocks[k] && is_new(tree, &page->blocks[k]->node)))
		return page ? page->blocks[k] : NULL;
	struct fm_block *block = make_block(tree, must);

	if (!block) {
		if (!page->blocks[0]) /* made for this block */
			drop_page(tree, *view, i);
		return NULL;
	}
	if (page->blocks[k]) {
		memcpy(block->lanes, page->blocks[k]->lanes, tree->lane_bytes * FM_SCAN_FACES);
		memcpy(block->high, page->blocks[k]->high, sizeof(struct fm_high) + tree->stride * 10);
		fm_epoch_retire(&tree->epoch, &page->blocks[k]->node);
	}
	page->blocks[k] = block;
	page->highs[k] = block->high;
	return block;
}

/* Eight codes as they are kept, one a byte: what is done to all bytes alike is done at once. */
static inline uint64_t load_codes(const int8_t *codes)
{
	uint64_t bytes;

	memcpy(&bytes, codes, sizeof(bytes));
	return bytes ^ UINT64_C(0x8080808080808080); /* adds FM_CODE_ZERO */
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The high five bits of 32 dimensions, into a lane of five lines. */
static void put_high(uint8_t *group, const int8_t *codes)
{
	uint64_t lowest = 0;

	for (size_t line = 0; line < 4; line++) {
		const uint64_t eight = load_codes(codes + 8 * line);
		const uint64_t upper = eight >> 4 & EACH(15), low = eight >> 3 & EACH(1);
		/* Dimensions 0 to 3 of the line, which come first in memory, and 4 to 7. */
		const uint64_t both = le64toh(upper), bits = le64toh(low);
		const uint32_t nibbles = htole32((uint32_t)both | (uint32_t)(both >> 32) << 4);

		memcpy(group + 64 * line, &nibbles, sizeof(nibbles));
		lowest |= (bits & UINT32_MAX) << (2 * line) | bits >> 32 << (2 * line + 1);
	}
	const uint32_t last = htole32((uint32_t)lowest);

	memcpy(group + 4 * 64, &last, sizeof(last));
}

/* The low three bits of all dimensions, into a row. */
static void put_low(uint8_t *row, const int8_t *codes, size_t eighth)
{
	for (size_t i = 0; i < eighth; i += 8) {
		uint64_t upper[2] = {0}, lowest = 0;

		for (size_t g = 0; g < 8; g++) {
			const uint64_t eight = load_codes(codes + g * eighth + i);

			upper[g % 2] |= (eight >> 1 & EACH(3)) << g / 2 * 2;
			lowest |= (eight & EACH(1)) << g;
		}
		memcpy(row + i, &upper[0], sizeof(upper[0]));
		memcpy(row + eighth + i, &upper[1], sizeof(upper[1]));
		memcpy(row + 2 * eighth + i, &lowest, sizeof(lowest));
	}
}

void fm_block_put(struct fm_block *block, size_t lane, int64_t person_key, int64_t face_key,
        const int8_t *codes, const struct fm_codes_info *info)
{
	const size_t stride = block->tree->stride;
	struct fm_lane *face = fm_block_lane(block, lane);

	for (size_t d = 0; d < stride; d += 32)
		put_high(block->high->codes + d * 10 + 4 * lane, codes + d);
	put_low(face->low, codes, stride / 8);
	block->high->scales[lane] = face->scale = info->scale;
	block->high->residuals[lane] = info->high_residual;
	face->residual = info->residual;
	face->face_key = face_key;
	face->person_key = person_key;
}

void fm_block_copy(struct fm_block *to, size_t to_lane, const struct fm_block *from, size_t from_lane)
{
	for (size_t line = 0; line < to->tree->stride / 32 * 5; line++)
		memcpy(to->high->codes + 64 * line + 4 * to_lane,
		        from->high->codes + 64 * line + 4 * from_lane, 4);
	to->high->scales[to_lane] = from->high->scales[from_lane];
	to->high->residuals[to_lane] = from->high->residuals[from_lane];
	memcpy(fm_block_lane(to, to_lane), fm_block_lane(from, from_lane), to->tree->lane_bytes);
}

void fm_block_clear(struct fm_block *block, size_t lane)
{
	for (size_t line = 0; line < block->tree->stride / 32 * 5; line++)
		memset(block->high->codes + 64 * line + 4 * lane, 0, 4);
	block->high->scales[lane] = block->high->residuals[lane] = 0;
	memset(fm_block_lane(block, lane), 0, block->tree->lane_bytes);
}

void fm_tree_drop_block(struct fm_tree *tree, struct fm_view *view, size_t block)
{
	const size_t i = block / FM_PAGE_BLOCKS, k = block % FM_PAGE_BLOCKS;
	struct fm_page *page = own_page(tree, view, i, true);

	drop(tree, &page->blocks[k]->node);
	page->blocks[k] = NULL;
	page->highs[k] = NULL;
	if (k == 0)
		drop_page(tree, view, i);
}

/* Below a view of the published version may hang nothing newer, below a newer one anything. */
static void drop_below(struct fm_tree *tree, struct fm_view *view)
{
	for (size_t i = 0; i < view->page_count; i++) {
		for (size_t k = 0; k < FM_PAGE_BLOCKS; k++)
			if (view->pages[i]->blocks[k])
				drop(tree, &view->pages[i]->blocks[k]->node);
		drop(tree, &view->pages[i]->node);
	}
}

void fm_tree_drop_view(struct fm_tree *tree, int64_t collection_key)
{
	struct fm_state *state = own_state(tree, tree->state->count, true);
	size_t place = place_of(state, collection_key);
	struct fm_view *view = state->views[place];

	drop_below(tree, view);
	drop(tree, &view->node);
	state->count--;
	memmove(&state->views[place], &state->views[place + 1],
	        (state->count - place) * sizeof(state->views[0]));
}

void fm_tree_publish(struct fm_tree *tree)
{
	if (is_new(tree, &tree->state->node))
		fm_epoch_publish(&tree->epoch, &tree->state->node);
	fm_epoch_reclaim(&tree->epoch);
}
