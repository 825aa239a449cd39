#include "lib/base/buf.h"
#include "lib/base/cleanup.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(buf, grows_and_keeps_a_nul_behind)
{
	fm_cleanup(fm_buf_done) struct fm_buf buf;
	struct fm_error err;
	char expected[5000];

	fm_buf_init(&buf, 100000);
	cr_assert_null(buf.data);
	for (int i = 0; i < 5000; i++) {
		expected[i] = (char)('a' + i % 26);
		cr_assert_eq(fm_buf_append(&buf, &expected[i], 1, &err), FM_OK);
		cr_assert_eq(buf.data[buf.length], '\0');
	}
	cr_assert_eq(buf.length, sizeof(expected));
	cr_assert_eq(memcmp(buf.data, expected, sizeof(expected)), 0);
}

Test(buf, stops_at_its_maximum_and_keeps_what_it_had)
{
	fm_cleanup(fm_buf_done) struct fm_buf buf;
	struct fm_error err;

	fm_buf_init(&buf, 10);
	cr_assert_eq(fm_buf_append(&buf, "0123456789", 10, &err), FM_OK);
	cr_assert_eq(fm_buf_append(&buf, "", 0, &err), FM_OK);
	cr_assert_eq(fm_buf_append(&buf, "x", 1, &err), FM_E_TOO_LARGE);
	cr_assert_eq(err.status, FM_E_TOO_LARGE);
	cr_assert_str_eq(err.message, "more than 10 bytes");
	cr_assert_eq(fm_buf_printf(&buf, &err, "%d", 1), FM_E_TOO_LARGE);
	cr_assert_str_eq(buf.data, "0123456789");
	cr_assert_eq(buf.length, 10);
	cr_assert_leq(buf.capacity, 256, "no more is taken than the maximum asks for");
}

Test(buf, an_enormous_length_does_not_wrap)
{
	fm_cleanup(fm_buf_done) struct fm_buf buf;

	fm_buf_init(&buf, SIZE_MAX);
	cr_assert_eq(fm_buf_append(&buf, "abc", 3, NULL), FM_OK);
	cr_assert_eq(fm_buf_append(&buf, "abc", SIZE_MAX - 1, NULL), FM_E_TOO_LARGE);
	cr_assert_eq(fm_buf_append(&buf, "abc", SIZE_MAX - 3, NULL), FM_E_TOO_LARGE);
	cr_assert_str_eq(buf.data, "abc");
}

Test(buf, a_maximum_of_nothing_takes_nothing)
{
	fm_cleanup(fm_buf_done) struct fm_buf buf = {0};

	cr_assert_eq(fm_buf_append(&buf, "x", 1, NULL), FM_E_TOO_LARGE);
	cr_assert_eq(buf.length, 0);
}

Test(buf, keeps_bytes_of_every_value)
{
	fm_cleanup(fm_buf_done) struct fm_buf buf;

	fm_buf_init(&buf, 100);
	cr_assert_eq(fm_buf_append(&buf, "a\0b\xff", 4, NULL), FM_OK);
	cr_assert_eq(buf.length, 4);
	cr_assert_eq(memcmp(buf.data, "a\0b\xff", 5), 0);
}

Test(buf, printf_appends)
{
	fm_cleanup(fm_buf_done) struct fm_buf buf;
	char text[1000];

	fm_buf_init(&buf, 100000);
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	cr_assert_eq(fm_buf_printf(&buf, NULL, "%s=%d;", "a", 1), FM_OK);
	cr_assert_eq(fm_buf_printf(&buf, NULL, "%s", text), FM_OK);
	cr_assert_eq(fm_buf_printf(&buf, NULL, "%s", ""), FM_OK);
	cr_assert_eq(buf.length, 4 + sizeof(text) - 1);
	cr_assert_eq(strncmp(buf.data, "a=1;yyy", 7), 0);
	cr_assert_str_eq(buf.data + 4, text);
}

Test(buf, take_hands_out_and_empties)
{
	fm_cleanup(fm_buf_done) struct fm_buf buf;
	size_t length = 99;

	fm_buf_init(&buf, 100);
	cr_assert_null(fm_buf_take(&buf, &length));
	cr_assert_eq(length, 0);
	cr_assert_eq(fm_buf_append(&buf, "abc", 3, NULL), FM_OK);

	fm_autofree char *taken = fm_buf_take(&buf, &length);
	cr_assert_str_eq(taken, "abc");
	cr_assert_eq(length, 3);
	cr_assert_null(buf.data);
	cr_assert_eq(buf.maximum, 100);
	cr_assert_eq(fm_buf_append(&buf, "d", 1, NULL), FM_OK);
	cr_assert_str_eq(buf.data, "d");
	cr_assert_str_eq(taken, "abc");
}
