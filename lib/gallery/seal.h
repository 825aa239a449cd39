/*
 * Sealing: embeddings and crops encrypted and authenticated on their way to the disk, with keys that the
 * operator keeps in a file. XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) through libsodium, which seal.c
 * alone knows. A sealed blob is the nonce (24 random bytes), the ciphertext and the tag (16). What a blob is
 * for (kind, face id, network) is authenticated with it, so that none can be put in another's place.
 * Threads: a sealer is not changed once the gallery is open.
 */
#ifndef FM_GALLERY_SEAL_H
#define FM_GALLERY_SEAL_H

#include "lib/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define FM_SEAL_KEY_BYTES      32
#define FM_SEAL_OVERHEAD_BYTES 40
#define FM_SEAL_ID             33 /* 32 hexadecimal digits and a NUL */
#define FM_SEALS_MAX           16

struct fm_seal {
	int64_t row;         /* of the table seals */
	char id[FM_SEAL_ID]; /* BLAKE2b of the key: names it, tells nothing about it */
	uint8_t key[FM_SEAL_KEY_BYTES];
};

/* The first is what is sealed with; all can be opened. */
struct fm_sealer {
	size_t count;
	struct fm_seal seals[FM_SEALS_MAX];
};

/*
 * Reads a file of keys: 64 hexadecimal digits a line, the current key first; empty lines and those that begin
 * with # aside. FM_E_NOT_FOUND; FM_E_INVALID: malformed, no key, a key twice, or others than root and this
 * process could read the file.
 */
enum fm_status fm_sealer_read(const char *path, struct fm_sealer *ret_sealer, struct fm_error *err);
void fm_sealer_wipe(struct fm_sealer *sealer);

/* ret_blob has room for bytes + FM_SEAL_OVERHEAD_BYTES. `purpose` is text. */
void fm_sealer_seal(const struct fm_sealer *sealer, const char *purpose, const void *plain, size_t bytes,
        uint8_t *ret_blob);

/*
 * ret_plain has room for blob_bytes - FM_SEAL_OVERHEAD_BYTES. `sealer` may be NULL. FM_E_CORRUPT: no such
 * key, changed bytes, or another purpose.
 */
enum fm_status fm_sealer_open(const struct fm_sealer *sealer, int64_t row, const char *purpose,
        const void *blob, size_t blob_bytes, void *ret_plain, struct fm_error *err);

#endif
