/* Files of keys with mistakes: what is accepted lies within its bounds, and finds what it should. */
#include "lib/auth/keyring.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fm_keyring *keyring = NULL;
	struct fm_error err;
	char *text = strndup((const char *)data, size);

	if (!text)
		abort();
	if (fm_keyring_parse(text, "input", &keyring, &err) == FM_OK) {
		if (keyring->count > FM_KEYS_MAX)
			abort();
		for (size_t i = 0; i < keyring->count; i++) {
			const struct fm_key *key = keyring->keys[i];
			if (strlen(key->id) != FM_KEY_ID - 1 || key->role > FM_ROLE_IDENTIFY ||
			        key->collection_count > FM_KEY_COLLECTIONS_MAX ||
			        strlen(key->name) > FM_KEY_NAME_MAX_BYTES ||
			        (key->collection_count && fm_key_covers(key, "")))
				abort();
		}
		/* Nobody knows a text whose digest the input made up; "test" is in the corpus. */
		const struct fm_key *found = fm_keyring_find(keyring, "test");
		if (found && strcmp(found->id, "9f86d081884c") != 0)
			abort();
	}
	fm_keyring_free(keyring);
	free(text);
	return 0;
}
