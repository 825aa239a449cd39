#include "lib/search/search.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/search/best.h"

#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

#define PROBES_MAX    16
#define SURVIVORS_MIN 4096
#define PREFETCH      8 /* survivors ahead */

/*
 * What the kernel's float arithmetic can add to an upper bound. With sums below 2^24 the largest term is
 * the offset, 124.5 scale_b |a'|_1 <= 0.99 sqrt(4096) < 64, of which one rounding is 64 * 2^-24; the others
 * are a dozen roundings of values below 3. Together less than 7e-6.
 */
#define FILTER_SLACK 1e-5

#define READ_ALREADY INT32_MIN /* a sum that no scan gives */

/* A face that the bound by five bits could not exclude. */
struct survivor {
	uint32_t slot;
	int32_t sum;
	float upper;
};

/* One probe on its way through the collection. */
struct look {
	const float *probe;
	const int8_t *codes;
	double scale, norm, fixed; /* |dot_f32 - by eight bits| <= norm * residual + fixed */
	int64_t zero;              /* FM_CODE_ZERO times the sum of the codes */
	struct fm_best best;
	struct survivor *survivors;
	size_t count, capacity;
	struct fm_index_hit *hits; /* scored in float32 */
	size_t hit_count, hit_capacity;
};

/* Up to sixteen probes that share a scan. */
struct tile {
	const struct fm_searcher *searcher;
	const struct fm_view *view;
	size_t count;
	int8_t *codes; /* [count][stride] */
	struct fm_scan_terms terms[PROBES_MAX];
	struct look looks[PROBES_MAX];
	int64_t *gone; /* faces whose embeddings are not there any more */
	size_t gone_count, gone_capacity;
	bool again;        /* one was found in this run */
	float *embeddings; /* [FM_INDEX_FETCH_MAX][dim] */
};

static void tile_done(struct tile *tile)
{
	for (size_t p = 0; p < tile->count; p++) {
		free(tile->looks[p].best.people);
		free(tile->looks[p].survivors);
		free(tile->looks[p].hits);
	}
	if (tile->codes)
		fm_wipe(tile->codes, tile->count * tile->searcher->stride);
	if (tile->embeddings)
		fm_wipe(tile->embeddings, FM_INDEX_FETCH_MAX * tile->searcher->dim * sizeof(float));
	free(tile->codes);
	free(tile->embeddings);
	free(tile->gone);
}

static float round_down(double value)
{
	float nearest = (float)value;

	return nearest <= value ? nearest : nextafterf(nearest, -INFINITY);
}

static float round_up(double value)
{
	float nearest = (float)value;

	return nearest >= value ? nearest : nextafterf(nearest, INFINITY);
}

static bool look_init(struct tile *tile, size_t p, const float *probe, size_t limit)
{
	const size_t dim = tile->searcher->dim, stride = tile->searcher->stride;
	struct look *look = &tile->looks[p];
	int8_t *codes = tile->codes + p * stride;
	struct fm_codes_info info;
	int64_t sum = 0;

	fm_codes_make(probe, dim, stride, codes, &info);
	for (size_t i = 0; i < dim; i++)
		sum += codes[i];
	*look = (struct look){
	        .probe = probe,
	        .codes = codes,
	        .scale = info.scale,
	        .norm = fm_codes_norm(codes, dim, &info),
	        .fixed = info.residual * FM_NORM_MAX + fm_codes_slack(dim),
	        .zero = FM_CODE_ZERO * sum,
	        .capacity = SURVIVORS_MIN,
	        .best = {.limit = limit < tile->view->people_count ? limit : tile->view->people_count},
	};
	tile->terms[p] = (struct fm_scan_terms){
	        .offset = (float)(FM_CODE_MIDDLE / FM_CODE_LOW * (double)sum),
	        .scale = info.scale * FM_CODE_LOW,
	        .norm = round_up(look->norm),
	        .fixed = round_up(look->fixed + FILTER_SLACK),
	};
	look->best.people = fm_calloc(look->best.limit, sizeof(look->best.people[0]));
	look->survivors = fm_calloc(look->capacity, sizeof(look->survivors[0]));
	return look->best.people && look->survivors;
}

static bool is_gone(const struct tile *tile, int64_t face_key)
{
	for (size_t i = 0; i < tile->gone_count; i++)
		if (tile->gone[i] == face_key)
			return true;
	return false;
}

