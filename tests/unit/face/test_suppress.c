/* Non-maximum suppression. */
#include "lib/face/detect.h"

#include <criterion/criterion.h>

#include "lib/base/banned.h"

Test(suppress, keeps_the_best_of_each_face)
{
	struct fm_detection found[] = {
	        {{100, 100, 50, 60}, 0.70F},
	        {{400, 100, 50, 60}, 0.80F},
	        {{104, 102, 50, 60}, 0.99F},
	        {{398, 95, 52, 66}, 0.75F},
	        {{96, 101, 55, 60}, 0.90F},
	};
	size_t count = fm_detect_suppress(found, 5, 0.4F);

	cr_assert_eq(count, 2);
	cr_expect_eq(found[0].score, 0.99F);
	cr_expect_eq(found[0].box.x_px, 104);
	cr_expect_eq(found[1].score, 0.80F);
}

Test(suppress, neighbours_stay)
{
	struct fm_detection found[] = {{{100, 100, 50, 60}, 0.9F}, {{130, 100, 50, 60}, 0.8F}}; /* IoU 0.25 */

	cr_expect_eq(fm_detect_suppress(found, 2, 0.4F), 2);
	found[0] = (struct fm_detection){{100, 100, 50, 60}, 0.9F};
	found[1] = (struct fm_detection){{130, 100, 50, 60}, 0.8F};
	cr_expect_eq(fm_detect_suppress(found, 2, 0.2F), 1, "the limit decides");
}

Test(suppress, no_face_stands_inside_another)
{
	struct fm_detection found[] = {
	        {{100, 100, 200, 260}, 0.95F}, {{150, 180, 60, 60}, 0.90F}}; /* IoU 0.07 */

	cr_expect_eq(fm_detect_suppress(found, 2, 0.4F), 1);
	cr_expect_eq(found[0].box.width_px, 200);
}

Test(suppress, does_not_depend_on_the_order_given)
{
	struct fm_detection a[] = {{{0, 0, 50, 60}, 0.9F}, {{3, 0, 50, 60}, 0.9F}, {{200, 0, 50, 60}, 0.9F}};
	struct fm_detection b[] = {a[2], a[1], a[0]};

	cr_assert_eq(fm_detect_suppress(a, 3, 0.4F), 2);
	cr_assert_eq(fm_detect_suppress(b, 3, 0.4F), 2);
	for (int i = 0; i < 2; i++)
		cr_expect_eq(a[i].box.x_px, b[i].box.x_px);
	cr_expect_eq(fm_detect_suppress(NULL, 0, 0.4F), 0);
}
