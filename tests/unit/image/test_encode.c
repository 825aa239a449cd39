#include "lib/image/encode.h"

#include "tests/unit/image/decoding.h"

#include <string.h>

#include "lib/base/banned.h"

#define HEAD_BYTES 220 /* lib/gallery/layout.h counts on it */

static struct test_bytes encode(const struct fm_image *image, int quality)
{
	struct test_bytes bytes = {0};
	struct fm_error err = {0};

	cr_assert_eq(fm_image_encode_jpeg(image, quality, &bytes.data, &bytes.length, &err), FM_OK, "%s",
	        err.message);
	return bytes;
}

Test(encode, what_is_written_reads_the_same)
{
	fm_cleanup(fm_image_done) struct fm_image scene = test_scene(WIDTH, HEIGHT);
	fm_cleanup(test_bytes_done) struct test_bytes fine = encode(&scene, 95), again = encode(&scene, 95),
	                                              coarse = encode(&scene, 30);
	fm_cleanup(fm_image_done) struct fm_image image = decode_at(&fine, 1);

	cr_expect_eq(probe(&fine).format, FM_IMAGE_JPEG);
	cr_expect_eq(probe(&fine).width_px, WIDTH);
	cr_expect_eq(probe(&fine).height_px, HEIGHT);
	cr_expect_lt(difference(&scene, &image), 16);
	cr_expect_lt(coarse.length, fine.length);
	cr_assert_eq(again.length, fine.length);
	cr_expect_arr_eq(again.data, fine.data, fine.length);
}

/* The first bytes tell nothing about a picture but its size. */
Test(encode, heads_of_all_pictures_are_alike)
{
	struct fm_image scene = test_scene(112, 112), black = {0};
	struct fm_error err;

	cr_assert_eq(fm_image_create(112, 112, &black, &err), FM_OK);
	struct test_bytes one = encode(&scene, 95), other = encode(&black, 95);

	cr_assert_gt(other.length, HEAD_BYTES);
	cr_expect_arr_eq(one.data, other.data, HEAD_BYTES);
	test_bytes_done(&one);
	test_bytes_done(&other);
	fm_image_done(&scene);
	fm_image_done(&black);
}

Test(encode, nothing_is_refused)
{
	struct fm_image empty = {0};
	struct fm_error err;
	uint8_t *bytes = NULL;
	size_t length = 7;

	cr_expect_eq(fm_image_encode_jpeg(&empty, 95, &bytes, &length, &err), FM_E_INVALID);
	cr_expect_null(bytes);
	cr_expect_eq(length, 7);
}
