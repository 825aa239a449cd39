#include "lib/auth/keyring.h"

#include "lib/base/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define DIGEST "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" /* of "test" */

static char directory[32], path[64];
static struct fm_error err;

static void begin(void)
{
	snprintf(directory, sizeof(directory), "/tmp/facematch-keys-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/keys", directory);
}

static void end(void)
{
	unlink(path);
	rmdir(directory);
}

TestSuite(keyring, .init = begin, .fini = end);

static enum fm_status parse(const char *text, struct fm_keyring **ret_keyring)
{
	return fm_keyring_parse(text, "keys", ret_keyring, &err);
}

Test(keyring, a_line_is_a_key)
{
	struct fm_keyring *keyring = NULL;

	cr_assert_eq(parse("# ours\n\nsha256=" DIGEST " role=enroll created=2026-11-23T04:30:00Z "
	                   "collection=staff collection=a%20b%25 name=front%20door\r\n",
	                     &keyring),
	        FM_OK, "%s", err.message);
	cr_assert_eq(keyring->count, 1);
	const struct fm_key *key = fm_keyring_find(keyring, "test");
	cr_assert_not_null(key);
	cr_expect_str_eq(key->id, "9f86d081884c");
	cr_expect_eq(key->role, FM_ROLE_ENROLL);
	cr_expect_str_eq(key->name, "front door");
	cr_expect(fm_key_covers(key, "staff"));
	cr_expect(fm_key_covers(key, "a b%"));
	cr_expect_not(fm_key_covers(key, "default"));
	cr_expect_null(fm_keyring_find(keyring, "Test"));
	cr_expect_null(fm_keyring_find(keyring, ""));
	fm_keyring_free(keyring);
}

