#include "lib/search/store.h"

#include "tests/unit/search/vectors.h"

#include <criterion/criterion.h>
#include <string.h>

#define DIM   20
#define FACES (2 * (int64_t)FM_PAGE_FACES + 3)

static struct fm_store store;

static void codes_of(int64_t face, int8_t *codes, struct fm_codes_info *info)
{
	float embedding[DIM];
	uint64_t state = (uint64_t)face;

	random_unit(embedding, DIM, &state);
	fm_codes_make(embedding, DIM, store.tree.stride, codes, info);
}

static void add(int64_t person, int64_t face)
{
	int8_t codes[FM_SCAN_DIM_MULTIPLE];
	struct fm_codes_info info;

	codes_of(face, codes, &info);
	cr_assert_eq(fm_store_add(&store, 1, person, face, codes, &info, NULL), FM_OK);
}

static bool all_zero(const void *memory, size_t bytes)
{
	const unsigned char *byte = memory;

	for (size_t i = 0; i < bytes; i++)
		if (byte[i])
			return false;
	return true;
}

/* A code put together again from its two halves, by the layouts that kernels.h states. */
static int code_at(const struct fm_high *high, const struct fm_lane *face, size_t lane, size_t d)
{
	const uint8_t *group = high->codes + d / 32 * 320 + 4 * lane + d % 4;
	const size_t e = store.tree.stride / 8, g = d / e, i = d % e;
	const int upper = group[d % 32 / 8 * 64] >> (d % 8 < 4 ? 0 : 4) & 15;
	const int fifth = group[4 * 64] >> d % 32 / 4 & 1;
	const int low = (face->low[g % 2 * e + i] >> g / 2 * 2 & 3) * 2 + (face->low[2 * e + i] >> g & 1);

	return (upper * 2 + fifth) * FM_CODE_LOW + low - FM_CODE_ZERO;
}

static void expect_whole(const struct fm_view *view)
{
	cr_assert_eq(view->page_count, (view->face_count + FM_PAGE_FACES - 1) / FM_PAGE_FACES);
	for (size_t slot = 0; slot < view->face_count; slot++) {
		const struct fm_lane *face = fm_view_lane(view, slot);
		const struct fm_high *high = fm_view_high(view, slot / FM_SCAN_FACES);
		const size_t lane = slot % FM_SCAN_FACES;
		int8_t codes[FM_SCAN_DIM_MULTIPLE];
		struct fm_codes_info info;

		codes_of(face->face_key, codes, &info);
		cr_assert_eq(face->person_key, face->face_key % 5);
		cr_assert(face->scale == info.scale && high->scales[lane] == info.scale);
		cr_assert(face->residual == info.residual && high->residuals[lane] == info.high_residual);
		for (size_t d = 0; d < store.tree.stride; d++)
			cr_assert_eq(
			        code_at(high, face, lane, d), codes[d], "slot %zu, dimension %zu", slot, d);
		cr_assert_eq((uintptr_t)high % 64, 0);
	}
	/* What was removed is gone from memory: beyond the count nothing but zeros. */
	for (size_t slot = view->face_count; slot % FM_SCAN_FACES; slot++) {
		const struct fm_high *high = fm_view_high(view, slot / FM_SCAN_FACES);
		const size_t lane = slot % FM_SCAN_FACES;

		cr_assert(all_zero(fm_view_lane(view, slot), store.tree.lane_bytes));
		cr_assert(high->scales[lane] == 0 && high->residuals[lane] == 0);
		for (size_t line = 0; line < store.tree.stride / 32 * 5; line++)
			cr_assert(all_zero(high->codes + 64 * line + 4 * lane, 4));
	}
}

static const struct fm_view *view_now(void)
{
	return fm_state_find(store.tree.state, 1);
}

Test(store, removal_wipes_and_keeps_slots_dense)
{
	cr_assert(fm_store_init(&store, DIM));
	for (int64_t face = 1; face <= FACES; face++)
		add(face % 5, face);
	fm_tree_publish(&store.tree);
	cr_assert_eq(view_now()->face_count, (size_t)FACES);
	cr_assert_eq(view_now()->people_count, 5);
	expect_whole(view_now());
	for (int64_t face = 2; face <= FACES; face += 2) {
		fm_store_remove_face(&store, face);
		fm_tree_publish(&store.tree);
		if (face % 512 == 0)
			expect_whole(view_now());
	}
	cr_assert_eq(view_now()->face_count, (size_t)(FACES + 1) / 2);
	for (size_t slot = 0; slot < view_now()->face_count; slot++)
		cr_assert_eq(fm_view_lane(view_now(), slot)->face_key % 2, 1);
	fm_store_remove_person(&store, 3);
	expect_whole(view_now());
	cr_assert_eq(view_now()->people_count, 4);
	for (int64_t person = 0; person < 5; person++)
		fm_store_remove_person(&store, person);
	fm_tree_publish(&store.tree);
	cr_expect_null(view_now());
	cr_expect_eq(store.faces.count + store.people.count, 0);
	cr_expect_eq(atomic_load(&store.tree.epoch.retired), 0, "nobody reads, so nothing waits");
	fm_store_done(&store);
}

/* A reader keeps what it entered with, to the bit; when it has left, all of that goes. */
Test(store, readers_keep_their_version)
{
	const struct fm_state *state;
	const struct fm_view *view;
	size_t reader, second;

	cr_assert(fm_store_init(&store, DIM));
	for (int64_t face = 1; face <= 100; face++)
		add(face % 5, face);
	fm_tree_publish(&store.tree);
	state = (const struct fm_state *)fm_epoch_enter(&store.tree.epoch, &reader);
	view = fm_state_find(state, 1);
	for (int64_t face = 1; face <= 90; face++) {
		fm_store_remove_face(&store, face);
		fm_tree_publish(&store.tree);
	}
	cr_expect_gt(atomic_load(&store.tree.epoch.retired), 0);
	cr_assert_eq(view->face_count, 100);
	expect_whole(view);
	cr_assert_eq(view_now()->face_count, 10);
	expect_whole(view_now());

	/* A later reader does not hold what only the first can see. */
	fm_epoch_enter(&store.tree.epoch, &second);
	fm_epoch_leave(&store.tree.epoch, reader);
	fm_epoch_reclaim(&store.tree.epoch);
	cr_expect_eq(atomic_load(&store.tree.epoch.retired), 0);
	fm_store_remove_collection(&store, 1);
	fm_tree_publish(&store.tree);
	cr_expect_gt(atomic_load(&store.tree.epoch.retired), 0);
	fm_epoch_leave(&store.tree.epoch, second);
	fm_epoch_reclaim(&store.tree.epoch);
	cr_expect_eq(atomic_load(&store.tree.epoch.retired), 0);
	fm_store_done(&store);
}
