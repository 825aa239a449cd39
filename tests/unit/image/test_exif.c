#include "lib/image/exif.h"

#include "lib/base/cleanup.h"
#include "tests/support/photo.h"

#include <criterion/criterion.h>
#include <string.h>

#include "lib/base/banned.h"

Test(exif, reads_all_orientations_in_both_byte_orders)
{
	for (int orientation = 1; orientation <= 8; orientation++) {
		for (int big_endian = 0; big_endian < 2; big_endian++) {
			fm_cleanup(test_bytes_done) struct test_bytes exif =
			        test_exif(orientation, big_endian);
			cr_assert_eq(fm_exif_orientation(exif.data, exif.length), orientation);
		}
	}
}

Test(exif, skips_the_prefix_of_jpeg)
{
	fm_cleanup(test_bytes_done) struct test_bytes exif = test_exif(6, true);
	uint8_t prefixed[128] = "Exif\0";

	memcpy(prefixed + 6, exif.data, exif.length);
	cr_assert_eq(fm_exif_orientation(prefixed, exif.length + 6), 6);
}

Test(exif, takes_what_is_out_of_range_for_upright)
{
	static const int values[] = {0, 9, 255, 65535};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		fm_cleanup(test_bytes_done) struct test_bytes exif = test_exif(values[i], false);
		cr_assert_eq(fm_exif_orientation(exif.data, exif.length), 1, "value %d", values[i]);
	}
}

/* The orientation's entry is the second of 12 bytes after 10: byte 34 ends it. */
Test(exif, every_prefix_is_upright_or_complete)
{
	enum { ENTRY_END = 34 };
	fm_cleanup(test_bytes_done) struct test_bytes exif = test_exif(8, false);

	for (size_t length = 0; length <= exif.length; length++) {
		/* An exact copy, so that a sanitizer sees a read past its end. */
		uint8_t *copy = malloc(length ? length : 1);
		memcpy(copy, exif.data, length);
		cr_expect_eq(
		        fm_exif_orientation(copy, length), length >= ENTRY_END ? 8 : 1, "length %zu", length);
		free(copy);
	}
}

Test(exif, directory_offsets_that_leave_the_block_are_upright)
{
	static const uint32_t offsets[] = {0, 4, 45, 49, 50, 0x7FFFFFFF, 0xFFFFFFF8, 0xFFFFFFFF};

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		fm_cleanup(test_bytes_done) struct test_bytes exif = test_exif(3, false);
		for (int byte = 0; byte < 4; byte++)
			exif.data[4 + byte] = (uint8_t)(offsets[i] >> 8 * byte);
		cr_expect_eq(fm_exif_orientation(exif.data, exif.length), 1, "offset %u", offsets[i]);
	}
}

Test(exif, an_entry_count_beyond_the_block_is_cut)
{
	fm_cleanup(test_bytes_done) struct test_bytes exif = test_exif(5, false);

	exif.data[8] = exif.data[9] = 0xFF;
	cr_assert_eq(fm_exif_orientation(exif.data, exif.length), 5);
}

Test(exif, a_long_value_counts_and_other_types_do_not)
{
	fm_cleanup(test_bytes_done) struct test_bytes exif = test_exif(7, false);

	exif.data[24] = 4; /* LONG */
	cr_expect_eq(fm_exif_orientation(exif.data, exif.length), 7);
	exif.data[24] = 5; /* RATIONAL */
	cr_expect_eq(fm_exif_orientation(exif.data, exif.length), 1);
	exif.data[24] = 3;
	exif.data[26] = 2; /* two values */
	cr_expect_eq(fm_exif_orientation(exif.data, exif.length), 1);
}