Test(keyring, malformed_lines_are_named)
{
	static const struct {
		const char *text, *wanted;
	} wrong[] = {
	        {"\nsha256=12 role=admin", "keys:2: a malformed sha256"},
	        {"sha256=" DIGEST, "keys:1: no sha256 or no role"},
	        {"role=admin", "keys:1: no sha256 or no role"},
	        {"sha256=" DIGEST " role=anyone", "keys:1: an unknown role"},
	        {"sha256=" DIGEST " role=admin role=admin", "keys:1: a field twice"},
	        {"sha256=" DIGEST " role=admin colour=red", "keys:1: an unknown field"},
	        {"sha256=" DIGEST " role=admin nonsense", "keys:1: a field without a value"},
	        {"sha256=" DIGEST " role=admin name=%zz", "keys:1: a malformed value"},
	        {"sha256=" DIGEST " role=admin name=%00", "keys:1: a malformed value"},
	        {"sha256=" DIGEST " role=admin name=%4", "keys:1: a malformed value"},
	        {"sha256=" DIGEST " role=admin created=today", "keys:1: a malformed time"},
	        {"sha256=" DIGEST " role=admin collection=", "keys:1: an empty collection"},
	        {"sha256=" DIGEST " role=admin\nsha256=" DIGEST " role=enroll",
	                "keys:2: a key that is there"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct fm_keyring *keyring = NULL;
		cr_expect_eq(parse(wrong[i].text, &keyring), FM_E_INVALID, "%s", wrong[i].text);
		cr_expect(strstr(err.message, wrong[i].wanted), "%s: %s", wrong[i].text, err.message);
		cr_expect_null(keyring);
	}
}

Test(keyring, too_many_keys)
{
	char *text = calloc(FM_KEYS_MAX + 1, 96);
	size_t used = 0;
	struct fm_keyring *keyring = NULL;

	for (int i = 0; i <= FM_KEYS_MAX; i++) {
		used += (size_t)snprintf(text + used, 96, "sha256=%06x%058d role=identify\n", i, 0);
		if (i == FM_KEYS_MAX - 1) {
			cr_expect_eq(parse(text, &keyring), FM_OK, "%s", err.message);
			fm_keyring_free(keyring);
		}
	}
	cr_expect_eq(parse(text, &keyring), FM_E_TOO_LARGE);
	free(text);
}

Test(keyring, added_listed_and_removed)
{
	const char *const collections[] = {"staff", "b, c"};
	const struct fm_key_wish bound = {.role = FM_ROLE_IDENTIFY,
	        .name = "door = 1",
	        .collection_count = 2,
	        .collections = collections};
	const struct fm_key_wish all = {.role = FM_ROLE_ADMIN, .name = ""};
	char first[FM_KEY_TEXT], second[FM_KEY_TEXT], first_id[FM_KEY_ID], second_id[FM_KEY_ID];
	struct fm_keyring *keyring = NULL;
	struct stat info;

	cr_assert_eq(fm_keyring_add(path, &bound, first, first_id, &err), FM_OK, "%s", err.message);
	cr_assert_eq(fm_keyring_add(path, &all, second, second_id, &err), FM_OK, "%s", err.message);
	cr_expect_eq(strlen(first), FM_KEY_TEXT - 1);
	cr_expect_str_neq(first, second);
	cr_assert_eq(stat(path, &info), 0);
	cr_expect_eq(info.st_mode & 07777, 0600);
	cr_assert_eq(fm_keyring_read(path, &keyring, &err), FM_OK, "%s", err.message);
	const struct fm_key *key = fm_keyring_find(keyring, first);
	cr_assert_not_null(key);
	cr_expect_str_eq(key->id, first_id);
	cr_expect_str_eq(key->name, "door = 1");
	cr_expect_str_eq(key->collections[1], "b, c");
	cr_expect_eq(fm_keyring_find(keyring, second)->role, FM_ROLE_ADMIN);
	fm_keyring_free(keyring);

	cr_expect_eq(fm_keyring_remove(path, "000000000000", &err), FM_E_NOT_FOUND);
	cr_expect_eq(fm_keyring_remove(path, "", &err), FM_E_NOT_FOUND);
	cr_assert_eq(fm_keyring_remove(path, first_id, &err), FM_OK, "%s", err.message);
	cr_assert_eq(fm_keyring_read(path, &keyring, &err), FM_OK);
	cr_expect_null(fm_keyring_find(keyring, first));
	cr_expect_not_null(fm_keyring_find(keyring, second));
	fm_keyring_free(keyring);
}

Test(keyring, the_key_is_not_in_its_file)
{
	const struct fm_key_wish wish = {.role = FM_ROLE_IDENTIFY, .name = ""};
	char text[FM_KEY_TEXT], id[FM_KEY_ID], *file;
	size_t length;

	cr_assert_eq(fm_keyring_add(path, &wish, text, id, &err), FM_OK);
	cr_assert_eq(fm_file_read(path, 4096, &file, &length, &err), FM_OK);
	cr_expect_null(strstr(file, text + 3));
	cr_expect_not_null(strstr(file, id));
	free(file);
}

Test(keyring, comments_survive_changes)
{
	static const char before[] = "# the door\nsha256=" DIGEST " role=admin\n# the end";
	const struct fm_key_wish wish = {.role = FM_ROLE_IDENTIFY, .name = ""};
	char text[FM_KEY_TEXT], id[FM_KEY_ID], *file;
	size_t length;

	cr_assert_eq(fm_file_write(path, before, strlen(before), 0600, &err), FM_OK);
	cr_assert_eq(fm_keyring_add(path, &wish, text, id, &err), FM_OK, "%s", err.message);
	cr_assert_eq(fm_keyring_remove(path, "9f86d081884c", &err), FM_OK, "%s", err.message);
	cr_assert_eq(fm_file_read(path, 4096, &file, &length, &err), FM_OK);
	cr_expect_eq(strncmp(file, "# the door\n# the end\nsha256=", 27), 0, "%s", file);
	free(file);
}

Test(keyring, a_file_that_others_can_read_is_refused)
{
	struct fm_keyring *keyring = NULL;

	cr_assert_eq(fm_file_write(path, "", 0, 0640, &err), FM_OK);
	cr_expect_eq(fm_keyring_read(path, &keyring, &err), FM_E_INVALID);
	cr_expect(strstr(err.message, "chmod 600"), "%s", err.message);
	/* systemd lets the service in by an ACL, which shows as the group's right to read. */
	setenv("CREDENTIALS_DIRECTORY", directory, 1);
	cr_expect_eq(fm_keyring_read(path, &keyring, &err), FM_OK, "%s", err.message);
	fm_keyring_free(keyring);
	chmod(path, 0644);
	cr_expect_eq(fm_keyring_read(path, &keyring, &err), FM_E_INVALID);
	unsetenv("CREDENTIALS_DIRECTORY");
	chmod(path, 0600);
	cr_expect_eq(fm_keyring_read(path, &keyring, &err), FM_OK);
	cr_expect_eq(keyring->count, 0);
	fm_keyring_free(keyring);
	if (geteuid() == 0) {
		cr_assert_eq(chown(path, 65534, 65534), 0);
		cr_expect_eq(fm_keyring_read(path, &keyring, &err), FM_E_INVALID);
		cr_expect(strstr(err.message, "belongs to user 65534"), "%s", err.message);
	}
	unlink(path);
	cr_expect_eq(fm_keyring_read(path, &keyring, &err), FM_E_NOT_FOUND);
}

Test(keyring, wishes_that_cannot_be)
{
	char text[FM_KEY_TEXT], id[FM_KEY_ID];
	const char *const empty[] = {""};
	const struct fm_key_wish line = {.role = FM_ROLE_ADMIN, .name = "a\nb"};
	const struct fm_key_wish none = {
	        .role = FM_ROLE_ADMIN, .name = "", .collection_count = 1, .collections = empty};

	cr_expect_eq(fm_keyring_add(path, &line, text, id, &err), FM_E_INVALID);
	cr_expect_eq(fm_keyring_add(path, &none, text, id, &err), FM_E_INVALID);
	cr_expect_neq(access(path, F_OK), 0);
	cr_expect_eq(fm_keyring_add("/nonexistent/keys", &(struct fm_key_wish){.name = ""}, text, id, &err),
	        FM_E_NOT_FOUND);
}
