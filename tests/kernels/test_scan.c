/* The scan of galleries: scalar against the words of kernels.h, every other ISA against scalar, bit for bit.
 */
#include "tests/kernels/support.h"

#include <math.h>

#include "lib/base/banned.h"

#define PROBES_MAX 19

struct scan {
	size_t dim, count;
	uint8_t *codes;
	int8_t *probes;
	float *scales, *residuals;
	struct fm_scan_terms terms[PROBES_MAX];
	struct fm_scan_block block;
};

static void scan_init(struct scan *scan, struct random *random, size_t dim, size_t count)
{
	*scan = (struct scan){.dim = dim, .count = count};
	scan->codes = guarded_alloc(dim * 10);
	scan->probes = guarded_alloc(dim * count);
	scan->scales = guarded_floats(random, FM_SCAN_FACES);
	scan->residuals = guarded_floats(random, FM_SCAN_FACES);
	for (size_t i = 0; i < dim * 10; i++)
		scan->codes[i] = (uint8_t)random_u32(random);
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
	        .codes = scan->codes, .scales = scan->scales, .residuals = scan->residuals};
}

static void scan_done(struct scan *scan)
{
	guarded_free(scan->codes, scan->dim * 10);
	guarded_free(scan->probes, scan->dim * scan->count);
	guarded_free(scan->scales, FM_SCAN_FACES * sizeof(float));
	guarded_free(scan->residuals, FM_SCAN_FACES * sizeof(float));
}

/* The value of one face and dimension, by the layout that kernels.h states. */
static int value_at(const struct scan *scan, size_t face, size_t d)
{
	const uint8_t *group = scan->codes + d / 32 * 320;
	uint8_t both = group[d % 32 / 8 * 64 + 4 * face + d % 4];
	int upper = d % 8 < 4 ? both & 15 : both >> 4;

	return 2 * upper + (group[4 * 64 + 4 * face + d % 4] >> d % 32 / 4 & 1);
}

static void compare_scan(const struct scan *scan)
{
	for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
		const struct fm_kernels *kernels = kernels_to_test((enum fm_isa)isa);
		int32_t *sums = guarded_alloc(scan->count * FM_SCAN_FACES * sizeof(*sums));
		uint16_t *masks = guarded_alloc(scan->count * sizeof(*masks));

		if (kernels != NULL)
			kernels->scan_u5s8(
			        sums, masks, &scan->block, scan->probes, scan->terms, scan->count, scan->dim);
		for (size_t p = 0; kernels != NULL && p < scan->count; p++) {
			const struct fm_scan_terms *t = &scan->terms[p];
			for (size_t face = 0; face < FM_SCAN_FACES; face++) {
				int64_t sum = 0;
				for (size_t d = 0; d < scan->dim; d++)
					sum += value_at(scan, face, d) * scan->probes[p * scan->dim + d];
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

	for (size_t dim = 128; dim <= 896; dim += 128)
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
		memset(scan.codes, 0xff, FM_SCAN_DIM_MAX * 10);
		memset(scan.probes, ends[i], FM_SCAN_DIM_MAX * 4);
		compare_scan(&scan);
		scan_done(&scan);
	}
}

static void compare_dot(const uint8_t *row, const int8_t *probe, size_t dim)
{
	const size_t e = dim / 8;
	int64_t expected = 0;

	for (size_t g = 0; g < 8; g++)
		for (size_t i = 0; i < e; i++) {
			int upper = row[g % 2 * e + i] >> g / 2 * 2 & 3;
			expected += (2 * upper + (row[2 * e + i] >> g & 1)) * probe[g * e + i];
		}
	for (int isa = FM_ISA_SCALAR; isa < FM_ISA_COUNT; isa++) {
		const struct fm_kernels *kernels = kernels_to_test((enum fm_isa)isa);
		if (kernels != NULL)
			cr_assert_eq(kernels->dot_u3s8(row, probe, dim), expected, "%s: dim %zu",
			        fm_isa_name(kernels->isa), dim);
	}
}

Test(scan, dot_is_exact)
{
	struct random random = {3};

	for (size_t dim = 128; dim <= FM_SCAN_DIM_MAX; dim += 128) {
		uint8_t *row = guarded_alloc(dim * 3 / 8);
		int8_t *probe = guarded_alloc(dim);
		for (size_t i = 0; i < dim * 3 / 8; i++)
			row[i] = (uint8_t)random_u32(&random);
		for (size_t i = 0; i < dim; i++)
			probe[i] = (int8_t)random_u32(&random);
		compare_dot(row, probe, dim);
		memset(row, 0xff, dim * 3 / 8);
		memset(probe, -128, dim);
		compare_dot(row, probe, dim);
		memset(probe, 127, dim);
		compare_dot(row, probe, dim);
		guarded_free(row, dim * 3 / 8);
		guarded_free(probe, dim);
	}
}
