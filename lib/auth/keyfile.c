/* Changing the file of keys: lines are added and taken out, and all others stay as they were written. */
#include "lib/auth/keyring.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/base/banned.h"

#define SECRET_BYTES   32
#define FILE_MAX_BYTES (4 << 20)

FM_DEFINE_CLEANUP(struct fm_keyring *, fm_keyring_free);

/* A file of keys that is being changed. */
struct change {
	int directory_fd; /* locked */
	uid_t owner;
	gid_t group;
	char *text; /* as it was; NULL without a file */
};

static void change_done(struct change *change)
{
	if (change->directory_fd >= 0)
		close(change->directory_fd);
	free(change->text);
}

/* The file is replaced by each change: what is locked is its directory. */
static enum fm_status begin(const char *path, struct change *change, struct fm_error *err)
{
	const char *slash = strrchr(path, '/');
	fm_autofree char *directory =
	        !slash ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
	fm_cleanup(fm_keyring_freep) struct fm_keyring *keyring = NULL;
	struct stat info, file;
	size_t length;

	if (!directory)
		return fm_fail(err, FM_E_NOMEM, "no memory to change %s", path);
	change->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (change->directory_fd < 0 || fstat(change->directory_fd, &info) < 0)
		return fm_fail_errno(err, errno, "cannot open %s, where the keys are kept", directory);
	if (flock(change->directory_fd, LOCK_EX) < 0)
		return fm_fail_errno(err, errno, "cannot lock %s", directory);
	if (stat(path, &file) == 0)
		info = file;
	else if (errno != ENOENT)
		return fm_fail_errno(err, errno, "cannot open %s", path);
	change->owner = info.st_uid;
	change->group = info.st_gid;
	enum fm_status status = fm_file_read(path, FILE_MAX_BYTES, &change->text, &length, err);
	if (status == FM_E_NOT_FOUND)
		return FM_OK;
	return status ? status : fm_keyring_parse(change->text, path, &keyring, err);
}

static enum fm_status end(
        const char *path, const struct change *change, const struct fm_buf *text, struct fm_error *err)
{
	fm_cleanup(fm_keyring_freep) struct fm_keyring *keyring = NULL;
	enum fm_status status = fm_keyring_parse(text->data ? text->data : "", path, &keyring, err);

	if (!status)
		status = fm_file_write(path, text->data ? text->data : "", text->length, 0600, err);
	/* Root makes keys for a service that runs as somebody else. */
	if (!status && geteuid() == 0 && change->owner != 0 && chown(path, change->owner, change->group) < 0)
		status =
		        fm_fail_errno(err, errno, "cannot give %s to user %u", path, (unsigned)change->owner);
	return status;
}

static bool usable(const char *text)
{
	size_t length = strlen(text);

	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	}
	return length <= FM_KEY_NAME_MAX_BYTES;
}

static enum fm_status put_field(struct fm_buf *out, const char *name, const char *value, struct fm_error *err)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	enum fm_status status = fm_buf_printf(out, err, " %s=", name);

	for (; !status && *value; value++)
		status = fm_buf_printf(
		        out, err, strchr(plain, *value) ? "%c" : "%%%02X", (unsigned char)*value);
	return status;
}

static enum fm_status put_key(
        struct fm_buf *out, const struct fm_key_wish *wish, const char *digest, struct fm_error *err)
{
	time_t now = time(NULL);
	char created[FM_KEY_CREATED];
	struct tm utc;

	gmtime_r(&now, &utc);
	strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", &utc);
	enum fm_status status = fm_buf_printf(
	        out, err, "sha256=%s role=%s created=%s", digest, fm_role_name(wish->role), created);
	for (size_t i = 0; !status && i < wish->collection_count; i++)
		status = put_field(out, "collection", wish->collections[i], err);
	if (!status && wish->name[0])
		status = put_field(out, "name", wish->name, err);
	return status ? status : fm_buf_append(out, "\n", 1, err);
}

