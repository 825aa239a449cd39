#include "cli/progress.h"

#include <criterion/criterion.h>
#include <string.h>

#include "lib/base/banned.h"

Test(progress, shows_count_rate_and_time_left)
{
	char line[160];

	fm_progress_format(line, sizeof(line), 120, "photos", 50, 200, 10);
	cr_expect_str_eq(line, "[######------------------] 50/200 photos, 5.0/s, 0:30 left");
	fm_progress_format(line, sizeof(line), 120, "photos", 200, 200, 40);
	cr_expect_str_eq(line, "[########################] 200/200 photos, 5.0/s, 0:00 left");
	fm_progress_format(line, sizeof(line), 120, "photos", 1, 1000, 1);
	cr_expect_str_eq(line, "[------------------------] 1/1000 photos, 1.0/s, 16:39 left");
}

Test(progress, knows_nothing_before_the_first)
{
	char line[160];

	fm_progress_format(line, sizeof(line), 120, "photos", 0, 3, 0);
	cr_expect_str_eq(line, "[------------------------] 0/3 photos, 0.0/s");
}

Test(progress, stays_within_the_line)
{
	char line[160];

	cr_expect_eq(fm_progress_format(line, sizeof(line), 20, "photos", 1, 2, 1), 20);
	cr_expect_eq(strlen(line), 20);
}
