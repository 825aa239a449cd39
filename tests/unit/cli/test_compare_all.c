#include "cli/compare_all.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "lib/base/banned.h"

Test(histogram, bins_and_edges_agree)
{
	cr_expect_eq(fm_histogram_bin(-1), 0);
	cr_expect_eq(fm_histogram_bin(-1.5f), 0);
	cr_expect_eq(fm_histogram_bin(0), 32768);
	cr_expect_eq(fm_histogram_bin(nextafterf(0.5f, 0)), 49151);
	cr_expect_eq(fm_histogram_bin(0.5f), 49152);
	cr_expect_eq(fm_histogram_bin(1), FM_HISTOGRAM_BINS - 1);
	cr_expect_eq(fm_histogram_bin(1.0001f), FM_HISTOGRAM_BINS - 1);
	cr_expect_eq(fm_histogram_edge(49152), 0.5);
	for (size_t bin = 0; bin < FM_HISTOGRAM_BINS; bin++)
		cr_assert_eq(fm_histogram_bin((float)fm_histogram_edge(bin)), bin);
}

/* Unit vectors in a plane, at angles of i degrees: the cosine of i and j is cos(j - i). */
#define COUNT 150
#define DIM   16

Test(compare_all, every_pair_is_counted_once_whatever_the_threads)
{
	fm_autofree float *embeddings = fm_aligned_alloc(COUNT * DIM * sizeof(*embeddings));
	fm_autofree struct fm_histogram *one = fm_calloc(1, sizeof(*one)),
	                                *three = fm_calloc(1, sizeof(*three)),
	                                *wanted = fm_calloc(1, sizeof(*wanted));
	size_t person[COUNT], genuine = 0, impostors = 0;

	cr_assert(embeddings && one && three && wanted);
	for (size_t i = 0; i < COUNT; i++) {
		embeddings[i * DIM] = cosf((float)i * (float)M_PI / 180);
		embeddings[i * DIM + 3] = sinf((float)i * (float)M_PI / 180);
		person[i] = i / 50;
	}
	for (size_t i = 0; i < COUNT; i++)
		for (size_t j = i + 1; j < COUNT; j++) {
			const float *a = embeddings + i * DIM, *b = embeddings + j * DIM;
			size_t bin = fm_histogram_bin(a[0] * b[0] + a[3] * b[3]);
			if (person[i] == person[j])
				wanted->genuine[bin]++;
			else
				wanted->impostors[bin]++;
		}
	const struct fm_compare_all all = {embeddings, person, COUNT, DIM};
	cr_assert_eq(fm_compare_all_run(&all, 1, one, NULL), FM_OK);
	cr_assert_eq(fm_compare_all_run(&all, 3, three, NULL), FM_OK);
	cr_expect_eq(memcmp(one, three, sizeof(*one)), 0);
	cr_expect_eq(memcmp(one, wanted, sizeof(*one)), 0);
	for (size_t bin = 0; bin < FM_HISTOGRAM_BINS; bin++) {
		genuine += one->genuine[bin];
		impostors += one->impostors[bin];
	}
	cr_expect_eq(genuine, 3 * 50 * 49 / 2);
	cr_expect_eq(impostors, 3 * 50 * 50);

	struct fm_stats *stats = NULL;
	cr_assert_eq(fm_histogram_stats(one, 3, &stats, NULL), FM_OK);
	cr_expect_eq(fm_stats_genuine(stats), genuine + 3);
	cr_expect_eq(fm_stats_at_far(stats, 1).genuine, genuine);
	cr_expect_eq(fm_stats_impostors(stats), impostors);
	/* One degree apart: 49 pairs a person, and two across the borders. */
	struct fm_roc_point point = fm_stats_at_far(stats, 2.0 / 7500);
	cr_expect_eq(point.genuine, 3 * 49);
	cr_expect_eq(point.impostors, 2);
	cr_expect_float_eq(point.threshold, cos(M_PI / 180), 1.0 / 32768);
	fm_stats_free(stats);
}
