#include "lib/auth/keyring.h"

#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/banned.h"

#define FILE_MAX_BYTES  (4 << 20)
#define STATE_DIRECTORY "/var/lib/facematchd"

FM_DEFINE_CLEANUP(struct fm_keyring *, fm_keyring_free);

static const char *const role_names[] = {
        [FM_ROLE_ADMIN] = "admin",
        [FM_ROLE_ENROLL] = "enroll",
        [FM_ROLE_IDENTIFY] = "identify",
        [FM_ROLE_ANYONE] = "anyone",
};

const char *fm_role_name(enum fm_role role)
{
	return role_names[role];
}

enum fm_status fm_role_parse(const char *name, enum fm_role *ret_role, struct fm_error *err)
{
	for (size_t i = 0; i < FM_ROLE_ANYONE; i++) {
		if (strcmp(name, role_names[i]) == 0) {
			*ret_role = (enum fm_role)i;
			return FM_OK;
		}
	}
	return fm_fail(err, FM_E_INVALID, "\"%.64s\" is no role; there are " FM_ROLE_NAMES, name);
}

static void key_free(struct fm_key *key)
{
	if (!key)
		return;
	free(key->name);
	for (size_t i = 0; i < key->collection_count; i++)
		free(key->collections[i]);
	free(key);
}
FM_DEFINE_CLEANUP(struct fm_key *, key_free);

void fm_keyring_free(struct fm_keyring *keyring)
{
	if (!keyring)
		return;
	for (size_t i = 0; i < keyring->count; i++)
		key_free(keyring->keys[i]);
	free(keyring->keys);
	free(keyring);
}

/* ---- reading ---- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* In place. False: malformed, a NUL, or too long. */
static bool decode(char *text)
{
	char *out = text;

	for (const char *in = text; *in; in++) {
		if (*in != '%') {
			*out++ = *in;
			continue;
		}
		int high = digit(in[1]), low = high < 0 ? -1 : digit(in[2]);
		if (low < 0 || high + low == 0)
			return false;
		*out++ = (char)(high << 4 | low);
		in += 2;
	}
	*out = '\0';
	return (size_t)(out - text) <= FM_KEY_NAME_MAX_BYTES;
}

static bool read_digest(const char *text, struct fm_key *key)
{
	if (strlen(text) != (size_t)2 * FM_SHA256_BYTES)
		return false;
	for (size_t i = 0; i < FM_SHA256_BYTES; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		key->digest[i] = (unsigned char)(high << 4 | low);
	}
	for (size_t i = 0; i < (FM_KEY_ID - 1) / 2; i++)
		snprintf(key->id + 2 * i, 3, "%02x", key->digest[i]);
	return true;
}

enum field { FIELD_DIGEST = 1, FIELD_ROLE = 2, FIELD_CREATED = 4, FIELD_NAME = 8 };

/* One "name=value". Returns what is wrong with it, or NULL. */
static const char *take_field(struct fm_key *key, const char *name, char *value, unsigned *seen)
{
	unsigned field = strcmp(name, "sha256") == 0    ? FIELD_DIGEST
	                 : strcmp(name, "role") == 0    ? FIELD_ROLE
	                 : strcmp(name, "created") == 0 ? FIELD_CREATED
	                 : strcmp(name, "name") == 0    ? FIELD_NAME
	                                                : 0;

	if (!field && strcmp(name, "collection") != 0)
		return "an unknown field";
	if (*seen & field)
		return "a field twice";
	*seen |= field;
	if (!decode(value))
		return "a malformed value";
	switch (field) {
	case FIELD_DIGEST: return read_digest(value, key) ? NULL : "a malformed sha256";
	case FIELD_ROLE: return fm_role_parse(value, &key->role, NULL) ? "an unknown role" : NULL;
	case FIELD_CREATED:
		if (strlen(value) != FM_KEY_CREATED - 1)
			return "a malformed time";
		snprintf(key->created, sizeof(key->created), "%s", value);
		return NULL;
	case FIELD_NAME: return (key->name = strdup(value)) ? NULL : "no memory for it";
	default: break;
	}
	if (!*value || key->collection_count == FM_KEY_COLLECTIONS_MAX)
		return "an empty collection, or too many";
	key->collections[key->collection_count] = strdup(value);
	return key->collections[key->collection_count] ? (key->collection_count++, NULL) : "no memory for it";
}

/* Returns what is wrong with the line, or NULL. */
static const char *read_line(char *line, struct fm_key *key)
{
	unsigned seen = 0;
	char *rest = line;

	for (char *field; (field = strsep(&rest, " \t"));) {
		if (!*field)
			continue;
		char *value = strchr(field, '=');
		if (!value)
			return "a field without a value";
		*value++ = '\0';
		const char *wrong = take_field(key, field, value, &seen);
		if (wrong)
			return wrong;
	}
	if (!(seen & FIELD_DIGEST) || !(seen & FIELD_ROLE))
		return "no sha256 or no role";
	if (!key->name && !(key->name = strdup("")))
		return "no memory for it";
	return NULL;
}

