/* facematchctl key revoke: a key is good no more. */
#include "cli/cmd_key.h"
#include "lib/auth/keyring.h"
#include "lib/base/cleanup.h"

#include <stdio.h>

#include "lib/base/banned.h"

static int run(struct fm_call *call)
{
	const char *file = NULL;
	const struct fm_option options[] = {FM_OPTION_KEYS_FILE_ROW(&file)};
	struct fm_error err;
	int exit_code;

	if (!fm_options_parse(call, options, sizeof(options) / sizeof(options[0]), 1, 1, &exit_code))
		return exit_code;
	fm_autofree char *path = fm_keys_file(file);
	if (!path)
		return FM_EXIT_FAILURE;
	if (fm_keyring_remove(path, call->operands[0], &err)) {
		fm_complain("%s", err.message);
		return FM_EXIT_FAILURE;
	}
	fprintf(stderr, "A running facematchd refuses it after SIGHUP (systemctl reload facematchd).\n");
	return FM_EXIT_OK;
}

const struct fm_command fm_cmd_key_revoke = {
        .name = "key revoke",
        .operands = "ID",
        .summary = "revoke a key of the HTTP interface",
        .description =
                "Takes the key with this id (facematchctl key list) out of the file of keys. A file without\n"
                "any key lets nobody in; remove the file and restart the daemon to ask for no keys.",
        .example = "  facematchctl key revoke 3f9c2ab81d04",
        .run = run,
};
