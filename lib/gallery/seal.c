#include "lib/gallery/seal.h"

#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define FILE_MAX_BYTES 65536
#define NONCE_BYTES    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

_Static_assert(FM_SEAL_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");
_Static_assert(FM_SEAL_OVERHEAD_BYTES == NONCE_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES, "blob");

static void name_key(struct fm_seal *seal)
{
	static const char text[] = "facematchd gallery key";
	uint8_t digest[(FM_SEAL_ID - 1) / 2];

	crypto_generichash(digest, sizeof(digest), (const uint8_t *)text, sizeof(text) - 1, seal->key,
	        sizeof(seal->key));
	sodium_bin2hex(seal->id, sizeof(seal->id), digest, sizeof(digest));
}

static enum fm_status add_key(
        struct fm_sealer *sealer, const char *path, int line, const char *text, struct fm_error *err)
{
	struct fm_seal *seal = &sealer->seals[sealer->count];
	size_t bytes;

	if (sealer->count == FM_SEALS_MAX)
		return fm_fail(err, FM_E_INVALID, "%s:%d: more than %d keys", path, line, FM_SEALS_MAX);
	if (strlen(text) != 2 * FM_SEAL_KEY_BYTES ||
	        sodium_hex2bin(seal->key, sizeof(seal->key), text, strlen(text), NULL, &bytes, NULL) != 0 ||
	        bytes != FM_SEAL_KEY_BYTES)
		return fm_fail(err, FM_E_INVALID,
		        "%s:%d: not a key of 64 hexadecimal digits (openssl rand -hex 32 makes one)", path,
		        line);
	name_key(seal);
	for (size_t i = 0; i < sealer->count; i++)
		if (strcmp(sealer->seals[i].id, seal->id) == 0)
			return fm_fail(err, FM_E_INVALID, "%s:%d: the key stands there twice", path, line);
	sealer->count++;
	return FM_OK;
}

/* A credential of systemd's looks readable by its group, as an ACL lets the service in. */
static enum fm_status check_owner(const char *path, struct fm_error *err)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	bool credential =
	        credentials && credentials[0] && strncmp(path, credentials, strlen(credentials)) == 0;
	mode_t forbidden = credential ? S_IRWXO | S_IWGRP | S_IXGRP : S_IRWXO | S_IRWXG;
	struct stat file;

	if (stat(path, &file) < 0)
		return fm_fail_errno(err, errno, "%s", path);
	if ((file.st_uid != 0 && file.st_uid != geteuid()) || file.st_mode & forbidden)
		return fm_fail(err, FM_E_INVALID,
		        "%s: others could read or change the gallery's key: chmod 600, and owned by root or "
		        "the "
		        "daemon's user",
		        path);
	return FM_OK;
}

enum fm_status fm_sealer_read(const char *path, struct fm_sealer *ret_sealer, struct fm_error *err)
{
	fm_cleanup(fm_sealer_wipe) struct fm_sealer sealer = {0};
	char *text = NULL, *rest;
	size_t length = 0;
	int number = 0;
	enum fm_status status = sodium_init() < 0 ? fm_fail(err, FM_E_INTERNAL, "libsodium does not start")
	                                          : check_owner(path, err);

	if (status == FM_OK)
		status = fm_file_read(path, FILE_MAX_BYTES, &text, &length, err);
	rest = text;
	for (char *line; status == FM_OK && (line = strsep(&rest, "\n"));) {
		size_t end = strlen(line);

		number++;
		while (end > 0 && strchr(" \t\r", line[end - 1]))
			line[--end] = '\0';
		if (*line && *line != '#')
			status = add_key(&sealer, path, number, line, err);
	}
	if (text)
		fm_wipe(text, length);
	free(text);
	if (status == FM_OK && !sealer.count)
		status = fm_fail(err, FM_E_INVALID, "%s: holds no key", path);
	if (status == FM_OK)
		*ret_sealer = sealer;
	return status;
}

void fm_sealer_wipe(struct fm_sealer *sealer)
{
	fm_wipe(sealer, sizeof(*sealer));
}

void fm_sealer_seal(const struct fm_sealer *sealer, const char *purpose, const void *plain, size_t bytes,
        uint8_t *ret_blob)
{
	randombytes_buf(ret_blob, NONCE_BYTES);
	crypto_aead_xchacha20poly1305_ietf_encrypt(ret_blob + NONCE_BYTES, NULL, plain, bytes,
	        (const uint8_t *)purpose, strlen(purpose), NULL, ret_blob, sealer->seals[0].key);
}

enum fm_status fm_sealer_open(const struct fm_sealer *sealer, int64_t row, const char *purpose,
        const void *blob, size_t blob_bytes, void *ret_plain, struct fm_error *err)
{
	const uint8_t *bytes = blob;
	const struct fm_seal *seal = NULL;

	for (size_t i = 0; sealer && i < sealer->count && !seal; i++)
		if (sealer->seals[i].row == row)
			seal = &sealer->seals[i];
	if (!seal)
		return fm_fail(err, FM_E_CORRUPT, "sealed with a key that is not in the key file");
	if (!blob || blob_bytes < FM_SEAL_OVERHEAD_BYTES ||
	        crypto_aead_xchacha20poly1305_ietf_decrypt(ret_plain, NULL, NULL, bytes + NONCE_BYTES,
	                blob_bytes - NONCE_BYTES, (const uint8_t *)purpose, strlen(purpose), bytes,
	                seal->key) != 0)
		return fm_fail(err, FM_E_CORRUPT, "the sealed bytes were changed");
	return FM_OK;
}
