/* The scan of galleries: scalar against the words of kernels.h, every other ISA against scalar, bit for bit.
 */
#include "tests/kernels/support.h"

#include <math.h>

#include "lib/base/banned.h"

#define PROBES_MAX 19

struct scan {
	size_t dim, count;
	uint8_t *nibbles;
	int8_t *probes;
	float *scales, *residuals;
	struct fm_scan_terms terms[PROBES_MAX];
	struct fm_scan_block block;
};

static void scan_init(struct scan *scan, struct random *random, size_t dim, size_t count)
{
	*scan = (struct scan){.dim = dim, .count = count};
	scan->nibbles = guarded_alloc(dim * 8);
	scan->probes = guarded_alloc(dim * count);
	scan->scales = guarded_floats(random, FM_SCAN_FACES);
	scan->residuals = guarded_floats(random, FM_SCAN_FACES);
	for (size_t i = 0; i < dim * 8; i++)
		scan->nibbles[i] = (uint8_t)random_u32(random);
	for (size_t i = 0; i < dim * count; i++)
		scan->probes[i] = (int8_t)random_u32(random);
	for (size_t p = 0; p < count; p++)
		scan->terms[p] = (struct fm_scan_terms){
		        .offset = random_float(random) * 1000,
		        .scale = random_float(random) * 1e-3f,
		        .norm = random_float(random),
		        .fixed = random_float(random),
		        .least = p % 5 == 4 ? -INFINITY : random_float(random),
		};
	scan->block = (struct fm_scan_block){
	        .nibbles = scan->nibbles, .scales = scan->scales, .residuals = scan->residuals};
}

static void scan_done(struct scan *scan)
{
	guarded_free(scan->nibbles, scan->dim * 8);
	guarded_free(scan->probes, scan->dim * scan->count);
	guarded_free(scan->scales, FM_SCAN_FACES * sizeof(float));
	guarded_free(scan->residuals, FM_SCAN_FACES * sizeof(float));
}

/* Nibble of one face and dimension, by the layout that kernels.h states. */
static int nibble_at(const struct scan *scan, size_t face, size_t d)
{
	uint8_t both = scan->nibbles[d / 8 * 64 + 4 * face + d % 4];

	return d % 8 < 4 ? both & 15 : both >> 4;
}

static void compare_scan(const struct scan *scan)
{
	for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
		const struct fm_kernels *kernels = fm_kernels_for((enum fm_isa)isa);
		int32_t *sums = guarded_alloc(scan->count * FM_SCAN_FACES * sizeof(*sums));
		uint16_t *masks = guarded_alloc(scan->count * sizeof(*masks));

		if (kernels != NULL)
			kernels->scan_u4s8(
			        sums, masks, &scan->block, scan->probes, scan->terms, scan->count, scan->dim);
		for (size_t p = 0; kernels != NULL && p < scan->count; p++) {
			const struct fm_scan_terms *t = &scan->terms[p];
			for (size_t face = 0; face < FM_SCAN_FACES; face++) {
				int64_t sum = 0;
				for (size_t d = 0; d < scan->dim; d++)
					sum += nibble_at(scan, face, d) * scan->probes[p * scan->dim + d];
				cr_assert_eq(sums[p * FM_SCAN_FACES + face], sum,
				        "%s: dim %zu, probe %zu of %zu", fm_isa_name(kernels->isa), scan->dim,
				        p, scan->count);
				float centre = ((float)sum - t->offset) * scan->scales[face] * t->scale;
				float reach = scan->residuals[face] * t->norm + t->fixed;
				cr_assert_eq(masks[p] >> face & 1, centre + reach >= t->least, "%s: dim %zu",
				        fm_isa_name(kernels->isa), scan->dim);
			}
		}
		guarded_free(sums, scan->count * FM_SCAN_FACES * sizeof(*sums));
		guarded_free(masks, scan->count * sizeof(*masks));
	}
}

Test(scan, every_isa_says_the_same)
{
	struct random random = {1};
	struct scan scan;

	for (size_t dim = 32; dim <= 704; dim += 32)
		for (size_t count = 1; count <= PROBES_MAX; count++) {
			scan_init(&scan, &random, dim, count);
			compare_scan(&scan);
			scan_done(&scan);
		}
}

/* Sixteen bits that would not hold what a kernel adds up would show here. */
Test(scan, extremes)
{
	struct random random = {2};
	const int8_t ends[] = {-128, 127};
	struct scan scan;

	for (size_t i = 0; i < 2; i++) {
		scan_init(&scan, &random, FM_SCAN_DIM_MAX, 4);
		memset(scan.nibbles, 0xff, FM_SCAN_DIM_MAX * 8);
		memset(scan.probes, ends[i], FM_SCAN_DIM_MAX * 4);
		compare_scan(&scan);
		scan_done(&scan);
	}
}

static void compare_dot(const uint8_t *row, const int8_t *probe, size_t half)
{
	int64_t expected = 0;

	for (size_t i = 0; i < half; i++)
		expected += (row[i] & 15) * probe[i] + (row[i] >> 4) * probe[half + i];
	for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
		const struct fm_kernels *kernels = fm_kernels_for((enum fm_isa)isa);
		if (kernels != NULL)
			cr_assert_eq(kernels->dot_u4s8(row, probe, half), expected, "%s: half %zu",
			        fm_isa_name(kernels->isa), half);
	}
}

Test(scan, dot_is_exact)
{
	struct random random = {3};

	for (size_t half = 0; half <= FM_SCAN_DIM_MAX / 2; half += 16) {
		uint8_t *row = guarded_alloc(half);
		int8_t *probe = guarded_alloc(2 * half);
		for (size_t i = 0; i < half; i++)
			row[i] = (uint8_t)random_u32(&random);
		for (size_t i = 0; i < 2 * half; i++)
			probe[i] = (int8_t)random_u32(&random);
		compare_dot(row, probe, half);
		memset(row, 0xff, half);
		memset(probe, -128, 2 * half);
		compare_dot(row, probe, half);
		memset(probe, 127, 2 * half);
		compare_dot(row, probe, half);
		guarded_free(row, half);
		guarded_free(probe, 2 * half);
	}
}