/* Reads a survivor's low bits: a close upper bound, and what its person reaches for certain. */
static void read_low(struct tile *tile, size_t p, struct survivor *survivor)
{
	struct look *look = &tile->looks[p];
	const struct fm_lane *face = fm_view_lane(tile->view, survivor->slot);
	const int64_t dot = (int64_t)survivor->sum * FM_CODE_LOW - look->zero +
	                    tile->searcher->kernels->dot_u3s8(face->low, look->codes, tile->searcher->stride);
	const double centre = (double)dot * face->scale * look->scale;
	const double reach = look->norm * face->residual + look->fixed;

	survivor->sum = READ_ALREADY;
	survivor->upper = round_up(centre + reach);
	fm_best_offer(&look->best, face->person_key, survivor->slot, round_down(centre - reach));
}

static void keep_possible(struct look *look)
{
	const float least = fm_best_least(&look->best);
	size_t kept = 0;

	for (size_t i = 0; i < look->count; i++)
		if (look->survivors[i].upper >= least)
			look->survivors[kept++] = look->survivors[i];
	look->count = kept;
}

/* Where the list is full, what can be excluded meanwhile goes; if that is little, the list grows. */
static bool make_room(struct look *look)
{
	if (look->count < look->capacity)
		return true;
	keep_possible(look);
	if (look->count < look->capacity / 2)
		return true;
	struct survivor *grown = reallocarray(look->survivors, look->capacity * 2, sizeof(*grown));

	if (!grown)
		return false;
	look->survivors = grown;
	look->capacity *= 2;
	return true;
}

/* The lanes of a block that passed the kernel's bound. False for want of memory. */
static bool take_lanes(struct tile *tile, size_t p, const struct fm_high *high, size_t number,
        const int32_t *sums, unsigned mask)
{
	struct look *look = &tile->looks[p];
	struct fm_scan_terms *terms = &tile->terms[p];

	for (; mask; mask &= mask - 1) {
		const size_t lane = (size_t)__builtin_ctz(mask);
		const float centre = ((float)sums[lane] - terms->offset) * high->scales[lane] * terms->scale;
		struct survivor survivor = {
		        .slot = (uint32_t)(number * FM_SCAN_FACES + lane),
		        .sum = sums[lane],
		        .upper = centre + (high->residuals[lane] * terms->norm + terms->fixed),
		};

		if (tile->gone_count && is_gone(tile, fm_view_lane(tile->view, survivor.slot)->face_key))
			continue;
		/* Likely one of the best: to know how good those are lets the scan exclude more. */
		if (centre >= terms->least) {
			read_low(tile, p, &survivor);
			terms->least = fm_best_least(&look->best);
		}
		if (survivor.upper < terms->least)
			continue;
		if (!make_room(look))
			return false;
		look->survivors[look->count++] = survivor;
	}
	return true;
}

static bool scan(struct tile *tile)
{
	const struct fm_view *view = tile->view;
	const size_t blocks = (view->face_count + FM_SCAN_FACES - 1) / FM_SCAN_FACES;
	int32_t sums[PROBES_MAX * FM_SCAN_FACES];
	uint16_t masks[PROBES_MAX];

	for (size_t i = 0; i < blocks; i++) {
		const struct fm_high *high = fm_view_high(view, i);
		const size_t faces = view->face_count - i * FM_SCAN_FACES;
		const unsigned in_use = faces < FM_SCAN_FACES ? (1u << faces) - 1 : 0xffff;

		tile->searcher->kernels->scan_u5s8(sums, masks,
		        &(struct fm_scan_block){
		                .codes = high->codes, .scales = high->scales, .residuals = high->residuals},
		        tile->codes, tile->terms, tile->count, tile->searcher->stride);
		for (size_t p = 0; p < tile->count; p++)
			if ((masks[p] & in_use) &&
			        !take_lanes(tile, p, high, i, sums + p * FM_SCAN_FACES, masks[p] & in_use))
				return false;
	}
	return true;
}

static enum fm_status mark_gone(struct tile *tile, int64_t face_key, struct fm_error *err)
{
	if (tile->gone_count == tile->gone_capacity) {
		size_t capacity = tile->gone_capacity ? tile->gone_capacity * 2 : 16;
		int64_t *grown = reallocarray(tile->gone, capacity, sizeof(*grown));

		if (!grown)
			return fm_fail(err, FM_E_NOMEM, "index: no memory for a search");
		tile->gone = grown;
		tile->gone_capacity = capacity;
	}
	tile->gone[tile->gone_count++] = face_key;
	tile->again = true;
	return FM_OK;
}