static enum fm_status check_wish(const struct fm_key_wish *wish, struct fm_error *err)
{
	if (!usable(wish->name))
		return fm_fail(err, FM_E_INVALID,
		        "a key's name has at most %d bytes and no control characters", FM_KEY_NAME_MAX_BYTES);
	if (wish->collection_count > FM_KEY_COLLECTIONS_MAX)
		return fm_fail(err, FM_E_INVALID, "a key is bound to at most %d collections",
		        FM_KEY_COLLECTIONS_MAX);
	for (size_t i = 0; i < wish->collection_count; i++) {
		if (!wish->collections[i][0] || !usable(wish->collections[i]))
			return fm_fail(err, FM_E_INVALID, "\"%s\" can be no collection's name",
			        wish->collections[i]);
	}
	return FM_OK;
}

enum fm_status fm_keyring_add(const char *path, const struct fm_key_wish *wish, char ret_text[FM_KEY_TEXT],
        char ret_id[FM_KEY_ID], struct fm_error *err)
{
	fm_cleanup(change_done) struct change change = {.directory_fd = -1};
	fm_cleanup(fm_buf_done) struct fm_buf text = {0};
	unsigned char secret[SECRET_BYTES];
	char key[FM_KEY_TEXT] = "fm_", digest[FM_SHA256_HEX];
	enum fm_status status = check_wish(wish, err);

	if (!status && getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		status = fm_fail_errno(err, errno, "no random bits for a key");
	if (!status)
		status = begin(path, &change, err);
	if (status)
		return status;
	for (size_t i = 0; i < SECRET_BYTES; i++)
		snprintf(key + 3 + 2 * i, 3, "%02x", secret[i]);
	fm_sha256_hex(key, FM_KEY_TEXT - 1, digest);

	fm_buf_init(&text, FILE_MAX_BYTES);
	size_t length = change.text ? strlen(change.text) : 0;
	if (length)
		status = fm_buf_append(&text, change.text, length, err);
	if (!status && length && change.text[length - 1] != '\n')
		status = fm_buf_append(&text, "\n", 1, err);
	if (!status)
		status = put_key(&text, wish, digest, err);
	if (!status)
		status = end(path, &change, &text, err);
	if (!status) {
		snprintf(ret_text, FM_KEY_TEXT, "%s", key);
		snprintf(ret_id, FM_KEY_ID, "%.12s", digest);
	}
	fm_wipe(secret, sizeof(secret));
	fm_wipe(key, sizeof(key));
	return status;
}

/* Whether the line is this key's. It has been parsed: the digest is there once. */
static bool is_of(const char *line, size_t length, const char *id)
{
	static const char field[] = "sha256=";
	const char *at = line[0] == '#' ? NULL : memmem(line, length, field, sizeof(field) - 1);

	return at && strncasecmp(at + sizeof(field) - 1, id, FM_KEY_ID - 1) == 0;
}

enum fm_status fm_keyring_remove(const char *path, const char *id, struct fm_error *err)
{
	fm_cleanup(change_done) struct change change = {.directory_fd = -1};
	fm_cleanup(fm_buf_done) struct fm_buf text = {0};
	enum fm_status status = begin(path, &change, err);
	bool found = false;

	if (!status && !change.text)
		status = fm_fail(err, FM_E_NOT_FOUND, "there is no %s", path);
	fm_buf_init(&text, FILE_MAX_BYTES);
	for (const char *line = change.text; !status && *line;) {
		size_t length = strcspn(line, "\n");
		length += line[length] == '\n';
		if (strlen(id) == FM_KEY_ID - 1 && is_of(line, length, id))
			found = true;
		else
			status = fm_buf_append(&text, line, length, err);
		line += length;
	}
	if (!status && !found)
		status = fm_fail(err, FM_E_NOT_FOUND, "%s holds no key %.32s", path, id);
	return status ? status : end(path, &change, &text, err);
}
