/* facematchctl key list: whose keys there are. */
#include "cli/cmd_key.h"
#include "lib/auth/keyring.h"
#include "lib/base/cleanup.h"

#include <stdio.h>

#include "lib/base/banned.h"

FM_DEFINE_CLEANUP(struct fm_keyring *, fm_keyring_free);

static void print_key(const struct fm_key *key)
{
	printf("%-12s  %-8s  %-20s  ", key->id, fm_role_name(key->role),
	        key->created[0] ? key->created : "-");
	for (size_t i = 0; i < key->collection_count; i++)
		printf("%s%s", i ? "," : "", fm_printable(key->collections[i]));
	printf("%s  %s\n", key->collection_count ? "" : "*", fm_printable(key->name));
}

static int run(struct fm_call *call)
{
	fm_cleanup(fm_keyring_freep) struct fm_keyring *keyring = NULL;
	const char *file = NULL;
	const struct fm_option options[] = {FM_OPTION_KEYS_FILE_ROW(&file)};
	struct fm_error err;
	int exit_code;

	if (!fm_options_parse(call, options, sizeof(options) / sizeof(options[0]), 0, 0, &exit_code))
		return exit_code;
	fm_autofree char *path = fm_keys_file(file);
	if (!path)
		return FM_EXIT_FAILURE;
	if (fm_keyring_read(path, &keyring, &err)) {
		fm_complain("%s", err.message);
		return FM_EXIT_FAILURE;
	}
	printf("%-12s  %-8s  %-20s  %s  %s\n", "id", "role", "created", "collections", "name");
	for (size_t i = 0; i < keyring->count; i++)
		print_key(keyring->keys[i]);
	return FM_EXIT_OK;
}

const struct fm_command fm_cmd_key_list = {
        .name = "key list",
        .operands = "",
        .summary = "list the keys of the HTTP interface",
        .description = "Lists what the file of keys holds: id, role, time of creation, the collections that "
                       "the key\n"
                       "is good for (* for all), and its name. The keys themselves are not stored anywhere.",
        .example = "  facematchctl key list",
        .run = run,
};