static enum fm_status append(struct fm_keyring *keyring, struct fm_key *key, struct fm_error *err)
{
	if (keyring->count == FM_KEYS_MAX)
		return fm_fail(
		        err, FM_E_TOO_LARGE, "there are %d keys, as many as there may be", FM_KEYS_MAX);
	struct fm_key **keys = realloc(keyring->keys, (keyring->count + 1) * sizeof(keyring->keys[0]));
	if (!keys)
		return fm_fail(err, FM_E_NOMEM, "no memory for the keys");
	keyring->keys = keys;
	keys[keyring->count++] = key;
	return FM_OK;
}

enum fm_status fm_keyring_parse(
        const char *text, const char *origin, struct fm_keyring **ret_keyring, struct fm_error *err)
{
	fm_cleanup(fm_keyring_freep) struct fm_keyring *keyring = fm_calloc(1, sizeof(*keyring));
	fm_autofree char *copy = strdup(text);
	char *rest = copy;
	int number = 0;

	if (!keyring || !copy)
		return fm_fail(err, FM_E_NOMEM, "no memory for the keys");
	for (char *line; (line = strsep(&rest, "\n"));) {
		number++;
		line += strspn(line, " \t\r");
		line[strcspn(line, "\r")] = '\0';
		if (!*line || *line == '#')
			continue;
		fm_cleanup(key_freep) struct fm_key *key = fm_calloc(1, sizeof(*key));
		const char *wrong = key ? read_line(line, key) : "no memory for it";
		for (size_t i = 0; !wrong && i < keyring->count; i++) {
			if (memcmp(keyring->keys[i]->id, key->id, FM_KEY_ID) == 0)
				wrong = "a key that is there already";
		}
		if (wrong)
			return fm_fail(err, FM_E_INVALID, "%s:%d: %s", origin, number, wrong);
		enum fm_status status = append(keyring, key, err);
		if (status)
			return fm_fail_prefix(err, status, "%s", origin);
		key = NULL;
	}
	*ret_keyring = fm_steal(keyring);
	return FM_OK;
}

static enum fm_status check_access(const char *path, struct fm_error *err)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	bool credential =
	        credentials && credentials[0] && strncmp(path, credentials, strlen(credentials)) == 0;
	mode_t forbidden = credential ? S_IRWXO | S_IWGRP | S_IXGRP : S_IRWXO | S_IRWXG;
	struct stat info;

	if (stat(path, &info) < 0)
		return fm_fail_errno(err, errno, "cannot open the keys in %s", path);
	if (!S_ISREG(info.st_mode))
		return fm_fail(err, FM_E_INVALID, "%s is not a file of keys", path);
	if (info.st_mode & forbidden)
		return fm_fail(err, FM_E_INVALID,
		        "%s can be read or changed by others (mode %04o): chmod 600 %s", path,
		        (unsigned)info.st_mode & 07777, path);
	if (info.st_uid != 0 && info.st_uid != geteuid())
		return fm_fail(err, FM_E_INVALID,
		        "%s belongs to user %u, who is neither root nor this service", path,
		        (unsigned)info.st_uid);
	return FM_OK;
}

enum fm_status fm_keyring_read(const char *path, struct fm_keyring **ret_keyring, struct fm_error *err)
{
	fm_autofree char *text = NULL;
	size_t length;
	enum fm_status status = check_access(path, err);

	if (!status)
		status = fm_file_read(path, FILE_MAX_BYTES, &text, &length, err);
	if (status)
		return status;
	if (strlen(text) != length)
		return fm_fail(err, FM_E_INVALID, "%s holds a NUL character", path);
	return fm_keyring_parse(text, path, ret_keyring, err);
}

/* ---- asking ---- */

const struct fm_key *fm_keyring_find(const struct fm_keyring *keyring, const char *text)
{
	const struct fm_key *found = NULL;
	unsigned char digest[FM_SHA256_BYTES];

	fm_sha256(text, strlen(text), digest);
	for (size_t i = 0; i < keyring->count; i++) {
		unsigned char difference = 0;
		for (size_t b = 0; b < FM_SHA256_BYTES; b++)
			difference |= digest[b] ^ keyring->keys[i]->digest[b];
		found = difference ? found : keyring->keys[i];
	}
	return found;
}

bool fm_key_covers(const struct fm_key *key, const char *collection)
{
	for (size_t i = 0; i < key->collection_count; i++) {
		if (strcmp(key->collections[i], collection) == 0)
			return true;
	}
	return key->collection_count == 0;
}

char *fm_keyring_default_path(void)
{
	const char *state = getenv("STATE_DIRECTORY"); /* systemd.exec(5): a list with colons */
	char *path;

	if (!state || !state[0])
		state = STATE_DIRECTORY;
	if (asprintf(&path, "%.*s/keys", (int)strcspn(state, ":"), state) < 0)
		return NULL;
	return path;
}
