#include "cli/calibration.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <criterion/criterion.h>

#include "lib/base/banned.h"

/* n impostors at i / n, i = 0..n - 1, and one genuine pair above all. */
static void expect_points(size_t n, const char *wanted)
{
	fm_autofree struct fm_score_count *counts = fm_calloc(n + 1, sizeof(*counts));
	cr_assert_not_null(counts);
	char text[FM_CALIBRATION_TEXT_MAX] = "";
	struct fm_stats *stats = NULL;

	for (size_t i = 0; i < n; i++)
		counts[i] = (struct fm_score_count){(double)i / (double)n, 0, 1};
	counts[n] = (struct fm_score_count){2, 1, 0};
	cr_assert_eq(fm_stats_create_counted(counts, n + 1, &stats, NULL), FM_OK);
	cr_expect_eq(fm_calibration_points(stats, text), wanted != NULL);
	if (wanted)
		cr_expect_str_eq(text, wanted, "got: %s", text);
	fm_stats_free(stats);
}

Test(calibration, goes_down_to_what_ten_impostors_support)
{
	expect_points(99, NULL);
	/* The upper half, the upper tenth. */
	expect_points(100, "0.500:5e-1, 0.900:1e-1");
	expect_points(1000, "0.500:5e-1, 0.900:1e-1, 0.990:1e-2");
}

Test(calibration, the_last_segment_is_a_decade_where_it_can_be)
{
	/* 3e-2 is the last of 500, and the decade before it would be nearly all; of 4000 it is 3e-3. */
	expect_points(500, "0.500:5e-1, 0.900:1e-1, 0.970:3e-2");
	expect_points(4000, "0.500:5e-1, 0.900:1e-1, 0.970:3e-2, 0.997:3e-3");
}

Test(calibration, cosines_are_rounded_to_the_safe_side)
{
	/* A half of 130 from 65 / 130 on; a tenth of them are the 13 from 117 / 130 = 0.9 on; of 140, 126 on.
	 */
	expect_points(130, "0.500:5e-1, 0.900:1e-1");
	/* 14 of 145 are from 131 / 145 = 0.9034… on, 72 from 73 / 145 = 0.5034… on. */
	expect_points(145, "0.504:5e-1, 0.904:1e-1");
}
