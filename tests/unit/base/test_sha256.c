#include "lib/base/sha256.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* Messages and digests: NIST, "Examples with Intermediate Values", SHA-256; the empty one is well known. */
Test(sha256, known_digests)
{
	static const struct {
		const char *message, *hex;
	} cases[] = {
	        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char hex[FM_SHA256_HEX];

		fm_sha256_hex(cases[i].message, strlen(cases[i].message), hex);
		cr_expect_str_eq(hex, cases[i].hex);
	}
}

Test(sha256, bytes_and_digits_agree)
{
	uint8_t digest[FM_SHA256_BYTES];
	char hex[FM_SHA256_HEX];

	fm_sha256("a\0b", 3, digest);
	fm_sha256_hex("a\0b", 3, hex);
	for (int i = 0; i < FM_SHA256_BYTES; i++) {
		char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
		cr_expect_eq(strtol(digits, NULL, 16), digest[i]);
	}
	cr_expect_eq(hex[FM_SHA256_HEX - 1], '\0');
}
