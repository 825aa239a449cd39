/*
 * Keys of the HTTP interface: who may ask for what. A key is 256 random bits, shown once; the file keeps its
 * SHA-256. A password would want a slow hash against guessing; nobody guesses 256 random bits, so that the
 * fast one gives nothing away, and a request costs microseconds.
 *
 * The file, one key a line, empty lines and lines that begin with # aside; values are percent-encoded:
 *
 *	sha256=9f86…0a08 role=identify created=2026-11-23T04:30:00Z collection=staff name=front%20door
 *
 * Without `collection` a key is good for all collections; with it, repeated, for those. A keyring is
 * immutable. Threads: reading and finding are pure; changes of one file exclude each other.
 */
#ifndef FM_AUTH_KEYRING_H
#define FM_AUTH_KEYRING_H

#include "lib/base/sha256.h"
#include "lib/base/status.h"

#include <stdbool.h>
#include <stddef.h>

/* Each may do what those below it may. The strictest is zero: what says nothing about itself wants it. */
enum fm_role { FM_ROLE_ADMIN = 0, FM_ROLE_ENROLL, FM_ROLE_IDENTIFY, FM_ROLE_ANYONE };
#define FM_ROLE_NAMES "admin, enroll, identify"

/* "admin", "enroll", "identify"; FM_ROLE_ANYONE ("anyone") is no role that a key can have. */
const char *fm_role_name(enum fm_role role);
enum fm_status fm_role_parse(const char *name, enum fm_role *ret_role, struct fm_error *err);

#define FM_KEYS_MAX            1024
#define FM_KEY_COLLECTIONS_MAX 64
#define FM_KEY_NAME_MAX_BYTES  256 /* of the key, and of each collection's name */
#define FM_KEY_TEXT            68  /* "fm_", 64 digits, NUL */
#define FM_KEY_ID              13  /* the first 12 digits of the digest, NUL */
#define FM_KEY_CREATED         21  /* "2026-11-23T04:30:00Z", NUL */

struct fm_key {
	char id[FM_KEY_ID]; /* names the key in lists and in the log; says nothing about it */
	unsigned char digest[FM_SHA256_BYTES];
	enum fm_role role;
	char created[FM_KEY_CREATED];
	char *name; /* "" without one */
	size_t collection_count;
	char *collections[FM_KEY_COLLECTIONS_MAX];
};

struct fm_keyring {
	size_t count;
	struct fm_key **keys;
};
void fm_keyring_free(struct fm_keyring *keyring);

/*
 * From text; `origin` stands for the file in messages. FM_E_INVALID names the line: malformed, a field or a
 * key twice, unknown fields, an unknown role; FM_E_TOO_LARGE: more than FM_KEYS_MAX.
 */
enum fm_status fm_keyring_parse(
        const char *text, const char *origin, struct fm_keyring **ret_keyring, struct fm_error *err);

/*
 * From a file that only its owner (root, or whom this process runs as) can read and write; one below
 * $CREDENTIALS_DIRECTORY may look readable by its group, as systemd lets the service in by an ACL.
 * FM_E_NOT_FOUND; FM_E_INVALID: others could read or change it.
 */
enum fm_status fm_keyring_read(const char *path, struct fm_keyring **ret_keyring, struct fm_error *err);

/* The key, or NULL. Looks at every key to its end: how long it takes does not depend on which one fits. */
const struct fm_key *fm_keyring_find(const struct fm_keyring *keyring, const char *text);

/* Whether the key is good for the collection. */
bool fm_key_covers(const struct fm_key *key, const char *collection);

struct fm_key_wish {
	enum fm_role role;
	const char *name; /* "" for none */
	size_t collection_count;
	const char *const *collections;
};

/*
 * Makes a key and adds it to the file, which is created if need be: mode 0600, and the owner of the file
 * before it, else of its directory, where this process may give files away. ret_text is the key: it is
 * nowhere else. FM_E_INVALID: a name or a collection that is no text of 1 to FM_KEY_NAME_MAX_BYTES bytes.
 */
enum fm_status fm_keyring_add(const char *path, const struct fm_key_wish *wish, char ret_text[FM_KEY_TEXT],
        char ret_id[FM_KEY_ID], struct fm_error *err);

/* Takes the key out of the file. FM_E_NOT_FOUND: no such id. */
enum fm_status fm_keyring_remove(const char *path, const char *id, struct fm_error *err);

/* keys in $STATE_DIRECTORY, else in /var/lib/facematchd; free() it. NULL: no memory. */
char *fm_keyring_default_path(void);

#endif