static bool add_hit(struct look *look, const struct fm_index_hit *hit)
{
	if (look->hit_count == look->hit_capacity) {
		size_t capacity = look->hit_capacity ? look->hit_capacity * 2 : FM_INDEX_FETCH_MAX;
		struct fm_index_hit *grown = reallocarray(look->hits, capacity, sizeof(*grown));

		if (!grown)
			return false;
		look->hits = grown;
		look->hit_capacity = capacity;
	}
	look->hits[look->hit_count++] = *hit;
	return true;
}

/* Scores faces in float32: they join the hits, and what their people reach is exact now. */
static enum fm_status score(
        struct tile *tile, struct look *look, const uint32_t *slots, size_t count, struct fm_error *err)
{
	const struct fm_searcher *searcher = tile->searcher;
	int64_t face_keys[FM_INDEX_FETCH_MAX] = {0};
	bool found[FM_INDEX_FETCH_MAX] = {0};

	for (size_t i = 0; i < count; i++)
		face_keys[i] = fm_view_lane(tile->view, slots[i])->face_key;
	enum fm_status status =
	        searcher->fetch(searcher->context, face_keys, count, tile->embeddings, found, err);

	for (size_t i = 0; status == FM_OK && i < count; i++) {
		struct fm_index_hit hit = {.face_key = face_keys[i],
		        .person_key = fm_view_lane(tile->view, slots[i])->person_key};

		if (!found[i]) {
			status = mark_gone(tile, face_keys[i], err);
			continue;
		}
		hit.cosine = searcher->kernels->dot_f32(
		        look->probe, tile->embeddings + i * searcher->dim, searcher->dim);
		fm_best_offer(&look->best, hit.person_key, slots[i], hit.cosine);
		if (!add_hit(look, &hit))
			status = fm_fail(err, FM_E_NOMEM, "index: no memory for a search");
	}
	return status;
}

/* The best by the codes first: that tells how good the answer is at least. */
static enum fm_status score_best(struct tile *tile, struct look *look, struct fm_error *err)
{
	uint32_t slots[FM_INDEX_FETCH_MAX];
	size_t count = 0;
	enum fm_status status = FM_OK;
	fm_autofree uint32_t *all = fm_calloc(look->best.count ? look->best.count : 1, sizeof(*all));

	if (!all)
		return fm_fail(err, FM_E_NOMEM, "index: no memory for a search");
	/* Scoring changes the list. */
	const size_t total = look->best.count;

	for (size_t i = 0; i < total; i++)
		all[i] = look->best.people[i].slot;
	for (size_t i = 0; status == FM_OK && i < total; i++) {
		slots[count++] = all[i];
		if (count == FM_INDEX_FETCH_MAX || i + 1 == total) {
			status = score(tile, look, slots, count, err);
			count = 0;
		}
	}
	return status;
}

