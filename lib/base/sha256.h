/* SHA-256 (FIPS 180-4), through nettle. Threads: pure. */
#ifndef FM_BASE_SHA256_H
#define FM_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define FM_SHA256_BYTES 32
#define FM_SHA256_HEX   65 /* 64 digits and a NUL */

void fm_sha256(const void *bytes, size_t length, uint8_t ret_digest[FM_SHA256_BYTES]);
void fm_sha256_hex(const void *bytes, size_t length, char ret_hex[FM_SHA256_HEX]);

#endif
