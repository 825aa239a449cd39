#include "lib/base/status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

Test(status, fail_writes_status_and_message)
{
	struct fm_error err = {0};

	cr_assert_eq(fm_fail(&err, FM_E_CORRUPT, "node %d of %s", 7, "a.onnx"), FM_E_CORRUPT);
	cr_assert_eq(err.status, FM_E_CORRUPT);
	cr_assert_str_eq(err.message, "node 7 of a.onnx");
}

Test(status, a_null_error_is_allowed)
{
	cr_assert_eq(fm_fail(NULL, FM_E_NOMEM, "%s", "text"), FM_E_NOMEM);
	cr_assert_eq(fm_fail_errno(NULL, ENOSPC, "text"), FM_E_STORAGE_FULL);
	cr_assert_eq(fm_fail_prefix(NULL, FM_E_IO, "text"), FM_E_IO);
}

Test(status, errno_becomes_a_status_and_a_reason)
{
	static const struct {
		int errnum;
		enum fm_status status;
	} cases[] = {
	        {ENOMEM, FM_E_NOMEM},
	        {ENOENT, FM_E_NOT_FOUND},
	        {EEXIST, FM_E_CONFLICT},
	        {ENOSPC, FM_E_STORAGE_FULL},
	        {EDQUOT, FM_E_STORAGE_FULL},
	        {EACCES, FM_E_IO},
	        {EIO, FM_E_IO},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fm_error err = {0};
		char expected[FM_ERROR_MESSAGE_MAX];

		cr_expect_eq(fm_fail_errno(&err, cases[i].errnum, "cannot open %s", "x"), cases[i].status);
		cr_expect_eq(err.status, cases[i].status);
		snprintf(expected, sizeof(expected), "cannot open x: %s", strerrordesc_np(cases[i].errnum));
		cr_expect_str_eq(err.message, expected);
	}
}

Test(status, an_unknown_errno_still_has_words)
{
	struct fm_error err = {0};

	cr_assert_eq(fm_fail_errno(&err, 99999, "cannot read x"), FM_E_IO);
	cr_assert_str_eq(err.message, "cannot read x: unknown error");
}

Test(status, prefixes_stack_from_inside_out)
{
	struct fm_error err = {0};

	fm_fail(&err, FM_E_TOO_LARGE, "width is 70000");
	cr_assert_eq(fm_fail_prefix(&err, err.status, "PNG header"), FM_E_TOO_LARGE);
	cr_assert_eq(fm_fail_prefix(&err, err.status, "photo %d", 2), FM_E_TOO_LARGE);
	cr_assert_eq(err.status, FM_E_TOO_LARGE);
	cr_assert_str_eq(err.message, "photo 2: PNG header: width is 70000");
}

Test(status, long_messages_are_cut_and_terminated)
{
	char text[2 * FM_ERROR_MESSAGE_MAX];
	/* Bytes after the message must not be touched. */
	struct {
		struct fm_error err;
		char guard[16];
	} guarded;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memset(&guarded, 'g', sizeof(guarded));

	fm_fail(&guarded.err, FM_E_INVALID, "%s", text);
	cr_expect_eq(strlen(guarded.err.message), FM_ERROR_MESSAGE_MAX - 1);
	fm_fail_errno(&guarded.err, EIO, "%s", text);
	cr_expect_eq(strlen(guarded.err.message), FM_ERROR_MESSAGE_MAX - 1);
	fm_fail_prefix(&guarded.err, FM_E_INVALID, "prefix");
	cr_expect_eq(strlen(guarded.err.message), FM_ERROR_MESSAGE_MAX - 1);
	cr_expect_eq(strncmp(guarded.err.message, "prefix: xxx", 11), 0);
	fm_fail_prefix(&guarded.err, FM_E_INVALID, "%s", text);
	cr_expect_eq(strlen(guarded.err.message), FM_ERROR_MESSAGE_MAX - 1);
	for (size_t i = 0; i < sizeof(guarded.guard); i++)
		cr_expect_eq(guarded.guard[i], 'g');
}

Test(status, every_status_has_a_name_of_its_own)
{
	for (int i = 0; i >= FM_E_INTERNAL; i--) {
		const char *name = fm_status_name((enum fm_status)i);
		cr_expect_str_neq(name, "unknown", "status %d", i);
		for (int j = 0; j > i; j--)
			cr_expect_str_neq(name, fm_status_name((enum fm_status)j), "%d and %d", i, j);
	}
	cr_expect_str_eq(fm_status_name(FM_OK), "ok");
	cr_expect_str_eq(fm_status_name(FM_E_NO_FACE), "no_face");
	cr_expect_str_eq(fm_status_name((enum fm_status)(FM_E_INTERNAL - 1)), "unknown");
	cr_expect_str_eq(fm_status_name((enum fm_status)1), "unknown");
}
