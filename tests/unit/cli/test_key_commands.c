#include "lib/auth/keyring.h"
#include "tests/support/ctl.h"

#include <criterion/criterion.h>
#include <string.h>

#include "lib/base/banned.h"

TEST_CTL_SUITE(key_commands);

Test(key_commands, created_listed_revoked)
{
	char path[TEST_CTL_PATH], id[FM_KEY_ID];
	struct fm_keyring *keyring = NULL;

	test_ctl_path("keys", path);
	struct test_ctl_result result = test_ctl_run("key", "create", "--role", "enroll", "--name",
	        "front door", "--collection", "staff,guests", "--file", path, NULL);
	cr_assert_eq(result.status, 0, "%s", result.err);
	cr_assert_eq(strlen(result.out), FM_KEY_TEXT, "the key and a line end, nothing else: %s", result.out);
	result.out[FM_KEY_TEXT - 1] = '\0';
	cr_assert_eq(fm_keyring_read(path, &keyring, NULL), FM_OK);
	const struct fm_key *key = fm_keyring_find(keyring, result.out);
	cr_assert_not_null(key);
	memcpy(id, key->id, sizeof(id));
	cr_expect_not_null(strstr(result.err, id), "%s", result.err);
	test_ctl_result_done(&result);
	fm_keyring_free(keyring);

	result = test_ctl_run("key", "list", "--file", path, NULL);
	cr_expect_eq(result.status, 0, "%s", result.err);
	cr_expect(strstr(result.out, id) && strstr(result.out, "enroll") &&
	                  strstr(result.out, "staff,guests  front door"),
	        "%s", result.out);
	test_ctl_result_done(&result);

	result = test_ctl_run("key", "revoke", "--file", path, id, NULL);
	cr_expect_eq(result.status, 0, "%s", result.err);
	test_ctl_result_done(&result);
	test_ctl_expect_failure(test_ctl_run("key", "revoke", "--file", path, id, NULL), "holds no key");
	result = test_ctl_run("key", "list", "--file", path, NULL);
	cr_expect_null(strstr(result.out, id), "%s", result.out);
	test_ctl_result_done(&result);
}

Test(key_commands, mistakes)
{
	char path[TEST_CTL_PATH];

	test_ctl_path("keys", path);
	test_ctl_expect_usage_error(test_ctl_run("key", "create", "--file", path, NULL), "--role");
	test_ctl_expect_usage_error(test_ctl_run("key", "create", "--role", "root", "--file", path, NULL),
	        "admin, enroll, identify");
	test_ctl_expect_usage_error(test_ctl_run("key", "revoke", "--file", path, NULL), "ID");
	test_ctl_expect_failure(test_ctl_run("key", "list", "--file", path, NULL), path);
	test_ctl_expect_failure(
	        test_ctl_run("key", "create", "--role", "admin", "--collection", "a,", "--file", path, NULL),
	        "collection");
}
