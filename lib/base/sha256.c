#include "lib/base/sha256.h"

#include <nettle/sha2.h>
#include <stdio.h>

#include "lib/base/banned.h"

void fm_sha256(const void *bytes, size_t length, uint8_t ret_digest[FM_SHA256_BYTES])
{
	struct sha256_ctx context;

	sha256_init(&context);
	sha256_update(&context, length, bytes);
	sha256_digest(&context, FM_SHA256_BYTES, ret_digest);
}

void fm_sha256_hex(const void *bytes, size_t length, char ret_hex[FM_SHA256_HEX])
{
	uint8_t digest[FM_SHA256_BYTES];

	fm_sha256(bytes, length, digest);
	for (int i = 0; i < FM_SHA256_BYTES; i++)
		snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}