static int compare_upper(const void *a, const void *b)
{
	const struct survivor *x = a, *y = b;

	if (x->upper != y->upper)
		return x->upper > y->upper ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static bool is_scored(const struct look *look, int64_t face_key)
{
	for (size_t i = 0; i < look->hit_count; i++)
		if (look->hits[i].face_key == face_key)
			return true;
	return false;
}

/* Whether a survivor can still change the answer: as somebody else, or as a better face of one of the best.
 */
static bool matters(const struct tile *tile, const struct look *look, const struct survivor *survivor)
{
	const struct fm_best_person *person =
	        fm_best_find(&look->best, fm_view_lane(tile->view, survivor->slot)->person_key);

	return survivor->upper >= fm_best_least(&look->best) && (!person || survivor->upper >= person->lower);
}

/* What the codes leave open, the most promising first. */
static enum fm_status score_survivors(struct tile *tile, struct look *look, struct fm_error *err)
{
	uint32_t slots[FM_INDEX_FETCH_MAX];
	const size_t scored = look->hit_count; /* by score_best */
	size_t count = 0;
	enum fm_status status = FM_OK;

	qsort(look->survivors, look->count, sizeof(look->survivors[0]), compare_upper);
	for (size_t i = 0; status == FM_OK && i < look->count; i++) {
		const struct survivor *survivor = &look->survivors[i];
		const struct look first = {.hits = look->hits, .hit_count = scored};

		if (survivor->upper < fm_best_least(&look->best))
			break; /* so are all that follow */
		if (!matters(tile, look, survivor) ||
		        is_scored(&first, fm_view_lane(tile->view, survivor->slot)->face_key))
			continue;
		slots[count++] = survivor->slot;
		if (count == FM_INDEX_FETCH_MAX) {
			status = score(tile, look, slots, count, err);
			count = 0;
		}
	}
	return status == FM_OK && count ? score(tile, look, slots, count, err) : status;
}

static enum fm_status decide(struct tile *tile, size_t p, struct fm_error *err)
{
	struct look *look = &tile->looks[p];
	const size_t lane_bytes = sizeof(struct fm_lane) + tile->searcher->stride * 3 / 8;
	enum fm_status status = score_best(tile, look, err);

	if (status != FM_OK || tile->again)
		return status;
	keep_possible(look);
	for (size_t i = 0; i < look->count; i++) {
		if (i + PREFETCH < look->count) {
			const char *lane =
			        (const char *)fm_view_lane(tile->view, look->survivors[i + PREFETCH].slot);

			for (size_t byte = 0; byte < lane_bytes; byte += 64)
				__builtin_prefetch(lane + byte);
		}
		if (look->survivors[i].sum != READ_ALREADY)
			read_low(tile, p, &look->survivors[i]);
	}
	keep_possible(look);
	return score_survivors(tile, look, err);
}

/* Of one person the best face comes first; ties by lower face key. */
static int compare_person(const void *a, const void *b)
{
	const struct fm_index_hit *x = a, *y = b;

	if (x->person_key != y->person_key)
		return x->person_key < y->person_key ? -1 : 1;
	if (x->cosine != y->cosine)
		return x->cosine > y->cosine ? -1 : 1;
	return x->face_key < y->face_key ? -1 : x->face_key > y->face_key;
}

static int compare_rank(const void *a, const void *b)
{
	const struct fm_index_hit *x = a, *y = b;

	if (x->cosine != y->cosine)
		return x->cosine > y->cosine ? -1 : 1;
	return x->person_key < y->person_key ? -1 : x->person_key > y->person_key;
}

/* Leaves each person once, in rank order, and returns how many that are. */
static size_t rank(struct fm_index_hit *hits, size_t count)
{
	size_t people = 0;

	qsort(hits, count, sizeof(*hits), compare_person);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || hits[i].person_key != hits[i - 1].person_key)
			hits[people++] = hits[i];
	qsort(hits, people, sizeof(*hits), compare_rank);
	return people;
}

/*
 * The answer of one scan. Where faces turn out to be gone it ends early with `again`: people may have been
 * excluded in their favour, so the next run leaves those faces out from the start.
 */
static enum fm_status run_once(struct tile *tile, const float *probes, size_t limit,
        struct fm_index_hit *ret_hits, size_t *ret_counts, struct fm_error *err)
{
	const size_t dim = tile->searcher->dim;

	tile->again = false;
	for (size_t p = 0; p < tile->count; p++) {
		free(tile->looks[p].best.people);
		free(tile->looks[p].survivors);
		free(tile->looks[p].hits);
		if (!look_init(tile, p, probes + p * dim, limit))
			return fm_fail(err, FM_E_NOMEM, "index: no memory for a search");
		tile->terms[p].least = -INFINITY;
	}
	if (!scan(tile))
		return fm_fail(err, FM_E_NOMEM, "index: no memory for a search");
	for (size_t p = 0; p < tile->count; p++) {
		struct look *look = &tile->looks[p];
		enum fm_status status = decide(tile, p, err);

		if (status != FM_OK || tile->again)
			return status;
		size_t people = rank(look->hits, look->hit_count);

		ret_counts[p] = people < limit ? people : limit;
		if (ret_counts[p])
			memcpy(ret_hits + p * limit, look->hits, ret_counts[p] * sizeof(look->hits[0]));
	}
	return FM_OK;
}

enum fm_status fm_search_view(const struct fm_searcher *searcher, const struct fm_view *view,
        const float *probes, size_t probe_count, size_t limit, struct fm_index_hit *ret_hits,
        size_t *ret_counts, struct fm_error *err)
{
	enum fm_status status = FM_OK;

	for (size_t first = 0; status == FM_OK && first < probe_count; first += PROBES_MAX) {
		fm_cleanup(tile_done) struct tile tile = {.searcher = searcher, .view = view};

		tile.count = probe_count - first < PROBES_MAX ? probe_count - first : PROBES_MAX;
		tile.codes = fm_aligned_alloc(tile.count * searcher->stride);
		tile.embeddings =
		        fm_aligned_alloc(FM_INDEX_FETCH_MAX * searcher->dim * sizeof(tile.embeddings[0]));
		if (!tile.codes || !tile.embeddings)
			return fm_fail(err, FM_E_NOMEM, "index: no memory for a search");
		do
			status = run_once(&tile, probes + first * searcher->dim, limit,
			        ret_hits + first * limit, ret_counts + first, err);
		while (status == FM_OK && tile.again);
	}
	return status;
}
