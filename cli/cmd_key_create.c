/* facematchctl key create: a new key, shown once. */
#include "cli/cmd_key.h"
#include "lib/auth/keyring.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

char *fm_keys_file(const char *given)
{
	char *path = given ? strdup(given) : fm_keyring_default_path();

	if (!path)
		fm_complain("no memory for a path");
	return path;
}

static int run(struct fm_call *call)
{
	const char *file = NULL, *role = NULL, *name = "", *collections = NULL;
	const struct fm_option options[] = {
	        {"role", FM_OPTION_TEXT, &role, "ROLE",
	                "identify (find, compare, search), enroll (that, and people), or admin (all)",
	                .required = true},
	        {"collection", FM_OPTION_TEXT, &collections, "NAME[,NAME]…",
	                "collections that the key is good for (default: all)"},
	        {"name", FM_OPTION_TEXT, &name, "TEXT", "whose key it is, for the list"},
	        FM_OPTION_KEYS_FILE_ROW(&file),
	};
	const char *names[FM_KEY_COLLECTIONS_MAX];
	struct fm_key_wish wish = {.collections = names};
	char text[FM_KEY_TEXT], id[FM_KEY_ID];
	struct fm_error err;
	int exit_code;

	if (!fm_options_parse(call, options, sizeof(options) / sizeof(options[0]), 0, 0, &exit_code))
		return exit_code;
	if (fm_role_parse(role, &wish.role, &err))
		return fm_usage_error(call->command, "%s", err.message);
	wish.name = name;
	fm_autofree char *list = collections ? strdup(collections) : NULL;
	char *rest = list;
	for (char *one; rest && (one = strsep(&rest, ","));) {
		if (wish.collection_count == FM_KEY_COLLECTIONS_MAX)
			return fm_usage_error(
			        call->command, "more than %d collections", FM_KEY_COLLECTIONS_MAX);
		names[wish.collection_count++] = one;
	}
	fm_autofree char *path = fm_keys_file(file);
	if (!path || (collections && !list))
		return FM_EXIT_FAILURE;
	if (fm_keyring_add(path, &wish, text, id, &err)) {
		fm_complain("%s", err.message);
		return FM_EXIT_FAILURE;
	}
	printf("%s\n", text);
	fm_wipe(text, sizeof(text));
	fprintf(stderr,
	        "This is key %s. It is not stored, only its digest in %s: keep it now.\n"
	        "A running facematchd takes it after SIGHUP (systemctl reload facematchd).\n",
	        id, path);
	return FM_EXIT_OK;
}

const struct fm_command fm_cmd_key_create = {
        .name = "key create",
        .operands = "",
        .summary = "make a key for the HTTP interface",
        .description =
                "Makes a random key, prints it once on standard output, and adds its SHA-256 to the file of\n"
                "keys, which is created (mode 0600) if need be. Where there is such a file the daemon asks\n"
                "every request for a key.",
        .example = "  facematchctl key create --role identify --name \"front door\"",
        .run = run,
};
